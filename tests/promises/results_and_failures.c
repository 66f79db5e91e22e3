/* Results: anything but [-4095, -1] is a success, pointers too; a failure may carry a sentence, and one that
 * nobody can read goes to the uncaught hook. */
#include "../child.h"
#include "../support.h"

static intptr_t give(void *arg) { return (intptr_t)arg; }

static intptr_t fail_with_sentence(void *arg) {
  return thrum_fail((int)(intptr_t)arg, "no such table: %s", "users");
}

static intptr_t fail_in_the_depth(void *arg) {
  (void)arg;
  thrum_exit(thrum_fail(EIO, "disk %d", 3));
}

static void values(void) {
  static const intptr_t successes[] = {0, 1, -4096, -1000000, INTPTR_MAX, INTPTR_MIN};
  for (size_t i = 0; i < sizeof successes / sizeof *successes; i++) {
    CHECK(!thrum_failed(successes[i]));
    CHECK_EQ(must_join(must_spawn(give, (void *)successes[i])), successes[i]);
    CHECK_STR(thrum_failure(), "");
  }
  static const intptr_t failures[] = {-1, -ENOENT, -4095};
  for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
    CHECK(thrum_failed(failures[i]));
    CHECK_EQ(must_join(must_spawn(give, (void *)failures[i])), failures[i]);
    CHECK_STR(thrum_failure(), "");
  }
  CHECK_EQ(thrum_join(must_spawn(give, NULL), NULL), 0);
}

/* The sentence is that of the last thread which the caller joined. */
static intptr_t sentences(void *arg) {
  (void)arg;
  CHECK_EQ(must_join(must_spawn(fail_with_sentence, (void *)ENOENT)), -ENOENT);
  CHECK_STR(thrum_failure(), "no such table: users");
  CHECK_EQ(must_join(must_spawn(fail_in_the_depth, NULL)), -EIO);
  CHECK_STR(thrum_failure(), "disk 3");
  CHECK_EQ(must_join(must_spawn(fail_with_sentence, (void *)-ENOENT)), -ENOENT);
  CHECK_EQ(must_join(must_spawn(fail_with_sentence, (void *)0)), -EINVAL);
  CHECK_EQ(must_join(must_spawn(fail_with_sentence, (void *)5000)), -EINVAL);
  CHECK_STR(thrum_failure(), "no such table: users");
  CHECK_EQ(must_join(must_spawn(give, (void *)1)), 1);
  CHECK_STR(thrum_failure(), "");
  return 0;
}

static thrum_thread heard_from;
static intptr_t heard;
static char heard_text[100];
static int times_heard;

static void hear(thrum_thread t, intptr_t failure, const char *sentence) {
  heard_from = t;
  heard = failure;
  CHECK(thrum_same(t, thrum_current())); /* in the dying thread, which is still alive */
  CHECK(thrum_is_alive(t));
  snprintf(heard_text, sizeof heard_text, "%s", sentence ? sentence : "");
  ADD(times_heard, 1);
}

static intptr_t detach_and_fail(void *arg) {
  CHECK_EQ(thrum_detach(thrum_current()), 0);
  return fail_with_sentence(arg);
}

static void uncaught(void) {
  CHECK(thrum_on_uncaught(hear) == NULL);
  CHECK_EQ(thrum_spawn(NULL, fail_with_sentence, (void *)EACCES), 0);
  AWAIT(LOAD(times_heard) == 1);
  CHECK_EQ(heard, -EACCES);
  CHECK_STR(heard_text, "no such table: users");
  thrum_thread t = must_spawn(detach_and_fail, (void *)EPERM);
  AWAIT(LOAD(times_heard) == 2);
  CHECK_EQ(heard, -EPERM);
  CHECK(thrum_same(heard_from, t));
  CHECK_EQ(thrum_spawn(NULL, give, (void *)1), 0);
  CHECK_EQ(must_join(must_spawn(give, (void *)-EPERM)), -EPERM);
  AWAIT(thrum_active_count() == 1);
  CHECK_EQ(LOAD(times_heard), 2); /* neither successes nor failures that were read */
  CHECK(thrum_on_uncaught(NULL) == hear);
}

/* ---- Threads that had failed before anybody gave them up --------------------------------------------------------- */

static void hear_late(thrum_thread t, intptr_t failure, const char *sentence) {
  char name[THRUM_NAME_MAX];
  CHECK(!thrum_is_alive(t));
  CHECK(thrum_name(t, name, sizeof name) > 0);
  CHECK_STR(name, "early");
  CHECK_EQ(failure, -ENOENT);
  CHECK_STR(sentence, "no such table: users");
  heard_from = t;
  ADD(times_heard, 1);
}

static thrum_thread spawn_early(void) {
  thrum_thread t;
  CHECK_EQ(thrum_spawn_named(&t, fail_with_sentence, (void *)ENOENT, "early"), 0);
  return t;
}

/* Who gives the handle back tells the hook, with a handle that still says whose failure it was. */
static intptr_t detached_late(void *arg) {
  int before = LOAD(times_heard);
  thrum_thread t = spawn_early();
  CHECK_EQ(thrum_wait(t), 0);
  CHECK_EQ(LOAD(times_heard), before); /* it may still be joined */
  CHECK_EQ(thrum_detach(t), 0);
  CHECK_EQ(LOAD(times_heard), before + 1);
  CHECK(thrum_same(heard_from, t));
  CHECK_EQ(thrum_detach(t), -ESRCH);
  t = must_spawn(give, (void *)7);
  CHECK_EQ(thrum_wait(t), 0);
  CHECK_EQ(thrum_detach(t), 0);
  CHECK_EQ(LOAD(times_heard), before + 1);
  return (intptr_t)arg;
}

static int raced;
static void count_raced(thrum_thread t, intptr_t failure, const char *sentence) {
  CHECK(t.value && failure == -ENOENT && *sentence);
  ADD(raced, 1);
}

/* A detach that comes as the thread fails: whoever of the two is the second one tells, and nobody else. */
static void detached_meanwhile(void) {
  enum { RACES = 2000 };
  thrum_uncaught_fn *former = thrum_on_uncaught(count_raced);
  for (int i = 0; i < RACES; i++) {
    thrum_thread t = spawn_early();
    for (int turn = 0; turn < i % 4; turn++) thrum_yield();
    CHECK_EQ(thrum_detach(t), 0);
  }
  AWAIT(LOAD(raced) == RACES && thrum_active_count() == 1);
  CHECK_EQ(LOAD(raced), RACES);
  thrum_on_uncaught(former);
}

/* ---- At the program's end ---------------------------------------------------------------------------------------- */

/* Whoever is not joined by then is never read: the one that has failed is told of, once. */
static int never_joined(void) {
  spawn_early();
  must_spawn(give, (void *)1);
  CHECK_EQ(must_join(must_spawn(fail_with_sentence, (void *)EIO)), -EIO);
  return 0;
}

static int never_joined_badly(void) {
  CHECK_EQ(thrum_wait(spawn_early()), 0);
  return 3;
}

/* A failure that has been told of, and one of a scope's, which the scope returned, are not told of again. */
static int told_before(void) {
  thrum_on_uncaught(hear_late);
  CHECK_EQ(detached_late(NULL), 0);
  int status = 0;
  THRUM_SCOPE(s, .status = &status) {
    CHECK_EQ(thrum_scope_spawn(&s, &heard_from, fail_with_sentence, (void *)EIO), 0);
  }
  CHECK_EQ(status, -EIO);
  thrum_on_uncaught(NULL);
  return 0;
}

/* A child of a fork has not heard of its parent's failures, which are the parent's to read. */
static int forked(void) {
  thrum_thread t = spawn_early();
  CHECK_EQ(thrum_wait(t), 0);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) return 0;
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(must_join(t), -ENOENT);
  return 0;
}

/* Beside what sanitizers may have to say. */
static void says(const char *name, int status, int times) {
  const char *line = "thrum: thread early failed: No such file or directory: no such table: users\n";
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  int found = 0, failures = 0;
  for (const char *at = child.err_text; (at = strstr(at, line)); at++) found++;
  for (const char *at = child.err_text; (at = strstr(at, " failed")); at++) failures++;
  CHECK_EQ(found, times);
  CHECK_EQ(failures, times);
  child_free(&child);
}

static void at_the_end(void) {
  says("never-joined", 0, 1);
  says("never-joined-badly", 3, 1);
  says("told-before", 0, 0);
  if (!TESTS_TSAN) says("forked", 0, 0);
}

/* The default prints one line that names the thread and what happened. */
static int default_hook(void) {
  CHECK_EQ(thrum_spawn_named(NULL, fail_with_sentence, (void *)ENOENT, "lonely"), 0);
  AWAIT(thrum_active_count() == 1);
  return 0;
}

static const struct child_case cases[] = {{"default-hook", default_hook},
                                          {"never-joined", never_joined},
                                          {"never-joined-badly", never_joined_badly},
                                          {"told-before", told_before},
                                          {"forked", forked},
                                          {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run("default-hook");
  CHECK_STATUS(child, 0);
  CHECK_HAS(child.err_text, "lonely");
  CHECK_HAS(child.err_text, "no such table: users");
  CHECK_EQ(strcspn(child.err_text, "\n") + 1, child.err_size);
  child_free(&child);
  at_the_end();
  values();
  run_in_each_kind(sentences, NULL);
  uncaught();
  thrum_on_uncaught(hear_late);
  run_in_each_kind(detached_late, NULL);
  thrum_on_uncaught(NULL);
  detached_meanwhile();
  return 0;
}
