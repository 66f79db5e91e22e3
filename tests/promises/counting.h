/* What the tests of mutual exclusion share: threads of all kinds count, in a variable that is not atomic, behind what lets one in at
 * a time, however they get in. Nothing may be lost, and nobody else be inside. */
#ifndef TESTS_COUNTING_H
#define TESTS_COUNTING_H

#include "../support.h"

enum { COUNTING_LIGHT = 12, COUNTING_BOUND = 2, COUNTING_FOREIGN = 2, COUNTING_ALL = 16 };

struct counting {
  int times; /* that each thread counts */
  void (*acquire)(void);
  int (*try_acquire)(void);
  int (*acquire_for)(thrum_duration timeout);
  int (*release)(void);
  void (*in_block)(int i);     /* counts once in a block that holds it */
  void (*while_inside)(int i); /* done by who counts, and holds it */
};

static const struct counting *counting;
static long counting_total, counting_inside, counting_missed;

static inline void count_once(int i) {
  CHECK_EQ(++counting_inside, 1);
  counting_total++;
  counting->while_inside(i);
  CHECK_EQ(counting_inside--, 1);
}

/* One of four ways, in turn. */
static inline bool count_some_way(int i) {
  bool got = true;
  if (i % 4 == 0) {
    counting->in_block(i);
    return true;
  }
  if (i % 4 == 1) got = counting->try_acquire() == 0;
  if (i % 4 == 2) got = counting->acquire_for(THRUM_US(i % 7 * 10)) == 0;
  if (i % 4 == 3) counting->acquire();
  if (!got) return false;
  count_once(i);
  CHECK_EQ(counting->release(), 0);
  return true;
}

static inline intptr_t count_all_ways(void *arg) {
  long missed = 0;
  for (int i = 0; i < counting->times; i++)
    while (!count_some_way(i + (int)(intptr_t)arg))
      if (++missed % 8 == 0) thrum_yield();
  ADD(counting_missed, missed);
  return 0;
}

static inline void *count_outside(void *fn) { return (void *)(*(thrum_fn **)fn)((void *)1); }

/* All at once; each runs fn, which counts as often as it should. */
static inline void count_in_all_kinds(const struct counting *what, thrum_fn *fn) {
  thrum_thread threads[COUNTING_LIGHT + COUNTING_BOUND];
  pthread_t others[COUNTING_FOREIGN];
  counting = what;
  counting_total = 0;
  for (intptr_t i = 0; i < COUNTING_LIGHT; i++) threads[i] = must_spawn(fn, (void *)i);
  for (intptr_t i = 0; i < COUNTING_BOUND; i++) threads[COUNTING_LIGHT + i] = must_spawn_bound(fn, (void *)i);
  for (int i = 0; i < COUNTING_FOREIGN; i++)
    CHECK_EQ(pthread_create(&others[i], NULL, count_outside, &fn), 0);
  for (int i = 0; i < COUNTING_LIGHT + COUNTING_BOUND; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < COUNTING_FOREIGN; i++) CHECK_EQ(pthread_join(others[i], NULL), 0);
  CHECK_EQ(counting_total, (long)COUNTING_ALL * what->times);
}

#endif
