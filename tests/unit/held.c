/* What each thread holds is known while somebody watches: in order, whoever releases it, and to a bounded depth. */
#include "../support.h"

#include <check/held.h>
#include <check/watched.h>
#include <sched/self.h>

static thrum_lock locks[THRUMI_HELD_MAX + 3];
static thrum_rlock rlock;
static thrum_cond cond;

static void watch(bool on) {
  __atomic_store_n(&thrumi_mode, on ? (uint32_t)THRUMI_MODE_CHECK : 0, __ATOMIC_RELAXED);
  if (on) thrumi_held_afresh();
}

static uint32_t held_by_me(struct thrumi_held *held) {
  struct thrumi_kthread *k = thrumi_enter();
  uint32_t n = thrumi_held_copy(k->current, held);
  thrumi_leave(k);
  return n;
}

static uintptr_t first_site(const void *object) {
  struct thrumi_kthread *k = thrumi_enter();
  uintptr_t site = thrumi_watched_site(object);
  thrumi_leave(k);
  return site;
}

static intptr_t release(void *lock) { return thrum_lock_release(lock); }

static intptr_t order_is_kept(void *arg) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  (void)arg;
  for (int i = 0; i < 3; i++) thrum_lock_acquire(&locks[i]);
  CHECK_EQ(thrum_lock_try_acquire(&locks[3]), 0);
  CHECK_EQ(thrum_lock_try_acquire(&locks[3]), -EAGAIN);
  CHECK_EQ(thrum_lock_acquire_for(&locks[3], THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(held_by_me(held), 4);
  for (int i = 0; i < 4; i++) CHECK(held[i].object == &locks[i]);
  CHECK_EQ(held[0].hold, THRUMI_HOLD_LOCK);
  CHECK_EQ(held[2].patience, THRUMI_MAY_WAIT);
  CHECK_EQ(held[3].patience, THRUMI_TRIES);
  CHECK(held[0].site && held[0].site == first_site(&locks[0]));
  CHECK_EQ(thrum_lock_release(&locks[1]), 0); /* from the middle */
  CHECK_EQ(held_by_me(held), 3);
  CHECK(held[0].object == &locks[0] && held[1].object == &locks[2] && held[2].object == &locks[3]);
  CHECK_EQ(thrum_lock_release(&locks[1]), -EPERM);
  CHECK_EQ(held_by_me(held), 3);
  int rest[] = {0, 2, 3};
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_lock_release(&locks[rest[i]]), 0);
  CHECK_EQ(held_by_me(held), 0);
  return 0;
}

static intptr_t rlock_counts_once(void *arg) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  (void)arg;
  THRUM_RLOCKED(&rlock) {
    THRUM_RLOCKED(&rlock) { CHECK_EQ(held_by_me(held), 1); }
    CHECK_EQ(held_by_me(held), 1);
    CHECK_EQ(held[0].hold, THRUMI_HOLD_RLOCK);
    CHECK_EQ(thrum_cond_wait_rlock_for(&cond, &rlock, THRUM_MS(1)), -ETIMEDOUT);
    CHECK_EQ(held_by_me(held), 1);
    CHECK_EQ(held[0].hold, THRUMI_HOLD_RLOCK);
  }
  CHECK_EQ(held_by_me(held), 0);
  return 0;
}

static intptr_t another_thread_releases(void *arg) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  (void)arg;
  thrum_lock_acquire(&locks[0]);
  CHECK_EQ(must_join(must_spawn(release, &locks[0])), 0);
  CHECK_EQ(held_by_me(held), 0);
  return 0;
}

static intptr_t depth_is_bounded(void *arg) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  (void)arg;
  enum { N = THRUMI_HELD_MAX + 3 };
  for (int i = 0; i < N; i++) thrum_lock_acquire(&locks[i]);
  CHECK_EQ(held_by_me(held), THRUMI_HELD_MAX);
  for (int i = N - 1; i >= 0; i--) CHECK_EQ(thrum_lock_release(&locks[i]), 0);
  CHECK_EQ(held_by_me(held), 0);
  return 0;
}

static intptr_t leave_held(void *arg) {
  thrum_lock_acquire(arg);
  return 0;
}

static intptr_t holds_nothing(void *arg) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  (void)arg;
  CHECK_EQ(held_by_me(held), 0);
  return 0;
}

/* Neither another thread on the same record, nor a later period, takes over what was left behind. */
static void what_is_left_is_not_held(void) {
  for (int i = 0; i < 100; i++) {
    CHECK_EQ(must_join(must_spawn(leave_held, &locks[4])), 0);
    CHECK_EQ(must_join(must_spawn(holds_nothing, NULL)), 0);
    CHECK_EQ(thrum_lock_release(&locks[4]), 0);
  }
}

static void what_is_left_is_released(void) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  CHECK_EQ(must_join(must_spawn(leave_held, &locks[4])), 0);
  CHECK_EQ(thrum_lock_release(&locks[4]), 0);
  thrum_lock_acquire(&locks[4]);
  watch(true);
  CHECK_EQ(held_by_me(held), 0);
  CHECK_EQ(thrum_lock_release(&locks[4]), 0);
  CHECK_EQ(held_by_me(held), 0);
}

static bool stop;

static intptr_t wait_and_hold(void *arg) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  (void)arg;
  while (!LOAD(stop)) {
    THRUM_LOCKED(&locks[0]) {
      CHECK_EQ(held_by_me(held), 1);
      thrum_yield();
      CHECK_EQ(held_by_me(held), 1);
      CHECK(held[0].object == &locks[0]);
    }
  }
  return 0;
}

/* Handed over, woken to try, taken at once: whoever has it is the one that holds it. */
static void contended(void) {
  thrum_thread threads[4];
  for (int i = 0; i < 4; i++) threads[i] = must_spawn(wait_and_hold, NULL);
  CHECK_EQ(thrum_sleep(THRUM_MS(50)), 0);
  STORE(stop, true);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(threads[i]), 0);
}

int main(void) {
  struct thrumi_held held[THRUMI_HELD_MAX];
  watch(true);
  run_in_each_kind(order_is_kept, NULL);
  run_in_each_kind(rlock_counts_once, NULL);
  run_in_each_kind(another_thread_releases, NULL);
  run_in_each_kind(depth_is_bounded, NULL);
  CHECK_EQ(thrum_lock_release(&locks[0]), -EPERM);
  what_is_left_is_not_held();
  what_is_left_is_released();
  contended();
  watch(false);
  thrum_lock_acquire(&locks[0]);
  watch(true);
  CHECK_EQ(held_by_me(held), 0);
  CHECK_EQ(thrum_lock_release(&locks[0]), 0);
  return 0;
}
