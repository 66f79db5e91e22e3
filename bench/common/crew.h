/* Threads that start together, do something until they are told to stop, and are measured from the start to the end of the
 * last. An includer defines first, as static inline functions:
 *   thread, thread_start(thread *, void (*)(void *), void *), thread_join(thread *)
 *   nap(ns)                     sleeps */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "bench.h"

#include <stdlib.h>

typedef struct crew {
  long n, arrived, gone;
  int go, stop;
  uint64_t steps; /* of a lock: work inside */
  int64_t begun, ended;
} crew;

typedef struct member {
  crew *all;
  void (*loop)(struct member *);
  long number, done;
  uint64_t work; /* its result, so that no compiler drops it and it can be checked */
  thread self;
  char apart[64]; /* each counts in a cache line of its own */
} member;

static inline int crew_stops(const crew *all) { return __atomic_load_n(&all->stop, __ATOMIC_RELAXED); }

static inline void member_run(void *arg) {
  member *m = (member *)arg;
  __atomic_fetch_add(&m->all->arrived, 1, __ATOMIC_ACQ_REL);
  while (!__atomic_load_n(&m->all->go, __ATOMIC_ACQUIRE)) nap(1000000);
  m->loop(m);
  if (__atomic_add_fetch(&m->all->gone, 1, __ATOMIC_ACQ_REL) == m->all->n) m->all->ended = bench_now();
}

static inline member *crew_start(crew *all, void (*loop)(member *)) {
  member *members = (member *)bench_alloc((size_t)all->n * sizeof *members);
  for (long i = 0; i < all->n; i++) {
    members[i].all = all;
    members[i].loop = loop;
    members[i].number = i;
    members[i].done = 0;
    members[i].work = 0;
    thread_start(&members[i].self, member_run, &members[i]);
  }
  while (__atomic_load_n(&all->arrived, __ATOMIC_ACQUIRE) < all->n) nap(1000000);
  all->begun = bench_now();
  __atomic_store_n(&all->go, 1, __ATOMIC_RELEASE);
  return members;
}

/* What members have done, all having ended; frees them. */
static inline long crew_end(crew *all, member *members) {
  long done = 0;
  for (long i = 0; i < all->n; i++) {
    thread_join(&members[i].self);
    done += members[i].done;
  }
  free(members);
  return done;
}

/* Lets them work for as long as the budget lasts, and tells them to stop. */
static inline void crew_work(crew *all) {
  nap(bench_budget());
  __atomic_store_n(&all->stop, 1, __ATOMIC_RELAXED);
}

#endif
