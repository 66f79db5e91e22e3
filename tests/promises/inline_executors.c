/* An inline executor runs a task before submit returns, in the thread that submits; in each kind of thread. */
#include "pools.h"

static intptr_t square(void *n) { return (intptr_t)n * (intptr_t)n; }
static intptr_t fails(void *n) { return thrum_fail(EIO, "task %d", (int)(intptr_t)n); }

static intptr_t same_thread(void *t) { return thrum_same(thrum_current(), *(thrum_thread *)t); }

static void tasks_run_at_once(void) {
  thrum_executor *x;
  thrum_thread me = thrum_current();
  CHECK_EQ(thrum_executor_inline(&x), 0);
  thrum_future *f = must_submit(x, same_thread, &me);
  CHECK(thrum_future_done(f));
  CHECK_EQ(take(f), 1);
  f = must_submit(x, fails, (void *)1);
  CHECK_STR(thrum_future_failure(f), "task 1");
  CHECK_EQ(take(f), -EIO);
  CHECK_EQ(stats_of(x).submitted, 2);
  CHECK_EQ(thrum_executor_shutdown(x, true, true), 0);
  CHECK_EQ(thrum_submit(x, &f, square, NULL), -EPIPE);
  thrum_executor_release(x);
}

/* The task of an inline executor may give it back: its memory stays until the submit has ended, also one that lies around it. */
static thrum_future *inner;

static intptr_t give_back(void *x) { return thrum_executor_release(x), 5; }
static intptr_t submit_give_back(void *x) { return thrum_submit(x, &inner, give_back, x); }

static void given_back_within(void) {
  thrum_executor *x;
  CHECK_EQ(thrum_executor_inline(&x), 0);
  thrum_future *f = must_submit(x, submit_give_back, x);
  CHECK_EQ(take(inner), 5);
  CHECK_EQ(take(f), 0);
}

/* The task of an inline executor may use its own future. */
static int calls;
static thrum_future *own;

static intptr_t count_call(thrum_future *f, void *arg) { return CHECK(f == own), (void)arg, calls++, 0; }
static intptr_t add_to_own(void *arg) { return thrum_future_add_done_callback(own, count_call, arg); }

static void with_its_own_future(void) {
  thrum_executor *x;
  calls = 0;
  CHECK_EQ(thrum_executor_inline(&x), 0);
  CHECK_EQ(thrum_submit(x, &own, add_to_own, NULL), 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(take(own), 0);
  thrum_executor_release(x);
}

static intptr_t all_rules(void *unused) {
  (void)unused;
  tasks_run_at_once();
  given_back_within();
  with_its_own_future();
  return 0;
}

int main(void) {
  run_in_each_kind(all_rules, NULL);
  return 0;
}
