/* Promise 8: the end of a program waits for its threads unless they are daemons or it failed,
 * and says so when that takes long. */
#include "../child.h"
#include "../support.h"

static void say(const char *text) { CHECK(write(1, text, strlen(text)) > 0); }

static intptr_t work_a_while(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_MS(50)), 0);
  say(arg ? (const char *)arg : "worked;");
  return 0;
}

/* Starts its successor when main has long returned, and that one the next. */
static intptr_t relay(void *arg) {
  intptr_t left = (intptr_t)arg;
  CHECK_EQ(thrum_sleep(THRUM_MS(20)), 0);
  if (left > 0)
    must_spawn(relay, (void *)(left - 1));
  else
    say("goal;");
  return 0;
}

static intptr_t sleep_for_ever(void *arg) {
  (void)arg;
  return thrum_sleep(THRUM_FOREVER);
}

static void spawn_daemon(thrum_fn *fn, bool bound) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.daemon = THRUM_YES;
  options.bound = bound;
  options.name = "a daemon";
  CHECK_EQ(thrum_spawn_with(NULL, &options, fn, NULL), 0);
}

static int return_waits(void) {
  for (int i = 0; i < 5; i++) must_spawn(work_a_while, NULL);
  must_spawn_bound(work_a_while, NULL);
  CHECK_EQ(thrum_spawn(NULL, work_a_while, NULL), 0);
  return 0;
}

static int return_waits_for_late_ones(void) {
  must_spawn(relay, (void *)5);
  return 0;
}

static int exit_0_waits(void) {
  return_waits();
  exit(0);
}

static intptr_t call_exit(void *arg) { exit((int)(intptr_t)arg); }

static int exit_0_in_a_thread_waits(void) {
  return_waits();
  must_join(must_spawn(call_exit, NULL));
  return 1;
}

static int exit_3_abandons(void) {
  CHECK_EQ(thrum_spawn_named(NULL, sleep_for_ever, NULL, "left-behind"), 0);
  thrum_yield();
  exit(3);
}

/* More than are named. */
static int exit_3_abandons_many(void) {
  for (int i = 0; i < 12; i++)
    CHECK_EQ(thrum_spawn_named(NULL, sleep_for_ever, NULL, "left-behind-%d", i), 0);
  exit(3);
}

static int exit_3_in_a_thread(void) {
  CHECK_EQ(thrum_spawn_named(NULL, sleep_for_ever, NULL, "left-behind"), 0);
  must_join(must_spawn(call_exit, (void *)3));
  return 1;
}

/* With musl, which tells the status to nobody. */
static int exit_5_waits(void) {
  must_spawn(work_a_while, NULL);
  return 5;
}

static int main_exits_by_thrum(void) {
  return_waits();
  must_spawn(relay, (void *)3);
  thrum_exit(9);
}

static intptr_t busy_daemon(void *arg) {
  (void)arg;
  for (unsigned n = 0;; n++) {
    char *text = malloc(100);
    CHECK(text);
    snprintf(text, 100, "%u", n);
    free(text);
    if (n % 16 == 0) thrum_yield();
  }
}

static intptr_t hog_daemon(void *arg) {
  (void)arg;
  volatile unsigned n = 0;
  while (n < 2) n = !n;
  return 0;
}

static intptr_t inherit_daemon(void *arg) {
  (void)arg;
  must_spawn(sleep_for_ever, NULL);
  say("inherited;");
  return thrum_sleep(THRUM_FOREVER);
}

static intptr_t disinherit(void *arg) {
  (void)arg;
  thrum_options options = THRUM_OPTIONS_INIT;
  options.daemon = THRUM_NO;
  CHECK_EQ(thrum_spawn_with(NULL, &options, work_a_while, (void *)(uintptr_t) "waited for;"), 0);
  say("started;");
  return thrum_sleep(THRUM_FOREVER);
}

static int daemons_do_not_hold(void) {
  for (int i = 0; i < 40; i++) spawn_daemon(i % 4 ? busy_daemon : sleep_for_ever, i % 10 == 0);
  spawn_daemon(hog_daemon, false);
  AWAIT(thrum_active_count() == 42);
  CHECK_EQ(must_join(must_spawn(work_a_while, NULL)), 0);
  return 0;
}

/* The parent reads what the daemon says before it lets main return. */
static int daemons_inherit(void) {
  char c;
  spawn_daemon(inherit_daemon, false);
  return thrum_read(0, &c, 1) == 1 ? 0 : 1;
}

static int daemons_may_disinherit(void) {
  char c;
  spawn_daemon(disinherit, false);
  return thrum_read(0, &c, 1) == 1 ? 0 : 1;
}

static intptr_t wait_for_input(void *arg) {
  (void)arg;
  char c;
  return thrum_read(0, &c, 1) == 1 ? 0 : 1;
}

/* When main returned is told to the one who looks when the names come. */
static int slow_end_is_explained(void) {
  char text[32];
  CHECK_EQ(thrum_spawn_named(NULL, wait_for_input, NULL, "slowpoke"), 0);
  snprintf(text, sizeof text, "%lld;", (long long)wall_now());
  say(text);
  return 0;
}

static void on_interrupt(int signo) {
  CHECK_EQ(signo, SIGINT);
  say("caught;");
}

/* It handles one Ctrl-C itself. */
static int catches_one(void) {
  struct sigaction once = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
  CHECK_EQ(sigaction(SIGINT, &once, NULL), 0);
  return slow_end_is_explained();
}

/* All of them, and each handler's end is the start of the rest of the wait. */
static int catches_all(void) {
  CHECK(signal(SIGINT, on_interrupt) == SIG_DFL);
  return slow_end_is_explained();
}

static bool ending;

static void say_argument(void *arg) {
  say(arg);
  STORE(ending, true);
}

static void say_atexit(void) { say("atexit;"); }

static intptr_t too_late(void *arg) {
  (void)arg;
  AWAIT(LOAD(ending));
  CHECK_EQ(thrum_at_exit(say_argument, NULL), -ECANCELED);
  say("worked;");
  return 0;
}

static int order_at_exit(void) {
  CHECK_EQ(atexit(say_atexit), 0);
  must_spawn(too_late, NULL);
  CHECK_EQ(thrum_at_exit(say_argument, (void *)(uintptr_t) "second;"), 0);
  CHECK_EQ(thrum_at_exit(say_argument, (void *)(uintptr_t) "first;"), 0);
  return 0;
}

/* The same when main ends by thrum_exit: the functions are what lets the thread end. */
static int order_at_thrum_exit(void) {
  order_at_exit();
  thrum_exit(0);
}

static intptr_t wait_for_main(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_wait(thrum_main_thread()), 0);
  CHECK(!thrum_is_alive(thrum_main_thread()));
  say("main has ended;");
  return 0;
}

static int main_can_be_waited_for(void) {
  must_spawn(wait_for_main, NULL);
  return 0;
}

static int no_threads(void) {
  thrum_yield();
  return 5;
}

static intptr_t say_late(void *arg) {
  (void)arg;
  thrum_sleep(THRUM_MS(5));
  say("late;");
  return 0;
}

static void start_and_join(void) {
  say("threads have ended;");
  CHECK_EQ(must_join(must_spawn(say_late, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(say_late, NULL)), 0);
}

static int late_threads_are_joined(void) {
  CHECK_EQ(atexit(start_and_join), 0);
  must_spawn(work_a_while, NULL);
  return 0;
}

static const struct child_case cases[] = {{"return-waits", return_waits},
                                          {"return-waits-for-late-ones", return_waits_for_late_ones},
                                          {"exit-0-waits", exit_0_waits},
                                          {"exit-0-in-a-thread-waits", exit_0_in_a_thread_waits},
                                          {"exit-3-abandons", exit_3_abandons},
                                          {"exit-3-in-a-thread", exit_3_in_a_thread},
                                          {"exit-5-waits", exit_5_waits},
                                          {"exit-3-abandons-many", exit_3_abandons_many},
                                          {"main-exits-by-thrum", main_exits_by_thrum},
                                          {"daemons-do-not-hold", daemons_do_not_hold},
                                          {"daemons-inherit", daemons_inherit},
                                          {"daemons-may-disinherit", daemons_may_disinherit},
                                          {"slow-end-is-explained", slow_end_is_explained},
                                          {"catches-one", catches_one},
                                          {"catches-all", catches_all},
                                          {"order-at-exit", order_at_exit},
                                          {"order-at-thrum-exit", order_at_thrum_exit},
                                          {"late-threads-are-joined", late_threads_are_joined},
                                          {"main-can-be-waited-for", main_can_be_waited_for},
                                          {"no-threads", no_threads},
                                          {0}};

/* Whom it waits for is said after a second: where the machine does not let the threads end before, that is no fault. */
static bool is_patience(const char *text) {
  return strstr(text, "thrum: the program ends when these threads have ended: ") == text;
}

static void ends_with(const char *name, int status, const char *out) {
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  CHECK_STR(child.out_text, out);
  if (status == 0 && !is_patience(child.err_text)) CHECK_STR(child.err_text, "");
  if (status == 3) CHECK_HAS(child.err_text, "left-behind");
  child_free(&child);
}

__attribute__((unused)) static void says_how_many_more(void) {
  struct child child = child_run("exit-3-abandons-many");
  CHECK_STATUS(child, 3);
  CHECK_HAS(child.err_text, "abandoned: left-behind-");
  CHECK_HAS(child.err_text, "abandoned: and 4 more\n");
  child_free(&child);
}

/* Lets main return only when the daemon has said its line. */
static void daemon_first(const char *name, const char *line, const char *out) {
  struct child child = child_start(name, NULL);
  child_await(&child, line);
  child_say(&child, "x");
  child_finish(&child);
  CHECK_STATUS(child, 0);
  CHECK_STR(child.out_text, out);
  child_free(&child);
}

/* ---- A program that is waiting for its threads ------------------------------------------------------------------- */

enum { ATTEMPTS = 5, SAID_AFTER_NS = 1000000000, SAID_WITHIN_NS = 1500000000 };

static int64_t named_after(void) {
  long long returned;
  struct child child = child_start("slow-end-is-explained", NULL);
  child_await(&child, "slowpoke");
  int64_t now = wall_now();
  CHECK_EQ(sscanf(child.out_text, "%lld;", &returned), 1);
  child_say(&child, "x");
  child_finish(&child);
  CHECK_STATUS(child, 0);
  child_free(&child);
  return now - returned;
}

/* Not before; and not much later, where the machine is not too busy. */
static void names_come_after_a_second(void) {
  for (int i = 0; i < ATTEMPTS; i++) {
    int64_t after = named_after();
    CHECK(after >= SAID_AFTER_NS);
    if (after <= SAID_WITHIN_NS) return;
  }
  check_failed(__FILE__, __LINE__, "threads are named late");
}

/* Ctrl-C does what it does at any other time: what the program does not catch ends it. */
static void ends_by_interrupt(const char *name, int caught) {
  struct child child = child_start(name, NULL);
  child_await(&child, "slowpoke");
  if (caught) CHECK_EQ(kill(child.pid, SIGINT), 0);
  if (caught) child_await(&child, "caught;");
  CHECK_EQ(kill(child.pid, SIGINT), 0);
  child_finish(&child);
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGINT);
  child_free(&child);
}

static void goes_on_waiting(void) {
  struct child child = child_start("catches-all", NULL);
  child_await(&child, "slowpoke");
  for (int i = 0; i < 2; i++) {
    child.out_size = 0;
    memset(child.out_text, 0, CHILD_TEXT_MAX);
    CHECK_EQ(kill(child.pid, SIGINT), 0);
    child_await(&child, "caught;");
  }
  child_say(&child, "x");
  child_finish(&child);
  CHECK_STATUS(child, 0);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  static const char seven[] = "worked;worked;worked;worked;worked;worked;worked;";
  ends_with("return-waits", 0, seven);
  ends_with("return-waits-for-late-ones", 0, "goal;");
  ends_with("exit-0-waits", 0, seven);
  ends_with("exit-0-in-a-thread-waits", 0, seven);
#ifdef __GLIBC__
  ends_with("exit-3-abandons", 3, "");
  ends_with("exit-3-in-a-thread", 3, "");
  says_how_many_more();
#else
  ends_with("exit-5-waits", 5, "worked;");
#endif
  ends_with("daemons-do-not-hold", 0, "worked;");
  ends_with("order-at-exit", 0, "first;second;worked;atexit;");
  ends_with("order-at-thrum-exit", 0, "first;second;worked;atexit;");
  ends_with("late-threads-are-joined", 0, "worked;threads have ended;late;late;");
  ends_with("main-can-be-waited-for", 0, "main has ended;");
  ends_with("no-threads", 5, "");
  struct child child = child_run("main-exits-by-thrum");
  CHECK_STATUS(child, 9);
  CHECK_HAS(child.out_text, "goal;");
  CHECK_EQ(child.out_size, strlen(seven) + strlen("goal;"));
  child_free(&child);
  daemon_first("daemons-inherit", "inherited;", "inherited;");
  daemon_first("daemons-may-disinherit", "started;", "started;waited for;");
  names_come_after_a_second();
  ends_by_interrupt("slow-end-is-explained", 0);
  if (TESTS_TSAN) return 0; /* it keeps a handler back while a thread waits in the runtime */
  ends_by_interrupt("catches-one", 1);
  goes_on_waiting();
  return 0;
}
