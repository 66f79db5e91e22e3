/* A gil that is handed over or released by who does not hold it, or taken by who holds it: -EPERM, or an abort that names the
 * thread and the gil. */
#include "../child.h"
#include "../support.h"

static thrum_gil gil;

static intptr_t release_only(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_gil_release(&gil), -EPERM);
  return 0;
}

static int culprit(void) { return thrum_set_name(thrum_current(), "the-culprit"); }

static int taken_twice(void) {
  culprit();
  thrum_gil_acquire(&gil);
  thrum_gil_acquire(&gil);
  return 0;
}

static int timed_twice(void) {
  culprit();
  thrum_gil_acquire(&gil);
  return thrum_gil_acquire_for(&gil, THRUM_MS(1));
}

static int locked_and_released(void) {
  culprit();
  THRUM_GIL_LOCKED(&gil) thrum_gil_release(&gil);
  return 0;
}

static int unlocked_unheld(void) {
  culprit();
  THRUM_GIL_UNLOCKED(&gil) return 0;
  return 0;
}

static intptr_t hold_without_check(void *unused) {
  (void)unused;
  THRUM_GIL_LOCKED(&gil) for (;;) thrum_sleep(THRUM_MS(1));
  return 0;
}

static intptr_t wait_for_it(void *unused) {
  (void)unused;
  thrum_gil_acquire(&gil);
  return 0;
}

static int checked_unheld(void) {
  culprit();
  must_spawn(hold_without_check, NULL);
  AWAIT(thrum_gil_held(&gil));
  must_spawn(wait_for_it, NULL);
  for (;;) { /* noticed once the holder is asked */
    thrum_gil_check(&gil);
    thrum_sleep(THRUM_MS(1));
  }
}

static const struct child_case cases[] = {{"taken-twice", taken_twice},
                                          {"timed-twice", timed_twice},
                                          {"locked-and-released", locked_and_released},
                                          {"unlocked-unheld", unlocked_unheld},
                                          {"checked-unheld", checked_unheld},
                                          {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; cases[i].name; i++) {
    struct child child = child_run(cases[i].name);
    CHECK_EQ(child.status, CHILD_SIGNALLED + SIGABRT);
    CHECK_HAS(child.err_text, "the-culprit");
    CHECK_HAS(child.err_text, " gil gil, ");
    child_free(&child);
  }
  run_in_each_kind(release_only, NULL);
  thrum_gil_acquire(&gil);
  CHECK_EQ(thrum_gil_try_acquire(&gil), -EAGAIN);
  CHECK_EQ(must_join(must_spawn(release_only, NULL)), 0);
  CHECK_EQ(run_outside(release_only, NULL), 0);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  CHECK_EQ(thrum_gil_release(&gil), -EPERM);
  return 0;
}
