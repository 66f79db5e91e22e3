/* Events, semaphores, wait groups and onces where a program forks and where it ends. In the child nobody waits, and what the
 * objects say of threads that are gone holds nobody up. A program that waits for what only a signal handler can do is not
 * taken for a deadlock; one without a handler is. */
#include "../child.h"
#include "../support.h"

#include <signal.h>

static thrum_sem sem, fair = THRUM_SEM_INIT(1);
static thrum_event event;
static thrum_waitgroup group;
static thrum_once once;
static bool stop;

/* ---- fork -------------------------------------------------------------------------------------------------------------- */

static intptr_t acquire(void *arg) {
  thrum_sem_acquire(&sem);
  return (intptr_t)arg;
}

static intptr_t wait_event(void *arg) {
  thrum_event_wait(&event);
  return (intptr_t)arg;
}

static intptr_t wait_group(void *arg) {
  thrum_waitgroup_wait(&group);
  return (intptr_t)arg;
}

static intptr_t run_until_set(void *arg) {
  thrum_event_wait(&event);
  return (intptr_t)arg;
}

static intptr_t call(void *arg) { return thrum_once_call(&once, run_until_set, arg); }

/* So that the fork finds woken ones and those that have waited long. */
static intptr_t come_again(void *number) {
  (void)number;
  while (!LOAD(stop)) {
    thrum_sem_acquire(&fair);
    thrum_yield();
    CHECK_EQ(thrum_sem_release(&fair, 1), 0);
  }
  return 0;
}

static intptr_t run_at_once(void *arg) { return (intptr_t)arg; }

static thrum_fn *const waits[] = {acquire, wait_event, wait_group, call};

static void in_the_child(void) {
  CHECK(thrum_sem_destroy(&sem) == 0 && thrum_event_destroy(&event) == 0);
  CHECK_EQ(thrum_waitgroup_destroy(&group), 0);
  CHECK_EQ(thrum_sem_acquire_for(&sem, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_event_wait_for(&event, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_waitgroup_wait_for(&group, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_once_call(&once, run_at_once, NULL), 0); /* who was at it is not there */
  thrum_thread threads[3];
  for (int i = 0; i < 3; i++) threads[i] = must_spawn(waits[i], NULL);
  while (thrum_sem_value(&fair) > 0) CHECK_EQ(thrum_sem_try_acquire(&fair), 0);
  CHECK_EQ(thrum_sem_release(&fair, 2), 0);
  CHECK_EQ(thrum_sem_try_acquire(&fair), 0);
  thrum_sem_acquire(&fair);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
  thrum_event_set(&event);
  thrum_waitgroup_done(&group);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(threads[i]), 0);
}

static void fork_beside_waits(void) {
  static struct crowd crowd;
  thrum_thread threads[4];
  thrum_waitgroup_add(&group, 1);
  for (int i = 0; i < 4; i++) threads[i] = must_spawn(waits[i], NULL);
  crowd_start(&crowd, 5, come_again);
  AWAIT(thrum_sem_destroy(&sem) == -EBUSY && thrum_waitgroup_destroy(&group) == -EBUSY);
  AWAIT(thrum_event_destroy(&event) == -EBUSY);
  for (int i = 0; i < 10; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      in_the_child();
      _exit(40);
    }
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 40);
  }
  STORE(stop, true);
  crowd_join(&crowd);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
  thrum_event_set(&event);
  thrum_waitgroup_done(&group);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_sem_value(&fair), 1);
}

/* ---- Deadlocks ----------------------------------------------------------------------------------------------------------- */

static int nobody_sets(void) {
  thrum_thread t = must_spawn(acquire, NULL);
  thrum_event_wait(&event);
  return thrum_join(t, NULL);
}

static int nobody_is_done(void) {
  thrum_waitgroup_add(&group, 1);
  thrum_waitgroup_wait(&group);
  return 1;
}

static void on_signal(int signo) {
  (void)signo;
  thrum_event_set(&event);
}

/* The parent sends the signal after as long as a verdict takes several times over. */
static int handler_sets(void) {
  CHECK(signal(SIGTERM, on_signal) != SIG_ERR);
  CHECK_EQ(write(2, "ready\n", 6), 6);
  thrum_event_wait(&event);
  return 3;
}

static const struct child_case cases[] = {
    {"nobody-sets", nobody_sets}, {"nobody-is-done", nobody_is_done}, {"handler-sets", handler_sets}, {0}};

static void deadlocks(void) {
  struct child child = child_run("nobody-sets");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(child.err_text, "waits for event event");
  CHECK_HAS(child.err_text, "waits for semaphore sem");
  child_free(&child);
  child = child_run("nobody-is-done");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(child.err_text, "waits for wait group group");
  child_free(&child);
  child = child_start("handler-sets", NULL);
  child_await(&child, "ready");
  usleep(1500 * 1000); /* longer is better, nothing is ordered by it: a verdict in this time fails the test */
  CHECK_EQ(kill(child.pid, SIGTERM), 0);
  child_finish(&child);
  CHECK_STATUS(child, 3);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  if (TESTS_TSAN)
    CHECK_SKIP("ThreadSanitizer lets no forked child start threads, and has a kernel thread of its own");
  fork_beside_waits();
  deadlocks();
  return 0;
}
