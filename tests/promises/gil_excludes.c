/* A gil is held by one thread at a time: a counter that is not atomic loses nothing, whoever counts (light, bound and
 * foreign threads together), however the gil is taken, handed over and given back, and whoever gives up waiting for it. */
#include "../support.h"

enum {
  LIGHT = 10,
  BOUND = 2,
  FOREIGN = 2,
  ALL = LIGHT + BOUND + FOREIGN,
  TIMES = TESTS_SANITIZED ? 400 : 3000
};

static thrum_gil gil;
static long total, inside, failed;

static void count_once(void) {
  CHECK(thrum_gil_owned(&gil));
  CHECK_EQ(++inside, 1);
  total++;
  CHECK_EQ(inside--, 1);
}

static void compute(int i) {
  volatile int steps = i % 7 * 300;
  while (steps > 0) steps--;
}

static void count(int i) {
  count_once();
  compute(i);
  if (i % 3 == 0) thrum_gil_check(&gil);
  if (i % 17 == 0) THRUM_GIL_UNLOCKED(&gil) thrum_yield();
  CHECK_EQ(inside, 0);
}

/* One of four ways, in turn. */
static bool add_once(int i) {
  bool got = true;
  if (i % 4 == 0) {
    THRUM_GIL_LOCKED(&gil) count(i);
    return true;
  }
  if (i % 4 == 1) got = thrum_gil_try_acquire(&gil) == 0;
  if (i % 4 == 2) got = thrum_gil_acquire_for(&gil, THRUM_US(i % 7 * 10)) == 0;
  if (i % 4 == 3) thrum_gil_acquire(&gil);
  if (!got) return false;
  count(i);
  CHECK_EQ(thrum_gil_release(&gil), 0);
  return true;
}

static intptr_t add(void *arg) {
  long missed = 0;
  for (int i = 0; i < TIMES; i++)
    while (!add_once(i + (int)(intptr_t)arg))
      if (++missed % 8 == 0) thrum_yield();
  ADD(failed, missed);
  return 0;
}

/* Holds it all the time, and gives others their turns. */
static intptr_t add_and_check(void *arg) {
  (void)arg;
  THRUM_GIL_LOCKED(&gil) {
    for (int i = 0; i < TIMES; i++) {
      count_once();
      compute(i);
      thrum_gil_check(&gil);
    }
  }
  return 0;
}

static void *foreign(void *arg) { return (void *)(*(thrum_fn **)arg)((void *)1); }

static void run(thrum_fn *fn) {
  thrum_thread threads[LIGHT + BOUND];
  pthread_t others[FOREIGN];
  total = 0;
  for (intptr_t i = 0; i < LIGHT; i++) threads[i] = must_spawn(fn, (void *)i);
  for (intptr_t i = 0; i < BOUND; i++) threads[LIGHT + i] = must_spawn_bound(fn, (void *)i);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_create(&others[i], NULL, foreign, &fn), 0);
  for (int i = 0; i < LIGHT + BOUND; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(others[i], NULL), 0);
  CHECK_EQ(total, (long)ALL * TIMES);
}

int main(void) {
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(200)), 0);
  run(add);
  run(add_and_check);
  CHECK(!thrum_gil_held(&gil));
  CHECK_EQ(thrum_gil_destroy(&gil), 0);
  printf("%ld attempts failed\n", failed);
  return 0;
}
