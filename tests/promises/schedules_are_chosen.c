/* Promise 11: where somebody chooses what runs next, he chooses among all that is ready, and nothing else runs. */
#include "../support.h"

#include <core/hooks.h>

enum { THREADS = 4, STEPS = 3, CHOICES = 256 };

/* ---- Who chooses ------------------------------------------------------------------------------------------------- */

static size_t (*rule)(size_t n);
static size_t offered[CHOICES], choices; /* how many could be chosen from, each time */
static int order[CHOICES], steps;

static size_t oldest(size_t n) {
  (void)n;
  return 0;
}

static size_t newest(size_t n) { return n - 1; }

/* Beyond the last: it is taken modulo n. */
static size_t second_beyond(size_t n) { return n + 1; }

static size_t choose(size_t n) {
  CHECK(n > 0 && choices < CHOICES);
  offered[ADD(choices, 1u) - 1] = n;
  return rule(n);
}

static intptr_t note_once(void *arg) {
  order[ADD(steps, 1) - 1] =
      (int)(intptr_t)arg; /* one at a time; that orders them, as ThreadSanitizer is to see */
  return 0;
}

static intptr_t note_thrice(void *arg) {
  for (int i = 0; i < STEPS; i++) {
    note_once(arg);
    thrum_yield();
  }
  return 0;
}

static void run_chosen(size_t (*by)(size_t n), thrum_fn *fn) {
  thrum_thread threads[THREADS];
  choices = 0;
  steps = 0;
  rule = by;
  for (intptr_t i = 0; i < THREADS; i++) threads[i] = must_spawn(fn, (void *)i);
  __atomic_fetch_or(&thrumi_mode, (uint32_t)THRUMI_MODE_EXPLORE, __ATOMIC_SEQ_CST);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  __atomic_fetch_and(&thrumi_mode, ~(uint32_t)THRUMI_MODE_EXPLORE, __ATOMIC_SEQ_CST);
}

static void order_is(const int *expected, int count) {
  CHECK_EQ(steps, count);
  for (int i = 0; i < count; i++) CHECK_EQ(order[i], expected[i]);
}

/* All are there for the first choice. Who has yielded is queued before those that never ran, in the order of their yields; who joins
 * stands before both as soon as the one that he waits for has ended. */
static intptr_t order_is_as_chosen(void *arg) {
  (void)arg;
  run_chosen(oldest, note_once);
  order_is((const int[]){0, 1, 2, 3}, THREADS);
  run_chosen(newest, note_once);
  order_is((const int[]){3, 2, 1, 0}, THREADS);
  CHECK_EQ(choices, THREADS + 1); /* and the one who joins */
  for (size_t i = 0; i < choices; i++) CHECK_EQ(offered[i], i < THREADS ? THREADS - i : 1);
  run_chosen(second_beyond, note_once);
  order_is((const int[]){1, 2, 3, 0}, THREADS);
  run_chosen(newest, note_thrice);
  order_is((const int[]){3, 2, 1, 0, 0, 0, 1, 1, 2, 2, 3, 3}, THREADS * STEPS);
  return 0;
}

int main(void) {
  thrumi_hooks.choose = choose;
  CHECK_EQ(setenv("THRUM_WORKERS", "1", 1),
           0); /* from the start: a worker that is taken away goes on for a while */
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0); /* nor does the clock choose */
  CHECK_EQ(must_join(must_spawn(order_is_as_chosen, NULL)), 0);
  CHECK_EQ(order_is_as_chosen(NULL), 0);
  return 0;
}
