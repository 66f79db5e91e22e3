/* POSIX threads for libraries that have locks and no threads. One worker is one CPU. */
#ifndef BENCH_POSIX_H
#define BENCH_POSIX_H

#include "bench.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

typedef pthread_t thread;

typedef struct posix_start {
  void (*fn)(void *);
  void *arg;
} posix_start;

static inline void *posix_begin(void *arg) {
  posix_start s = *(posix_start *)arg;
  free(arg);
  s.fn(s.arg);
  return NULL;
}

static inline void thread_start(thread *t, void (*fn)(void *), void *arg) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 64 << 10);
  posix_start *s = (posix_start *)bench_alloc(sizeof *s);
  s->fn = fn;
  s->arg = arg;
  bench_check(pthread_create(t, &small, posix_begin, s), "pthread_create");
  pthread_attr_destroy(&small);
}

static inline void thread_join(thread *t) { bench_check(pthread_join(*t, NULL), "pthread_join"); }

static inline void nap(int64_t ns) {
  struct timespec t = {ns / 1000000000, ns % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t)) {
  }
}

static inline int posix_setup(int workers) {
  cpu_set_t all, some;
  CPU_ZERO(&some);
  bench_check(sched_getaffinity(0, sizeof all, &all), "sched_getaffinity");
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&some) < workers; cpu++)
    if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &some);
  return sched_setaffinity(0, sizeof some, &some);
}

#endif
