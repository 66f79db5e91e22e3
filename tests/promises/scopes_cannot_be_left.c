/* A block with a scope is not left while a thread of it runs: at its end, by break, continue, return, goto, thrum_exit from far
 * below. */
#include "../child.h"
#include "scopes.h"

enum { END, BREAK, CONTINUE, RETURN, GOTO, EXIT, WAYS };

static bool ended;

static intptr_t end_late(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  STORE(ended, true);
  return (intptr_t)arg;
}

/* An exit does not wait for who runs on: it cancels. */
static intptr_t end_when_cancelled(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  STORE(ended, true);
  return (intptr_t)arg;
}

static int compare_and_exit(const void *a, const void *b) {
  (void)a, (void)b;
  thrum_exit(0);
}

/* Through frames of libc's. */
static void exit_from_below(void) {
  int two[2] = {2, 1};
  qsort(two, 2, sizeof *two, compare_and_exit);
}

static intptr_t leave_by(int way) {
  for (int i = 0; i < 1; i++) {
    THRUM_SCOPE(s) {
      spawn_away(&s, way == EXIT ? end_when_cancelled : end_late, NULL);
      if (way == BREAK) break;
      if (way == CONTINUE) continue;
      if (way == RETURN) return way;
      if (way == GOTO) goto out;
      if (way == EXIT) THRUM_SCOPE(inner, .status = &way) exit_from_below();
    }
    CHECK(LOAD(ended)); /* break and continue leave the block, not the loop */
  }
  return way;
out:
  CHECK(LOAD(ended));
  return way;
}

static intptr_t leave(void *way) {
  leave_by((int)(intptr_t)way);
  return 0;
}

static intptr_t each_way(void *arg) {
  for (int way = 0; way < EXIT; way++) {
    STORE(ended, false);
    CHECK_EQ(leave_by(way), way);
    CHECK(LOAD(ended));
    CHECK_EQ(thrum_sleep(0), 0);
  }
  return (intptr_t)arg;
}

static void exits(thrum_thread (*spawn)(thrum_fn *, void *)) {
  STORE(ended, false);
  CHECK_EQ(must_join(spawn(leave, (void *)EXIT)), 0);
  CHECK(LOAD(ended));
}

static int after_block(void) {
  int error = 1;
  THRUM_SCOPE(s, .status = &error) spawn_away(&s, return_it, (void *)-EIO);
  return error;
}

static intptr_t a_statement_is_a_block(void *arg) {
  CHECK_EQ(after_block(), -EIO);
  return (intptr_t)arg;
}

/* ---- While it is closed it waits also for what cannot be cancelled, and says after a second whom it waits for ----------- */

static thrum_event gate;

/* The parent has read what there is to read. */
static intptr_t open_gate_when_told(void *arg) {
  char byte;
  CHECK_EQ(thrum_read(0, &byte, 1), 1);
  thrum_event_set(&gate);
  return (intptr_t)arg;
}

static int runs_on(void) {
  thrum_scope s;
  thrum_thread obedient;
  must_spawn(open_gate_when_told, NULL);
  open_plainly(&s);
  CHECK_EQ(thrum_scope_spawn_named(&s, NULL, wait_for_event, &gate, "stubborn"), 0);
  CHECK_EQ(thrum_scope_spawn_named(&s, &obedient, until_cancelled, NULL, "obedient"), 0);
  CHECK_EQ(thrum_scope_spawn_named(&s, NULL, wait_for_event, &gate, "deaf"), 0);
  thrum_scope_cancel(&s);
  THRUM_SHIELD(0) AWAIT(!thrum_is_alive(obedient)); /* however slow the machine is */
  CHECK_EQ(thrum_scope_close(&s), 0);
  return 42;
}

/* More than are named. */
static int many_run_on(void) {
  thrum_scope s;
  must_spawn(open_gate_when_told, NULL);
  open_plainly(&s);
  for (int i = 0; i < 11; i++)
    CHECK_EQ(thrum_scope_spawn_named(&s, NULL, wait_for_event, &gate, "deaf-%d", i), 0);
  thrum_scope_cancel(&s);
  CHECK_EQ(thrum_scope_close(&s), 0);
  return 42;
}

static intptr_t sleep_long(void *arg) { return thrum_sleep(THRUM_MS(1300)) + (intptr_t)arg; }

/* Nobody was cancelled. */
static int takes_long(void) {
  THRUM_SCOPE(s) spawn_away(&s, sleep_long, NULL);
  return 42;
}

static const struct child_case cases[] = {
    {"runs-on", runs_on}, {"many-run-on", many_run_on}, {"takes-long", takes_long}, {0}};

static void names_who_runs_on(void) {
  static const char stubborn[] =
      "thrum: stubborn was cancelled a second ago and runs on: MainThread waits for it\n";
  static const char deaf[] = "thrum: deaf was cancelled a second ago and runs on: MainThread waits for it\n";
  struct child child = child_start("runs-on", NULL), quiet = child_start("takes-long", NULL);
  child_await(&child, stubborn);
  child_await(&child, deaf);
  child_say(&child, "!");
  child_finish(&child);
  CHECK_STATUS(child, 42);
  CHECK_EQ(child.err_size, strlen(stubborn) + strlen(deaf)); /* once each, and nobody else */
  child_finish(&quiet);
  CHECK_STATUS(quiet, 42);
  CHECK_STR(quiet.err_text, "");
  child_free(&child);
  child_free(&quiet);
}

static void says_how_many_more(void) {
  struct child child = child_start("many-run-on", NULL);
  child_await(&child, "and 3 more threads of that scope: MainThread waits for them\n");
  child_say(&child, "!");
  child_finish(&child);
  CHECK_STATUS(child, 42);
  int lines = 0;
  for (const char *at = child.err_text; (at = strchr(at, '\n')); at++) lines++;
  CHECK_EQ(lines, 9);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  names_who_runs_on();
  says_how_many_more();
  run_in_each_kind(each_way, NULL);
  run_in_each_kind(a_statement_is_a_block, NULL);
  exits(must_spawn);
  exits(must_spawn_bound);
  return 0;
}
