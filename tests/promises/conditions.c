/* What the documentation says of conditions, sentence by sentence; after CPython's own tests of threading.Condition. */
#include "../support.h"

enum { WAITERS = 8, PHASES = 6 };

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_cond cond;
static int phase, queued, returned;
static int order[WAITERS];

/* ---- Who does not hold the lock ------------------------------------------------------------------------ */

static intptr_t does_not_hold(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_cond_wait(&cond, &lock), -EPERM);
  CHECK_EQ(thrum_cond_wait_for(&cond, &lock, THRUM_FOREVER), -EPERM);
  CHECK_EQ(thrum_cond_wait_rlock(&cond, &rlock), -EPERM);
  CHECK_EQ(thrum_cond_wait_rlock_for(&cond, &rlock, 0), -EPERM);
  return 0;
}

static void waiting_needs_the_lock(void) {
  run_in_each_kind(does_not_hold, NULL);
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  CHECK_EQ(must_join(must_spawn(does_not_hold, NULL)), 0);
  CHECK_EQ(run_outside(does_not_hold, NULL), 0);
  CHECK_EQ(thrum_rlock_count(&rlock), 1);
  CHECK_EQ(thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
}

/* ---- All levels of an rlock ---------------------------------------------------------------------------- */

static intptr_t take_and_notify(void *arg) {
  THRUM_RLOCKED(&rlock) {
    thrum_rlock_acquire(&rlock);
    CHECK_EQ(thrum_rlock_count(&rlock), 2);
    if (arg) thrum_cond_notify(&cond, 1);
    CHECK_EQ(thrum_rlock_release(&rlock), 0);
  }
  return 0;
}

static intptr_t wait_three_deep(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) thrum_rlock_acquire(&rlock);
  thrum_thread other = must_spawn(take_and_notify, (void *)1);
  CHECK_EQ(thrum_cond_wait_rlock(&cond, &rlock), 0);
  CHECK_EQ(thrum_rlock_count(&rlock), 3);
  CHECK_EQ(must_join(other), 0);
  other = must_spawn(take_and_notify, NULL);
  CHECK_EQ(thrum_cond_wait_rlock_for(&cond, &rlock, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_cond_wait_rlock_for(&cond, &rlock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_rlock_count(&rlock), 3);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_rlock_release(&rlock), 0);
  CHECK_EQ(must_join(other), 0);
  CHECK(!thrum_rlock_held(&rlock));
  return 0;
}

/* ---- Who is notified ----------------------------------------------------------------------------------- */

static intptr_t wait_once(void *arg) {
  THRUM_LOCKED(&lock) {
    int since = phase;
    queued++;
    CHECK_EQ(thrum_cond_wait(&cond, &lock), 0);
    CHECK(phase > since); /* it did not return before somebody changed the phase and notified */
    order[returned++] = (int)(intptr_t)arg;
  }
  return 0;
}

static int now_queued(void) {
  int n = 0;
  THRUM_LOCKED(&lock) n = queued;
  return n;
}

static int now_returned(void) {
  int n = 0;
  THRUM_LOCKED(&lock) n = returned;
  return n;
}

static void *wait_outside(void *arg) { return (void *)wait_once(arg); }

/* Threads of all kinds that wait one behind the other. */
static void queue_up(thrum_thread *threads, pthread_t *outside) {
  queued = returned = phase = 0;
  for (intptr_t i = 0; i < WAITERS; i++) {
    if (i == 3)
      CHECK_EQ(pthread_create(outside, NULL, wait_outside, (void *)i), 0);
    else
      threads[i] = i == 5 ? must_spawn_bound(wait_once, (void *)i) : must_spawn(wait_once, (void *)i);
    AWAIT(now_queued() == i + 1);
  }
}

static void leave(thrum_thread *threads, pthread_t outside) {
  for (int i = 0; i < WAITERS; i++)
    if (i != 3) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(pthread_join(outside, NULL), 0);
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(order[i], i);
  CHECK_EQ(thrum_cond_destroy(&cond), 0);
}

/* While the lock is held nobody returns, however long that is; afterwards exactly so many. */
static void notify_locked(int n, int expected) {
  int before = now_returned();
  THRUM_LOCKED(&lock) {
    phase++;
    thrum_cond_notify(&cond, n);
    for (int i = 0; i < 5; i++) {
      CHECK_EQ(thrum_sleep(THRUM_US(300)), 0);
      CHECK_EQ(returned, before);
    }
  }
  AWAIT(now_returned() >= before + expected);
  CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0); /* for those that must not come */
  CHECK_EQ(now_returned(), before + expected);
}

static void so_many_in_their_order(void) {
  thrum_thread threads[WAITERS];
  pthread_t outside;
  queue_up(threads, &outside);
  CHECK_EQ(thrum_cond_destroy(&cond), -EBUSY);
  notify_locked(0, 0);
  notify_locked(-1, 0);
  notify_locked(1, 1);
  notify_locked(3, 3);
  notify_locked(0, 0);
  notify_locked(1000, WAITERS - 4);
  leave(threads, outside);
}

/* Nobody holds the lock while they are notified: they come in order all the same. */
static void all_in_order_without_the_lock(void) {
  thrum_thread threads[WAITERS];
  pthread_t outside;
  for (int round = 0; round < 20; round++) {
    queue_up(threads, &outside);
    THRUM_LOCKED(&lock) phase++;
    thrum_cond_notify_all(&cond);
    leave(threads, outside);
  }
}

static intptr_t nobody_is_notified_later(void *arg) {
  (void)arg;
  thrum_lock_acquire(&lock);
  thrum_cond_notify(&cond, 1);
  thrum_cond_notify_all(&cond);
  CHECK_EQ(thrum_cond_wait_for(&cond, &lock, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_cond_wait_for(&cond, &lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_cond_wait_for(&cond, &lock, -1), -ETIMEDOUT);
  return thrum_lock_release(&lock);
}

/* ---- Running out of time ------------------------------------------------------------------------------- */

static int notified, timed_out;

static intptr_t wait_shortly(void *arg) {
  thrum_lock_acquire(&lock);
  queued++;
  int error = thrum_cond_wait_for(&cond, &lock, THRUM_US((intptr_t)arg));
  CHECK(error == 0 || error == -ETIMEDOUT);
  *(error ? &timed_out : &notified) += 1;
  return thrum_lock_release(&lock);
}

/* When the notify comes many run out of time. Either one of them says that it was notified, or it was the patient one, who
 * never runs out of time: nobody else took the notify away. */
static void notify_beside_deadlines(int round) {
  thrum_thread threads[WAITERS];
  queued = returned = phase = notified = timed_out = 0;
  thrum_thread patient;
  for (intptr_t i = 0; i < WAITERS; i++) {
    if (i == round % WAITERS) patient = must_spawn(wait_once, (void *)0);
    threads[i] = must_spawn(wait_shortly, (void *)(i * 13 + round % 40 * 5));
  }
  while (now_queued() < WAITERS + 1) thrum_yield();
  THRUM_LOCKED(&lock) {
    phase++;
    thrum_cond_notify(&cond, 1);
  }
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(notified + timed_out, WAITERS);
  CHECK(notified <= 1);
  if (notified == 0) AWAIT(now_returned() == 1);
  CHECK_EQ(now_returned(), notified == 0);
  THRUM_LOCKED(&lock) {
    phase++;
    thrum_cond_notify(&cond, 1);
  }
  CHECK_EQ(must_join(patient), 0);
}

/* The patient one is behind the others in some rounds and before them in others. */
static void who_ran_out_of_time_takes_no_notify(void) {
  for (int round = 0; round < (TESTS_SANITIZED ? 100 : 600); round++) notify_beside_deadlines(round);
}

static bool stop;

static intptr_t notify_often(void *arg) {
  (void)arg;
  while (!LOAD(stop)) {
    thrum_cond_notify_all(&cond);
    CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  }
  return 0;
}

/* Waits in vain, in so many waits together as it looks. Not before the time is over, and not for ever, though each wait is woken long before. */
#define WAITS_IN_VAIN(looks, wait) \
  ({ \
    looks = 0; \
    int64_t begin = wall_now(); \
    CHECK_EQ(wait, -ETIMEDOUT); \
    int64_t took = wall_now() - begin; \
    CHECK(took >= THRUM_MS(60) && took < THRUM_S(20)); \
    looks; \
  })

/* The same two levels deep. */
static void until_with_rlock(void) {
  int looks = 0;
  THRUM_RLOCKED(&rlock) THRUM_RLOCKED(&rlock) {
    /* On a machine that does much else the notifier may come too late for more than one. */
    while (WAITS_IN_VAIN(looks, THRUM_COND_WAIT_RLOCK_UNTIL(&cond, &rlock, ++looks < 0, THRUM_MS(60))) <= 2)
      continue;
    CHECK_EQ(THRUM_COND_WAIT_RLOCK_UNTIL(&cond, &rlock, true, -1), 0);
    CHECK_EQ(THRUM_COND_WAIT_RLOCK_UNTIL(&cond, &rlock, false, 0), -ETIMEDOUT);
    CHECK_EQ(THRUM_COND_WAIT_RLOCK_UNTIL(&cond, &rlock, ++looks % 8 == 0, THRUM_FOREVER), 0);
    CHECK_EQ(thrum_rlock_count(&rlock), 2);
  }
  CHECK_EQ(THRUM_COND_WAIT_RLOCK_UNTIL(&cond, &rlock, false, THRUM_S(1)), -EPERM);
}

/* The time is that of all waits together. */
static void until_has_one_timeout(void) {
  STORE(stop, false);
  thrum_thread notifier = must_spawn(notify_often, NULL);
  thrum_lock_acquire(&lock);
  int looks = 0;
  while (WAITS_IN_VAIN(looks, THRUM_COND_WAIT_UNTIL(&cond, &lock, ++looks < 0, THRUM_MS(60))) <= 2) continue;
  CHECK_EQ(THRUM_COND_WAIT_UNTIL(&cond, &lock, true, -1), 0);
  CHECK_EQ(THRUM_COND_WAIT_UNTIL(&cond, &lock, false, 0), -ETIMEDOUT);
  CHECK_EQ(THRUM_COND_WAIT_UNTIL(&cond, &lock, ++looks % 8 == 0, THRUM_FOREVER), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  until_with_rlock();
  STORE(stop, true);
  CHECK_EQ(must_join(notifier), 0);
}

int main(void) {
  waiting_needs_the_lock();
  run_in_each_kind(wait_three_deep, NULL);
  so_many_in_their_order();
  all_in_order_without_the_lock();
  run_in_each_kind(nobody_is_notified_later, NULL);
  who_ran_out_of_time_takes_no_notify();
  until_has_one_timeout();
  CHECK(!thrum_lock_held(&lock) && lock.word == 0);
  return 0;
}
