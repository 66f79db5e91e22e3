/* What becomes of pools when the program ends, and in the child of a fork: what was submitted is done by the process that
 * submitted it, and idle threads hold nothing up. Each case is a process of its own. */
#include "../child.h"
#include "pools.h"

static void say(const char *text) { CHECK(write(1, text, strlen(text)) > 0); }

static intptr_t work_a_while(void *text) {
  CHECK_EQ(thrum_sleep(THRUM_MS(20)), 0);
  say(text);
  return 5;
}

static thrum_executor *must_make(int threads) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  o.threads = threads;
  o.name = "crew";
  return pool_with(o);
}

static char done_text[] = "done;";

static void submit(thrum_executor *x, int n) {
  for (int i = 0; i < n; i++) CHECK_EQ(thrum_submit(x, NULL, work_a_while, done_text), 0);
}

/* ---- The end ---------------------------------------------------------------------------------------------------------- */

static int forgotten(void) {
  submit(must_make(2), 5);
  return 0;
}

static int released(void) {
  thrum_executor *x = must_make(1);
  submit(x, 5);
  thrum_executor_release(x);
  return 0;
}

static int shut_without_waiting(void) {
  thrum_executor *x = must_make(1);
  submit(x, 5);
  CHECK_EQ(thrum_executor_shutdown(x, false, false), 0);
  return 0;
}

static void make_idle(void) {
  thrum_executor *x = must_make(3);
  submit(x, 5);
  AWAIT(stats_of(x).finished == 5 && stats_of(x).idle == stats_of(x).threads);
}

static int idle_ones(void) {
  make_idle();
  return 0;
}

static int idle_ones_and_a_failure(void) {
  make_idle();
  return 3;
}

static int main_exits(void) {
  make_idle();
  thrum_exit(0);
}

static intptr_t submit_late(void *x) {
  CHECK_EQ(thrum_sleep(THRUM_MS(30)), 0); /* main has returned by then */
  submit(x, 5);
  return 0;
}

static int late_ones(void) {
  thrum_executor *x = must_make(2);
  submit(x, 1);
  must_spawn(submit_late, x);
  return 0;
}

/* A daemon submits: the pool's threads are none for that. */
static int by_a_daemon(void) {
  thrum_options o = THRUM_OPTIONS_INIT;
  o.daemon = THRUM_YES;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &o, submit_late, must_make(1)), 0);
  must_join(t);
  return 0;
}

/* The task never comes back to its pool; what is queued behind it is done all the same. */
static intptr_t leave_the_program(void *queued) {
  thrum_event_wait(queued);
  exit(0);
}

static int exit_in_a_task(void) {
  static thrum_event queued;
  thrum_executor *x = must_make(1);
  CHECK_EQ(thrum_submit(x, NULL, leave_the_program, &queued), 0);
  submit(x, 1);
  thrum_event_set(&queued);
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), 0);
  return 0;
}

/* A status that is not 0 waits for nobody, also beside a thread that submits: a task that has just begun does not hold it up. */
static intptr_t sleep_for_ever(void *unused) {
  (void)unused;
  return thrum_sleep(THRUM_FOREVER);
}

static bool go;

static intptr_t submit_for_ever(void *x) {
  while (!LOAD(go)) thrum_yield();
  for (int i = 0; i < 8; i++) {
    CHECK_EQ(thrum_submit(x, NULL, sleep_for_ever, NULL), 0);
    thrum_yield();
  }
  return 0;
}

static int exits_beside_a_submitter(void) {
  thrum_executor *x = must_make(0);
  submit(x, 5);
  AWAIT(stats_of(x).finished == 5 && stats_of(x).idle == stats_of(x).threads);
  must_spawn(submit_for_ever, x);
  STORE(go, true);
  exit(3);
}

/* ---- Forks -------------------------------------------------------------------------------------------------------------- */

static thrum_event gate;
static int begun;

static intptr_t at_gate(void *n) {
  ADD(begun, 1);
  thrum_event_wait(&gate);
  return (intptr_t)n;
}

static intptr_t square(void *n) { return (intptr_t)n * (intptr_t)n; }

static void await_child(pid_t pid, int expected) {
  int status;
  CHECK(pid > 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), expected);
}

static intptr_t never(thrum_future *f, void *arg) {
  (void)f;
  CHECK_EQ(getpid(), *(pid_t *)arg);
  return 0;
}

/* What ran and what was queued is the parent's; the child submits anew. */
static int fork_beside(void) {
  thrum_executor *x = must_make(1);
  pid_t parent = getpid();
  thrum_future *done = submit_number(x, square, 3), *runs = NULL, *queued;
  CHECK_EQ(thrum_future_wait(done), 0);
  runs = submit_number(x, at_gate, 1);
  queued = submit_number(x, square, 2);
  CHECK_EQ(thrum_future_add_done_callback(queued, never, &parent), 0);
  AWAIT(LOAD(begun) == 1);
  thrum_completion all;
  CHECK_EQ(thrum_as_completed(&all, (thrum_future *[]){queued, done, runs}, 3, THRUM_FOREVER), 0);
  pid_t pid = fork();
  if (pid == 0) {
    CHECK_EQ(stats_of(x).threads, 0);
    CHECK_EQ(stats_of(x).queued, 0);
    CHECK(thrum_future_done(runs) && thrum_future_done(queued));
    CHECK(!thrum_future_cancel(queued));
    for (int i = 0; i < 3; i++)
      CHECK(thrum_completion_next(&all) >= 0); /* as those were that the parent collects */
    CHECK_EQ(thrum_completion_next(&all), -EPIPE);
    thrum_completion_end(&all);
    CHECK_EQ(take(done), 9);
    CHECK_EQ(take(runs), -EOWNERDEAD);
    CHECK_EQ(take(queued), -EOWNERDEAD);
    CHECK_EQ(take(submit_number(x, square, 4)), 16);
    CHECK_EQ(stats_of(x).threads, 1);
    CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
    thrum_executor_release(x);
    exit(41);
  }
  await_child(pid, 41);
  CHECK_EQ(thrum_future_running(runs), true);
  CHECK_EQ(thrum_completion_next(&all), 1);
  thrum_completion_end(&all);
  thrum_event_set(&gate);
  CHECK_EQ(take(runs), 1);
  CHECK_EQ(take(queued), 4);
  CHECK_EQ(take(done), 9);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
  say("parent;");
  return 0;
}

/* A task forks: the child is its thread, and ends with what the task returns. */
static thrum_event kept;

static intptr_t fork_in_task(void *x) {
  thrum_event_wait(&kept);
  pid_t pid = fork();
  if (pid == 0) {
    thrum_future *f = submit_number(x, square, 5);
    CHECK_EQ(take(f), 25); /* it is no thread of the pool's any more, and lends no place */
    return 42;
  }
  await_child(pid, 42);
  return 1;
}

static int fork_within(void) {
  static thrum_future *forks; /* the child's leak checker finds it here; main's stack is nobody's there */
  thrum_executor *x = must_make(1);
  forks = submit_number(x, fork_in_task, (intptr_t)x);
  thrum_event_set(&kept);
  CHECK_EQ(take(forks), 1);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
  say("parent;");
  return 0;
}

/* A callback of a task forks, or one of a task that has failed with the pool: likewise. */
static intptr_t fork_in_callback(thrum_future *f, void *pid) {
  *(pid_t *)pid = fork();
  return (void)f, 0;
}

static int fork_in_callback_of(thrum_executor *x, int child_ends) {
  static thrum_future *f;
  static pid_t pid = -1;
  f = submit_number(x, at_gate, 44);
  CHECK_EQ(thrum_future_add_done_callback(f, fork_in_callback, &pid), 0);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  await_child(pid, child_ends);
  thrum_future_release(f);
  thrum_executor_release(x);
  say("parent;");
  return 0;
}

static int fork_in_a_callback(void) { return fork_in_callback_of(must_make(1), 44); }

static intptr_t refuses(void *unused) {
  (void)unused;
  thrum_event_wait(&gate);
  return -EIO;
}

static int fork_in_a_broken_pool(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  o.threads = 1;
  o.initializer = refuses;
  return fork_in_callback_of(pool_with(o), -EIO & 255);
}

/* Behind the runtime's own preparation, so that it counts as a plain blocking call of who forks: its worker goes to a hog meanwhile. */
static void take_long(void) {
  for (int64_t end = wall_now() + THRUM_MS(60); wall_now() < end;)
    usleep(60000); /* a signal may cut it short */
}

static intptr_t compute(void *unused) {
  (void)unused;
  while (!LOAD(go)) continue;
  return 0;
}

/* What was queued, and nobody but the executor has, is given back in the child, whose forker had lost its worker. */
static int slow_fork(void) {
  CHECK_EQ(pthread_atfork(take_long, NULL, NULL), 0); /* before thrum's: such run last */
  thrum_options o = THRUM_OPTIONS_INIT;
  o.daemon = THRUM_YES;
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_spawn_with(NULL, &o, compute, NULL), 0);
  thrum_executor *x = must_make(1);
  thrum_future *runs = submit_number(x, at_gate, 1);
  AWAIT(LOAD(begun) == 1);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_submit(x, NULL, square, NULL), 0);
  for (int i = 0; i < 3; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(43);
    await_child(pid, 43);
  }
  thrum_event_set(&gate);
  CHECK_EQ(take(runs), 1);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  thrum_executor_release(x);
  say("parent;");
  return 0;
}

static const struct child_case cases[] = {
    {"forgotten", forgotten},
    {"released", released},
    {"shut-without-waiting", shut_without_waiting},
    {"idle-ones", idle_ones},
    {"idle-ones-and-a-failure", idle_ones_and_a_failure},
    {"main-exits", main_exits},
    {"late-ones", late_ones},
    {"by-a-daemon", by_a_daemon},
    {"exit-in-a-task", exit_in_a_task},
    {"fork-beside", fork_beside},
    {"fork-within", fork_within},
    {"fork-in-a-callback", fork_in_a_callback},
    {"fork-in-a-broken-pool", fork_in_a_broken_pool},
    {"exits-beside-a-submitter", exits_beside_a_submitter},
    {"slow-fork", slow_fork},
    {0},
};

static void check_status(const char *name, int status) {
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  child_free(&child);
}

/* Who has waited for a second for the last of its threads says so: on a machine that does much else that is no fault. */
static bool is_patience(const char *text) {
  return strstr(text, "thrum: the program ends when these threads have ended: ") == text;
}

/* What the leak checker says of threads of the parent's is not ours. */
static void check(const char *name, int status, const char *out, const char *err) {
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  CHECK_STR(child.out_text, out);
  if (!(TESTS_ASAN && strstr(name, "fork")) && !is_patience(child.err_text)) CHECK_STR(child.err_text, err);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  const char *five = "done;done;done;done;done;";
  check("forgotten", 0, five, "");
  check("released", 0, five, "");
  check("shut-without-waiting", 0, five, "");
  check("idle-ones", 0, five, "");
  check("idle-ones-and-a-failure", 3, five, ""); /* nobody is abandoned */
  check("main-exits", 0, five, "");
  check("late-ones", 0, "done;done;done;done;done;done;", "");
  check("by-a-daemon", 0, five, "");
  check("exit-in-a-task", 0, "done;", "");
  for (int i = 0; i < (TESTS_SANITIZED ? 3 : 20); i++) check_status("exits-beside-a-submitter", 3);
  if (TESTS_TSAN) return 0; /* it starts no threads in the child of a fork */
  check("fork-beside", 0, "parent;", "");
  check("fork-within", 0, "parent;", "");
  check("fork-in-a-callback", 0, "parent;", "");
  check_status("fork-in-a-broken-pool", 0);
  check("slow-fork", 0, "parent;", "");
  return 0;
}
