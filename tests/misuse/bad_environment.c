/* Garbage in the environment is named on standard error and ignored; the program runs. */
#include "../child.h"
#include "../support.h"
#include <sys/resource.h>

static intptr_t twice(void *arg) {
  thrum_yield();
  return 2 * (intptr_t)arg;
}

static int work(void) {
  thrum_thread threads[10];
  for (int i = 0; i < 10; i++) threads[i] = must_spawn(twice, (void *)(intptr_t)i);
  for (int i = 0; i < 10; i++) CHECK_EQ(must_join(threads[i]), 2 * i);
  CHECK(thrum_workers() >= 1 && thrum_workers() <= THRUM_WORKERS_MAX);
  CHECK_EQ(thrum_switch_interval(), THRUM_MS(5));
  CHECK_EQ(thrum_stack_size(), 256 * 1024);
  return 0;
}

/* A bound that is too low for the workers leaves fewer of them. */
static int few_kernel_threads(void) {
  setenv("THRUM_WORKERS", "3", 1);
  for (int i = 0; i < 100; i++) must_join(must_spawn(twice, NULL));
  CHECK_EQ(thrum_workers(), 2);
  CHECK_EQ(statistics().kernel_threads_max, 6);
  return 0;
}

static int hardly_any(void) {
  setenv("THRUM_WORKERS", "2", 1);
  CHECK_EQ(must_join(must_spawn(twice, (void *)4)), 8);
  CHECK_EQ(thrum_workers(), 1);
  return 0;
}

/* The default bound is half of the limit. */
static int many_workers(void) {
  struct rlimit limit = {40, 40};
  CHECK_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
  setenv("THRUM_WORKERS", "30", 1);
  CHECK_EQ(must_join(must_spawn(twice, (void *)4)), 8);
  CHECK_EQ(thrum_workers(), 16);
  return 0;
}

static const struct child_case cases[] = {{"work", work},
                                          {"few-kernel-threads", few_kernel_threads},
                                          {"hardly-any", hardly_any},
                                          {"many-workers", many_workers},
                                          {0}};

static void bound_is_too_low(const char *name, const char *variable, const char *remedy) {
  struct child child = child_run_with(name, variable);
  CHECK_STATUS(child, 0);
  CHECK_HAS(child.err_text, "kernel threads are too few for workers");
  CHECK_HAS(child.err_text, remedy);
  child_free(&child);
}

static const char *const garbage[] = {
    "THRUM_WORKERS=0",
    "THRUM_WORKERS=-1",
    "THRUM_WORKERS=1000000",
    "THRUM_WORKERS=two",
    "THRUM_WORKERS=2x",
    "THRUM_WORKERS=99999999999999999999",
    "THRUM_WORKERS= ",
    "THRUM_INTERVAL=0",
    "THRUM_INTERVAL=fast",
    "THRUM_INTERVAL=5",
    "THRUM_INTERVAL=1us",
    "THRUM_INTERVAL=11s",
    "THRUM_INTERVAL=-5ms",
    "THRUM_INTERVAL=5 parsecs",
    "THRUM_INTERVAL=9999999999999999999s",
    "THRUM_STACK=1",
    "THRUM_STACK=-256k",
    "THRUM_STACK=big",
    "THRUM_STACK=16384p",
    "THRUM_STACK=2t",
    "THRUM_KERNEL_THREADS=0",
    "THRUM_KERNEL_THREADS=-5",
    "THRUM_KERNEL_THREADS=many",
    "THRUM_CHECK=everything",
    "THRUM_CHECK=1",
    "THRUM_PROFILE=locks,io",
    "THRUM_STATS=locks",
};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  unsetenv("THRUM_INTERVAL");
  unsetenv("THRUM_STACK");
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
    struct child child = child_run_with("work", garbage[i]);
    char variable[64] = "";
    CHECK_EQ(sscanf(garbage[i], "%60[^=]", variable), 1);
    if (child.status != 0 || !strstr(child.err_text, variable)) fprintf(stderr, "with %s:\n", garbage[i]);
    CHECK_STATUS(child, 0);
    CHECK_HAS(child.err_text, variable);
    child_free(&child);
  }
  bound_is_too_low("few-kernel-threads", "THRUM_KERNEL_THREADS=6", "THRUM_KERNEL_THREADS to 7");
  bound_is_too_low("hardly-any", "THRUM_KERNEL_THREADS=4", "THRUM_KERNEL_THREADS to 6");
  /* Only root, whom the limit does not bind, has all of them for sure. */
  if (geteuid() == 0) bound_is_too_low("many-workers", "THRUM_KERNEL_THREADS=", "THRUM_KERNEL_THREADS to 34");
  struct child child = child_run("work");
  CHECK_STATUS(child, 0);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
