/* Pending timers wake others, so they are no deadlock; cancelled ones, and such as never fire, wake nobody. They do not keep the
 * program; callbacks that have begun do. The child of a fork has none. */
#include "../child.h"
#include "../support.h"

static thrum_timer timer;
static bool open_gate;

static intptr_t open_it(void *arg) {
  (void)arg;
  STORE(open_gate, true);
  return 0;
}

static thrum_lock gate;

static intptr_t release_gate(void *arg) {
  (void)arg;
  return thrum_lock_release(&gate);
}

/* All threads wait; the timer is the only hope, and no false one. */
static int pending_is_hope(void) {
  thrum_lock_acquire(&gate);
  CHECK_EQ(thrum_timer_start(&timer, THRUM_MS(1500), release_gate, NULL), 0);
  thrum_lock_acquire(&gate);
  return 0;
}

static int cancelled_is_none(void) {
  thrum_lock_acquire(&gate);
  CHECK_EQ(thrum_timer_start(&timer, THRUM_S(1000), release_gate, NULL), 0);
  CHECK_EQ(thrum_timer_restart(&timer, THRUM_S(2000)), 0);
  CHECK_EQ(thrum_timer_cancel(&timer), 1);
  thrum_lock_acquire(&gate);
  return 0;
}

static int never_is_none(void) {
  thrum_lock_acquire(&gate);
  CHECK_EQ(thrum_timer_start(&timer, THRUM_FOREVER, release_gate, NULL), 0);
  thrum_lock_acquire(&gate);
  return 0;
}

static int fired_is_none(void) {
  thrum_lock_acquire(&gate);
  CHECK_EQ(thrum_timer_start(&timer, 0, open_it, NULL), 0);
  thrum_lock_acquire(&gate);
  return 0;
}

static intptr_t say_called(void *arg) {
  (void)arg;
  CHECK_EQ(write(1, "called", 6), 6);
  return 0;
}

static int pending_does_not_keep(void) { return thrum_timer_start(&timer, THRUM_S(1000), say_called, NULL); }

static intptr_t say_later(void *arg) {
  STORE(open_gate, true);
  CHECK_EQ(thrum_sleep(THRUM_MS(100)), 0);
  return say_called(arg);
}

static int begun_keeps(void) {
  CHECK_EQ(thrum_timer_start(&timer, 0, say_later, NULL), 0);
  AWAIT(LOAD(open_gate));
  return 0;
}

/* ---- fork ------------------------------------------------------------------------------------------------------- */

static int fired_in[2];

static intptr_t note_process(void *arg) {
  ADD(*(int *)arg, 1);
  return 0;
}

static void in_child(thrum_timer *timers) {
  int before = LOAD(fired_in[0]); /* in the parent, where the fork took long */
  for (int i = 0; i < 3; i++) CHECK(!thrum_timer_pending(&timers[i]));
  CHECK_EQ(thrum_sleep(THRUM_MS(60)), 0); /* longer than the parent's have to go; none fires */
  CHECK_EQ(LOAD(fired_in[0]), before);
  STORE(fired_in[0], 0);
  CHECK_EQ(thrum_timer_cancel_wait(&timers[0]), 0);
  CHECK_EQ(thrum_timer_restart(&timers[1], 0), 0);
  CHECK_EQ(thrum_timer_start(&timers[2], THRUM_MS(1), note_process, &fired_in[1]), 0);
  AWAIT(LOAD(fired_in[0]) == 1 && LOAD(fired_in[1]) == 1);
  _exit(0);
}

/* Forks while timers are pending, and one of them runs. */
static intptr_t fork_amid(void *arg) {
  (void)arg;
  static thrum_timer timers[3], running;
  STORE(open_gate, false);
  fired_in[0] = fired_in[1] = 0;
  CHECK_EQ(thrum_timer_start(&running, 0, say_later, NULL), 0);
  AWAIT(LOAD(open_gate));
  for (int i = 0; i < 3; i++)
    CHECK_EQ(thrum_timer_start(&timers[i], THRUM_MS(30), note_process, &fired_in[0]), 0);
  pid_t child = fork();
  if (child == 0) {
    CHECK_EQ(thrum_timer_cancel_wait(&running), 0); /* its thread is not here */
    in_child(timers);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  AWAIT(LOAD(fired_in[0]) == 3);
  CHECK_EQ(thrum_timer_cancel_wait(&running), 0);
  return 0;
}

static int forks(void) {
  run_in_each_kind(fork_amid, NULL);
  return 0;
}

static const struct child_case cases[] = {{"pending-is-hope", pending_is_hope},
                                          {"cancelled-is-none", cancelled_is_none},
                                          {"never-is-none", never_is_none},
                                          {"fired-is-none", fired_is_none},
                                          {"pending-does-not-keep", pending_does_not_keep},
                                          {"begun-keeps", begun_keeps},
                                          {"forks", forks},
                                          {0}};

static void ends(const char *name, int status, const char *out) {
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  CHECK_STR(child.out_text, out);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  ends("pending-does-not-keep", 0, "");
  ends("begun-keeps", 0, "called");
  ends("pending-is-hope", 0, "");
  if (TESTS_TSAN) return 0; /* it has a kernel thread that might wake somebody, and does not like forks */
  ends("cancelled-is-none", THRUM_EXIT_DEADLOCK, "");
  ends("never-is-none", THRUM_EXIT_DEADLOCK, "");
  ends("fired-is-none", THRUM_EXIT_DEADLOCK, "");
  ends("forks", 0, "calledcalledcalledcalled");
  return 0;
}
