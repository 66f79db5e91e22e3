/* A waiter that was woken to try, and found that another thread had been faster, is the first of those that wait as before; and who
 * has waited for long goes before whoever comes by, also as the second of two. */
#include "queues.h"

enum { ROUNDS = TESTS_SANITIZED ? 50 : 200 };

static thrum_lock lock;
static thrum_rwlock rwlock;
static thrum_sem sem;

static void take_lock(void) { thrum_lock_acquire(&lock); }
static int try_lock(void) { return thrum_lock_try_acquire(&lock); }
static void give_lock(void) { CHECK_EQ(thrum_lock_release(&lock), 0); }
static void take_write(void) { thrum_rwlock_acquire_write(&rwlock); }
static int try_write(void) { return thrum_rwlock_try_acquire_write(&rwlock); }
static void give_write(void) { CHECK_EQ(thrum_rwlock_release_write(&rwlock), 0); }
static void take_unit(void) { thrum_sem_acquire(&sem); }
static int try_unit(void) { return thrum_sem_try_acquire(&sem); }
static void give_unit(void) { CHECK_EQ(thrum_sem_release(&sem, 1), 0); }

static const struct kind {
  void (*take)(void);
  int (*try)(void);
  void (*give)(void);
} kinds[] = {
    {take_lock, try_lock, give_lock}, {take_write, try_write, give_write}, {take_unit, try_unit, give_unit}};

static const struct kind *of;
static int served; /* so many have had it */
static int places[2];

static intptr_t want(void *place) {
  of->take();
  *(int *)place = served++;
  of->give();
  return 0;
}

static thrum_thread queue_up(thrum_fn *fn, void *arg) {
  thrum_thread t = must_spawn(fn, arg);
  while (!queue_parked(t)) thrum_yield();
  return t;
}

/* Gives it, and is faster than the one who is woken: that one waits again. False: it was not; the first may even have had it
 * and ended in between. */
static bool give_and_retake(thrum_thread first) {
  of->give();
  if (of->try() != 0) return false;
  while (!queue_parked(first) && thrum_is_alive(first)) thrum_yield();
  if (thrum_is_alive(first)) return true;
  of->give();
  return false;
}

/* How often the first of two had been woken in vain, and was the first nevertheless. */
static int keep_place(void) {
  int in_vain = 0;
  for (int i = 0; i < ROUNDS; i++) {
    served = 0;
    of->take();
    thrum_thread first = queue_up(want, &places[0]), second = queue_up(want, &places[1]);
    if (give_and_retake(first)) {
      in_vain++;
      of->give();
    }
    CHECK_EQ(must_join(first), 0);
    CHECK_EQ(must_join(second), 0);
    CHECK(places[0] == 0 && places[1] == 1);
  }
  return in_vain;
}

static bool retaken, came_by;

/* Who held it wants it again at once: not before the second, who has waited for long, too. */
static intptr_t want_again(void *tried) {
  thrum_lock_acquire(&lock);
  bool handed_over = LOAD(retaken);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  int error = thrum_lock_try_acquire(&lock);
  if (!error) CHECK_EQ(thrum_lock_release(&lock), 0);
  if (handed_over) CHECK_EQ(error, -EAGAIN);
  STORE(*(bool *)tried, true);
  return 0;
}

static intptr_t hold_until_tried(void *tried) {
  thrum_lock_acquire(&lock);
  AWAIT(LOAD(*(bool *)tried));
  return thrum_lock_release(&lock);
}

static int both_have_waited_for_long(void) {
  int handed_over = 0;
  for (int i = 0; i < ROUNDS / 10; i++) {
    STORE(retaken, false);
    STORE(came_by, false);
    thrum_lock_acquire(&lock);
    thrum_thread first = queue_up(want_again, &came_by), second = queue_up(hold_until_tried, &came_by);
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
    if (give_and_retake(first)) {
      STORE(retaken, true);
      handed_over++;
      CHECK_EQ(thrum_lock_release(&lock), 0);
    }
    CHECK_EQ(must_join(first), 0);
    CHECK_EQ(must_join(second), 0);
  }
  return handed_over;
}

/* A light thread, and the waiters too: with one worker it is always the faster one, but for a preemption. */
static intptr_t all(void *arg) {
  (void)arg;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    of = &kinds[i];
    if (i == 2) give_unit();
    int in_vain = keep_place();
    if (thrum_workers() == 1) CHECK(in_vain > 0);
  }
  of = &kinds[0];
  int handed_over = both_have_waited_for_long();
  if (thrum_workers() == 1) CHECK(handed_over > 0);
  return 0;
}

int main(void) { return (int)thrum_run(all, NULL); }
