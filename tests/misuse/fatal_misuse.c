/* What has no error to return aborts, and names the thread: a kernel thread killed under a light thread, and
 * thrum_exit where nothing was started by thrum. */
#include "../child.h"
#include "../support.h"

static intptr_t kill_carrier(void *arg) {
  (void)arg;
  pthread_exit(NULL);
}

static intptr_t kill_carrier_later(void *arg) {
  thrum_yield();
  CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return kill_carrier(arg);
}

static int spawn_culprit(thrum_fn *fn, bool bound) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = "the-culprit";
  options.bound = bound;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, fn, NULL), 0);
  return thrum_join(t, NULL);
}

static int carrier_killed(void) { return spawn_culprit(kill_carrier, false); }
static int carrier_killed_later(void) { return spawn_culprit(kill_carrier_later, false); }
static int bound_killed(void) { return spawn_culprit(kill_carrier, true); }

static intptr_t exit_outside(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0);
  thrum_exit(0);
}

static int foreign_exit(void) {
  thrum_yield();
  return (int)run_outside(exit_outside, NULL);
}

static void tell(const char *message) {
  static const char head[] = "hook: ";
  if (write(2, head, sizeof head - 1) < 0 || write(2, message, strlen(message)) < 0) _exit(9);
}

static int hook(void) {
  CHECK(thrum_on_fatal(tell) == NULL);
  return carrier_killed();
}

static const struct child_case cases[] = {{"carrier-killed", carrier_killed},
                                          {"carrier-killed-later", carrier_killed_later},
                                          {"bound-killed", bound_killed},
                                          {"foreign-exit", foreign_exit},
                                          {"hook", hook},
                                          {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; cases[i].name; i++) {
    if (TESTS_SANITIZED && cases[i].main != foreign_exit)
      continue; /* pthread_exit leaves a stack behind their back */
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
    CHECK_HAS(child.err_text, "the-culprit");
    if (cases[i].main == hook) CHECK_HAS(child.err_text, "hook: ");
    child_free(&child);
  }
  return 0;
}
