/* A holder that was preempted in favour of hogs of the program which want no gil runs before these when somebody wants it: the
 * wait does not grow with the number of the hogs. Beside 8 of them it is below the 8 intervals that their queue lasts,
 * 90 of 100 times. */
#include "../support.h"

enum { HOGS = 8, TIMES = TESTS_SANITIZED ? 30 : 60, TRIES = 3 };

static thrum_gil gil;
static bool stop;

static intptr_t hold(void *unused) {
  (void)unused;
  THRUM_GIL_LOCKED(&gil) {
    while (!LOAD(stop)) thrum_gil_check(&gil);
  }
  return 0;
}

static int later(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static intptr_t come_and_go(void *arg) {
  static int64_t took[TIMES];
  for (int i = 0; i < TIMES; i++) {
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
    int64_t begun = wall_now();
    thrum_gil_acquire(&gil);
    took[i] = wall_now() - begun;
    CHECK_EQ(thrum_gil_release(&gil), 0);
  }
  qsort(took, TIMES, sizeof *took, later);
  *(int64_t *)arg = took[TIMES * 9 / 10];
  return 0;
}

int main(void) {
  struct hogs hogs;
  int64_t p90 = INT64_MAX, bound = HOGS * thrum_switch_interval() / thrum_workers();
  thrum_thread holder = must_spawn(hold, NULL);
  AWAIT(thrum_gil_held(&gil));
  hogs_start(&hogs, HOGS, hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  for (int tries = 0; p90 >= bound; tries++) {
    CHECK(tries < TRIES);
    CHECK_EQ(must_join(must_spawn(come_and_go, &p90)), 0);
    printf("the gil came within %.3f ms (p90) beside %d hogs\n", (double)p90 / 1e6, HOGS);
    fflush(stdout);
  }
  STORE(stop, true);
  CHECK_EQ(must_join(holder), 0);
  hogs_stop(&hogs);
  return 0;
}
