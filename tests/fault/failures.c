/* Each call to the OS that may fail is made to fail in turn: the first allocation of a program, its second
 * one, and so on, alone and with all that follow, until a run has made fewer of them. Each run is a process
 * of its own.
 *
 *     failures KIND             all of that
 *     failures KIND repeat      the same failures again and again in one process, which must not grow
 *     failures KIND starve      no thread gets a stack at all, again and again
 *
 * A step of the workload reports a documented error, and succeeds when it is made again without failures; or
 * the program aborts and says what is missing, where nobody could be told. Whatever happens, it does not
 * hang, every thread ends, and all is given back that is not kept on purpose. */
#include "../child.h"
#include "../support.h"

#include "inject.h"
#include "workload.h"

#include <dirent.h>
#include <future/executor.h>
#include <sched/sched.h>
#include <sys/resource.h>

enum { REPEATED = 60, REPEATED_CALLS = 4, DENSE = TESTS_SANITIZED ? 8 : 16 };

#define CHECK_AT_MOST(a, b) check_at_most(__LINE__, #a, (long)(a), #b, (long)(b))

static void check_at_most(int line, const char *a_text, long a, const char *b_text, long b) {
  if (a > b) check_failed(__FILE__, line, "%s is %ld, more than %s = %ld", a_text, a, b_text, b);
}

/* ---- In the child -------------------------------------------------------------------------------------- */

static int count_entries(const char *path) {
  DIR *folder = opendir(path);
  CHECK(folder);
  int n = 0;
  for (struct dirent *entry; (entry = readdir(folder));) n += entry->d_name[0] != '.';
  closedir(folder);
  return n;
}

static int count_descriptors(void) { return count_entries("/proc/self/fd"); }

static void say(const char *what, const char *name) { dprintf(1, "\n%s: %s\n", what, name); }

static bool is_documented(const struct step *step, int error) {
  for (int i = 0; i < STEP_ERRORS; i++)
    if (step->errors[i] == error) return true;
  return false;
}

/* Runs the step; when it reports an error, runs it again without failures. */
static void take(const struct step *step) {
  say("step", step->name);
  int error = step->run();
  if (!error) return;
  dprintf(1, "error: %s\n", strerror(-error));
  CHECK(is_documented(step, error));
  CHECK(inject_count() > 0);
  inject_disarm();
  CHECK_EQ(step->run(), 0);
}

static void take_all(const char *kind) {
  for (const struct step *step = workload; step->name; step++)
    if (!step->only || strcmp(step->only, kind) == 0) take(step);
}

/* Everybody but main has ended; their kernel threads follow. A stack for signals each, for main too. */
static void check_quiet(void) {
  AWAIT(thrum_active_count() == 1);
  AWAIT(count_entries("/proc/self/task") == (int)statistics().kernel_threads);
  AWAIT(inject_balance().signal_stacks <= (long)statistics().kernel_threads);
}

/* The last that runs in the process: registered before thrum was used. */
static void check_end(void) {
  CHECK_EQ(workload_at_exit_ran, workload_at_exit_given);
  long kept =
      (long)statistics().kernel_threads_peak + (long)thrumi_works_kept(); /* records of theirs; works */
  CHECK_AT_MOST(inject_balance().blocks, kept);
  dprintf(1, "\ninjected: %ld\n", inject_count());
}

static struct plan {
  char kind[32];
  long from, length;
} plan;

static void read_plan(void) {
  const char *text = getenv("FAULT");
  CHECK(text && sscanf(text, "%31s %ld %ld", plan.kind, &plan.from, &plan.length) == 3);
  CHECK(inject_find(plan.kind));
}

static void prepare(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none); /* some runs are meant to abort */
  setenv("THRUM_WORKERS", "2", 1);
  thrum_config config = THRUM_CONFIG_INIT;
  config.measure_stacks = strcmp(plan.kind, "discard") == 0; /* so that stacks are discarded */
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK_EQ(atexit(check_end), 0);
  inject_install();
}

/* Waits for a descriptor once, so that the runtime's two are there however the workload's own waits went. */
static void start_netpoll(void) {
  int fds[2];
  char c;
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(thrum_read_for(fds[0], &c, 1, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(close(fds[0]), 0);
  CHECK_EQ(close(fds[1]), 0);
}

static int run_once(void) {
  read_plan();
  prepare();
  int descriptors = count_descriptors();
  inject_arm(inject_find(plan.kind), plan.from, plan.length);
  take_all(plan.kind);
  inject_disarm();
  check_quiet();
  start_netpoll();
  AWAIT(count_descriptors() == descriptors + 2); /* epoll and its eventfd; the monitor may be reading /proc */
  return 0;
}

/* What only ever grows. */
struct size {
  long blocks, threads, stacks;
};

static struct size size_now(void) {
  struct inject_balance balance = inject_balance();
  long blocks = balance.blocks - (long)thrumi_works_kept();
  return (struct size){blocks, thrumi_record_count(), (long)statistics().stacks};
}

static void fail_again_and_again(const struct step *step) {
  for (int i = 0; i < REPEATED; i++) {
    inject_arm(inject_find(plan.kind), plan.from, plan.length);
    take(step);
    inject_disarm();
  }
  check_quiet();
}

/* A batch for another worker is 32; a loss in each failure would be REPEATED. */
static void check_growth(struct size before, struct size after) {
  CHECK_AT_MOST(after.blocks, before.blocks + REPEATED * 3 / 4);
  CHECK_AT_MOST(after.threads, before.threads + REPEATED * 3 / 4);
  CHECK_AT_MOST(after.stacks, before.stacks + REPEATED * 3 / 4);
}

static int run_repeated(void) {
  read_plan();
  prepare();
  take_all("");
  for (const struct step *step = workload; step->name; step++) {
    if (!step->again) continue;
    fail_again_and_again(step);
    struct size before = size_now();
    int descriptors = count_descriptors();
    fail_again_and_again(step);
    check_growth(before, size_now());
    AWAIT(count_descriptors() <= descriptors);
  }
  return 0;
}

static int timer_fired;

static intptr_t fire(void *arg) {
  (void)arg;
  ADD(timer_fired, 1);
  return 0;
}

/* Its callback gets no stack, again and again. */
static void start_timer_in_vain(void) {
  static thrum_timer timer;
  long before = inject_count();
  CHECK_EQ(thrum_timer_start(&timer, 0, fire, NULL), 0);
  AWAIT(inject_count() >= before + 5);
  CHECK_EQ(LOAD(timer_fired), 0);
  CHECK_EQ(thrum_timer_cancel_wait(&timer), 1); /* it has not begun */
  before = inject_count();
  CHECK_EQ(thrum_timer_restart(&timer, 0), 0);
  AWAIT(inject_count() > before);
}

static intptr_t no_task(void *unused) { return (intptr_t)unused; }

/* Nobody counts on a pool's thread that will get no stack: the submitter is told. */
static void submit_in_vain(thrum_executor *pool) {
  thrum_future *f;
  CHECK_EQ(thrum_submit(pool, &f, no_task, NULL), -ENOMEM);
  CHECK_EQ(thrum_executor_shutdown(pool, true, false), 0);
}

/* Each stack of each thread fails, before there is any. They all stay as they are. */
static int run_starved(void) {
  thrum_executor_options alone = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *pool;
  read_plan();
  prepare();
  const struct step *start = workload, *spawn = workload + 1;
  take(start);
  alone.threads = 1;
  CHECK_EQ(thrum_executor_threads(&pool, &alone), 0);
  inject_arm(inject_find(plan.kind), plan.from, plan.length);
  CHECK_EQ(spawn->run(), -ENOMEM);
  long reserved = inject_balance().reserved;
  for (int i = 0; i < REPEATED; i++) CHECK_EQ(spawn->run(), -ENOMEM);
  CHECK_EQ(inject_balance().reserved, reserved);
  start_timer_in_vain();
  submit_in_vain(pool);
  inject_disarm();
  thrum_executor_release(pool);
  AWAIT(LOAD(timer_fired) == 1); /* it is not lost */
  CHECK_EQ(spawn->run(), 0);
  check_quiet();
  return 0;
}

/* ---- In the parent ------------------------------------------------------------------------------------- */

static const struct step *last_step(const char *output) {
  const struct step *last = NULL;
  for (const struct step *step = workload; step->name; step++) {
    char line[64];
    snprintf(line, sizeof line, "\nstep: %s\n", step->name);
    if (strstr(output, line)) last = step;
  }
  return last;
}

/* An abort that says what is missing, in a step that cannot say it in another way. */
static void check_abort(const struct child *child, const char *setting) {
  const struct step *step = last_step(child->out_text);
  const char *said = strstr(child->err_text, "thrum: no ");
  if (step && step->may_abort && said) return;
  check_failed(__FILE__, __LINE__, "%s: aborted in step %s\n-- stdout:\n%.1000s\n-- stderr:\n%.2500s",
               setting, step ? step->name : "?", child->out_text, child->err_text);
}

/* Whether a failure was injected. */
static bool run_child(const char *name, const char *kind, long from, long length) {
  char setting[128];
  snprintf(setting, sizeof setting, "FAULT=%s %ld %ld", kind, from, length);
  struct child child = child_run_with(name, setting);
  bool injected = true;
  if (child.status == CHILD_SIGNALLED + SIGABRT) {
    check_abort(&child, setting);
  } else {
    if (child.status) fprintf(stderr, "%s\n", setting);
    CHECK_STATUS(child, 0);
    const char *count = strstr(child.out_text, "\ninjected: ");
    CHECK(count);
    injected = atol(count + strlen("\ninjected: ")) > 0;
  }
  child_free(&child);
  return injected;
}

/* How many calls of a kind a run makes varies where they depend on time; there, the later the sparser. */
static long next(const struct inject_kind *kind, long from) {
  bool each = from < DENSE || (kind->steady && !TESTS_SANITIZED); /* they take ten times as long */
  return each ? from + 1 : from + from / 4;
}

static void fail_in_turn(const struct inject_kind *kind, long length) {
  long from = 1, runs = 1;
  for (; run_child("once", kind->name, from, length); from = next(kind, from)) runs++;
  printf("%s, %s: %ld runs, up to call %ld\n", kind->name, length == 1 ? "one" : "and the next", runs,
         from - 1);
  CHECK(from > 1);
}

static void fail_repeatedly(const struct inject_kind *kind) {
  for (long from = 1; from <= REPEATED_CALLS; from++) run_child("repeated", kind->name, from, 1);
}

static const struct child_case cases[] = {
    {"once", run_once}, {"repeated", run_repeated}, {"starved", run_starved}, {0}};

int main(int argc, char **argv) {
  if (getenv("FAULT")) CHILD_CASES(argc, argv, cases);
  CHECK(argc > 1);
  const struct inject_kind *kind = inject_find(argv[1]);
  CHECK(kind);
  if (TESTS_ASAN && strcmp(kind->name, "guard") == 0)
    CHECK_SKIP("guards are mappings under AddressSanitizer");
  if (TESTS_ASAN && strcmp(kind->name, "release") == 0)
    CHECK_SKIP("AddressSanitizer gives threads their signal stacks, and nothing else is ever released");
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc == 2) {
    fail_in_turn(kind, 1);
    fail_in_turn(kind, kind->longest);
  } else if (strcmp(argv[2], "repeat") == 0) {
    fail_repeatedly(kind);
  } else {
    CHECK(run_child("starved", kind->name, 1, LONG_MAX));
  }
  return 0;
}
