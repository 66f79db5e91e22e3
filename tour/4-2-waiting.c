/* When a thread gives up the CPU (2): when it waits for input or output
 *
 * A reader waits on a pipe, a writer sleeps and writes, and a third thread counts and never waits for
 * anything; all on one worker. Who waits has given up the CPU, so the counting goes on. And who has waited
 * goes first: a message reaches the reader long before the counting has used up its 5 ms. */
#include "lanes.h"

#include <stdatomic.h>
#include <unistd.h>

enum { MESSAGES = 15 };

static struct lane lanes[3] = {{.name = "writer"}, {.name = "reader"}, {.name = "counting"}};
static int ends[2];
static atomic_bool counted;

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

struct received {
  int messages, meanwhile; /* the latter while the counting went on */
  thrum_duration slowest;
};

static intptr_t reader(void *arg) {
  struct received *r = arg;
  thrum_time sent;
  while (thrum_read(ends[0], &sent, sizeof sent) == sizeof sent) {
    thrum_duration took = thrum_now() - sent;
    lane_stamp(&lanes[1]);
    r->messages++;
    if (!atomic_load(&counted)) r->meanwhile++;
    if (took > r->slowest) r->slowest = took;
  }
  return 0;
}

static intptr_t counting(void *arg) {
  (void)arg;
  long rounds = lane_spin(&lanes[2], THRUM_MS(180));
  atomic_store(&counted, true);
  return rounds;
}

int main(void) {
  thrum_set_workers(1);
  if (pipe(ends) != 0) return 1;
  thrum_thread threads[3] = {0};
  struct received received = {0};
  intptr_t rounds = 0;
  thrum_spawn(&threads[0], writer, NULL);
  thrum_spawn(&threads[1], reader, &received);
  thrum_spawn(&threads[2], counting, NULL);
  thrum_join(threads[0], NULL);
  thrum_join(threads[1], NULL);
  thrum_join(threads[2], &rounds);
  close(ends[0]);
  thrum_print("%d messages, %d of them before the counting ended at %jd; the slowest after %.3f ms\n",
              received.messages, received.meanwhile, (intmax_t)rounds, (double)received.slowest / 1e6);
  lanes_draw(lanes, 3);
  return 0;
}
