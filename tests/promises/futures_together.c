/* Waiting for several futures: in three modes, and one after the other as they become done; of whatever makers, in each kind of
 * thread. */
#include "../support.h"

enum { N = 4 };

static void make(thrum_future **f, int n) {
  for (int i = 0; i < n; i++) CHECK(f[i] = thrum_future_new());
}

static void give_back(thrum_future **f, int n) {
  for (int i = 0; i < n; i++) thrum_future_release(f[i]);
}

static intptr_t set_it(void *f) { return thrum_future_set_result(f, 9); }
static intptr_t fail_it(void *f) { return thrum_future_fail(f, EIO, "failed"); }
static intptr_t cancel_it(void *f) { return thrum_future_cancel(f) ? thrum_future_start(f) : -1; }

/* ---- Three modes ----------------------------------------------------------------------------------------------------- */

static void first_completed(void) {
  thrum_future *f[N];
  make(f, N);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_COMPLETED, 0), 0);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_COMPLETED, THRUM_MS(2)), 0);
  thrum_thread t = must_spawn(set_it, f[2]);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_COMPLETED, THRUM_FOREVER), 1);
  CHECK(thrum_future_done(f[2]));
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(fail_it(f[0]), 0); /* those that are done already count */
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_COMPLETED, THRUM_FOREVER), 2);
  CHECK(thrum_future_cancel(f[1]));
  give_back(f, N);
}

static void first_failure(void) {
  thrum_future *f[N];
  make(f, N);
  CHECK_EQ(set_it(f[0]), 0);
  CHECK(thrum_future_cancel(f[1])); /* no failure */
  CHECK_EQ(thrum_future_start(f[1]), 0);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_FAILURE, THRUM_MS(2)), 2);
  thrum_thread t = must_spawn(fail_it, f[3]);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_FAILURE, THRUM_FOREVER), 3);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_FIRST_FAILURE, THRUM_FOREVER), 3); /* failed before */
  thrum_future *good[] = {f[0], f[1]};
  CHECK_EQ(thrum_future_wait_many(good, 2, THRUM_FIRST_FAILURE, THRUM_FOREVER),
           2); /* all done, none failed */
  give_back(f, N);
}

static void all_completed(void) {
  thrum_future *f[N];
  make(f, N);
  thrum_thread t[] = {must_spawn(set_it, f[0]), must_spawn(fail_it, f[1]), must_spawn(cancel_it, f[2])};
  CHECK_EQ(thrum_future_wait_many(f, 3, THRUM_ALL_COMPLETED, THRUM_FOREVER), 3);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(t[i]), 0);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_ALL_COMPLETED, THRUM_MS(2)), 3);
  t[0] = must_spawn(set_it, f[3]);
  CHECK_EQ(thrum_future_wait_many(f, N, THRUM_ALL_COMPLETED, THRUM_S(3600)), N);
  CHECK_EQ(must_join(t[0]), 0);
  give_back(f, N);
}

/* One that is cancelled is not done for these before its maker has been told. */
static void cancelled_is_not_told(void) {
  thrum_future *f[1];
  thrum_completion c;
  make(f, 1);
  CHECK(thrum_future_cancel(f[0]));
  CHECK(thrum_future_done(f[0]));
  CHECK_EQ(thrum_future_wait_many(f, 1, THRUM_FIRST_COMPLETED, 0), 0);
  CHECK_EQ(thrum_future_wait_many(f, 1, THRUM_ALL_COMPLETED, THRUM_MS(2)), 0);
  CHECK_EQ(thrum_as_completed(&c, f, 1, THRUM_MS(2)), 0);
  CHECK_EQ(thrum_completion_next(&c), -ETIMEDOUT);
  CHECK_EQ(thrum_future_start(f[0]), 0);
  CHECK_EQ(thrum_future_wait_many(f, 1, THRUM_ALL_COMPLETED, 0), 1);
  CHECK_EQ(thrum_completion_next(&c), 0);
  thrum_completion_end(&c);
  give_back(f, 1);
}

static intptr_t cancel_then_start(void *f) {
  CHECK(thrum_future_cancel(f));
  for (int i = 0; i < 10; i++) thrum_yield();
  CHECK_EQ(thrum_future_start(f), 0);
  return 0;
}

/* ... and who waits then is let go when it is told. */
static void told_while_waiting(void) {
  thrum_future *f[1];
  make(f, 1);
  thrum_thread t = must_spawn(cancel_then_start, f[0]);
  CHECK_EQ(thrum_future_wait_many(f, 1, THRUM_ALL_COMPLETED, THRUM_FOREVER), 1);
  CHECK_EQ(must_join(t), 0);
  give_back(f, 1);
}

static void duplicates_and_none(void) {
  thrum_future *f[2];
  make(f, 2);
  thrum_future *twice[] = {f[0], f[1], f[0], f[0]};
  CHECK_EQ(set_it(f[0]), 0);
  CHECK_EQ(thrum_future_wait_many(twice, 4, THRUM_ALL_COMPLETED, THRUM_MS(1)), 1);
  thrum_thread t = must_spawn(set_it, f[1]);
  CHECK_EQ(thrum_future_wait_many(twice, 4, THRUM_ALL_COMPLETED, THRUM_FOREVER), 2);
  CHECK_EQ(must_join(t), 0);
  for (int mode = THRUM_FIRST_COMPLETED; mode <= THRUM_ALL_COMPLETED; mode++)
    CHECK_EQ(thrum_future_wait_many(NULL, 0, (enum thrum_wait_mode)mode, THRUM_FOREVER), 0);
  give_back(f, 2);
}

static void of_different_executors(void) {
  thrum_executor *inline_, *one, *two;
  thrum_future *f[4];
  CHECK_EQ(thrum_executor_inline(&inline_), 0);
  CHECK_EQ(thrum_executor_threads(&one, NULL), 0);
  CHECK_EQ(thrum_executor_threads(&two, NULL), 0);
  make(f, 1);
  CHECK_EQ(thrum_submit(inline_, &f[1], set_it, f[0]), 0);
  thrum_future *other = thrum_future_new();
  CHECK(other);
  CHECK_EQ(thrum_submit(one, &f[2], fail_it, other), 0);
  CHECK_EQ(thrum_submit(two, &f[3], fail_it, other), 0);
  CHECK_EQ(thrum_future_wait_many(f, 4, THRUM_ALL_COMPLETED, THRUM_FOREVER), 4);
  intptr_t a, b;
  CHECK_EQ(thrum_future_result(f[2], &a), 0);
  CHECK_EQ(thrum_future_result(f[3], &b), 0);
  CHECK((a == 0 && b == -EALREADY) || (a == -EALREADY && b == 0));
  give_back(f, 4);
  thrum_future_release(other);
  thrum_executor_release(inline_);
  thrum_executor_release(one);
  thrum_executor_release(two);
}

/* ---- As completed ------------------------------------------------------------------------------------------------------- */

static void done_ones_first(void) {
  thrum_future *f[N];
  thrum_completion c;
  make(f, N);
  CHECK_EQ(set_it(f[3]), 0);
  CHECK_EQ(set_it(f[1]), 0);
  CHECK_EQ(thrum_as_completed(&c, f, N, THRUM_FOREVER), 0);
  CHECK_EQ(thrum_completion_left(&c), N);
  CHECK_EQ(set_it(f[0]), 0);
  CHECK_EQ(thrum_completion_next(&c), 1);
  CHECK_EQ(thrum_completion_next(&c), 3);
  CHECK_EQ(thrum_completion_next(&c), 0);
  CHECK_EQ(thrum_completion_left(&c), 1);
  thrum_thread t = must_spawn(fail_it, f[2]);
  CHECK_EQ(thrum_completion_next(&c), 2);
  CHECK_EQ(thrum_completion_next(&c), -EPIPE);
  CHECK_EQ(thrum_completion_next(&c), -EPIPE);
  CHECK_EQ(must_join(t), 0);
  thrum_completion_end(&c);
  thrum_completion_end(&c);
  give_back(f, N);
}

/* The time runs from the call on; what is done comes even after that. */
static void out_of_time(void) {
  thrum_future *f[N];
  thrum_completion c;
  make(f, N);
  CHECK_EQ(thrum_as_completed(&c, f, N, THRUM_MS(5)), 0);
  CHECK_EQ(set_it(f[1]), 0);
  CHECK_EQ(set_it(f[2]), 0);
  thrum_sleep(THRUM_MS(10));
  CHECK_EQ(thrum_completion_next(&c), 1);
  CHECK_EQ(thrum_completion_next(&c), 2);
  CHECK_EQ(thrum_completion_next(&c), -ETIMEDOUT);
  CHECK_EQ(thrum_completion_left(&c), 2); /* 2 of 4 unfinished */
  thrum_completion_end(&c);
  CHECK_EQ(set_it(f[0]), 0); /* nobody listens any more */
  give_back(f, N);
}

/* One that has come may be released at once; one named twice comes once, with its first index. */
static void released_once_it_has_come(void) {
  thrum_future *f[2];
  thrum_completion c;
  make(f, 2);
  thrum_future *twice[] = {f[1], f[0], f[1], f[0]};
  CHECK_EQ(thrum_as_completed(&c, twice, 4, THRUM_FOREVER), 0);
  CHECK_EQ(set_it(f[0]), 0);
  CHECK_EQ(thrum_completion_next(&c), 1);
  thrum_future_release(f[0]);
  CHECK_EQ(set_it(f[1]), 0);
  CHECK_EQ(thrum_completion_next(&c), 0);
  thrum_future_release(f[1]);
  CHECK_EQ(thrum_completion_next(&c), -EPIPE);
  thrum_completion_end(&c);
  CHECK_EQ(thrum_as_completed(&c, NULL, 0, THRUM_FOREVER), 0);
  CHECK_EQ(thrum_completion_next(&c), -EPIPE);
  thrum_completion_end(&c);
}

/* Many that are finished by many threads at once: each comes once. */
enum { MANY = TESTS_SANITIZED ? 100 : 1000 };

static intptr_t set_and_release(void *f) {
  CHECK_EQ(set_it(f), 0);
  thrum_future_release(f);
  return 0;
}

static void each_comes_once(void) {
  static thrum_future *f[MANY];
  static bool came[MANY];
  thrum_completion c;
  memset(came, 0, sizeof came);
  make(f, MANY);
  for (int i = 0; i < MANY; i++) CHECK_EQ(thrum_spawn(NULL, set_and_release, thrum_future_retain(f[i])), 0);
  CHECK_EQ(thrum_as_completed(&c, f, MANY, THRUM_FOREVER), 0);
  for (ssize_t i, n = 0; (i = thrum_completion_next(&c)) != -EPIPE; n++) {
    CHECK(i >= 0 && !came[i]);
    came[i] = true;
    CHECK(thrum_future_done(f[i]));
  }
  thrum_completion_end(&c);
  for (int i = 0; i < MANY; i++) CHECK(came[i]);
  give_back(f, MANY);
}

static intptr_t all_rules(void *unused) {
  (void)unused;
  first_completed();
  first_failure();
  all_completed();
  cancelled_is_not_told();
  told_while_waiting();
  duplicates_and_none();
  of_different_executors();
  done_ones_first();
  out_of_time();
  released_once_it_has_come();
  each_comes_once();
  return 0;
}

int main(void) {
  run_in_each_kind(all_rules, NULL);
  return 0;
}
