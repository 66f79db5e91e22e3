/* A map gives the results of an array's items in order; it submits at once, or as far ahead as it is told; a failure, the end of time
 * and an early end cancel what has not begun. Or, unordered, as they come. In each kind of thread. */
#include "pools.h"

enum { N = 20 };

static thrum_event gate;
static int begun;

static intptr_t triple(void *item) { return 3 * *(int *)item; }

static intptr_t at_gate(void *item) {
  ADD(begun, 1);
  thrum_event_wait(&gate);
  return triple(item);
}

static intptr_t fails_at_7(void *item) {
  ADD(begun, 1);
  return *(int *)item == 7 ? thrum_fail(EDOM, "seven") : triple(item);
}

static int items[N];

static thrum_executor *must_make(int threads) {
  for (int i = 0; i < N; i++) items[i] = i;
  thrum_event_clear(&gate);
  begun = 0;
  return pool_of(threads);
}

static void give_back(thrum_executor *x) {
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
}

static thrum_map *must_start(thrum_executor *x, thrum_fn *fn, const thrum_map_options *o) {
  thrum_map *m;
  CHECK_EQ(thrum_map_start(&m, x, fn, items, N, sizeof *items, o), 0);
  return m;
}

/* Whatever the chunk and how far ahead. */
static void in_order(void) {
  for (size_t chunk = 0; chunk <= N + 1; chunk += 1 + chunk / 3)
    for (size_t ahead = 0; ahead < 4; ahead++) {
      thrum_executor *x = must_make(3);
      thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
      o.chunk = chunk;
      o.ahead = ahead;
      thrum_map *m = must_start(x, triple, &o);
      intptr_t result;
      for (int i = 0; i < N; i++) {
        CHECK_EQ(thrum_map_next(m, &result), 0);
        CHECK_EQ(result, 3 * i);
      }
      CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
      CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
      thrum_map_end(m);
      size_t of = chunk == 0 ? 1 : chunk;
      CHECK_EQ(stats_of(x).submitted, (N + of - 1) / of);
      give_back(x);
    }
}

static void at_once(void) {
  thrum_executor *x = must_make(1);
  thrum_map *m = must_start(x, at_gate, NULL);
  CHECK_EQ(stats_of(x).submitted, N); /* though nobody has asked */
  thrum_event_set(&gate);
  AWAIT(stats_of(x).finished == N);
  CHECK_EQ(LOAD(begun), N);
  thrum_map_end(m);
  give_back(x);
}

static void so_far_ahead(void) {
  thrum_executor *x = must_make(2);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  o.ahead = 3;
  o.chunk = 2;
  thrum_map *m = must_start(x, triple, &o);
  AWAIT(stats_of(x).finished == 3);
  CHECK_EQ(stats_of(x).submitted, 3);
  CHECK_EQ(thrum_map_next(m, &result), 0);
  CHECK_EQ(stats_of(x).submitted, 3); /* half of the oldest is still there */
  CHECK_EQ(thrum_map_next(m, &result), 0);
  CHECK_EQ(stats_of(x).submitted, 4);
  thrum_map_end(m);
  give_back(x);
}

/* An early end waits for what runs, and cancels the rest. */
static intptr_t open_gate(void *x) {
  AWAIT(stats_of(x).cancelled == N - 2);
  thrum_event_set(&gate);
  return 0;
}

static void an_early_end(void) {
  thrum_executor *x = must_make(2);
  thrum_map *m = must_start(x, at_gate, NULL);
  AWAIT(LOAD(begun) == 2);
  thrum_thread t = must_spawn(open_gate, x);
  thrum_map_end(m);
  CHECK_EQ(LOAD(begun), 2);
  CHECK_EQ(must_join(t), 0);
  thrum_executor_stats s = stats_of(x);
  CHECK_EQ(s.cancelled, N - 2);
  give_back(x);
}

/* The first failure ends it, as in Python. */
static void a_failure_ends_it(void) {
  thrum_executor *x = must_make(1);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  for (size_t chunk = 1; chunk < 6; chunk += 4) {
    begun = 0;
    o.chunk = chunk;
    o.ahead = 1;
    thrum_map *m = must_start(x, fails_at_7, &o);
    for (int i = 0; i < 7; i++) {
      CHECK_EQ(thrum_map_next(m, &result), 0);
      CHECK_EQ(result, 3 * i);
      CHECK_STR(thrum_map_failure(m), "");
    }
    CHECK_EQ(thrum_map_next(m, &result), 0);
    CHECK_EQ(result, -EDOM);
    CHECK_STR(thrum_map_failure(m), "seven");
    CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
    CHECK_STR(thrum_map_failure(m), "");
    thrum_map_end(m);
    CHECK_EQ(begun, 8);
  }
  give_back(x);
}

static void or_not(void) {
  thrum_executor *x = must_make(2);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  o.keep_going = true;
  for (o.chunk = 1; o.chunk < 6; o.chunk += 2) {
    thrum_map *m = must_start(x, fails_at_7, &o);
    for (int i = 0; i < N; i++) {
      CHECK_EQ(thrum_map_next(m, &result), 0);
      CHECK_EQ(result, i == 7 ? -EDOM : 3 * i);
      CHECK_STR(thrum_map_failure(m), i == 7 ? "seven" : "");
    }
    CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
    thrum_map_end(m);
  }
  give_back(x);
}

/* The time runs from the start on; what is out of time is over, also for who asks for longer. */
static void out_of_time(bool asks_for_longer) {
  thrum_executor *x = must_make(1);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  o.timeout = THRUM_MS(5);
  thrum_map *m = must_start(x, at_gate, &o);
  AWAIT(LOAD(begun) == 1); /* or it would be out of time, too */
  CHECK_EQ(asks_for_longer ? thrum_map_next_for(m, &result, THRUM_S(TESTS_HANG_S))
                           : thrum_map_next(m, &result),
           -ETIMEDOUT);
  CHECK_EQ(thrum_map_next_for(m, &result, 0), -EPIPE);
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
  CHECK_EQ(stats_of(x).cancelled, N - 1);
  thrum_event_set(&gate);
  thrum_map_end(m);
  CHECK_EQ(begun, 1);
  give_back(x);
}

/* Who asks for so long only gets the result later. */
static void asked_for_so_long(bool unordered) {
  thrum_executor *x = must_make(1);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result = 0, sum = 0, expected = 0;
  o.unordered = unordered;
  thrum_map *m = must_start(x, at_gate, &o);
  CHECK_EQ(thrum_map_next_for(m, &result, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_map_next_for(m, &result, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_map_next_for(m, &result, THRUM_MS(2)), -ETIMEDOUT);
  thrum_event_set(&gate);
  for (int i = 0; i < N; i++) {
    CHECK_EQ(thrum_map_next_for(m, &result, i % 2 ? THRUM_FOREVER : THRUM_S(TESTS_HANG_S)), 0);
    sum += result;
    expected += 3 * i;
  }
  CHECK_EQ(sum, expected);
  CHECK_EQ(thrum_map_next_for(m, &result, 0), -EPIPE);
  thrum_map_end(m);
  give_back(x);
}

static void shut_meanwhile(void) {
  thrum_executor *x = must_make(1);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  thrum_map *m = must_start(x, at_gate, NULL);
  AWAIT(LOAD(begun) == 1);
  CHECK_EQ(thrum_executor_shutdown(x, false, true), 0);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_map_next(m, &result), 0);
  CHECK_EQ(result, 0);
  CHECK_EQ(thrum_map_next(m, &result), -ECANCELED);
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
  thrum_map_end(m);
  CHECK_EQ(thrum_map_start(&m, x, triple, items, N, sizeof *items, NULL), -EPIPE);
  give_back(x);
  x = must_make(1); /* what is kept back cannot be submitted any more: after the results that are there */
  o.ahead = 2;
  m = must_start(x, triple, &o);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_map_next(m, &result), 0);
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
  thrum_map_end(m);
  give_back(x);
}

THRUM_TASK(doubled) {
  int value = 2 * *(const int *)in;
  CHECK_EQ(size, sizeof value);
  return value == 24 ? (int)thrum_fail(ERANGE, "twelve") : thrum_out_write(out, &value, sizeof value);
}

static void with_bytes(void) {
  thrum_executor *x = must_make(2);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  for (o.chunk = 1; o.chunk < 8; o.chunk += 3) {
    thrum_map *m;
    const void *data;
    size_t size;
    CHECK_EQ(thrum_map_start_task(&m, x, &doubled, items, N, sizeof *items, &o), 0);
    for (int i = 0; i < 12; i++) {
      CHECK_EQ(thrum_map_next_bytes(m, &data, &size), 0);
      CHECK_EQ(size, sizeof(int));
      CHECK_EQ(*(const int *)data, 2 * i);
    }
    CHECK_EQ(thrum_map_next_bytes(m, &data, &size), -ERANGE);
    CHECK_STR(thrum_map_failure(m), "twelve");
    CHECK_EQ(thrum_map_next_bytes(m, &data, &size), -EPIPE);
    thrum_map_end(m);
  }
  give_back(x);
}

/* ---- Unordered ---------------------------------------------------------------------------------------------------- */

/* Takes all that is left; each item once, with its own result. */
static void take_each_once(thrum_map *m, int left, bool *seen) {
  intptr_t result;
  for (; left; left--) {
    CHECK_EQ(thrum_map_next(m, &result), 0);
    size_t i = thrum_map_index(m);
    CHECK(i < N && !seen[i]);
    CHECK_EQ(result, 3 * (intptr_t)i);
    seen[i] = true;
  }
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
}

static void each_once(void) {
  for (size_t chunk = 0; chunk <= N + 1; chunk += 1 + chunk / 3)
    for (size_t ahead = 0; ahead < 4; ahead++) {
      bool seen[N] = {false};
      thrum_executor *x = must_make(3);
      thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
      o.chunk = chunk, o.ahead = ahead, o.unordered = true;
      thrum_map *m = must_start(x, triple, &o);
      CHECK_EQ(thrum_map_index(m), SIZE_MAX);
      take_each_once(m, N, seen);
      thrum_map_end(m);
      give_back(x);
    }
}

static intptr_t even_at_gate(void *item) {
  if (*(int *)item % 2 == 0) thrum_event_wait(&gate);
  return triple(item);
}

/* What is there first comes first: the even ones are behind the gate until all odd ones have been taken. */
static void as_they_come(void) {
  bool seen[N] = {false};
  thrum_executor *x = must_make(N);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  o.unordered = true;
  thrum_map *m = must_start(x, even_at_gate, &o);
  for (int i = 0; i < N / 2; i++) {
    CHECK_EQ(thrum_map_next(m, &result), 0);
    CHECK_EQ(thrum_map_index(m) % 2, 1);
    CHECK_EQ(result, 3 * (intptr_t)thrum_map_index(m));
    seen[thrum_map_index(m)] = true;
  }
  thrum_event_set(&gate);
  take_each_once(m, N / 2, seen);
  thrum_map_end(m);
  give_back(x);
}

/* One that is slow holds up nobody, though little is submitted ahead: its place is the only one that is not used again. */
static intptr_t first_at_gate(void *item) {
  if (*(int *)item == 0) thrum_event_wait(&gate);
  return triple(item);
}

static void a_slow_one_holds_up_nobody(void) {
  bool seen[N] = {false};
  thrum_executor *x = must_make(2);
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  o.ahead = 2, o.unordered = true;
  thrum_map *m = must_start(x, first_at_gate, &o);
  for (size_t i = 1; i < N; i++) {
    CHECK_EQ(thrum_map_next(m, &result), 0);
    CHECK_EQ(thrum_map_index(m), i);
    seen[i] = true;
  }
  thrum_event_set(&gate);
  take_each_once(m, 1, seen);
  thrum_map_end(m);
  give_back(x);
}

static void unordered_ends(void) {
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  intptr_t result;
  o.unordered = true, o.chunk = 3;
  thrum_executor *x = must_make(2);
  thrum_map *m = must_start(x, fails_at_7, &o);
  while (thrum_map_next(m, &result) == 0 && result >= 0) CHECK_EQ(result, 3 * (intptr_t)thrum_map_index(m));
  CHECK_EQ(result, -EDOM);
  CHECK_EQ(thrum_map_index(m), 7);
  CHECK_STR(thrum_map_failure(m), "seven");
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
  thrum_map_end(m);
  o.timeout = THRUM_MS(5);
  uint64_t cancelled = stats_of(x).cancelled;
  m = must_start(x, at_gate, &o); /* out of time */
  CHECK_EQ(thrum_map_next(m, &result), -ETIMEDOUT);
  CHECK(stats_of(x).cancelled >= cancelled + 5); /* of 7 chunks two may run */
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
  thrum_event_set(&gate);
  thrum_map_end(m);
  o.timeout = 0;
  thrum_event_clear(&gate);
  m = must_start(x, at_gate, &o); /* its end, in the midst */
  thrum_event_set(&gate);
  CHECK_EQ(thrum_map_next(m, &result), 0);
  thrum_map_end(m);
  give_back(x);
  x = must_make(1);
  o.chunk = 1;
  m = must_start(x, at_gate, &o); /* a shutdown */
  AWAIT(LOAD(begun) == 1);
  CHECK_EQ(thrum_executor_shutdown(x, false, true), 0);
  thrum_event_set(&gate);
  while (thrum_map_next(m, &result) == 0) CHECK_EQ(result, 0);
  CHECK_EQ(thrum_map_next(m, &result), -EPIPE);
  thrum_map_end(m);
  give_back(x);
}

static void of_nothing(void) {
  thrum_executor *x = must_make(1);
  thrum_map *m;
  CHECK_EQ(thrum_map_start(&m, x, triple, NULL, 0, sizeof *items, NULL), 0);
  CHECK_EQ(thrum_map_next(m, NULL), -EPIPE);
  thrum_map_end(m);
  thrum_map_end(NULL);
  CHECK_EQ(stats_of(x).submitted, 0);
  give_back(x);
}

static intptr_t all_rules(void *unused) {
  (void)unused;
  in_order();
  at_once();
  so_far_ahead();
  an_early_end();
  a_failure_ends_it();
  or_not();
  out_of_time(false);
  out_of_time(true);
  asked_for_so_long(false);
  asked_for_so_long(true);
  shut_meanwhile();
  with_bytes();
  each_once();
  as_they_come();
  a_slow_one_holds_up_nobody();
  unordered_ends();
  of_nothing();
  return 0;
}

int main(void) {
  run_in_each_kind(all_rules, NULL);
  return 0;
}
