/* A thread that is cancelled does not wait for futures in a cancellation point; plain forms wait on. A task that is cancelled is
 * its thread's last one; a scope that a task leaves open aborts by name. */
#include "../child.h"
#include "../support.h"

static thrum_future *never;
static thrum_executor *pool, *busy;
static thrum_event gate;
static int begun;

static intptr_t at_gate(void *n) {
  ADD(begun, 1);
  thrum_event_wait(&gate);
  return (intptr_t)n;
}

static intptr_t item(void *n) { return at_gate(n); }

static intptr_t result_for(void *unused) {
  intptr_t result = 5;
  (void)unused;
  CHECK_EQ(thrum_future_result_for(never, &result, THRUM_FOREVER), -ECANCELED);
  CHECK(!thrum_future_cancelled(never)); /* it was the caller */
  CHECK_EQ(thrum_future_wait_for(never, 0), -ECANCELED);
  CHECK_EQ(result, 5);
  return 0;
}

static intptr_t wait_many(void *unused) {
  (void)unused;
  return thrum_future_wait_many(&never, 1, THRUM_ALL_COMPLETED, THRUM_FOREVER) == -ECANCELED ? 0 : 1;
}

static intptr_t next_completed(void *unused) {
  thrum_completion c;
  (void)unused;
  CHECK_EQ(thrum_as_completed(&c, &never, 1, THRUM_FOREVER), 0);
  ssize_t i = thrum_completion_next(&c);
  thrum_completion_end(&c);
  return i == -ECANCELED ? 0 : 1;
}

static intptr_t next_of_map(void *unused) {
  int items[] = {1, 2};
  thrum_map *m;
  (void)unused;
  CHECK_EQ(thrum_map_start(&m, busy, item, items, 2, sizeof *items, NULL), 0);
  int error = thrum_map_next(m, NULL);
  thrum_map_end(m);
  return error == -ECANCELED ? 0 : 1;
}

static intptr_t selected(void *unused) {
  (void)unused;
  thrum_case c[] = {thrum_case_future(never)};
  return thrum_select(c, 1) == -ECANCELED ? 0 : 1;
}

static intptr_t shutdown_for(void *unused) {
  (void)unused;
  return thrum_executor_shutdown_for(busy, false, THRUM_FOREVER) == -ECANCELED ? 0 : 1;
}

/* Cancelled before it waits, or while it does; by itself, or as a task. */
static void each(thrum_fn *fn) {
  for (int i = 0; i < 4; i++) {
    thrum_thread t = i % 2 ? must_spawn_bound(fn, NULL) : must_spawn(fn, NULL);
    for (int yields = i * 3; yields; yields--) thrum_yield();
    CHECK_EQ(thrum_cancel(t), 0);
    CHECK_EQ(must_join(t), 0);
  }
}

static intptr_t wait_plainly(void *done) {
  intptr_t result = 0;
  CHECK_EQ(thrum_future_result(never, &result), 0);
  ADD(*(int *)done, 1);
  return result;
}

static void plain_forms_wait(void) {
  int done = 0;
  thrum_thread t = must_spawn(wait_plainly, &done);
  for (int i = 0; i < 5; i++) thrum_yield();
  CHECK_EQ(thrum_cancel(t), 0);
  for (int i = 0; i < 20; i++) thrum_yield();
  CHECK_EQ(LOAD(done), 0);
  CHECK_EQ(thrum_future_set_result(never, 3), 0);
  CHECK_EQ(must_join(t), 3);
}

static intptr_t cancel_myself(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_cancel(thrum_current()), 0);
  CHECK_EQ(thrum_sleep(THRUM_S(100)), -ECANCELED);
  return 1;
}

static intptr_t is_not_cancelled(void *unused) { return (void)unused, !thrum_cancelled(); }

static void a_cancelled_task_is_the_last(void) {
  for (int i = 0; i < 10; i++) {
    thrum_future *f[2];
    intptr_t result = 0;
    CHECK_EQ(thrum_submit(pool, &f[0], cancel_myself, NULL), 0);
    CHECK_EQ(thrum_submit(pool, &f[1], is_not_cancelled, NULL), 0);
    for (int j = 0; j < 2; j++) {
      CHECK_EQ(thrum_future_result(f[j], &result), 0);
      CHECK_EQ(result, 1);
      thrum_future_release(f[j]);
    }
  }
}

static intptr_t leave_scope_open(void *scope) { return thrum_scope_open(scope, NULL); }

static int scope_left(void) {
  static thrum_scope scope;
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  o.name = "open";
  CHECK_EQ(thrum_executor_threads(&pool, &o), 0);
  CHECK_EQ(thrum_submit(pool, NULL, leave_scope_open, &scope), 0);
  CHECK_EQ(thrum_executor_shutdown(pool, true, false), 0);
  return 0;
}

static const struct child_case cases[] = {{"scope-left", scope_left}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run("scope-left");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "thread open-0 has ended with a scope open");
  child_free(&child);
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  o.threads = 1;
  CHECK_EQ(thrum_executor_threads(&pool, &o), 0);
  CHECK_EQ(thrum_executor_threads(&busy, &o), 0);
  CHECK_EQ(thrum_submit(busy, NULL, at_gate, NULL), 0);
  AWAIT(LOAD(begun) == 1);
  CHECK(never = thrum_future_new());
  each(result_for);
  each(wait_many);
  each(next_completed);
  each(next_of_map);
  each(selected);
  each(shutdown_for);
  plain_forms_wait();
  a_cancelled_task_is_the_last();
  thrum_event_set(&gate);
  CHECK_EQ(LOAD(begun), 1);
  CHECK_EQ(thrum_executor_shutdown(pool, true, false), 0);
  CHECK_EQ(thrum_executor_shutdown(busy, true, false), 0);
  thrum_executor_release(pool);
  thrum_executor_release(busy);
  thrum_future_release(never);
  return 0;
}
