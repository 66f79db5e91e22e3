/* A holder that was preempted in favour of hogs of the program which want no gil runs before these when somebody wants it: the
 * wait does not grow with the number of the hogs. It is told by the turns that end meanwhile, since their length depends on the
 * machine: beside 8 hogs, as a rule, less than half of them lose their worker. (The median: where other programs have all
 * CPUs, the kernel takes the holder's now and then, and the other worker goes on.) */
#include "../support.h"

enum { HOGS = 8, TIMES = TESTS_SANITIZED ? 30 : 60 };

static thrum_gil gil;
static bool stop;

static intptr_t hold(void *unused) {
  (void)unused;
  THRUM_GIL_LOCKED(&gil) {
    while (!LOAD(stop)) thrum_gil_check(&gil);
  }
  return 0;
}

static int more(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static intptr_t come_and_go(void *unused) {
  (void)unused;
  static uint64_t turns[TIMES];
  for (int i = 0; i < TIMES; i++) {
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
    uint64_t before = statistics().preemptions;
    thrum_gil_acquire(&gil);
    turns[i] = statistics().preemptions - before;
    CHECK_EQ(thrum_gil_release(&gil), 0);
  }
  qsort(turns, TIMES, sizeof *turns, more);
  return (intptr_t)turns[TIMES / 2];
}

int main(void) {
  struct hogs hogs;
  thrum_thread holder = must_spawn(hold, NULL);
  AWAIT(thrum_gil_held(&gil));
  hogs_start(&hogs, HOGS, hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  intptr_t p50 = must_join(must_spawn(come_and_go, NULL));
  printf("the gil came within %jd turns (p50) beside %d hogs\n", (intmax_t)p50, HOGS);
  CHECK(p50 < HOGS / 2);
  STORE(stop, true);
  CHECK_EQ(must_join(holder), 0);
  hogs_stop(&hogs);
  return 0;
}
