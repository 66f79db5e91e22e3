/* Timers that are started and cancelled, while many are pending. */
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

#include <stdlib.h>

static long fired;

static intptr_t fire(void *arg) {
  __atomic_fetch_add(&fired, 1, __ATOMIC_RELAXED);
  (void)arg;
  return 0;
}

/* Far enough away, and spread. */
static thrum_duration some_time(uint64_t *seed) {
  return THRUM_S(1000) + (int64_t)(bench_random(seed) % 1000000000000u);
}

static void start_all(thrum_timer *timers, const uint32_t *order, long n, uint64_t *seed) {
  for (long i = 0; i < n; i++) {
    int status = thrum_timer_start(&timers[order[i]], some_time(seed), fire, NULL);
    if (status) bench_check(status, "thrum_timer_start");
  }
}

static void cancel_all(thrum_timer *timers, const uint32_t *order, long n) {
  for (long i = 0; i < n; i++)
    if (thrum_timer_cancel(&timers[order[i]]) != 1) bench_fail("a timer was not pending");
}

static void timers_in(const uint32_t *order, long n, const char *start, const char *cancel) {
  uint64_t seed = 88172645463325252u;
  thrum_timer *others = bench_alloc((size_t)n * sizeof *others);
  thrum_timer *timers = bench_alloc((size_t)n * sizeof *timers);
  uint32_t *forth = bench_order(n, 0);
  start_all(others, forth, n, &seed);
  start_all(timers, order, n, &seed);
  cancel_all(timers, order, n);
  int64_t started = 0, cancelled = 0;
  long rounds = 0;
  do {
    int64_t begun = bench_now(), between;
    start_all(timers, order, n, &seed);
    between = bench_now();
    cancel_all(timers, order, n);
    started += between - begun;
    cancelled += bench_now() - between;
    rounds++;
  } while (started + cancelled < bench_budget());
  cancel_all(others, forth, n);
  if (fired) bench_fail("a cancelled timer fired");
  bench_print(start, (double)started / (double)(rounds * n), "ns");
  bench_print(cancel, (double)cancelled / (double)(rounds * n), "ns");
  free(forth);
  free(timers);
  free(others);
}

void timers_run(long n) {
  uint32_t *order = bench_order(n, 0);
  timers_in(order, n, "timers-start", "timers-cancel");
  free(order);
}

void timers_random_run(long n) {
  uint32_t *order = bench_order(n, 1);
  timers_in(order, n, "timers-random-start", "timers-random-cancel");
  free(order);
}
