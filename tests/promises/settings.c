/* Settings: what is in range is taken and read back, what is not is -EINVAL and changes nothing. */
#include "../child.h"
#include "../support.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static void interval(void) {
  static const thrum_duration bad[] = {0, -1, THRUM_US(99), THRUM_S(10) + 1, INT64_MAX, INT64_MIN};
  static const thrum_duration good[] = {THRUM_US(100), THRUM_MS(1), THRUM_S(3), THRUM_S(10), THRUM_MS(5)};
  CHECK_EQ(thrum_switch_interval(), THRUM_MS(5));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_EQ(thrum_set_switch_interval(bad[i]), -EINVAL);
  CHECK_EQ(thrum_switch_interval(), THRUM_MS(5));
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    CHECK_EQ(thrum_set_switch_interval(good[i]), 0);
    CHECK_EQ(thrum_switch_interval(), good[i]);
  }
}

static void workers(void) {
  static const int bad[] = {0, -1, THRUM_WORKERS_MAX + 1, 1000000, INT32_MIN, INT32_MAX};
  int before = thrum_workers();
  CHECK(before >= 1);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_EQ(thrum_set_workers(bad[i]), -EINVAL);
  CHECK_EQ(thrum_workers(), before);
  static const int good[] = {1, 2, 5, THRUM_WORKERS_MAX, 1};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    CHECK_EQ(thrum_set_workers(good[i]), 0);
    CHECK_EQ(thrum_workers(), good[i]);
  }
  CHECK_EQ(thrum_set_workers(before), 0);
}

/* Uses the better part of a stack of that size. */
static intptr_t use_stack(void *arg) {
  size_t bytes = (size_t)arg / 2;
  volatile char *p = __builtin_alloca(bytes);
  for (size_t i = 0; i < bytes; i += 512) p[i] = 1;
  ssize_t used = thrum_stack_used(thrum_current());
  CHECK(used >= (ssize_t)bytes || TESTS_ASAN);
  CHECK(used <= (ssize_t)arg);
  return 1;
}

static void stack_sizes(void) {
  static const size_t bad[] = {0, 1000, 4096, THRUM_STACK_MIN - 1, ((size_t)1 << 40) + 1, SIZE_MAX};
  static const size_t good[] = {THRUM_STACK_MIN, 64 * 1024, 1 << 20, 16 << 20, 256 * 1024};
  CHECK_EQ(thrum_stack_size(), 256 * 1024);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_EQ(thrum_set_stack_size(bad[i]), -EINVAL);
  CHECK_EQ(thrum_stack_size(), 256 * 1024);
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    CHECK_EQ(thrum_set_stack_size(good[i]), 0);
    CHECK_EQ(thrum_stack_size(), good[i]);
    CHECK_EQ(must_join(must_spawn(use_stack, (void *)good[i])), 1);
    thrum_options options = THRUM_OPTIONS_INIT;
    options.stack_size = good[i];
    thrum_thread t;
    CHECK_EQ(thrum_spawn_with(&t, &options, use_stack, (void *)good[i]), 0);
    CHECK_EQ(must_join(t), 1);
  }
  CHECK_EQ(thrum_stack_used(thrum_main_thread()), -ENOTSUP);
}

enum { EARLY = 20, SMALL = 128 * 1024, LARGE = 2 * SMALL };

/* Each thread has the size that was set when it was spawned, wherever it begins: on a stack of its own, on that of one that has ended,
 * which may be a smaller one, or in a join on that of the caller, if it is a light one. */
static intptr_t spawn_then_lower(void *arg) {
  thrum_thread threads[EARLY];
  for (int i = 0; i < EARLY; i++) {
    size_t size = i % 2 ? LARGE : SMALL;
    CHECK_EQ(thrum_set_stack_size(size), 0);
    threads[i] = must_spawn(use_stack, (void *)size);
  }
  CHECK_EQ(thrum_set_stack_size(SMALL), 0);
  for (int i = 0; i < EARLY; i++) CHECK_EQ(must_join(threads[i]), 1);
  return (intptr_t)arg;
}

static void sizes_at_the_spawn(void) {
  CHECK_EQ(spawn_then_lower(NULL), 0);
  CHECK_EQ(thrum_run(spawn_then_lower, NULL), 0); /* its own stack is a small one */
  CHECK_EQ(thrum_set_stack_size(256 * 1024), 0);
}

static intptr_t deep(void *arg) {
  volatile char here[8 << 20];
  memset((char *)(uintptr_t)here, 1, sizeof here);
  return here[(intptr_t)arg];
}

static void large_stack(void) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = 16 << 20;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, deep, (void *)1000), 0);
  CHECK_EQ(must_join(t), 1);
}

static int logged;
static void log_message(const char *message, size_t length) {
  CHECK(length > 0 && message);
  ADD(logged, 1);
}

static intptr_t configured_stack(void *arg) {
  (void)arg;
  CHECK(thrum_stack_used(thrum_current()) > 0);
  return thrum_fail(EIO, "to the log");
}

/* What is set before the first use goes before the environment. */
static int configured(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.workers = 3;
  config.stack_size = 128 * 1024;
  config.interval = THRUM_MS(7);
  config.kernel_threads = 50;
  config.log = log_message;
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK_EQ(thrum_workers(), 3);
  CHECK_EQ(thrum_stack_size(), 128 * 1024);
  CHECK_EQ(thrum_switch_interval(), THRUM_MS(7));
  CHECK_EQ(statistics().kernel_threads_max, 50);
  CHECK_EQ(thrum_spawn(NULL, configured_stack, NULL), 0);
  AWAIT(LOAD(logged) == 1);
  CHECK_EQ(thrum_configure(&config), -EBUSY);
  return 0;
}

static int configured_wrongly(void) {
  static const struct {
    int workers, kernel_threads;
    size_t stack_size;
    thrum_duration interval;
  } bad[] = {
      {-1, 0, 0, 0},   {257, 0, 0, 0}, {0, -1, 0, 0},         {0, 0, 1000, 0}, {0, 0, (size_t)2 << 40, 0},
      {0, 0, 0, 1000}, {0, 0, 0, -1},  {0, 0, 0, THRUM_S(11)}};
  thrum_config config = THRUM_CONFIG_INIT;
  config.size = 3;
  CHECK_EQ(thrum_configure(&config), -EINVAL);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    thrum_config wrong = THRUM_CONFIG_INIT;
    wrong.workers = bad[i].workers;
    wrong.kernel_threads = bad[i].kernel_threads;
    wrong.stack_size = bad[i].stack_size;
    wrong.interval = bad[i].interval;
    CHECK_EQ(thrum_configure(&wrong), -EINVAL);
  }
  CHECK_EQ(thrum_switch_interval(), THRUM_MS(5));
  return 0;
}

/* ---- Stacks ---------------------------------------------------------------------------------------------------- */

enum { DEEP = 96 * 1024, SHALLOW = 16 * 1024, REUSES = 20 };

static intptr_t use_much(void *arg) {
  volatile char *p = __builtin_alloca(DEEP);
  for (size_t i = 0; i < DEEP; i += 512) p[i] = 1;
  *(uintptr_t *)arg = (uintptr_t)__builtin_frame_address(0);
  return 0;
}

static intptr_t use_little(void *arg) {
  ssize_t used = thrum_stack_used(thrum_current());
  CHECK(used > 0 && used < SHALLOW);
  return *(uintptr_t *)arg == (uintptr_t)__builtin_frame_address(0);
}

static intptr_t run_with(const thrum_options *options, thrum_fn *fn, void *arg) {
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, options, fn, arg), 0);
  return must_join(t);
}

/* What the thread that had the stack before used of it does not count. */
static void reuse_with(const thrum_options *options) {
  uintptr_t frame;
  intptr_t reused = 0;
  for (int i = 0; i < REUSES || (!reused && i < 100 * REUSES); i++) { /* another worker may have the stack */
    CHECK_EQ(run_with(options, use_much, &frame), 0);
    reused += run_with(options, use_little, &frame);
  }
  CHECK(reused > 0 || TESTS_ASAN);
}

/* Nor does what its joiner has used. */
static intptr_t join_having_used_much(void *arg) {
  uintptr_t frame;
  CHECK_EQ(use_much(&frame), 0);
  CHECK_EQ(must_join(must_spawn(use_little, &frame)), 0);
  return (intptr_t)arg;
}

static int stacks_measured(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.measure_stacks = true;
  CHECK_EQ(thrum_configure(&config), 0);
  thrum_options usual = THRUM_OPTIONS_INIT, sized = usual, bound = usual;
  sized.stack_size = 512 * 1024;
  bound.bound = true;
  reuse_with(&usual);
  reuse_with(&sized);
  reuse_with(&bound);
  for (int i = 0; i < REUSES; i++) CHECK_EQ(thrum_run(join_having_used_much, NULL), 0);
  return 0;
}

static bool go_on;

static intptr_t stay(void *arg) {
  while (!LOAD(go_on)) CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return (intptr_t)arg;
}

/* Each has a stack of its own, and each stack is guarded in one way. */
static int stacks_counted(void) {
  thrum_thread threads[50];
  for (int i = 0; i < 50; i++) threads[i] = must_spawn(stay, NULL);
  AWAIT(statistics().stacks >= 50);
  thrum_stats stats = statistics();
  CHECK_EQ(stats.stacks_marked + stats.stacks_protected, stats.stacks);
  CHECK(stats.stacks_marked == 0 || stats.stacks_protected == 0);
  CHECK_EQ(stats.stacks_unguarded, 0);
  STORE(go_on, true);
  for (int i = 0; i < 50; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

/* ---- The bound on kernel threads --------------------------------------------------------------------------------- */

enum { BOUND_HOGS = 24, HOG_NS = 20000000 };

static int64_t cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static intptr_t compute_on(void *arg) {
  for (int64_t end = cpu_now() + HOG_NS; cpu_now() < end;) continue;
  return (intptr_t)arg;
}

static int refusals;
static void log_refusal(const char *message, size_t length) {
  CHECK(memmem(message, length, "no more kernel threads", 22));
  ADD(refusals, 1);
}

/* At the bound hogs keep their workers, and all come to their end. It is counted, and said once: on a machine that does much else few are
 * preempted, so hogs come until that was refused again behind what was said. */
static int hogs_at_the_bound(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.kernel_threads = 10;
  config.log = log_refusal;
  CHECK_EQ(thrum_configure(&config), 0);
  uint64_t when_said = 0;
  for (int round = 0; when_said == 0 || statistics().preempts_refused == when_said; round++) {
    thrum_thread hogs[BOUND_HOGS];
    CHECK(round < 500);
    for (intptr_t i = 0; i < BOUND_HOGS; i++) hogs[i] = must_spawn(compute_on, (void *)i);
    for (intptr_t i = 0; i < BOUND_HOGS; i++) CHECK_EQ(must_join(hogs[i]), i);
    if (when_said == 0 && LOAD(refusals)) when_said = statistics().preempts_refused;
  }
  thrum_stats stats = statistics();
  CHECK(stats.kernel_threads_peak <= stats.kernel_threads_max);
  CHECK_EQ(LOAD(refusals), 1);
  return 0;
}

/* ---- The environment --------------------------------------------------------------------------------------------- */

static int environment(void) {
  CHECK_EQ(thrum_workers(), 7);
  return 0;
}

static int environment_ignored(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.ignore_environment = true;
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK_EQ(thrum_switch_interval(), THRUM_MS(5));
  return 0;
}

static int interval_2ms(void) { return thrum_switch_interval() == THRUM_MS(2) ? 0 : 1; }
static int interval_500us(void) { return thrum_switch_interval() == THRUM_US(500) ? 0 : 1; }
static int stack_64k(void) { return thrum_stack_size() == 64 * 1024 ? 0 : 1; }
static int kernel_threads_30(void) { return statistics().kernel_threads_max == 30 ? 0 : 1; }

static const struct child_case cases[] = {{"configured", configured},
                                          {"configured-wrongly", configured_wrongly},
                                          {"stacks-measured", stacks_measured},
                                          {"stacks-counted", stacks_counted},
                                          {"hogs-at-the-bound", hogs_at_the_bound},
                                          {"environment", environment},
                                          {"environment-ignored", environment_ignored},
                                          {"interval-2ms", interval_2ms},
                                          {"interval-500us", interval_500us},
                                          {"stack-64k", stack_64k},
                                          {"kernel-threads-30", kernel_threads_30},
                                          {0}};

static void succeeds(const char *name, const char *setting) {
  struct child child = child_run_with(name, setting);
  CHECK_STATUS(child, 0);
  CHECK_STR(child.err_text, "");
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  succeeds("configured", "THRUM_WORKERS=2");
  succeeds("configured-wrongly", NULL);
  succeeds("stacks-measured", NULL);
  succeeds("stacks-counted", NULL);
  succeeds("hogs-at-the-bound", NULL);
  succeeds("environment", "THRUM_WORKERS=7");
  succeeds("environment-ignored", "THRUM_INTERVAL=2ms");
  succeeds("interval-2ms", "THRUM_INTERVAL=2ms");
  succeeds("interval-500us", "THRUM_INTERVAL=500us");
  succeeds("stack-64k", "THRUM_STACK=64k");
  succeeds("kernel-threads-30", "THRUM_KERNEL_THREADS=30");
  CHECK_STR(thrum_version(), "0.1.0");
  CHECK_HAS(TEXT(errno), "thrum_errno");
  interval();
  workers();
  stack_sizes();
  sizes_at_the_spawn();
  large_stack();
  thrum_stats stats = {.size = 5};
  CHECK_EQ(thrum_statistics(&stats), -EINVAL);
  return 0;
}
