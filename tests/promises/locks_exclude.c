/* A lock is held by one thread at a time: a counter that is not atomic loses nothing, whoever counts (light, bound and
 * foreign threads together), however the lock is taken, and whether or not they yield while they hold it. */
#include "../support.h"

enum {
  LIGHT = 12,
  BOUND = 2,
  FOREIGN = 2,
  ALL = LIGHT + BOUND + FOREIGN,
  TIMES = TESTS_SANITIZED ? 1000 : 5000
};

static thrum_lock lock;
static thrum_rlock rlock;
static long total, inside;
static long timed_out;

static void count(int i) {
  CHECK_EQ(++inside, 1);
  total++;
  if (i % 50 == 0) thrum_yield();
  CHECK_EQ(inside--, 1);
}

/* One of four ways, in turn. */
static bool add_once(int i) {
  bool got = true;
  if (i % 4 == 0) {
    THRUM_LOCKED(&lock) count(i);
    return true;
  }
  if (i % 4 == 1) got = thrum_lock_try_acquire(&lock) == 0;
  if (i % 4 == 2) got = thrum_lock_acquire_for(&lock, THRUM_US(i % 7 * 10)) == 0;
  if (i % 4 == 3) thrum_lock_acquire(&lock);
  if (!got) return false;
  count(i);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  return true;
}

static intptr_t add(void *arg) {
  long failed = 0;
  for (int i = 0; i < TIMES; i++)
    while (!add_once(i + (int)(intptr_t)arg)) {
      if (++failed % 8 == 0) thrum_yield();
    }
  ADD(timed_out, failed);
  return 0;
}

static intptr_t add_recursively(void *arg) {
  (void)arg;
  for (int i = 0; i < TIMES; i++) THRUM_RLOCKED(&rlock) {
      thrum_rlock_acquire(&rlock);
      count(i);
      CHECK_EQ(thrum_rlock_release(&rlock), 0);
    }
  return 0;
}

static void *foreign(void *arg) {
  thrum_fn *fn = (thrum_fn *)arg;
  return (void *)fn((void *)1);
}

static void run(thrum_fn *fn) {
  thrum_thread threads[LIGHT + BOUND];
  pthread_t others[FOREIGN];
  total = 0;
  for (intptr_t i = 0; i < LIGHT; i++) threads[i] = must_spawn(fn, (void *)i);
  for (intptr_t i = 0; i < BOUND; i++) threads[LIGHT + i] = must_spawn_bound(fn, (void *)i);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_create(&others[i], NULL, foreign, (void *)fn), 0);
  for (int i = 0; i < LIGHT + BOUND; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(others[i], NULL), 0);
  CHECK_EQ(total, (long)ALL * TIMES);
}

int main(void) {
  run(add);
  run(add_recursively);
  CHECK(!thrum_lock_held(&lock) && !thrum_rlock_held(&rlock));
  CHECK_EQ(thrum_lock_destroy(&lock), 0);
  printf("%ld attempts failed\n", timed_out);
  return 0;
}
