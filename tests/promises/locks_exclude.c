/* A lock is held by one thread at a time: a counter that is not atomic loses nothing, whoever counts (light, bound and
 * foreign threads together), however the lock is taken, and whether or not they yield while they hold it. */
#include "counting.h"

enum { TIMES = TESTS_SANITIZED ? 1000 : 5000 };

static thrum_lock lock;
static thrum_rlock rlock;

static void acquire(void) { thrum_lock_acquire(&lock); }
static int try_acquire(void) { return thrum_lock_try_acquire(&lock); }
static int acquire_for(thrum_duration timeout) { return thrum_lock_acquire_for(&lock, timeout); }
static int release(void) { return thrum_lock_release(&lock); }

static void in_block(int i) { THRUM_LOCKED(&lock) count_once(i); }

static void yield_now_and_then(int i) {
  if (i % 50 == 0) thrum_yield();
}

static const struct counting behind_lock = {TIMES,   acquire,  try_acquire,       acquire_for,
                                            release, in_block, yield_now_and_then};

static intptr_t count_recursively(void *arg) {
  (void)arg;
  for (int i = 0; i < TIMES; i++) THRUM_RLOCKED(&rlock) {
      thrum_rlock_acquire(&rlock);
      count_once(i);
      CHECK_EQ(thrum_rlock_release(&rlock), 0);
    }
  return 0;
}

int main(void) {
  count_in_all_kinds(&behind_lock, count_all_ways);
  count_in_all_kinds(&behind_lock, count_recursively);
  CHECK(!thrum_lock_held(&lock) && !thrum_rlock_held(&rlock));
  CHECK_EQ(thrum_lock_destroy(&lock), 0);
  printf("%ld attempts failed\n", counting_missed);
  return 0;
}
