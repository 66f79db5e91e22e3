/* Tasks that wait for tasks of their own pool, or of pools that wait for theirs, cannot use a pool up, however deep. */
#include "pools.h"

enum {
  DEPTH = TESTS_TSAN   ? 300
          : TESTS_ASAN ? 1200
                       : 5000,
  WIDE = TESTS_TSAN   ? 100
         : TESTS_ASAN ? 300
                      : 1000
};

static thrum_executor *one, *other;

static thrum_executor *must_make(int threads, bool bound) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  o.threads = threads;
  o.bound = bound;
  return pool_with(o);
}

/* Each way to wait, in turn. */
static intptr_t await_somehow(thrum_future *f, intptr_t n) {
  switch (n % 5) {
  case 0: break;
  case 1: CHECK_EQ(thrum_future_wait_many(&f, 1, THRUM_ALL_COMPLETED, THRUM_FOREVER), 1); break;
  case 2: CHECK_EQ(thrum_future_wait_for(f, THRUM_S(3600)), 0); break;
  case 3: {
    thrum_completion c;
    CHECK_EQ(thrum_as_completed(&c, &f, 1, THRUM_FOREVER), 0);
    CHECK_EQ(thrum_completion_next(&c), 0);
    thrum_completion_end(&c);
    break;
  }
  default: {
    thrum_case c[] = {thrum_case_future(NULL), thrum_case_future(f)};
    CHECK_EQ(thrum_select(c, 2), 1);
    CHECK_EQ(c[1].status, 0);
  }
  }
  return take(f);
}

static intptr_t deeper(void *n) {
  if (!n) return 0;
  return 1 + await_somehow(submit_number(one, deeper, (intptr_t)n - 1), (intptr_t)n);
}

static intptr_t deeper_by_turns(void *n) {
  thrum_executor *x = (intptr_t)n % 2 ? one : other;
  return n ? 1 + await_somehow(submit_number(x, deeper_by_turns, (intptr_t)n - 1), (intptr_t)n) : 0;
}

/* All wait for one that is queued behind them. */
static thrum_future *last;
static thrum_event there;

static intptr_t wait_for_last(void *n) {
  intptr_t result;
  thrum_event_wait(&there);
  CHECK_EQ(thrum_future_result(last, &result), 0);
  return result + (intptr_t)n;
}

static intptr_t hundred(void *unused) { return (void)unused, 100; }

static void all_wait_for_the_last(int threads) {
  enum { TASKS = 20 };
  thrum_future *f[TASKS];
  one = must_make(threads, false);
  thrum_event_clear(&there);
  for (intptr_t i = 0; i < TASKS; i++) f[i] = submit_number(one, wait_for_last, i);
  last = submit_number(one, hundred, 0);
  thrum_event_set(&there);
  for (intptr_t i = 0; i < TASKS; i++) CHECK_EQ(take(f[i]), 100 + i);
  thrum_future_release(last);
  CHECK_EQ(thrum_executor_shutdown(one, true, false), 0);
  thrum_executor_release(one);
}

static intptr_t sum_below(void *n) {
  static int items[WIDE];
  intptr_t sum = 0, result;
  thrum_map *m;
  for (int i = 0; i < WIDE; i++) items[i] = i;
  CHECK_EQ(thrum_map_start(&m, one, n, items, WIDE, sizeof *items, NULL), 0);
  while (thrum_map_next(m, &result) == 0) sum += result;
  thrum_map_end(m);
  return sum;
}

static intptr_t itself(void *item) { return *(int *)item; }

/* No more tasks than the limit run, but for those that wait. */
static int running, most;

static intptr_t count_running(void *unused) {
  (void)unused;
  int now = ADD(running, 1);
  for (int seen = LOAD(most); now > seen && !__atomic_compare_exchange_n(&most, &seen, now, false, 5, 5);) {
  }
  thrum_yield();
  ADD(running, -1);
  return 0;
}

static intptr_t spawn_counters(void *unused) {
  thrum_future *f[8];
  (void)unused;
  for (int i = 0; i < 8; i++) f[i] = submit_number(one, count_running, 0);
  for (int i = 0; i < 8; i++) take(f[i]);
  return 0;
}

static void places_are_kept(void) {
  one = must_make(3, false);
  thrum_future *f[10];
  most = 0;
  for (int i = 0; i < 10; i++) f[i] = submit_number(one, spawn_counters, 0);
  for (int i = 0; i < 10; i++) take(f[i]);
  CHECK(LOAD(most) <= 3);
  CHECK_EQ(thrum_executor_shutdown(one, true, false), 0);
  thrum_executor_release(one);
}

/* A thread from outside is none of the pool's, also if it was given the record of one that was: its shutdown waits. */
static thrum_event gate, late;
static int waiting;

static intptr_t wait_for(void *event) {
  ADD(waiting, 1);
  thrum_event_wait(event);
  return 0;
}

static void *shut_from_outside(void *x) {
  int error = thrum_executor_shutdown(x, true, false);
  return (void *)(intptr_t)error;
}

static void strangers_wait(void) {
  enum { MANY = 300 }; /* the records of so many do not all stay with the workers */
  thrum_executor *x = pool_of(MANY + 1);
  thrum_executor_stats s = {.size = sizeof s};
  pthread_t strangers[MANY];
  void *error;
  STORE(waiting, 0);
  thrum_event_clear(&gate);
  thrum_event_clear(&late);
  for (int i = 0; i <= MANY; i++) CHECK_EQ(thrum_submit(x, NULL, wait_for, i == 0 ? &late : &gate), 0);
  AWAIT(LOAD(waiting) == MANY + 1);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_executor_shutdown(x, false, false), 0);
  AWAIT(thrum_executor_statistics(x, &s) == 0 && s.threads == 1);
  for (int i = 0; i < MANY; i++) CHECK_EQ(pthread_create(&strangers[i], NULL, shut_from_outside, x), 0);
  thrum_event_set(&late);
  for (int i = 0; i < MANY; i++) {
    CHECK_EQ(pthread_join(strangers[i], &error), 0);
    CHECK_EQ((intptr_t)error, 0);
  }
  thrum_executor_release(x);
}

static void nest(int threads, bool bound, intptr_t depth) {
  one = must_make(threads, bound);
  other = must_make(threads, bound);
  CHECK_EQ(take(submit_number(one, deeper, depth)), depth);
  CHECK_EQ(take(submit_number(other, deeper_by_turns, depth)), depth);
  CHECK_EQ(take(submit_number(one, sum_below, (intptr_t)itself)), (intptr_t)WIDE * (WIDE - 1) / 2);
  thrum_executor_stats s;
  s.size = sizeof s;
  CHECK_EQ(thrum_executor_statistics(one, &s), 0);
  CHECK_EQ(s.waiting, 0);
  CHECK_EQ(thrum_executor_shutdown(one, true, false), 0);
  CHECK_EQ(thrum_executor_shutdown(other, true, false), 0);
  thrum_executor_release(one);
  thrum_executor_release(other);
}

static intptr_t all(void *unused) {
  (void)unused;
  nest(1, false, DEPTH);
  nest(2, false, DEPTH / 10);
  nest(1, true, 50);
  all_wait_for_the_last(1);
  all_wait_for_the_last(7);
  places_are_kept();
  strangers_wait();
  return 0;
}

int main(void) {
  CHECK_EQ(all(NULL), 0);
  CHECK_EQ(must_join(must_spawn(all, NULL)), 0);
  return 0;
}
