/* A future goes from pending to finished, or to cancelled, once; who waits for it and its callbacks hear of it, in that order.
 * The rules of Python's concurrent.futures, in each kind of thread. */
#include "../support.h"

static intptr_t releaser(void *f) {
  thrum_future_release(f);
  return 0;
}

static thrum_future *must_make(void) {
  thrum_future *f = thrum_future_new();
  CHECK(f);
  return f;
}

/* ---- States ------------------------------------------------------------------------------------------------------- */

static void is(thrum_future *f, bool running, bool cancelled, bool done) {
  CHECK_EQ(thrum_future_running(f), running);
  CHECK_EQ(thrum_future_cancelled(f), cancelled);
  CHECK_EQ(thrum_future_done(f), done);
}

/* PENDING, RUNNING, FINISHED. */
static void runs(void) {
  thrum_future *f = must_make();
  intptr_t result = 77;
  is(f, false, false, false);
  CHECK_EQ(thrum_future_result_for(f, &result, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_future_wait_for(f, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_future_wait_for(f, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_future_start(f), 1);
  CHECK_EQ(thrum_future_start(f), -EALREADY);
  is(f, true, false, false);
  CHECK(!thrum_future_cancel(f));
  is(f, true, false, false);
  CHECK_EQ(result, 77);
  CHECK_EQ(thrum_future_set_result(f, 5), 0);
  is(f, false, false, true);
  CHECK(!thrum_future_cancel(f));
  CHECK_EQ(thrum_future_start(f), -EALREADY);
  CHECK_EQ(thrum_future_set_result(f, 6), -EALREADY);
  CHECK_EQ(thrum_future_fail(f, EIO, "no"), -EALREADY);
  CHECK_EQ(thrum_future_set_bytes(f, "x", 1), -EALREADY);
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK_EQ(result, 5);
  CHECK_EQ(thrum_future_result_for(f, &result, 0), 0);
  CHECK_EQ(thrum_future_wait(f), 0);
  CHECK_EQ(thrum_future_result(f, NULL), 0);
  CHECK_STR(thrum_future_failure(f), "");
  is(f, false, false, true);
  thrum_future_release(f);
}

/* PENDING, CANCELLED, and again. */
static void is_cancelled(void) {
  thrum_future *f = must_make();
  intptr_t result = 77;
  CHECK(thrum_future_cancel(f));
  is(f, false, true, true);
  CHECK(thrum_future_cancel(f));
  CHECK_EQ(thrum_future_result(f, &result), -ECANCELED);
  CHECK_EQ(thrum_future_result_for(f, &result, 0), -ECANCELED);
  CHECK_EQ(thrum_future_wait(f), 0);
  CHECK_EQ(thrum_future_set_result(f, 1), -EALREADY);
  CHECK_EQ(thrum_future_start(f), 0);
  CHECK_EQ(thrum_future_start(f), -EALREADY);
  CHECK_EQ(thrum_future_set_result(f, 1), -EALREADY);
  CHECK(thrum_future_cancel(f));
  is(f, false, true, true);
  CHECK_EQ(result, 77);
  thrum_future_release(f);
}

/* A result may be set without a start. */
static void is_set_at_once(void) {
  thrum_future *f = must_make();
  intptr_t result = 0;
  CHECK_EQ(thrum_future_fail(f, EIO, "disk %d", 3), 0);
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK_EQ(result, -EIO);
  CHECK_STR(thrum_future_failure(f), "disk 3");
  thrum_future_release(f);
  f = must_make();
  CHECK_EQ(thrum_future_fail(f, 0, "what"), 0);
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK_EQ(result, -EINVAL);
  thrum_future_release(f);
}

static void has_bytes(void) {
  char text[] = "seven";
  const void *data = NULL;
  size_t size = 0;
  thrum_future *f = must_make();
  CHECK_EQ(thrum_future_bytes_for(f, &data, &size, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_future_set_bytes(f, text, sizeof text), 0);
  text[0] = 'x'; /* it has a copy */
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK_EQ(size, sizeof text);
  CHECK_STR((const char *)data, "seven");
  thrum_future_retain(f);
  thrum_future_release(f);
  CHECK_STR((const char *)data, "seven");
  thrum_future_release(f);
  f = must_make();
  CHECK_EQ(thrum_future_set_result(f, 3), 0);
  CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
  CHECK(!data && size == 0);
  thrum_future_release(f);
  f = must_make();
  CHECK_EQ(thrum_future_fail(f, EPERM, "no"), 0);
  CHECK_EQ(thrum_future_bytes(f, &data, &size), -EPERM);
  thrum_future_release(f);
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

enum { CROWD = 24 };
static thrum_future *awaited;
static int waits, gone;

static intptr_t wait_for_seven(void *number) {
  intptr_t result = 0;
  ADD(waits, 1);
  if ((intptr_t)number % 2)
    CHECK_EQ(thrum_future_result_for(awaited, &result, THRUM_S(3600)), 0);
  else
    CHECK_EQ(thrum_future_result(awaited, &result), 0);
  CHECK_EQ(result, 7);
  ADD(gone, 1);
  return 0;
}

static intptr_t wait_for_cancel(void *number) {
  ADD(waits, 1);
  if ((intptr_t)number % 2)
    CHECK_EQ(thrum_future_result_for(awaited, NULL, THRUM_S(3600)), -ECANCELED);
  else
    CHECK_EQ(thrum_future_result(awaited, NULL), -ECANCELED);
  CHECK(thrum_future_cancelled(awaited));
  return 0;
}

static void all_are_let_go(void) {
  static struct crowd crowd;
  for (int cancels = 0; cancels < 2; cancels++) {
    awaited = must_make();
    waits = gone = 0;
    crowd_start(&crowd, CROWD, cancels ? wait_for_cancel : wait_for_seven);
    AWAIT(LOAD(waits) == CROWD);
    CHECK_EQ(LOAD(gone), 0);
    if (cancels)
      CHECK(thrum_future_cancel(awaited));
    else
      CHECK_EQ(thrum_future_set_result(awaited, 7), 0);
    crowd_join(&crowd);
    thrum_future_release(awaited);
  }
}

/* What its maker did before is seen, by who waits, who polls and in callbacks. ThreadSanitizer looks. */
static int written;

static intptr_t write_and_set(void *f) {
  written = 42;
  return thrum_future_set_result(f, 1);
}

static void publishes(void) {
  for (int polls = 0; polls < 2; polls++) {
    thrum_future *f = must_make();
    written = 0;
    thrum_thread t = must_spawn(write_and_set, f);
    if (polls)
      AWAIT(thrum_future_done(f));
    else
      CHECK_EQ(thrum_future_wait(f), 0);
    CHECK_EQ(written, 42);
    CHECK_EQ(must_join(t), 0);
    thrum_future_release(f);
  }
}

/* The waiter gives the last reference but the maker's back the moment it is let go. */
static intptr_t wait_and_release(void *f) {
  CHECK_EQ(thrum_future_wait(f), 0);
  return releaser(f);
}

static void may_be_released_at_once(void) {
  for (int i = 0; i < (TESTS_SANITIZED ? 200 : 2000); i++) {
    thrum_future *f = must_make();
    thrum_future_retain(f);
    thrum_thread t = must_spawn(wait_and_release, f);
    if (i % 2) thrum_yield();
    CHECK_EQ(thrum_future_set_result(f, 1), 0);
    thrum_future_release(f);
    CHECK_EQ(must_join(t), 0);
  }
}

/* ---- Callbacks ---------------------------------------------------------------------------------------------------------- */

static char order[16];
static thrum_thread called_in;

static intptr_t note(thrum_future *f, void *letter) {
  size_t n = strlen(order);
  CHECK(thrum_future_done(f));
  CHECK(n + 1 < sizeof order);
  order[n] = (char)(intptr_t)letter;
  called_in = thrum_current();
  return 0;
}

static void add(thrum_future *f, thrum_done_fn *fn, intptr_t letter) {
  CHECK_EQ(thrum_future_add_done_callback(f, fn, (void *)letter), 0);
}

static void clear_order(void) { memset(order, 0, sizeof order); }

/* In order of adding; in the thread that finishes; when it is done already at once in the caller. */
static void call_in_order(void) {
  thrum_future *f = must_make();
  clear_order();
  add(f, note, 'a');
  add(f, note, 'b');
  add(f, note, 'c');
  CHECK_STR(order, "");
  thrum_thread t = must_spawn(write_and_set, f);
  CHECK_EQ(must_join(t), 0);
  CHECK_STR(order, "abc");
  CHECK(thrum_same(called_in, t));
  add(f, note, 'd');
  CHECK_STR(order, "abcd");
  CHECK(thrum_same(called_in, thrum_current()));
  thrum_future_release(f);
}

/* In the canceller; once, not again when the maker is told, or cancelled again. */
static void call_on_cancel(void) {
  thrum_future *f = must_make();
  clear_order();
  add(f, note, 'a');
  CHECK(thrum_future_cancel(f));
  CHECK_STR(order, "a");
  CHECK(thrum_same(called_in, thrum_current()));
  CHECK(thrum_future_cancel(f));
  CHECK_EQ(thrum_future_start(f), 0);
  CHECK_STR(order, "a");
  add(f, note, 'b');
  CHECK_STR(order, "ab");
  thrum_future_release(f);
}

static int uncaught;
static char uncaught_text[64];

static void on_uncaught(thrum_thread t, intptr_t failure, const char *sentence) {
  CHECK(thrum_same(t, thrum_current()));
  CHECK_EQ(failure, -EIO);
  snprintf(uncaught_text, sizeof uncaught_text, "%s", sentence);
  uncaught++;
}

static intptr_t fails(thrum_future *f, void *letter) {
  note(f, letter);
  return thrum_fail(EIO, "callback %c", (int)(intptr_t)letter);
}

/* A failure goes to the hook; later ones still run, and who finishes hears nothing. */
static void a_failure_is_told(void) {
  thrum_future *f = must_make();
  clear_order();
  uncaught = 0;
  thrum_uncaught_fn *former = thrum_on_uncaught(on_uncaught);
  add(f, note, 'a');
  add(f, fails, 'b');
  add(f, note, 'c');
  CHECK_EQ(thrum_future_set_result(f, 0), 0);
  CHECK_STR(order, "abc");
  CHECK_EQ(uncaught, 1);
  CHECK_STR(uncaught_text, "callback b");
  add(f, fails, 'd');
  CHECK_EQ(uncaught, 2);
  CHECK_STR(uncaught_text, "callback d");
  thrum_on_uncaught(former);
  thrum_future_release(f);
}

/* Those who wait are let go before the callbacks: one may wait for them. */
static int let_go;

static intptr_t wait_and_say(void *f) {
  ADD(waits, 1);
  CHECK_EQ(thrum_future_wait(f), 0);
  STORE(let_go, 1);
  return 0;
}

static intptr_t wait_for_waiter(thrum_future *f, void *arg) {
  (void)f, (void)arg;
  AWAIT(LOAD(let_go));
  return 0;
}

static void waiters_go_first(void) {
  for (int cancels = 0; cancels < 2; cancels++) {
    thrum_future *f = must_make();
    waits = 0;
    STORE(let_go, 0);
    add(f, wait_for_waiter, 0);
    thrum_thread t = must_spawn(wait_and_say, f);
    AWAIT(LOAD(waits) == 1);
    if (cancels)
      CHECK(thrum_future_cancel(f));
    else
      CHECK_EQ(thrum_future_set_result(f, 0), 0);
    CHECK_EQ(must_join(t), 0);
    thrum_future_release(f);
  }
}

static intptr_t never(thrum_future *f, void *arg) {
  (void)f, (void)arg;
  CHECK(!"called");
  return 0;
}

/* A future that nobody finishes takes its callbacks with it. */
static void dropped_unfinished(void) {
  thrum_future *f = must_make();
  add(f, never, 0);
  add(f, never, 0);
  thrum_future_release(f);
  thrum_future_release(NULL);
}

/* ---- Select --------------------------------------------------------------------------------------------------------------- */

static intptr_t set_three(void *f) { return thrum_future_set_result(f, 3); }

static void select_takes_futures(void) {
  thrum_future *a = must_make(), *b = must_make();
  thrum_case c[] = {thrum_case_future(a), thrum_case_future(b), thrum_case_future(NULL)};
  CHECK_EQ(thrum_try_select(c, 3), -EAGAIN);
  CHECK_EQ(thrum_select_for(c, 3, THRUM_MS(2)), -ETIMEDOUT);
  thrum_thread t = must_spawn(set_three, b);
  CHECK_EQ(thrum_select(c, 3), 1);
  CHECK_EQ(c[1].status, 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_select(c, 3), 1);
  CHECK(thrum_future_cancel(a));
  thrum_case one[] = {thrum_case_future(a)};
  CHECK_EQ(thrum_select(one, 1), 0);
  CHECK_EQ(one[0].status, 0);
  thrum_future_release(a);
  thrum_future_release(b);
}

static intptr_t all_rules(void *unused) {
  (void)unused;
  runs();
  is_cancelled();
  is_set_at_once();
  has_bytes();
  publishes();
  call_in_order();
  call_on_cancel();
  a_failure_is_told();
  waiters_go_first();
  dropped_unfinished();
  select_takes_futures();
  return 0;
}

int main(void) {
  run_in_each_kind(all_rules, NULL);
  all_are_let_go();
  may_be_released_at_once();
  return 0;
}
