/* The number of workers may change while everything runs: nothing is lost, nobody stops, and one worker means
 * that light threads run one at a time. */
#include "../support.h"

#include <sched/sched.h>

enum { THREADS = 24, ROUNDS = 60, LOOPS = 3000 };

static int finished;
static uint64_t steps;

static intptr_t work(void *arg) {
  for (int i = 0; i < LOOPS; i++) {
    ADD(steps, 1);
    if (i % 7 == 0) thrum_yield();
    if (i % 500 == 0) CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  }
  ADD(finished, 1);
  return (intptr_t)arg;
}

static void up_and_down(void) {
  static const int counts[] = {1, 4, 2, 8, 3, 1, 16, 2};
  thrum_thread threads[THREADS];
  struct hogs hogs;
  hogs_start(&hogs, 4, hog_loop);
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(work, (void *)(intptr_t)i);
  for (int round = 0; round < ROUNDS; round++) {
    int n = counts[round % 8];
    uint64_t steps_then = LOAD(steps);
    CHECK_EQ(thrum_set_workers(n), 0);
    CHECK_EQ(thrum_workers(), n);
    AWAIT(LOAD(steps) > steps_then || LOAD(finished) == THREADS);
  }
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), i);
  CHECK_EQ(LOAD(steps), (uint64_t)THREADS * LOOPS);
  hogs_stop(&hogs);
}

/* With one worker, and nobody preempted, what lies between two switches is not interleaved. */
static int inside, most_inside;

static intptr_t look_around(void *arg) {
  (void)arg;
  for (int i = 0; i < 200; i++) {
    int now = ADD(inside, 1);
    if (now > LOAD(most_inside)) STORE(most_inside, now);
    for (int k = 0; k < 2000; k++) __asm__ volatile("");
    ADD(inside, -1);
    thrum_yield();
  }
  return 0;
}

static void one_at_a_time(void) {
  thrum_thread threads[8];
  thrum_duration interval = thrum_switch_interval();
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0);
  for (int i = 0; i < 8; i++) threads[i] = must_spawn(look_around, NULL);
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(most_inside, 1);
  CHECK_EQ(thrum_set_switch_interval(interval), 0);
}

/* Two workers run two loops that need each other, without any switch. */
static int turns;

static intptr_t alternate(void *arg) {
  int me = (int)(intptr_t)arg;
  for (int i = 0; i < 50; i++) {
    while (LOAD(turns) % 2 != me) continue;
    ADD(turns, 1);
  }
  return 0;
}

static void two_at_a_time(void) {
  CHECK_EQ(thrum_set_workers(2), 0);
  thrum_thread a = must_spawn(alternate, (void *)0), b = must_spawn(alternate, (void *)1);
  CHECK_EQ(must_join(a), 0);
  CHECK_EQ(must_join(b), 0);
  CHECK_EQ(turns, 100);
}

/* A worker that is taken away goes when its thread is stopped, though that computes for ever. */
static void surplus_workers_go(void) {
  struct hogs hogs;
  CHECK_EQ(thrum_set_workers(4), 0);
  hogs_start(&hogs, 4, hog_loop);
  CHECK_EQ(thrumi_load(&thrumi_sched.held), 4);
  CHECK_EQ(thrum_set_workers(1), 0);
  AWAIT(thrumi_load(&thrumi_sched.held) == 1);
  hogs_stop(&hogs);
}

int main(void) {
  surplus_workers_go();
  up_and_down();
  one_at_a_time();
  two_at_a_time();
  return 0;
}
