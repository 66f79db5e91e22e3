/* A pool of threads runs each task once, with no more threads than it needs and may have; the rules of Python's
 * ThreadPoolExecutor, row by row, in each kind of thread. */
#include "pools.h"

static intptr_t shut_and_release(thrum_executor *x) {
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_stats s = stats_of(x);
  CHECK_EQ(s.threads, 0);
  CHECK_EQ(s.queued, 0);
  CHECK_EQ(s.finished + s.cancelled, s.submitted);
  thrum_executor_release(x);
  return 0;
}

static intptr_t square(void *n) { return (intptr_t)n * (intptr_t)n; }
static intptr_t fails(void *n) { return thrum_fail(EIO, "task %d", (int)(intptr_t)n); }
static intptr_t leaves(void *n) { thrum_exit((intptr_t)n + 1); }

/* A gate that holds tasks up. */
static thrum_event gate;
static int begun, ended;

static intptr_t pass_gate(void *n) {
  ADD(begun, 1);
  thrum_event_wait(&gate);
  ADD(ended, 1);
  return (intptr_t)n;
}

static void close_gate(void) {
  thrum_event_clear(&gate);
  begun = ended = 0;
}

/* ---- Results -------------------------------------------------------------------------------------------------------- */

static void results_and_failures(void) {
  thrum_executor *x = pool_of(3);
  thrum_future *f[8];
  for (intptr_t i = 0; i < 8; i++) f[i] = must_submit(x, square, (void *)i);
  for (intptr_t i = 0; i < 8; i++) CHECK_EQ(take(f[i]), i * i);
  thrum_future *bad = must_submit(x, fails, (void *)4), *good = must_submit(x, square, (void *)3);
  intptr_t result;
  CHECK_EQ(thrum_future_result(bad, &result), 0);
  CHECK_EQ(result, -EIO);
  CHECK_STR(thrum_future_failure(bad), "task 4");
  CHECK_EQ(thrum_future_wait(good), 0);
  CHECK_STR(thrum_future_failure(good), "");
  thrum_future_release(bad);
  CHECK_EQ(take(good), 9);
  CHECK_EQ(take(must_submit(x, leaves, (void *)41)), 42); /* thrum_exit ends the task */
  CHECK_EQ(take(must_submit(x, square, (void *)2)), 4);   /* ... and not its thread */
  shut_and_release(x);
}

/* Nobody asks for the future: a failure goes to the hook. */
static int uncaught;

static void on_uncaught(thrum_thread t, intptr_t failure, const char *sentence) {
  (void)t;
  CHECK_EQ(failure, -EIO);
  CHECK_STR(sentence, "task 7");
  ADD(uncaught, 1);
}

static void unheard(void) {
  thrum_executor *x = pool_of(2);
  uncaught = 0;
  thrum_uncaught_fn *former = thrum_on_uncaught(on_uncaught);
  CHECK_EQ(thrum_submit(x, NULL, fails, (void *)7), 0);
  CHECK_EQ(thrum_submit(x, NULL, square, (void *)7), 0);
  shut_and_release(x);
  CHECK_EQ(LOAD(uncaught), 1);
  thrum_on_uncaught(former);
}

/* A sentence that an earlier task left, which did not fail, comes with nobody's failure. */
static intptr_t says_and_succeeds(void *unused) {
  (void)unused;
  thrum_fail(EIO, "left over");
  return 0;
}
static intptr_t just_fails(void *unused) { return (void)unused, -EPERM; }

static void sentences_are_their_own(void) {
  thrum_executor *x = pool_of(1);
  CHECK_EQ(take(must_submit(x, says_and_succeeds, NULL)), 0);
  thrum_future *f = must_submit(x, just_fails, NULL);
  CHECK_EQ(thrum_future_wait(f), 0);
  CHECK_STR(thrum_future_failure(f), "");
  CHECK_EQ(take(f), -EPERM);
  shut_and_release(x);
}

/* ---- Threads ----------------------------------------------------------------------------------------------------------- */

static void no_more_threads_than_needed(void) {
  thrum_executor *x = pool_of(0);
  CHECK_EQ(stats_of(x).threads, 0);
  for (intptr_t i = 0; i < (TESTS_SANITIZED ? 50 : 1000); i++) {
    CHECK_EQ(take(must_submit(x, square, (void *)i)), i * i);
    CHECK_EQ(stats_of(x).started, 1); /* one after the other: one thread does */
  }
  close_gate();
  thrum_future *f[3];
  for (int i = 0; i < 3; i++) f[i] = must_submit(x, pass_gate, NULL);
  AWAIT(LOAD(begun) == 3);
  CHECK_EQ(stats_of(x).threads, 3);
  thrum_event_set(&gate);
  for (int i = 0; i < 3; i++) take(f[i]);
  AWAIT(stats_of(x).idle == 3);
  for (int i = 0; i < 3; i++) f[i] = must_submit(x, square, NULL); /* idle ones are used */
  for (int i = 0; i < 3; i++) take(f[i]);
  CHECK_EQ(stats_of(x).started, 3);
  shut_and_release(x);
}

static void no_more_than_the_limit(void) {
  enum { LIMIT = 3, TASKS = 10 };
  thrum_executor *x = pool_of(LIMIT);
  thrum_future *f[TASKS];
  close_gate();
  for (intptr_t i = 0; i < TASKS; i++) f[i] = must_submit(x, pass_gate, (void *)i);
  AWAIT(LOAD(begun) == LIMIT);
  for (int i = 0; i < 20; i++) thrum_yield();
  CHECK_EQ(LOAD(begun), LIMIT);
  thrum_executor_stats s = stats_of(x);
  CHECK_EQ(s.threads, LIMIT);
  CHECK_EQ(s.queued, TASKS - LIMIT);
  CHECK_EQ(s.submitted, TASKS);
  for (int i = 0; i < TASKS; i++)
    CHECK_EQ(thrum_future_running(f[i]), i < LIMIT); /* in order of submission */
  thrum_event_set(&gate);
  for (intptr_t i = 0; i < TASKS; i++) CHECK_EQ(take(f[i]), i);
  CHECK_EQ(stats_of(x).started, LIMIT);
  shut_and_release(x);
}

static intptr_t my_name(void *out) { return thrum_name(thrum_current(), out, THRUM_NAME_MAX); }

static void names(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x;
  char name[THRUM_NAME_MAX], text[] = "fetch";
  o.name = text;
  CHECK_EQ(thrum_executor_threads(&x, &o), 0);
  memset(text, 'x', 3);
  take(must_submit(x, my_name, name));
  CHECK_STR(name, "fetch-0");
  close_gate();
  thrum_future *f = must_submit(x, pass_gate, NULL);
  AWAIT(LOAD(begun) == 1);
  take(must_submit(x, my_name, name));
  CHECK_STR(name, "fetch-1");
  thrum_event_set(&gate);
  take(f);
  shut_and_release(x);
  CHECK_EQ(thrum_executor_threads(&x, NULL), 0);
  take(must_submit(x, my_name, name));
  CHECK(strncmp(name, "pool-", 5) == 0);
  shut_and_release(x);
}

static intptr_t native_id(void *unused) { return (void)unused, gettid(); }

static intptr_t is_bound(void *unused) {
  (void)unused;
  pid_t before = gettid();
  for (int i = 0; i < 20; i++) thrum_sleep(THRUM_US(50));
  return gettid() == before;
}

static void bound_ones(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x;
  o.bound = true;
  o.threads = 2;
  o.stack_size = 128 * 1024;
  CHECK_EQ(thrum_executor_threads(&x, &o), 0);
  intptr_t first = take(must_submit(x, native_id, NULL));
  CHECK_EQ(take(must_submit(x, native_id, NULL)), first);
  CHECK_EQ(take(must_submit(x, is_bound, NULL)), 1);
  shut_and_release(x);
}

/* ---- The initializer --------------------------------------------------------------------------------------------------------- */

static thrum_local prepared;
static int initialized;

static intptr_t prepare(void *arg) {
  ADD(initialized, 1);
  return thrum_local_set(&prepared, arg);
}

static intptr_t has_prepared(void *arg) { return thrum_local_get(&prepared) == arg; }

static void each_is_initialized(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x;
  o.initializer = prepare;
  o.initializer_arg = &o;
  initialized = 0;
  CHECK_EQ(thrum_executor_threads(&x, &o), 0);
  CHECK_EQ(take(must_submit(x, has_prepared, &o)), 1);
  CHECK_EQ(take(must_submit(x, has_prepared, &o)), 1);
  CHECK_EQ(initialized, 1);
  shut_and_release(x);
}

/* Who is idle is not kept from a task because another thread has not got ready yet. */
static thrum_event ready;

static intptr_t second_is_slow(void *unused) {
  (void)unused;
  if (ADD(initialized, 1) == 2) thrum_event_wait(&ready);
  return 0;
}

static void a_slow_initializer_holds_nobody_up(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x;
  o.threads = 2;
  o.initializer = second_is_slow;
  initialized = 0;
  thrum_event_clear(&ready);
  close_gate();
  CHECK_EQ(thrum_executor_threads(&x, &o), 0);
  thrum_future *first = must_submit(x, pass_gate, (void *)1);
  AWAIT(LOAD(begun) == 1);
  thrum_future *next = must_submit(x, square, (void *)2); /* for which a second one is started */
  AWAIT(LOAD(initialized) == 2);
  thrum_event_set(&gate);
  CHECK_EQ(take(first), 1);
  CHECK_EQ(take(next), 4);
  AWAIT(stats_of(x).idle == 1);
  CHECK_EQ(take(must_submit(x, square, (void *)3)), 9);
  thrum_event_set(&ready);
  shut_and_release(x);
}

static intptr_t fail_at_gate(void *unused) {
  (void)unused;
  ADD(begun, 1);
  thrum_event_wait(&gate);
  return thrum_fail(EACCES, "no database");
}

static void on_broken(thrum_thread t, intptr_t failure, const char *sentence) {
  char name[THRUM_NAME_MAX];
  CHECK(thrum_name(t, name, sizeof name) > 0);
  CHECK_STR(name, "shop-0");
  CHECK_EQ(failure, -EACCES);
  CHECK_STR(sentence, "no database");
  ADD(uncaught, 1);
}

static thrum_event last_is_told;

static intptr_t wait_for_last(thrum_future *f, void *unused) {
  (void)f, (void)unused;
  thrum_event_wait(&last_is_told);
  return 0;
}

/* What is queued fails, what comes later is refused. A callback of the first that fails may wait for who waits for the last. */
static void a_broken_pool(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x;
  thrum_future *f[3], *late;
  o.name = "shop";
  o.threads = 1;
  o.initializer = fail_at_gate;
  close_gate();
  uncaught = 0;
  thrum_uncaught_fn *former = thrum_on_uncaught(on_broken);
  CHECK_EQ(thrum_executor_threads(&x, &o), 0);
  for (int i = 0; i < 3; i++) f[i] = must_submit(x, square, NULL);
  AWAIT(LOAD(begun) == 1);
  CHECK(thrum_future_cancel(f[1]));
  thrum_event_clear(&last_is_told);
  CHECK_EQ(thrum_future_add_done_callback(f[0], wait_for_last, NULL), 0);
  thrum_event_set(&gate);
  for (int i = 2; i >= 0; i -= 2) {
    intptr_t result = 0;
    CHECK_EQ(thrum_future_result(f[i], &result), 0);
    CHECK_EQ(result, -EPIPE);
    CHECK_HAS(thrum_future_failure(f[i]), "executor shop is broken");
    thrum_event_set(&last_is_told);
  }
  CHECK_EQ(thrum_future_result(f[1], NULL), -ECANCELED);
  for (int i = 0; i < 3; i++) thrum_future_release(f[i]);
  CHECK_EQ(thrum_submit(x, &late, square, NULL), -EPIPE);
  CHECK(!late);
  shut_and_release(x);
  CHECK_EQ(LOAD(uncaught), 1);
  thrum_on_uncaught(former);
}

/* ---- Cancelling, shutting down ------------------------------------------------------------------------------------------------ */

static void cancel_what_has_not_begun(void) {
  thrum_executor *x = pool_of(1);
  close_gate();
  thrum_future *runs = must_submit(x, pass_gate, (void *)1), *queued = must_submit(x, pass_gate, (void *)2);
  AWAIT(LOAD(begun) == 1);
  CHECK(!thrum_future_cancel(runs));
  CHECK(thrum_future_running(runs));
  CHECK(thrum_future_cancel(queued));
  CHECK_EQ(thrum_future_wait_many(&queued, 1, THRUM_ALL_COMPLETED, 0), 1); /* told at once */
  CHECK_EQ(stats_of(x).queued, 0);
  CHECK_EQ(thrum_future_start(runs), -EPERM); /* the executor's to do */
  CHECK_EQ(thrum_future_set_result(runs, 1), -EPERM);
  CHECK_EQ(thrum_future_set_bytes(runs, "", 0), -EPERM);
  CHECK_EQ(thrum_future_fail(runs, 1, "x"), -EPERM);
  thrum_event_set(&gate);
  CHECK_EQ(take(runs), 1);
  thrum_future_release(queued);
  CHECK_EQ(LOAD(begun), 1);
  shut_and_release(x);
}

/* Submit, cancel, shut down: does not hang. */
static void cancel_then_shut(void) {
  for (int i = 0; i < 20; i++) {
    thrum_executor *x = pool_of(1);
    thrum_future *f[4];
    for (int j = 0; j < 4; j++) f[j] = must_submit(x, square, (void *)3);
    for (int j = 0; j < 4; j++) thrum_future_cancel(f[j]);
    CHECK_EQ(thrum_executor_shutdown(x, true, i % 2), 0);
    for (int j = 0; j < 4; j++) {
      CHECK(thrum_future_done(f[j]));
      thrum_future_release(f[j]);
    }
    CHECK_EQ(thrum_executor_shutdown(x, true, false), 0); /* idempotent */
    CHECK_EQ(thrum_executor_shutdown(x, false, true), 0);
    thrum_executor_release(x);
  }
}

static intptr_t says_cancelled(thrum_future *f, void *count) {
  CHECK(thrum_future_cancelled(f));
  ++*(int *)count;
  return 0;
}

static void shut_and_cancel(void) {
  thrum_executor *x = pool_of(2);
  thrum_future *f[6];
  int cancelled = 0;
  close_gate();
  for (intptr_t i = 0; i < 6; i++) f[i] = must_submit(x, pass_gate, (void *)i);
  AWAIT(LOAD(begun) == 2);
  for (int i = 2; i < 6; i++) CHECK_EQ(thrum_future_add_done_callback(f[i], says_cancelled, &cancelled), 0);
  CHECK_EQ(thrum_executor_shutdown(x, false, true), 0);
  CHECK_EQ(cancelled, 4);
  CHECK_EQ(thrum_submit(x, NULL, square, NULL), -EPIPE);
  CHECK_EQ(thrum_executor_shutdown_for(x, false, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_executor_shutdown_for(x, false, 0), -ETIMEDOUT);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_executor_shutdown_for(x, false, THRUM_S(3600)), 0);
  for (intptr_t i = 0; i < 6; i++) {
    intptr_t result = -1;
    CHECK_EQ(thrum_future_result(f[i], &result), i < 2 ? 0 : -ECANCELED);
    CHECK_EQ(result, i < 2 ? i : -1); /* what ran is completed */
    thrum_future_release(f[i]);
  }
  CHECK_EQ(stats_of(x).cancelled, 4);
  shut_and_release(x);
}

/* What is queued is still done, and so is what is queued when the executor is given back. */
static void what_is_queued_is_done(void) {
  for (int releases = 0; releases < 2; releases++) {
    thrum_executor *x = pool_of(1);
    thrum_future *f[5];
    close_gate();
    for (intptr_t i = 0; i < 5; i++) f[i] = must_submit(x, pass_gate, (void *)i);
    if (releases)
      thrum_executor_release(x);
    else
      CHECK_EQ(thrum_executor_shutdown(x, false, false), 0);
    thrum_event_set(&gate);
    for (intptr_t i = 0; i < 5; i++) CHECK_EQ(take(f[i]), i);
    if (!releases) shut_and_release(x);
  }
  thrum_executor_release(NULL);
}

static intptr_t shut_my_own(void *x) { return thrum_executor_shutdown(x, true, false); }

/* Nor do destructors of its threads, which have left by then: those who left behind them wait for their end. */
static int refused;

static void shut_at_the_end(void *x) { ADD(refused, thrum_executor_shutdown(x, true, false) == -EDEADLK); }
static thrum_local shutter = THRUM_LOCAL_INIT(shut_at_the_end);

static intptr_t set_shutter(void *x) {
  ADD(begun, 1);
  thrum_event_wait(&gate);
  return thrum_local_set(&shutter, x);
}

static void destructors_that_shut_their_own(void) {
  thrum_executor *x = pool_of(3);
  STORE(refused, 0);
  close_gate();
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_submit(x, NULL, set_shutter, x), 0);
  AWAIT(LOAD(begun) == 3);
  thrum_event_set(&gate);
  shut_and_release(x);
  CHECK_EQ(LOAD(refused), 3);
}

static void one_that_shuts_its_own(void) {
  thrum_executor *x = pool_of(1);
  thrum_future *f = must_submit(x, shut_my_own, x);
  CHECK_EQ(take(f), -EDEADLK);
  CHECK_EQ(thrum_submit(x, NULL, square, NULL), -EPIPE);
  shut_and_release(x);
}

/* A future outlives its executor. */
static void futures_stay(void) {
  thrum_executor *x = pool_of(1);
  thrum_future *f = must_submit(x, square, (void *)5);
  shut_and_release(x);
  CHECK(!thrum_future_cancel(f));
  CHECK_EQ(take(f), 25);
}

/* ---- Callbacks ---------------------------------------------------------------------------------------------------------------- */

static thrum_thread ran_in, called_in;

static intptr_t where(void *unused) {
  (void)unused;
  ADD(begun, 1);
  thrum_event_wait(&gate);
  ran_in = thrum_current();
  return 0;
}

static intptr_t blocks(thrum_future *f, void *other) {
  (void)f;
  called_in = thrum_current();
  CHECK_EQ(thrum_future_wait(other), 0); /* which is queued behind, in a pool of one thread */
  ADD(ended, 1);
  return 0;
}

static void callbacks_run_in_the_thread(void) {
  thrum_executor *x = pool_of(1);
  close_gate();
  thrum_future *f = must_submit(x, where, NULL), *next = must_submit(x, square, (void *)2);
  AWAIT(LOAD(begun) == 1);
  CHECK_EQ(thrum_future_add_done_callback(f, blocks, next), 0);
  thrum_event_set(&gate);
  AWAIT(LOAD(ended) == 1);
  CHECK_EQ(take(next), 4);
  CHECK(thrum_same(ran_in, called_in));
  take(f);
  shut_and_release(x);
}

/* ---- Tasks with bytes --------------------------------------------------------------------------------------------------- */

THRUM_TASK(reversed) {
  const char *text = in;
  for (size_t i = size; i > 0; i--)
    if (thrum_out_write(out, &text[i - 1], 1) != 0) return -ENOMEM;
  return (int)size;
}

THRUM_TASK(writes_and_fails) {
  CHECK_EQ(thrum_out_write(out, "dropped", 8), 0);
  return (int)thrum_fail(EPROTO, "%zu bytes", size);
}

static void bytes(thrum_executor *x) {
  char text[] = "stressed";
  const void *data;
  size_t size;
  intptr_t result;
  thrum_future *f;
  CHECK_EQ(thrum_submit_task(x, &f, &reversed, text, sizeof text - 1), 0);
  memset(text, 'x', sizeof text - 1); /* it has a copy */
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK_EQ(size, 8);
  CHECK(memcmp(data, "desserts", 8) == 0);
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK_EQ(result, 8);
  thrum_future_release(f);
  CHECK_EQ(thrum_submit_task(x, &f, thrum_task_find("writes_and_fails"), NULL, 0), 0);
  CHECK_EQ(thrum_future_bytes(f, &data, &size), -EPROTO);
  CHECK_STR(thrum_future_failure(f), "0 bytes");
  thrum_future_release(f);
}

static void with_bytes(void) {
  thrum_executor *x = pool_of(2);
  bytes(x);
  shut_and_release(x);
  CHECK_EQ(thrum_executor_inline(&x), 0);
  bytes(x);
  shut_and_release(x);
}

/* thrum_exit ends a callback, not those behind it, nor its thread. */
static intptr_t leave_callback(thrum_future *f, void *calls) {
  (void)f;
  ADD(*(int *)calls, 1);
  thrum_exit(7);
}

static void callbacks_that_leave(void) {
  int calls = 0;
  thrum_executor *x = pool_of(1);
  close_gate();
  thrum_future *f = must_submit(x, pass_gate, NULL);
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_future_add_done_callback(f, leave_callback, &calls), 0);
  thrum_event_set(&gate);
  CHECK_EQ(take(f), 0);
  CHECK_EQ(take(must_submit(x, square, (void *)3)), 9);
  shut_and_release(x);
  CHECK_EQ(LOAD(calls), 2);
}

static intptr_t all_rules(void *unused) {
  (void)unused;
  results_and_failures();
  unheard();
  sentences_are_their_own();
  no_more_threads_than_needed();
  no_more_than_the_limit();
  names();
  bound_ones();
  each_is_initialized();
  a_slow_initializer_holds_nobody_up();
  a_broken_pool();
  cancel_what_has_not_begun();
  cancel_then_shut();
  shut_and_cancel();
  what_is_queued_is_done();
  one_that_shuts_its_own();
  destructors_that_shut_their_own();
  futures_stay();
  callbacks_run_in_the_thread();
  with_bytes();
  callbacks_that_leave();
  return 0;
}

/* Executors without a name have different ones, of their kind, and so have their threads. */
static intptr_t copy_name(void *to) {
  snprintf((char *)to, THRUM_NAME_MAX, "%s", thrum_current_name());
  return 0;
}

static void names_differ(void) {
  char names[2][THRUM_NAME_MAX];
  for (int i = 0; i < 2; i++) {
    thrum_executor *x = pool_of(1);
    CHECK_EQ(take(must_submit(x, copy_name, names[i])), 0);
    shut_and_release(x);
    CHECK(strncmp(names[i], "pool-", 5) == 0);
  }
  CHECK(strcmp(names[0], names[1]) != 0);
}

int main(void) {
  names_differ();
  run_in_each_kind(all_rules, NULL);
  return 0;
}
