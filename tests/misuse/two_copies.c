/* A program that holds libthrum statically loads the shared one: the second of the two to be used aborts by name, whichever it is,
 * and wherever one has been used alone nothing is amiss. The shared library's path is in LIBTHRUM. */
#include "../child.h"
#include "../support.h"

#include <dlfcn.h>

static void *library;

/* Hidden from the program's own symbols, as a plugin's libraries are. */
static void load(void) {
  library = dlopen(getenv("LIBTHRUM"), RTLD_NOW | RTLD_LOCAL);
  if (!library) check_failed(__FILE__, __LINE__, "%s", dlerror());
}

static void *symbol(const char *name) {
  void *address = dlsym(library, name);
  CHECK(address);
  return address;
}

static intptr_t nothing(void *arg) {
  (void)arg;
  return 17;
}

static void use_own(void) { CHECK_EQ(thrum_run(nothing, NULL), 17); }

static void use_other(void) {
  intptr_t (*run)(thrum_fn *, void *);
  *(void **)&run = symbol("thrum_run");
  CHECK(run != thrum_run);
  CHECK_EQ(run(nothing, NULL), 17);
}

static int own_first(void) {
  use_own();
  load();
  use_other();
  return 0;
}

static int other_first(void) {
  load();
  use_other();
  use_own();
  return 0;
}

static int own_alone(void) {
  load();
  use_own();
  return 0;
}

static int other_alone(void) {
  load();
  use_other();
  return 0;
}

/* In the child of fork the copy that runs goes on, and counts. */
static int child_of_own(void) {
  load();
  use_own();
  pid_t pid = fork();
  if (pid == 0) {
    use_own();
    use_other();
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? 0 : 1;
}

static const struct child_case cases[] = {{"own-first", own_first},       {"other-first", other_first},
                                          {"own-alone", own_alone},       {"other-alone", other_alone},
                                          {"child-of-own", child_of_own}, {0}};

static void ends(const char *name, int status, const char *said) {
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  CHECK_HAS(child.err_text, said);
  if (!*said) CHECK_STR(child.err_text, "");
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  const char *path = getenv("LIBTHRUM");
  CHECK(path);
  char second[4300];
  snprintf(second, sizeof second, "the program has one that runs, and %s one that would start", path);
  ends("own-first", CHILD_SIGNALLED + SIGABRT, second);
  snprintf(second, sizeof second, "%s has one that runs, and the program one that would start", path);
  ends("other-first", CHILD_SIGNALLED + SIGABRT, second);
  ends("own-alone", 0, "");
  ends("other-alone", 0, "");
  /* ThreadSanitizer lets no child of a fork start threads. */
  if (!TESTS_TSAN) ends("child-of-own", 0, "the program has one that runs");
  return 0;
}
