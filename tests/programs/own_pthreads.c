/* A program with its own pthreads: a pool of OS threads behind a mutex and a condition, whose jobs start
 * light threads and wait for them, while light threads hand jobs to the pool and wait for its answer over a
 * pipe. */
#include "../support.h"

enum { POOL = 4, JOBS = 400, CLIENTS = 20 };

struct job {
  int number, answer_fd;
  struct job *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t available = PTHREAD_COND_INITIALIZER;
static struct job *jobs;
static bool closed;
static int served;

static void submit(struct job *job) {
  pthread_mutex_lock(&mutex);
  job->next = jobs;
  jobs = job;
  pthread_cond_signal(&available);
  pthread_mutex_unlock(&mutex);
}

static struct job *take(void) {
  pthread_mutex_lock(&mutex);
  while (!jobs && !closed) pthread_cond_wait(&available, &mutex);
  struct job *job = jobs;
  if (job) jobs = job->next;
  pthread_mutex_unlock(&mutex);
  return job;
}

static intptr_t square(void *arg) {
  thrum_yield();
  return (intptr_t)arg * (intptr_t)arg;
}

/* An OS thread of the program's own: it blocks on its own condition, and uses thrum for the work. */
static void *pool_thread(void *arg) {
  (void)arg;
  for (struct job *job; (job = take());) {
    intptr_t result = must_join(must_spawn(square, (void *)(intptr_t)job->number));
    CHECK_EQ(write(job->answer_fd, &result, sizeof result), sizeof result);
    ADD(served, 1);
  }
  return NULL;
}

/* A light thread: submits, and parks until the answer comes. */
static intptr_t client(void *arg) {
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  intptr_t sum = 0, answer;
  for (int i = 0; i < JOBS / CLIENTS; i++) {
    struct job job = {(int)(intptr_t)arg + i, fds[1], NULL};
    submit(&job);
    CHECK_EQ(thrum_read(fds[0], &answer, sizeof answer), sizeof answer);
    CHECK_EQ(answer, (intptr_t)job.number * job.number);
    sum += answer;
  }
  CHECK(thrum_close(fds[0]) == 0 && thrum_close(fds[1]) == 0);
  return sum;
}

static void close_pool(pthread_t *pool) {
  pthread_mutex_lock(&mutex);
  closed = true;
  pthread_cond_broadcast(&available);
  pthread_mutex_unlock(&mutex);
  for (int i = 0; i < POOL; i++) CHECK_EQ(pthread_join(pool[i], NULL), 0);
}

int main(void) {
  pthread_t pool[POOL];
  thrum_thread clients[CLIENTS];
  for (int i = 0; i < POOL; i++) CHECK_EQ(pthread_create(&pool[i], NULL, pool_thread, NULL), 0);
  for (int i = 0; i < CLIENTS; i++) clients[i] = must_spawn(client, (void *)(intptr_t)i);
  for (int i = 0; i < CLIENTS; i++) CHECK(must_join(clients[i]) > 0);
  close_pool(pool);
  CHECK_EQ(served, JOBS);
  CHECK_EQ(thrum_active_count(), 1);
  return 0;
}
