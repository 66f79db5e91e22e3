/* Promise 2: hogs get their turns even while woken threads always have something to do. */
#include "../support.h"

#include <fcntl.h>

enum { PAIRS = 8, ROUNDS = 20 };

static struct hogs hogs;
static bool stop;
static uint64_t trips;

struct end {
  int in, out;
};

/* Passes a byte on for ever and is busy for a while each time, so that the ready queue never runs dry. */
static intptr_t pass_on(void *arg) {
  struct end *end = arg;
  char c;
  while (thrum_read(end->in, &c, 1) == 1) {
    for (int i = 0; i < 20000; i++) __asm__ volatile("");
    ADD(trips, 1);
    if (LOAD(stop)) break;
    CHECK_EQ(thrum_write(end->out, &c, 1), 1);
  }
  CHECK_EQ(thrum_close(end->out), 0);
  return 0;
}

int main(void) {
  struct end ends[PAIRS][2];
  thrum_thread threads[PAIRS][2];
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  for (int i = 0; i < PAIRS; i++) {
    int a[2], b[2];
    CHECK(pipe2(a, O_CLOEXEC) == 0 && pipe2(b, O_CLOEXEC) == 0);
    ends[i][0] = (struct end){a[0], b[1]};
    ends[i][1] = (struct end){b[0], a[1]};
    for (int k = 0; k < 2; k++) threads[i][k] = must_spawn(pass_on, &ends[i][k]);
    CHECK_EQ(write(a[1], "x", 1), 1);
  }
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t since[HOGS_MAX], trips_then = LOAD(trips);
    for (int i = 0; i < hogs.count; i++) since[i] = hog_loops(&hogs, i);
    AWAIT(hogs_all_beyond(&hogs, since) && LOAD(trips) > trips_then);
  }
  STORE(stop, true);
  for (int i = 0; i < PAIRS; i++)
    for (int k = 0; k < 2; k++) {
      CHECK_EQ(must_join(threads[i][k]), 0);
      CHECK_EQ(thrum_close(ends[i][k].in), 0);
    }
  hogs_stop(&hogs);
  return 0;
}
