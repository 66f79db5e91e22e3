/* Light threads, as crew.h wants them. */
#ifndef BENCH_LIGHT_H
#define BENCH_LIGHT_H

#include <thrum.h>

#include "bench.h"

typedef thrum_thread thread;

typedef struct light_start {
  void (*fn)(void *);
  void *arg;
} light_start;

static inline intptr_t light_begin(void *arg) {
  light_start s = *(light_start *)arg;
  s.fn(s.arg);
  return 0;
}

static inline void thread_start(thread *t, void (*fn)(void *), void *arg) {
  light_start s = {fn, arg};
  bench_check(thrum_spawn_copy(t, light_begin, &s, sizeof s), "thrum_spawn_copy");
}

static inline void thread_join(thread *t) { bench_check(thrum_join(*t, NULL), "thrum_join"); }
static inline void nap(int64_t ns) { bench_check(thrum_sleep(ns), "thrum_sleep"); }

#endif
