/* Promise 1: with four times as many hogs as workers all of them progress, at much the same pace. */
#include "../support.h"

enum { TURNS = 12 };

static struct hogs hogs;

/* Each hog has had the worker for some turns in which all the others were waiting. */
static uint64_t slowest_after(int count, uint64_t *fastest) {
  uint64_t low = UINT64_MAX, high = 0;
  for (int i = 0; i < count; i++) {
    uint64_t n = hog_loops(&hogs, i);
    low = n < low ? n : low;
    high = n > high ? n : high;
  }
  *fastest = high;
  return low;
}

/* One after the other gets round after round: nobody waits while somebody else has two turns too many. */
static void in_rounds(void) {
  uint64_t since[HOGS_MAX];
  for (int round = 0; round < TURNS; round++) {
    for (int i = 0; i < hogs.count; i++) since[i] = hog_loops(&hogs, i);
    AWAIT(hogs_all_beyond(&hogs, since));
  }
}

/* The ratio is of a whole run of a second or more: single turns differ as the machine's other work comes and goes. */
static void at_the_same_pace(void) {
  uint64_t fastest = 0, slowest = 0;
  uint64_t preemptions = statistics().preemptions;
  for (int i = 0; i < hogs.count; i++) STORE(hogs.each[i].loops, 0);
  AWAIT(statistics().preemptions - preemptions > (uint64_t)(120 * hogs.count));
  slowest = slowest_after(hogs.count, &fastest);
  if (slowest * 6 < fastest)
    check_failed(__FILE__, __LINE__, "the slowest hog went round %llu times, the fastest %llu times",
                 (unsigned long long)slowest, (unsigned long long)fastest);
}

int main(void) {
  CHECK_EQ(thrum_set_switch_interval(THRUM_MS(2)), 0);
  hogs_start(&hogs, 4 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  in_rounds();
  if (!TESTS_TSAN) at_the_same_pace(); /* there a hog is mostly in the sanitizer, which is left in peace */
  hogs_stop(&hogs);
  return 0;
}
