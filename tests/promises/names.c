/* Names as Python gives them: "MainThread", "Thread-N (function)" with a number that only automatic names use
 * up; longer ones are cut; renaming at any time; the OS shows the name where a kernel thread is owned. */
#include "../support.h"

#include <sys/prctl.h>

static bool stop, asked;

static intptr_t hello(void *arg) {
  (void)arg;
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  return 0;
}

static const char *name_of(thrum_thread t) {
  static char name[THRUM_NAME_MAX];
  int length = thrum_name(t, name, sizeof name);
  CHECK_EQ(length, strlen(name));
  return name;
}

/* The N of "Thread-N (hello)". */
static int number_of(thrum_thread t) {
  int number = -1, end = -1;
  const char *name = name_of(t);
  CHECK_EQ(sscanf(name, "Thread-%d (hello)%n", &number, &end), 1);
  CHECK_EQ(end, strlen(name));
  CHECK(number > 0);
  return number;
}

static thrum_thread named(const char *name) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = name;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, hello, NULL), 0);
  return t;
}

/* Explicit names use no number up; the empty one is none. */
static void numbers(void) {
  thrum_thread threads[6];
  threads[0] = must_spawn(hello, NULL);
  threads[1] = named("alpha");
  CHECK_EQ(thrum_spawn_named(&threads[2], hello, NULL, "hello-%d of %s", 7, "many"), 0);
  threads[3] = named("");
  threads[4] = named(NULL);
  CHECK_EQ(thrum_spawn_copy(&threads[5], hello, &(int){1}, sizeof(int)), 0);
  CHECK_STR(name_of(threads[1]), "alpha");
  CHECK_STR(name_of(threads[2]), "hello-7 of many");
  int first = number_of(threads[0]);
  CHECK_EQ(number_of(threads[3]), first + 1);
  CHECK_EQ(number_of(threads[4]), first + 2);
  CHECK_EQ(number_of(threads[5]), first + 3);
  STORE(stop, true);
  for (int i = 0; i < 6; i++) CHECK_EQ(must_join(threads[i]), 0);
  STORE(stop, false);
}

static void cutting_and_renaming(void) {
  char longest[THRUM_NAME_MAX + 20], buffer[8];
  memset(longest, 'n', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  thrum_thread t = named(longest);
  longest[THRUM_NAME_MAX - 1] = 0;
  CHECK_STR(name_of(t), longest);
  CHECK_EQ(thrum_set_name(t, "renamed thread"), 0);
  CHECK_STR(name_of(t), "renamed thread");
  CHECK_EQ(thrum_name(t, buffer, sizeof buffer), 14);
  CHECK_STR(buffer, "renamed");
  CHECK_EQ(thrum_name(t, NULL, 0), 14);
  CHECK_EQ(thrum_name(t, NULL, 1), -EINVAL);
  CHECK_EQ(thrum_set_name(t, NULL), -EINVAL);
  CHECK_EQ(thrum_set_name(t, ""), -EINVAL);
  CHECK_STR(name_of(t), "renamed thread");
  STORE(stop, true);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_name(t, buffer, sizeof buffer), -ESRCH);
  CHECK_EQ(thrum_set_name(t, "late"), -ESRCH);
}

/* What ps and gdb show of a kernel thread. */
static void check_os_name(const char *expected) {
  char path[64], comm[32] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)thrum_native_id(thrum_current()));
  FILE *file = fopen(path, "r");
  CHECK(file && fgets(comm, sizeof comm, file));
  fclose(file);
  comm[strcspn(comm, "\n")] = 0;
  CHECK_STR(comm, expected);
}

static intptr_t check_own_os_name(void *arg) {
  (void)arg;
  CHECK_STR(thrum_current_name(), "a bound thread with a name");
  check_os_name("a bound thread ");
  CHECK_EQ(thrum_set_name(thrum_current(), "other"), 0);
  CHECK_STR(thrum_current_name(), "other");
  check_os_name("other");
  return 0;
}

static void os_name_of_bound_thread(void) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  options.name = "a bound thread with a name";
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, check_own_os_name, NULL), 0);
  CHECK_EQ(must_join(t), 0);
}

static intptr_t be_renamed(void *arg) {
  (void)arg;
  STORE(asked, true);
  AWAIT(LOAD(stop));
  check_os_name("a bound thread ");
  CHECK_STR(thrum_current_name(), "renamed by main");
  return 0;
}

/* The OS goes on with the name that the thread gave itself. */
static void renamed_by_another(void) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  options.name = "a bound thread with a name";
  thrum_thread t;
  STORE(stop, false);
  CHECK_EQ(thrum_spawn_with(&t, &options, be_renamed, NULL), 0);
  AWAIT(LOAD(asked));
  CHECK_EQ(thrum_set_name(t, "renamed by main"), 0);
  STORE(stop, true);
  CHECK_EQ(must_join(t), 0);
}

static intptr_t check_os_name_of_pinned(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_pin(), 0);
  CHECK_EQ(thrum_set_name(thrum_current(), "pinned"), 0);
  check_os_name("thrum-worker");
  return thrum_unpin();
}

/* Main keeps what the OS calls the program. */
static void os_name_of_main(void) {
  char before[32] = "", after[32] = "";
  CHECK_EQ(prctl(PR_GET_NAME, before), 0);
  CHECK_EQ(thrum_set_name(thrum_main_thread(), "conductor"), 0);
  CHECK_STR(thrum_current_name(), "conductor");
  CHECK_EQ(prctl(PR_GET_NAME, after), 0);
  CHECK_STR(after, before);
}

static intptr_t foreign_name(void *arg) {
  (void)arg;
  int number = -1, end = -1;
  CHECK_EQ(sscanf(thrum_current_name(), "Dummy-%d%n", &number, &end), 1);
  CHECK(number > 0 && (size_t)end == strlen(thrum_current_name()));
  CHECK_STR(name_of(thrum_current()), thrum_current_name());
  CHECK_EQ(thrum_set_name(thrum_current(), "guest"), 0);
  CHECK_STR(thrum_current_name(), "guest");
  return 0;
}

int main(void) {
  CHECK_STR(thrum_current_name(), "MainThread");
  CHECK_STR(name_of(thrum_main_thread()), "MainThread");
  numbers();
  cutting_and_renaming();
  os_name_of_bound_thread();
  renamed_by_another();
  CHECK_EQ(must_join(must_spawn(check_os_name_of_pinned, NULL)), 0);
  CHECK_EQ(run_outside(foreign_name, NULL), 0);
  os_name_of_main();
  return 0;
}
