/* The workloads with POSIX threads. Stacks of 64 KiB, so that glibc's cache of stacks (40 MB) holds hundreds.
 * One worker is one CPU for the whole process. */
#define _GNU_SOURCE
#include "bench.h"
#include "io_runs.h"
#include "queue_runs.h"
#include "sync_runs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_attr_t small;

static int setup(int workers) {
  int status = pthread_attr_init(&small);
  if (!status) status = pthread_attr_setstacksize(&small, 64 * 1024);
  if (status || workers > 1) return status;
  cpu_set_t all, one;
  if (sched_getaffinity(0, sizeof all, &all)) return errno;
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  return sched_setaffinity(0, sizeof one, &one) ? errno : 0;
}

static void start(pthread_t *t, void *(*fn)(void *), void *arg) {
  bench_check(pthread_create(t, &small, fn, arg), "pthread_create");
}

static void join_all(pthread_t *threads, long n) {
  for (long i = 0; i < n; i++) bench_check(pthread_join(threads[i], NULL), "pthread_join");
}

static pthread_t *touched_handles(long n) {
  pthread_t *threads = bench_alloc((size_t)n * sizeof *threads);
  memset(threads, 1, (size_t)n * sizeof *threads);
  return threads;
}

/* ---- spawn --------------------------------------------------------------------------------------------- */

static void *nothing(void *arg) { return arg; }

static void spawn_and_join(pthread_t *threads, long n) {
  for (long i = 0; i < n; i++) start(&threads[i], nothing, NULL);
  join_all(threads, n);
}

static void spawn_run(long n) {
  pthread_t *threads = touched_handles(n);
  spawn_and_join(threads, n);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    spawn_and_join(threads, n);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("spawn", (double)took / (double)(batches * n), "ns");
  free(threads);
}

/* ---- yield: sched_yield need not switch, so switches are counted --------------------------------------- */

static struct {
  long n, arrived, switches;
  const void *running;
  int64_t begun, end;
} ring;

static void *yielder(void *arg) {
  if (__atomic_add_fetch(&ring.arrived, 1, __ATOMIC_ACQ_REL) == ring.n) {
    ring.begun = bench_now();
    __atomic_store_n(&ring.end, ring.begun + bench_budget(), __ATOMIC_RELEASE);
  }
  while (!__atomic_load_n(&ring.end, __ATOMIC_ACQUIRE)) sched_yield();
  do {
    for (int i = 0; i < 100; i++) {
      if (__atomic_exchange_n(&ring.running, (void *)&arg, __ATOMIC_RELAXED) != &arg)
        __atomic_fetch_add(&ring.switches, 1, __ATOMIC_RELAXED);
      sched_yield();
    }
  } while (bench_now() < ring.end);
  return NULL;
}

static void yield_run(long n) {
  pthread_t *threads = touched_handles(n);
  ring.n = n;
  for (long i = 0; i < n; i++) start(&threads[i], yielder, NULL);
  join_all(threads, n);
  bench_print("yield", (double)(bench_now() - ring.begun) / (double)ring.switches, "ns");
  free(threads);
}

/* ---- parked, sleepers ---------------------------------------------------------------------------------- */

static sem_t gate;
static long arrived;

static void *parker(void *arg) {
  __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
  while (sem_wait(&gate)) {
  }
  return arg;
}

static void parked_run(long n) {
  pthread_t *threads = touched_handles(n);
  bench_parked begin = bench_parked_begin();
  for (long i = 0; i < n; i++) start(&threads[i], parker, NULL);
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < n) sched_yield();
  bench_parked_print(begin, n);
  for (long i = 0; i < n; i++) sem_post(&gate);
  join_all(threads, n);
  free(threads);
}

static int64_t common_start;

static void *sleeper(void *arg) {
  bench_sleeper *s = arg;
  int64_t until = common_start + s->delay;
  struct timespec t = {until / 1000000000, until % 1000000000};
  s->begun = bench_now();
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL)) {
  }
  s->woken = bench_now();
  return NULL;
}

static void sleepers_run(long n) {
  bench_sleeper *all = bench_sleepers(n, &common_start);
  pthread_t *threads = touched_handles(n);
  for (long i = 0; i < n; i++) start(&threads[i], sleeper, &all[i]);
  join_all(threads, n);
  bench_sleepers_print(all, n, common_start);
  free(threads);
}

/* ---- slice, convoy ------------------------------------------------------------------------------------- */

static void *span_thread(void *arg) {
  bench_span_run(arg);
  return NULL;
}

static void run_alone(bench_span *a) {
  pthread_t t;
  start(&t, span_thread, a);
  pthread_join(t, NULL);
}

static void run_pair(bench_span *a, bench_span *b) {
  pthread_t t;
  start(&t, span_thread, a);
  run_alone(b);
  pthread_join(t, NULL);
}

static void slice_run(long us) {
  (void)us; /* the kernel chooses */
  bench_slice(run_pair, run_alone);
}

static int stop;

static void *hog(void *arg) {
  bench_hog(&stop);
  return arg;
}

static void *hog_malloc(void *arg) {
  bench_hog_malloc(&stop);
  return arg;
}

static void get(int fd, char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = read(fd, buffer + done, size - done);
    if (n <= 0) bench_fail("read: %s", n ? strerror(errno) : "end of file");
    done += (size_t)n;
  }
}

static void put(int fd, char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = write(fd, buffer + done, size - done);
    if (n < 0) bench_fail("write: %s", strerror(errno));
    done += (size_t)n;
  }
}

typedef struct pipes {
  int there[2], back[2];
} pipes;

static void *server(void *arg) {
  const pipes *p = arg;
  char buffer[BENCH_ECHO_BYTES];
  for (ssize_t n; (n = read(p->there[0], buffer, sizeof buffer)) > 0;) put(p->back[1], buffer, (size_t)n);
  return NULL;
}

static void *client(void *arg) {
  const pipes *p = arg;
  bench_echo_client(p->back[0], p->there[1], get, put);
  close(p->there[1]);
  return NULL;
}

static void convoy(long hogs, void *(*what)(void *)) {
  pipes p;
  bench_check(pipe(p.there) || pipe(p.back) ? errno : 0, "pipe");
  pthread_t *threads = touched_handles(hogs + 1), serving, asking;
  for (long i = 0; i < hogs; i++) start(&threads[i], what, NULL);
  start(&serving, server, &p);
  start(&asking, client, &p);
  join_all(&asking, 1);
  join_all(&serving, 1);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  join_all(threads, hogs);
  free(threads);
}

static void convoy_run(long hogs) { convoy(hogs, hog); }

static void convoy_malloc_run(long hogs) { convoy(hogs, hog_malloc); }

void pipe_run(long size); /* pipe.c */

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"spawn", spawn_run},
                                         {"yield", yield_run},
                                         {"parked", parked_run},
                                         {"sleepers", sleepers_run},
                                         {"slice", slice_run},
                                         {"convoy", convoy_run},
                                         {"convoy-malloc", convoy_malloc_run},
                                         {"lock", sync_lock_run},
                                         {"lock-100ns", sync_lock_100ns_run},
                                         {"lock-10us", sync_lock_10us_run},
                                         {"rwlock", sync_rwlock_run},
                                         {"cond", sync_cond_run},
                                         {"sem", sync_sem_run},
                                         {"barrier", sync_barrier_run},
                                         {"event", sync_event_run},
                                         {"queue", queue_run},
                                         {"pingpong", pingpong_run},
                                         {"pipe", pipe_run},
                                         {"echo", echo_run},
                                         {"idle-connection", idle_connection_run},
                                         {"file-read", file_read_run},
                                         {"file-pread", file_pread_run},
                                         {NULL, NULL}};
  return bench_main(argc, argv, table, setup);
}
