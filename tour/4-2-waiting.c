/* When a thread gives up the CPU (2): when it waits for input or output
 *
 * A reader waits on a pipe, a writer sleeps and writes, and a third thread counts and never waits for
 * anything; all on one worker. Who waits has given up the CPU, so the counting goes on. And who has waited
 * goes first: a message reaches the reader long before the counting has used up its 5 ms. */
#include "lanes.h"

#include <unistd.h>

enum { MESSAGES = 15 };

static struct lane lanes[3] = {{.name = "writer"}, {.name = "reader"}, {.name = "counting"}};
static int ends[2];

static intptr_t writer(void *arg) {
  (void)arg;
  for (int i = 0; i < MESSAGES; i++) {
    thrum_sleep(THRUM_MS(10));
    lane_stamp(&lanes[0]);
    thrum_time now = thrum_now();
    if (thrum_write(ends[1], &now, sizeof now) != sizeof now) return -EIO;
  }
  return thrum_close(ends[1]);
}

static intptr_t reader(void *arg) {
  thrum_duration *longest = arg;
  thrum_time sent;
  intptr_t messages = 0;
  for (; thrum_read(ends[0], &sent, sizeof sent) == sizeof sent; messages++) {
    lane_stamp(&lanes[1]);
    if (thrum_now() - sent > *longest) *longest = thrum_now() - sent;
  }
  return messages;
}

static intptr_t counting(void *arg) {
  (void)arg;
  return lane_spin(&lanes[2], THRUM_MS(180));
}

int main(void) {
  thrum_set_workers(1);
  if (pipe(ends) != 0) return 1;
  thrum_thread threads[3] = {0};
  thrum_duration longest = 0;
  intptr_t messages = 0, rounds = 0;
  thrum_spawn(&threads[0], writer, NULL);
  thrum_spawn(&threads[1], reader, &longest);
  thrum_spawn(&threads[2], counting, NULL);
  thrum_join(threads[0], NULL);
  thrum_join(threads[1], &messages);
  thrum_join(threads[2], &rounds);
  close(ends[0]);
  thrum_print("%jd messages, the slowest after %.3f ms; counted to %jd meanwhile\n", (intmax_t)messages,
              (double)longest / 1e6, (intmax_t)rounds);
  lanes_draw(lanes, 3);
  return 0;
}
