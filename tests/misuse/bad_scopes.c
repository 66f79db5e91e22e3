/* Scopes used wrongly: the documented error, or an end that names the thread. */
#include "../child.h"
#include "../support.h"

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

/* ---- What has an error to return -------------------------------------------------------------------------------------- */

static void bad_options(void) {
  const thrum_scope_options bad[] = {
      {.size = 0},
      {.size = sizeof(thrum_scope_options) + 1},
      {.size = sizeof(thrum_scope_options), .restart = -1},
      {.size = sizeof(thrum_scope_options), .restart = 3},
      {.size = sizeof(thrum_scope_options), .restart_max = -1},
      {.size = sizeof(thrum_scope_options), .restart_period = -1},
      {.size = sizeof(thrum_scope_options), .thrumi = 1},
  };
  thrum_scope s;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_EQ(thrum_scope_open(&s, &bad[i]), -EINVAL);
  CHECK_EQ(thrum_scope_open(NULL, NULL), -EINVAL);
}

static void bad_spawns(void) {
  thrum_thread t = {42};
  thrum_scope s = {{0}};
  CHECK_EQ(thrum_scope_spawn(&s, &t, nothing, NULL), -EINVAL); /* never opened */
  CHECK_EQ(thrum_scope_open(&s, NULL), 0);
  CHECK_EQ(thrum_scope_spawn(&s, &t, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_scope_spawn(NULL, &t, nothing, NULL), -EINVAL);
  CHECK_EQ(thrum_scope_spawn_named(NULL, &t, nothing, NULL, "x"), -EINVAL);
  CHECK_EQ(thrum_scope_spawn_copy(NULL, &t, nothing, NULL, 0), -EINVAL);
  CHECK_EQ(thrum_scope_spawn_copy(&s, &t, nothing, NULL, 1), -EINVAL);
  thrum_scope_cancel(&s);
  thrum_options options = THRUM_OPTIONS_INIT;
  options.scope = &s;
  options.bound = true;
  options.name = "never";
  CHECK_EQ(thrum_scope_spawn(&s, &t, nothing, NULL), -ECANCELED);
  CHECK_EQ(thrum_scope_spawn_named(&s, &t, nothing, NULL, "x%d", 1), -ECANCELED);
  CHECK_EQ(thrum_scope_spawn_copy(&s, &t, nothing, "x", 2), -ECANCELED);
  CHECK_EQ(thrum_spawn_with(&t, &options, nothing, NULL), -ECANCELED);
  options.stack_size = THRUM_STACK_MIN;
  options.bound = false;
  CHECK_EQ(thrum_spawn_with(&t, &options, nothing, NULL), -ECANCELED);
  CHECK_EQ(t.value, 42);
  CHECK_EQ(thrum_scope_count(&s), 0);
  CHECK_EQ(thrum_scope_close(&s), 0);
  CHECK_EQ(thrum_scope_spawn(&s, &t, nothing, NULL), -EINVAL); /* closed */
}

static intptr_t close_from_within(void *scope) {
  CHECK_EQ(thrum_scope_close((thrum_scope *)scope), -EPERM);
  CHECK_EQ(thrum_scope_wait_for((thrum_scope *)scope, 0), -EPERM);
  return 0;
}

static void not_the_opener(void) {
  thrum_scope s = {{0}};
  CHECK_EQ(thrum_scope_close(&s), -EPERM);
  CHECK_EQ(thrum_scope_open(&s, NULL), 0);
  CHECK_EQ(thrum_scope_spawn(&s, NULL, close_from_within, &s), 0);
  CHECK_EQ(run_outside(close_from_within, &s), 0);
  CHECK_EQ(thrum_scope_close(&s), 0);
  CHECK_EQ(thrum_scope_close(&s), -EPERM);
  CHECK_EQ(thrum_scope_wait_for(&s, 0), -EPERM);
  thrum_scope_cancel(&s); /* closed: nothing */
  thrum_scope_set_deadline(&s, 1);
  CHECK_EQ(thrum_scope_fail(&s, EIO, "x"), -EIO);
}

static void stale_handles(void) {
  const thrum_thread none = {0}, strange = {UINT64_MAX};
  CHECK_EQ(thrum_cancel(none), -ESRCH);
  CHECK_EQ(thrum_cancel(strange), -ESRCH);
  for (int i = 0; i < 200; i++) {
    thrum_thread t = must_spawn(nothing, NULL);
    CHECK_EQ(thrum_wait(t), 0);
    CHECK_EQ(thrum_cancel(t), 0); /* ended, not joined */
    CHECK_EQ(must_join(t), 0);
    CHECK_EQ(thrum_cancel(t), -ESRCH);
    thrum_thread other = must_spawn(nothing, NULL); /* on the same record, most likely */
    CHECK_EQ(thrum_cancel(t), -ESRCH);
    CHECK_EQ(must_join(other), 0);
  }
}

/* A handle that goes stale at that moment: whoever has the record then is not cancelled. */
static intptr_t is_not_cancelled(void *arg) {
  for (int i = 0; i < 20; i++) {
    CHECK(!thrum_cancelled());
    thrum_yield();
  }
  return (intptr_t)arg;
}

static intptr_t cancel_soon(void *t) {
  int error = thrum_cancel(*(thrum_thread *)t);
  CHECK(error == 0 || error == -ESRCH);
  return 0;
}

static void going_stale(void) {
  for (int i = 0; i < (TESTS_SANITIZED ? 300 : 2000); i++) {
    thrum_thread t = must_spawn(nothing, NULL), canceller = must_spawn(cancel_soon, &t);
    CHECK_EQ(must_join(t), 0);
    CHECK_EQ(must_join(must_spawn(is_not_cancelled, NULL)), 0);
    CHECK_EQ(must_join(canceller), 0);
  }
}

/* ---- What has not ----------------------------------------------------------------------------------------------------- */

static int with_culprit(thrum_fn *fn) {
  thrum_thread t;
  CHECK_EQ(thrum_spawn_named(&t, fn, NULL, "the-culprit"), 0);
  return thrum_join(t, NULL);
}

static intptr_t leave_open(void *arg) {
  static thrum_scope s;
  CHECK_EQ(thrum_scope_open(&s, NULL), 0);
  return (intptr_t)arg;
}

static intptr_t leave_handler(void *arg) {
  static thrum_cleanup c;
  thrum_cleanup_push(&c, free, NULL);
  return (intptr_t)arg;
}

static intptr_t close_outer_first(void *arg) {
  thrum_scope outer, inner;
  CHECK_EQ(thrum_scope_open(&outer, NULL), 0);
  CHECK_EQ(thrum_scope_open(&inner, NULL), 0);
  return thrum_scope_close(&outer) + (intptr_t)arg;
}

static intptr_t pop_wrong_one(void *arg) {
  thrum_cleanup a, b;
  thrum_cleanup_push(&a, free, NULL);
  thrum_cleanup_push(&b, free, NULL);
  thrum_cleanup_pop(&a, false);
  return (intptr_t)arg;
}

static intptr_t close_block(void *arg) {
  THRUM_SCOPE(s) CHECK_EQ(thrum_scope_close(&s), 0);
  return (intptr_t)arg;
}

static intptr_t bad_block(void *arg) {
  THRUM_SCOPE(s, .restart = 9) return 1;
  return (intptr_t)arg;
}

static void *leave_open_outside(void *arg) {
  CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0);
  return (void *)leave_open(arg);
}

static int left_open(void) { return with_culprit(leave_open); }
static int left_handler(void) { return with_culprit(leave_handler); }
static int outer_first(void) { return with_culprit(close_outer_first); }
static int wrong_one(void) { return with_culprit(pop_wrong_one); }
static int block_closed(void) { return with_culprit(close_block); }
static int bad_options_of_block(void) { return with_culprit(bad_block); }
static int left_open_outside(void) {
  pthread_t t;
  CHECK_EQ(pthread_create(&t, NULL, leave_open_outside, NULL), 0);
  return pthread_join(t, NULL);
}

/* Who does not hear of its cancellation is named, once, and waited for. The parent says when it has been named. */
static bool told_to_go_on(void) {
  struct pollfd told = {.fd = 0, .events = POLLIN};
  return poll(&told, 1, 0) == 1;
}

static intptr_t hear_nothing(void *end) {
  for (int64_t until = *(int64_t *)end; wall_now() < until || !told_to_go_on();) thrum_yield();
  return 0;
}

static int deaf(void) {
  int64_t end = wall_now() + THRUM_MS(2500);
  int error = 1;
  THRUM_SCOPE(s, .status = &error) {
    CHECK_EQ(thrum_scope_spawn_named(&s, NULL, hear_nothing, &end, "the-culprit"), 0);
    thrum_scope_cancel(&s);
  }
  return error;
}

/* The same while all of its threads stop to begin again. */
static intptr_t hear_restart(void *end) {
  AWAIT(thrum_cancelled());
  return hear_nothing(end);
}

static intptr_t fail_once(void *arg) {
  (void)arg;
  return -EIO;
}

static intptr_t cancel_later(void *s) {
  CHECK_EQ(thrum_sleep(THRUM_MS(50)), 0); /* the opener waits by then, most likely */
  thrum_scope_cancel((thrum_scope *)s);
  return 0;
}

static int deaf_in_restart(void) {
  int64_t end = wall_now() + THRUM_MS(2500);
  int error = 1;
  thrum_thread canceller;
  THRUM_SCOPE(s, .status = &error, .restart = THRUM_RESTART_ALL) {
    CHECK_EQ(thrum_scope_spawn_named(&s, NULL, hear_restart, &end, "the-culprit"), 0);
    CHECK_EQ(thrum_scope_spawn(&s, NULL, fail_once, NULL), 0);
    canceller = must_spawn(cancel_later, &s);
  }
  must_join(canceller);
  return error == -EIO ? 0 : 1;
}

/* ---- The end of the program ------------------------------------------------------------------------------------------- */

static void name_main(void) { CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0); }

static int main_left_open(void) {
  thrum_scope s;
  name_main();
  return thrum_scope_open(&s, NULL);
}

/* One among little else can lie where frames of libc's are then. */
static int main_left_handler(void) {
  thrum_cleanup c[32];
  name_main();
  thrum_cleanup_push(c, free, NULL);
  return 0;
}

static int exit_within(void) {
  thrum_cleanup c;
  thrum_cleanup_push(&c, free, NULL);
  THRUM_SCOPE(s) exit(0);
  return 1;
}

static intptr_t end_late(void *ms) {
  THRUM_SHIELD(0) CHECK_EQ(thrum_sleep(THRUM_MS((intptr_t)ms)), 0);
  return 0;
}

static int cancelled_main(void) {
  CHECK_EQ(thrum_spawn_named(NULL, end_late, (void *)1500, "the-culprit"), 0);
  CHECK_EQ(thrum_cancel(thrum_current()), 0);
  return 0;
}

static intptr_t keep_handler(void *arg) {
  thrum_cleanup c;
  THRUM_SCOPE(s) thrum_cleanup_push(&c, free, NULL);
  return (intptr_t)arg;
}

static int kept_handler(void) { return with_culprit(keep_handler); }

static const struct child_case cases[] = {{"left-open", left_open},
                                          {"left-handler", left_handler},
                                          {"outer-first", outer_first},
                                          {"wrong-one", wrong_one},
                                          {"block-closed", block_closed},
                                          {"bad-options", bad_options_of_block},
                                          {"left-open-outside", left_open_outside},
                                          {"deaf", deaf},
                                          {"deaf-in-restart", deaf_in_restart},
                                          {"main-left-open", main_left_open},
                                          {"main-left-handler", main_left_handler},
                                          {"exit-within", exit_within},
                                          {"cancelled-main", cancelled_main},
                                          {"kept-handler", kept_handler},
                                          {0}};

static void ends_badly(const char *name, const char *what) {
  struct child child = child_run(name);
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "the-culprit");
  CHECK_HAS(child.err_text, what);
  child_free(&child);
}

static void names_who_runs_on(const char *name) {
  struct child child = child_start(name, NULL);
  child_await(&child, "the-culprit");
  child_say(&child, "\n");
  child_finish(&child);
  CHECK_STATUS(child, 0);
  const char *said = strstr(child.err_text, "the-culprit");
  CHECK(said);
  CHECK(!strstr(said + 1, "the-culprit"));
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  ends_badly("left-open", "scope open");
  ends_badly("left-open-outside", "scope open");
  ends_badly("left-handler", "clean-up handler left");
  ends_badly("outer-first", "opened later");
  ends_badly("wrong-one", "not the last one");
  ends_badly("block-closed", "has closed");
  ends_badly("bad-options", "cannot be right");
  ends_badly("main-left-open", "scope open");
  ends_badly("main-left-handler", "clean-up handler left");
  ends_badly("kept-handler", "handler left in it");
  names_who_runs_on("deaf");
  names_who_runs_on("deaf-in-restart");
  names_who_runs_on("cancelled-main");
  struct child child = child_run("exit-within");
  CHECK_STATUS(child, 0);
  child_free(&child);
  bad_options();
  bad_spawns();
  not_the_opener();
  stale_handles();
  going_stale();
  return 0;
}
