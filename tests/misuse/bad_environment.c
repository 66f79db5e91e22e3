/* Garbage in the environment is named on standard error and ignored; the program runs. */
#include "../child.h"
#include "../support.h"

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

static const struct child_case cases[] = {{"work", work}, {0}};

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
  struct child child = child_run("work");
  CHECK_STATUS(child, 0);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  return 0;
}
