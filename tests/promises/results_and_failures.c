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

/* The default prints one line that names the thread and what happened. */
static int default_hook(void) {
  CHECK_EQ(thrum_spawn_named(NULL, fail_with_sentence, (void *)ENOENT, "lonely"), 0);
  AWAIT(thrum_active_count() == 1);
  return 0;
}

static const struct child_case cases[] = {{"default-hook", default_hook}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run("default-hook");
  CHECK_STATUS(child, 0);
  CHECK_HAS(child.err_text, "lonely");
  CHECK_HAS(child.err_text, "no such table: users");
  CHECK_EQ(strcspn(child.err_text, "\n") + 1, child.err_size);
  child_free(&child);
  values();
  run_in_each_kind(sentences, NULL);
  uncaught();
  return 0;
}
