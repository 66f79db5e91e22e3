/* When a thread gives up the CPU (1): when its time is over
 *
 * Three threads, one worker, and not one call that gives up the CPU. Each runs for a switch interval, 5 ms
 * unless set otherwise, and then has to let the next one run, wherever it is in its code. The lanes show who
 * ran when; where no lane is marked the machine had other things to do. With an interval of 1 ms they take
 * turns more often. */
#include "lanes.h"

enum { HOGS = 3 };

static struct lane lanes[HOGS];

static intptr_t hog(void *arg) { return lane_spin(arg, THRUM_MS(60)); }

static void share_one_worker(void) {
  static const char *const names[HOGS] = {"hog-0", "hog-1", "hog-2"};
  thrum_thread hogs[HOGS] = {0};
  for (int i = 0; i < HOGS; i++) {
    lanes[i] = (struct lane){.name = names[i]};
    thrum_spawn_named(&hogs[i], hog, &lanes[i], "%s", names[i]);
  }
  for (int i = 0; i < HOGS; i++) thrum_join(hogs[i], NULL);
  size_t turns;
  thrum_duration turn = lanes_turn(lanes, HOGS, &turns);
  thrum_print("switch interval %.1f ms: %zu turns, the median %.1f ms long\n",
              (double)thrum_switch_interval() / 1e6, turns, (double)turn / 1e6);
  lanes_draw(lanes, HOGS);
}

int main(void) {
  thrum_set_workers(1);
  share_one_worker();
  thrum_set_switch_interval(THRUM_MS(1));
  share_one_worker();
  return 0;
}
