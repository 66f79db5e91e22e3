/* A pool of workers: factors the numbers that come on standard input, one a line.
 *
 *     pool [THREADS [--stop]]
 *
 * Answers come out in the order of the numbers, whoever has them first. A line that is no number is an error, told on standard
 * error with the line's number; the others go on, or with --stop what has not been begun is given up. The status is 0,
 * 1 if there was an error, 2 for wrong arguments.
 *
 * A pool is a bounded queue of jobs and threads that get from it. Who submits keeps the job, waits for it, and takes its
 * result, which like a thread's is a failure if it is a negative errno. Each job that was submitted is done or given up,
 * so that nobody waits for ever: what a stop discards goes through the queue's drop function. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

enum {
  THREADS_MAX = 1000,
  PLACES = 16,
  WINDOW = 64 /* jobs in flight: what answers may be ahead of their turn */
};

/* ---- The pool ----------------------------------------------------------------------------------------- */

struct job {
  thrum_fn *fn;
  void *arg;
  intptr_t result; /* once it is over */
  thrum_event over;
};

struct pool {
  thrum_queue jobs;
  thrum_thread threads[THREADS_MAX];
  int count;
};

static void finish(struct job *job, intptr_t result) {
  job->result = result;
  thrum_event_set(&job->over);
}

static void give_up(void *item, void *arg) {
  (void)arg;
  finish(*(struct job **)item, -ECANCELED);
}

static intptr_t work(void *arg) {
  struct pool *pool = arg;
  struct job *job;
  while (thrum_queue_get(&pool->jobs, &job) == 0) finish(job, job->fn(job->arg));
  return 0;
}

/* Takes no more jobs. Those that are queued are done first, or given up if `now`; those that were begun are done. */
static void pool_stop(struct pool *pool, bool now) {
  thrum_queue_shutdown(&pool->jobs, now);
  while (pool->count > 0) thrum_join(pool->threads[--pool->count], NULL);
  thrum_queue_destroy(&pool->jobs);
}

static int pool_start(struct pool *pool, int threads) {
  thrum_queue_options options = THRUM_QUEUE_OPTIONS_INIT;
  options.drop = give_up;
  pool->count = 0;
  int error = thrum_queue_init(&pool->jobs, sizeof(struct job *), PLACES, &options);
  for (; pool->count < threads && !error; pool->count += !error)
    error = thrum_spawn_named(&pool->threads[pool->count], work, pool, "worker-%d", pool->count);
  if (error) pool_stop(pool, true);
  return error;
}

/* Waits while the queue is full. The job stays where it is until it is over. */
static void pool_submit(struct pool *pool, struct job *job, thrum_fn *fn, void *arg) {
  *job = (struct job){.fn = fn, .arg = arg};
  int error = thrum_queue_put_ptr(&pool->jobs, job);
  if (error) finish(job, error);
}

static intptr_t job_wait(struct job *job) {
  thrum_event_wait(&job->over);
  return job->result;
}

/* ---- What it does here -------------------------------------------------------------------------------- */

struct task {
  struct job job;
  long line;
  char *text; /* as read, then the answer */
};

static intptr_t factor(void *arg) {
  struct task *task = arg;
  char *end, *answer = NULL;
  size_t size;
  errno = 0;
  unsigned long n = strtoul(task->text, &end, 10);
  if (*task->text < '0' || *task->text > '9' || *end || n == 0) return -EINVAL;
  if (errno) return -ERANGE;
  FILE *out = open_memstream(&answer, &size);
  if (!out) return -ENOMEM;
  fprintf(out, "%lu:", n);
  for (unsigned long d = 2; d <= n / d; d++)
    for (; n % d == 0; n /= d) fprintf(out, " %lu", d);
  if (n > 1) fprintf(out, " %lu", n);
  if (fclose(out) != 0) return -ENOMEM;
  free(task->text);
  task->text = answer;
  return 0;
}

static const char *why(intptr_t result) {
  return result == -EINVAL ? "not a whole number above 0" : strerror(-(int)result);
}

struct tally {
  long failed, given_up;
};

static void report(struct task *task, struct tally *tally) {
  intptr_t result = job_wait(&task->job);
  tally->given_up += result == -ECANCELED;
  tally->failed += result != 0 && result != -ECANCELED;
  if (result == 0)
    printf("%s\n", task->text);
  else if (result != -ECANCELED)
    fprintf(stderr, "pool: line %ld: %s: %s\n", task->line, task->text, why(result));
  free(task->text);
}

static void run(struct pool *pool, bool stop, struct tally *tally) {
  static struct task tasks[WINDOW];
  long lines = 0, reported = 0;
  char *text = NULL;
  size_t size = 0;
  while (!(stop && tally->failed) && getline(&text, &size, stdin) >= 0) {
    struct task *task = &tasks[lines % WINDOW];
    if (lines >= WINDOW) report(&tasks[reported++ % WINDOW], tally);
    text[strcspn(text, "\n")] = '\0';
    task->line = ++lines;
    task->text = text;
    text = NULL;
    pool_submit(pool, &task->job, factor, task);
  }
  free(text);
  for (; reported < lines && !(stop && tally->failed); reported++) report(&tasks[reported % WINDOW], tally);
  pool_stop(pool, reported < lines);
  for (; reported < lines; reported++) report(&tasks[reported % WINDOW], tally);
}

int main(int argc, char **argv) {
  static struct pool pool;
  struct tally tally = {0};
  int threads = argc > 1 ? atoi(argv[1]) : thrum_workers();
  bool stop = argc > 2 && strcmp(argv[2], "--stop") == 0;
  if (threads < 1 || threads > THREADS_MAX || argc > 2 + stop) {
    fprintf(stderr, "usage: pool [THREADS [--stop]], from 1 to %d threads\n", THREADS_MAX);
    return 2;
  }
  int error = pool_start(&pool, threads);
  if (error) return fprintf(stderr, "pool: %s\n", strerror(-error)), 1;
  run(&pool, stop, &tally);
  if (tally.given_up) fprintf(stderr, "pool: %ld given up\n", tally.given_up);
  return tally.failed > 0;
}
