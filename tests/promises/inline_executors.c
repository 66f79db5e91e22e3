/* An inline executor runs a task before submit returns, in the thread that submits; in each kind of thread. */
#include "parked.h"
#include "pools.h"

#include <sys/wait.h>

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

/* ---- Shutting down ------------------------------------------------------------------------------------------------- */

/* A task that lies at its gate, in a thread of its own, and whose callback lies at another. */
struct guest {
  thrum_executor *x;
  thrum_event begun, gate, called, door;
  bool task_over, callback_over, returned;
};

static intptr_t at_door(thrum_future *f, void *arg) {
  struct guest *g = arg;
  thrum_event_set(&g->called);
  thrum_event_wait(&g->door);
  STORE(g->callback_over, true);
  return (void)f, 0;
}

static intptr_t at_gate(void *arg) {
  struct guest *g = arg;
  thrum_event_set(&g->begun);
  thrum_event_wait(&g->gate);
  STORE(g->task_over, true);
  return thrum_future_add_done_callback(own, at_door, g);
}

static intptr_t be_guest(void *arg) {
  struct guest *g = arg;
  CHECK_EQ(thrum_submit(g->x, &own, at_gate, g), 0);
  thrum_future_release(own);
  return 0;
}

static intptr_t shut_and_wait(void *arg) {
  struct guest *g = arg;
  CHECK_EQ(thrum_executor_shutdown(g->x, true, false), 0);
  STORE(g->returned, true);
  return LOAD(g->task_over) && LOAD(g->callback_over);
}

static intptr_t shut_for_long(void *x) { return thrum_executor_shutdown_for(x, false, THRUM_S(1000)); }

/* Who shuts it down waits for the tasks of others, up to the end of their callbacks. */
static void others_are_waited_for(void) {
  struct guest g = {0};
  CHECK_EQ(thrum_executor_inline(&g.x), 0);
  thrum_thread guest = must_spawn(be_guest, &g);
  thrum_event_wait(&g.begun);
  CHECK_EQ(thrum_executor_shutdown_for(g.x, false, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_executor_shutdown_for(g.x, false, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(cancelled_result(shut_for_long, g.x), -ECANCELED);
  thrum_thread waiters[2] = {must_spawn(shut_and_wait, &g), must_spawn(shut_and_wait, &g)};
  for (int i = 0; i < 2; i++) AWAIT(is_parked(waiters[i]) || LOAD(g.returned));
  CHECK(!LOAD(g.returned));
  CHECK_EQ(thrum_submit(g.x, NULL, square, NULL), -EPIPE);
  thrum_event_set(&g.gate);
  thrum_event_wait(&g.called);
  thrum_event_set(&g.door);
  for (int i = 0; i < 2; i++) CHECK_EQ(must_join(waiters[i]), 1);
  CHECK_EQ(must_join(guest), 0);
  CHECK_EQ(thrum_executor_shutdown_for(g.x, true, 0), 0);
  thrum_executor_release(g.x);
}

/* A task does not wait for itself, however deep it lies; nor does its callback. */
static intptr_t shut_own(void *x) {
  CHECK_EQ(thrum_executor_shutdown_for(x, false, THRUM_S(1000)), -EDEADLK);
  return thrum_executor_shutdown(x, true, true);
}

static intptr_t shut_in_callback(thrum_future *f, void *x) {
  CHECK_EQ(thrum_executor_shutdown(x, true, true), -EDEADLK);
  return (void)f, calls++, 0;
}

static thrum_executor *around;

static intptr_t shut_from_another(void *x) {
  CHECK_EQ(thrum_future_add_done_callback(own, shut_in_callback, around), 0);
  thrum_executor *other = x;
  CHECK_EQ(take(must_submit(other, shut_own, around)), -EDEADLK);
  CHECK_EQ(thrum_executor_shutdown(other, true, false), 0); /* that one has ended */
  return 7;
}

static void shut_within(void) {
  thrum_executor *other;
  calls = 0;
  CHECK_EQ(thrum_executor_inline(&around), 0);
  CHECK_EQ(thrum_executor_inline(&other), 0);
  CHECK_EQ(thrum_submit(around, &own, shut_from_another, other), 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(take(own), 7);
  CHECK_EQ(thrum_submit(around, NULL, square, NULL), -EPIPE);
  CHECK_EQ(thrum_executor_shutdown(around, true, false), 0);
  thrum_executor_release(around);
  thrum_executor_release(other);
}

/* A task that ends its caller is over, and its future has failed. Its callbacks are called all the same, and are still its. */
static intptr_t leave(void *x) {
  CHECK_EQ(thrum_future_add_done_callback(own, shut_in_callback, x), 0);
  thrum_exit(3);
}

static intptr_t submit_leave(void *x) {
  thrum_submit(x, &own, leave, x);
  CHECK(false); /* it has ended this thread */
  return 0;
}

static void a_task_ends_its_caller(void) {
  thrum_executor *x;
  CHECK_EQ(thrum_executor_inline(&x), 0);
  calls = 0;
  CHECK_EQ(must_join(must_spawn(submit_leave, x)), 3);
  CHECK_EQ(calls, 1);
  CHECK_HAS(thrum_future_failure(own), "has ended");
  CHECK_EQ(take(own), -EOWNERDEAD);
  CHECK_EQ(stats_of(x).finished, 1);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
}

/* In the child of a fork nobody waits for tasks of the parent's threads. */
static void in_a_child(thrum_executor *x, int expected) {
  CHECK_EQ(take(must_submit(x, square, (void *)3)), 9);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), expected);
  CHECK_EQ(thrum_submit(x, NULL, square, NULL), -EPIPE);
}

static void await_child(pid_t pid) {
  int status;
  CHECK(pid > 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

static intptr_t fork_within(void *x) {
  pid_t pid = fork();
  if (pid == 0) in_a_child(x, -EDEADLK);
  if (pid > 0) await_child(pid);
  return pid == 0;
}

static void forks(void) {
  struct guest g = {0};
  CHECK_EQ(thrum_executor_inline(&g.x), 0);
  thrum_thread guest = must_spawn(be_guest, &g);
  thrum_event_wait(&g.begun);
  pid_t pid = fork();
  if (pid == 0) in_a_child(g.x, 0), _exit(0);
  await_child(pid);
  if (take(must_submit(g.x, fork_within, g.x))) {
    CHECK_EQ(thrum_executor_shutdown(g.x, true, false), 0);
    _exit(0);
  }
  thrum_event_set(&g.door);
  thrum_event_set(&g.gate);
  CHECK_EQ(thrum_executor_shutdown(g.x, true, false), 0);
  CHECK(LOAD(g.callback_over));
  CHECK_EQ(must_join(guest), 0);
  thrum_executor_release(g.x);
}

static intptr_t all_rules(void *unused) {
  (void)unused;
  tasks_run_at_once();
  given_back_within();
  with_its_own_future();
  others_are_waited_for();
  shut_within();
  a_task_ends_its_caller();
  return 0;
}

int main(void) {
  run_in_each_kind(all_rules, NULL);
  if (!TESTS_TSAN) forks(); /* it starts no threads in the child of a fork */
  return 0;
}
