/* A gil is held by one thread at a time: a counter that is not atomic loses nothing, whoever counts (light, bound and
 * foreign threads together), however the gil is taken, handed over and given back, and whoever gives up waiting for it. */
#include "counting.h"

enum { TIMES = TESTS_SANITIZED ? 400 : 3000 };

static thrum_gil gil;

static void acquire(void) { thrum_gil_acquire(&gil); }
static int try_acquire(void) { return thrum_gil_try_acquire(&gil); }
static int acquire_for(thrum_duration timeout) { return thrum_gil_acquire_for(&gil, timeout); }

static void compute(int i) {
  volatile int steps = i % 7 * 300;
  while (steps > 0) steps--;
}

static void own_it(int i) {
  (void)i;
  CHECK(thrum_gil_owned(&gil));
}

/* Between counting and giving it back. */
static void work(int i) {
  compute(i);
  if (i % 3 == 0) thrum_gil_check(&gil);
  if (i % 17 == 0) THRUM_GIL_UNLOCKED(&gil) thrum_yield();
  CHECK_EQ(counting_inside, 0);
}

static int work_and_release(void) {
  work((int)(counting_total % 357)); /* 3 * 7 * 17 */
  return thrum_gil_release(&gil);
}

static void in_block(int i) {
  THRUM_GIL_LOCKED(&gil) {
    count_once(i);
    work(i);
  }
}

static const struct counting behind_gil = {TIMES,    acquire, try_acquire, acquire_for, work_and_release,
                                           in_block, own_it};

/* Holds it all the time, and gives others their turns. */
static intptr_t count_and_check(void *arg) {
  (void)arg;
  THRUM_GIL_LOCKED(&gil) {
    for (int i = 0; i < TIMES; i++) {
      count_once(i);
      compute(i);
      thrum_gil_check(&gil);
    }
  }
  return 0;
}

int main(void) {
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(200)), 0);
  count_in_all_kinds(&behind_gil, count_all_ways);
  count_in_all_kinds(&behind_gil, count_and_check);
  CHECK(!thrum_gil_held(&gil));
  CHECK_EQ(thrum_gil_destroy(&gil), 0);
  printf("%ld attempts failed\n", counting_missed);
  return 0;
}
