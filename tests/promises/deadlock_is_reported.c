/* Promise 6: when nothing can ever run again every thread is printed, and the program ends with status 86. */
#include "../child.h"
#include "../dumped.h"
#include "../support.h"

static thrum_thread threads[8];
static bool ready;

/* Each waits for the next one. */
static intptr_t wait_for_next(void *arg) {
  int i = (int)(intptr_t)arg;
  AWAIT(LOAD(ready));
  int error = thrum_wait(threads[(i + 1) % 3]);
  STORE(ready, false); /* or the call would take this frame's place */
  return error;
}

static void start_circle(bool bound) {
  thrum_options options = THRUM_OPTIONS_INIT;
  char name[32];
  options.bound = bound;
  options.name = name;
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "circle-%d", i);
    CHECK_EQ(thrum_spawn_with(&threads[i], &options, wait_for_next, (void *)(intptr_t)i), 0);
  }
  STORE(ready, true);
}

static int main_joins_the_circle(void) {
  start_circle(false);
  return thrum_join(threads[0], NULL);
}

static int bound_circle(void) {
  start_circle(true);
  return thrum_join(threads[0], NULL);
}

static int main_returned(void) {
  start_circle(false);
  return 0;
}

static int main_has_ended(void) {
  start_circle(false);
  thrum_exit(0);
}

static intptr_t wait_for_main(void *arg) {
  (void)arg;
  int error = thrum_wait(thrum_main_thread());
  STORE(ready, false);
  return error;
}

static int main_and_thread(void) {
  CHECK_EQ(thrum_spawn_named(&threads[0], wait_for_main, NULL, "waits-for-main"), 0);
  return thrum_join(threads[0], NULL);
}

/* The sleeper is the last one to end: the verdict comes after that, not before and not never. */
static intptr_t sleep_a_little(void *arg) {
  (void)arg;
  return thrum_sleep(THRUM_MS(200));
}

static int after_a_sleep(void) {
  must_spawn(sleep_a_little, NULL);
  return main_joins_the_circle();
}

static void *wait_outside(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_join(threads[0], NULL), 0);
  return NULL;
}

/* A foreign thread that waits in thrum cannot wake anybody either. */
static int foreign_waits_too(void) {
  pthread_t outside;
  start_circle(false);
  CHECK_EQ(pthread_create(&outside, NULL, wait_outside, NULL), 0);
  return thrum_wait(threads[1]);
}

static void *only_start_circle(void *arg) {
  (void)arg;
  start_circle(false);
  return NULL;
}

/* A foreign thread that has ended is no hope. */
static int foreign_has_ended(void) {
  pthread_t outside;
  CHECK_EQ(pthread_create(&outside, NULL, only_start_circle, NULL), 0);
  CHECK_EQ(pthread_join(outside, NULL), 0);
  return thrum_wait(threads[1]);
}

static void say_so(void) {
  static const char text[] = "the hook was called\n";
  CHECK(write(2, text, sizeof text - 1) > 0);
}

static int hook(void) {
  CHECK(thrum_on_deadlock(say_so) == NULL);
  return main_joins_the_circle();
}

static const struct child_case cases[] = {{"main-joins-the-circle", main_joins_the_circle},
                                          {"bound-circle", bound_circle},
                                          {"main-returned", main_returned},
                                          {"main-has-ended", main_has_ended},
                                          {"main-and-thread", main_and_thread},
                                          {"after-a-sleep", after_a_sleep},
                                          {"foreign-waits-too", foreign_waits_too},
                                          {"foreign-has-ended", foreign_has_ended},
                                          {"hook", hook},
                                          {0}};

/* Of one thread: that it waits, for whom, since when, and its stack. False: it is on its way to its wait, for the circle was found
 * before it slept; or the machine does not let its kernel thread answer. */
static bool waits_for(const char *report, const char *name, const char *kind, const char *whom,
                      const char *function) {
  char line[100];
  const char *of = dump_entry(report, name);
  snprintf(line, sizeof line, " %s, running", kind);
  const char *comes = strstr(of, line), *end = strchr(of + 1, '\n');
  if ((comes && (!end || comes < end)) || strstr(of, "does not answer")) return false;
  snprintf(line, sizeof line, " %s, waiting, waits for the end of thread \"%s\", for ", kind, whom);
  CHECK_HAS(of, line);
  CHECK_HAS(of, "\n    ");
#if defined(HAVE_DUMP) && !TESTS_SANITIZED
  if (function) snprintf(line, sizeof line, "\n    %s ", function);
  if (function) CHECK_HAS(of, line);
#else
  (void)function;
#endif
  return true;
}

static bool names_all(const char *name) {
  struct child child = child_run(name);
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  const char *kind = strcmp(name, "bound-circle") == 0 ? "bound" : "light";
  bool all = waits_for(child.err_text, "circle-0", kind, "circle-1", "wait_for_next");
  all = waits_for(child.err_text, "circle-1", kind, "circle-2", "wait_for_next") && all;
  all = waits_for(child.err_text, "circle-2", kind, "circle-0", "wait_for_next") && all;
  bool main_ended = strcmp(name, "main-returned") == 0 || strcmp(name, "main-has-ended") == 0;
  bool first = strncmp(name, "foreign", 7) != 0;
  if (!main_ended)
    all = waits_for(child.err_text, "MainThread", "main", first ? "circle-0" : "circle-1", NULL) && all;
  child_free(&child);
  return all;
}

static void names_the_circle(const char *name) {
  int tries = 0;
  while (!names_all(name)) CHECK(++tries < 10);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  if (TESTS_TSAN)
    CHECK_SKIP("ThreadSanitizer has a kernel thread that might wake somebody, for all that thrum knows");
  CHECK_EQ(THRUM_EXIT_DEADLOCK, 86);
  static const char *const circles[] = {"main-joins-the-circle", "bound-circle",  "main-returned",
                                        "main-has-ended",        "after-a-sleep", "foreign-waits-too",
                                        "foreign-has-ended",     "hook"};
  for (size_t i = 0; i < sizeof circles / sizeof *circles; i++) names_the_circle(circles[i]);
  struct child child = child_run("main-and-thread");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  waits_for(child.err_text, "waits-for-main", "light", "MainThread", "wait_for_main");
  waits_for(child.err_text, "MainThread", "main", "waits-for-main", NULL);
  child_free(&child);
  child = child_run("hook");
  const char *hooked = strstr(child.err_text, "the hook was called");
  CHECK(hooked && hooked < strstr(child.err_text, "circle-0"));
  child_free(&child);
  return 0;
}
