/* What has no error to return aborts, and names the thread: a kernel thread killed under a light thread, and
 * thrum_exit where nothing was started by thrum, and in a piece of a parallel loop. */
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

/* A barrier that was not told how many threads it is for, and blocks that have not got what they release. */
static intptr_t use_zero_barrier(void *arg) {
  static thrum_barrier zero;
  return (void)arg, thrum_barrier_wait(&zero);
}

static intptr_t use_negative_barrier(void *arg) {
  thrum_barrier negative = THRUM_BARRIER_INIT(-1);
  thrum_barrier_abort(&negative);
  return (intptr_t)arg;
}

static thrum_rwlock rwlock;

static intptr_t leave_write_block(void *arg) {
  THRUM_WRITE_LOCKED(&rwlock) { CHECK_EQ(thrum_rwlock_downgrade(&rwlock), 0); }
  return (intptr_t)arg;
}

static intptr_t leave_read_block(void *arg) {
  THRUM_READ_LOCKED(&rwlock) { CHECK_EQ(thrum_rwlock_release_read(&rwlock), 0); }
  return (intptr_t)arg;
}

static int zero_barrier(void) { return spawn_culprit(use_zero_barrier, false); }
static int negative_barrier(void) { return spawn_culprit(use_negative_barrier, false); }
static int write_block(void) { return spawn_culprit(leave_write_block, false); }
static int read_block(void) { return spawn_culprit(leave_read_block, true); }

/* In the first piece that anybody has, most often the caller, or in the first one of a helper's. */
static int exit_piece(size_t begin, size_t end, void *by_helper) {
  (void)end;
  if (by_helper && begin == 0)
    for (;;) thrum_yield(); /* so that a helper has the rest */
  CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0);
  thrum_exit(0);
}

static intptr_t exit_in_loop(void *by_helper) { return thrum_parallel_for(0, 10, exit_piece, by_helper); }

static int piece_exit(void) { return spawn_culprit(exit_in_loop, false); }
static int helper_exit(void) {
  CHECK_EQ(thrum_set_workers(2), 0);
  return (int)exit_in_loop(&(int){1});
}

static bool is_of_pthreads(int (*fn)(void)) {
  return fn != foreign_exit && fn != zero_barrier && fn != negative_barrier && fn != write_block &&
         fn != read_block && fn != piece_exit && fn != helper_exit;
}

static const struct child_case cases[] = {{"carrier-killed", carrier_killed},
                                          {"carrier-killed-later", carrier_killed_later},
                                          {"bound-killed", bound_killed},
                                          {"foreign-exit", foreign_exit},
                                          {"hook", hook},
                                          {"zero-barrier", zero_barrier},
                                          {"negative-barrier", negative_barrier},
                                          {"write-block", write_block},
                                          {"read-block", read_block},
                                          {"piece-exit", piece_exit},
                                          {"helper-exit", helper_exit},
                                          {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; cases[i].name; i++) {
    if (TESTS_SANITIZED && is_of_pthreads(cases[i].main))
      continue; /* pthread_exit leaves a stack behind their back */
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
    CHECK_HAS(child.err_text, "the-culprit");
    if (cases[i].main == hook) CHECK_HAS(child.err_text, "hook: ");
    child_free(&child);
  }
  return 0;
}
