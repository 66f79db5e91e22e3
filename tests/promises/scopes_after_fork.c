/* In the child of a fork the scopes that the forking thread has open go on: without threads, usable, cancelled as before. */
#include "scopes.h"

#include <sys/wait.h>

static intptr_t fail_with(void *code) { return -(intptr_t)code; }

/* In the child: spawns into both, cancels the inner one, closes them. */
static int go_on(thrum_scope *outer, thrum_scope *inner, bool shielded) {
  CHECK_EQ(thrum_scope_count(outer), 0);
  CHECK_EQ(thrum_scope_count(inner), 0);
  CHECK_EQ(thrum_scope_deadline(NULL), THRUM_FOREVER);
  CHECK_EQ(thrum_scope_wait_for(inner, THRUM_FOREVER), 0);
  spawn_away(inner, until_cancelled, NULL);
  spawn_away(outer, until_cancelled, NULL);
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  thrum_scope_cancel(outer);
  CHECK_EQ(thrum_sleep(0), shielded ? 0 : -ECANCELED);
  if (shielded) CHECK_EQ(thrum_scope_spawn(inner, NULL, fail_with, (void *)EIO), 0);
  CHECK_EQ(thrum_scope_close(inner), shielded ? -EIO : -ECANCELED);
  CHECK_EQ(thrum_sleep(0), -ECANCELED);
  CHECK_EQ(thrum_scope_close(outer), 0);
  CHECK_EQ(thrum_sleep(0), 0);
  THRUM_SCOPE(s, .timeout = THRUM_MS(1)) CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  return 0;
}

static void fork_within(thrum_scope *outer, thrum_scope *inner, bool shielded) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(go_on(outer, inner, shielded));
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

static intptr_t forks(void *shielded) {
  thrum_scope outer, inner;
  thrum_event gate = {0};
  const thrum_scope_options options = {
      .size = sizeof options, .shield = shielded != NULL, .timeout = THRUM_S(3600)};
  open_plainly(&outer);
  CHECK_EQ(thrum_scope_open(&inner, &options), 0);
  for (int i = 0; i < 5; i++) spawn_away(i % 2 ? &outer : &inner, wait_for_event, &gate);
  fork_within(&outer, &inner, shielded);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_scope_close(&inner), 0);
  CHECK_EQ(thrum_scope_close(&outer), 0);
  return 0;
}

/* The scope of one who is not there: nothing is spawned into it, and who has the records of its threads now is not reached. */
static void try_others(thrum_scope *s) {
  thrum_event gate = {0};
  thrum_thread threads[8], t;
  for (int i = 0; i < 8; i++) threads[i] = must_spawn(wait_for_event, &gate);
  CHECK_EQ(thrum_scope_spawn(s, NULL, return_it, NULL), -EINVAL);
  CHECK_EQ(thrum_scope_spawn(s, &t, return_it, NULL), -EINVAL);
  CHECK_EQ(thrum_scope_spawn_named(s, NULL, return_it, NULL, "late"), -EINVAL);
  thrum_scope_cancel(s);
  CHECK(!thrum_scope_cancelled(s));
  CHECK(!thrum_cancelled());
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  thrum_event_set(&gate);
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(threads[i]), 0);
}

/* A thread of a scope forks: its child belongs to none. */
static intptr_t fork_and_end(void *arg) {
  int status;
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(!thrum_cancelled());
    try_others(arg);
    THRUM_SCOPE(s) spawn_away(&s, return_it, NULL);
    _exit(0);
  }
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  return 0;
}

static intptr_t members_fork(void *arg) {
  int error = 1;
  THRUM_SCOPE(s, .status = &error) {
    for (int i = 0; i < 3; i++) spawn_away(&s, fork_and_end, &s);
  }
  CHECK_EQ(error, 0);
  return (intptr_t)arg;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer starts no threads in the child of a fork");
  for (int i = 0; i < 5; i++) {
    run_in_each_kind(forks, NULL);
    run_in_each_kind(forks, (void *)1);
    run_in_each_kind(members_fork, NULL);
  }
  return 0;
}
