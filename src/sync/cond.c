/* thrum_cond: a queue at the condition's address, from which a notify moves waiters to the queue of their lock.
 *
 * A waiter was notified if and only if a notify took it out of the condition's queue. That is decided in the condition's
 * bucket (under its lock), and `address` of the waiter tells it: the condition before, the lock afterwards. So it does not matter
 * whether its deadline claims the wait a moment before or after: who was taken out returns 0, who was not takes itself out
 * and no notify was spent on it.
 *
 * `waiters` is 1 if somebody is queued, and may be 1 although nobody is. It becomes 1 in the bucket, by who queues, before the
 * lock is released; so who took the lock later sees it, and a notify after that looks into the queue. It becomes 0
 * in the bucket by a notify that leaves nobody.
 *
 * Rejected: to wake all that are notified and let them fight for the lock: each would run only to wait again. To hold the
 * lock's own address in the condition: all-zero would not be enough to begin with, and who waits with another lock
 * would have to be refused. */
#include <sync/lock.h>

#include <sched/object.h>
#include <sched/self.h>
#include <thrum/time.h>

/* ---- Notifying ------------------------------------------------------------------------------------------------------ */

enum { BATCH = 64 }; /* under one lock of a bucket */

static _Atomic uint32_t *waiters_of(thrum_cond *cond) { return (_Atomic uint32_t *)&cond->waiters; }

struct cond_wait {
  struct thrumi_lock_wait wait; /* first: queues hold it */
  uint32_t number;              /* of this wait in its condition */
};

static struct cond_wait *first_of(struct thrumi_bucket *bucket, const thrum_cond *cond) {
  return (struct cond_wait *)thrumi_bucket_first(bucket, cond);
}

static bool is_due(const struct cond_wait *c, uint32_t end) { return c && (int32_t)(c->number - end) < 0; }

/* Both buckets locked. Once the last waiter was let go, the condition's memory may be something else. */
static void notify_first(thrum_cond *cond, struct thrumi_buckets buckets, struct cond_wait *c) {
  if (!c->wait.waiter.next) thrumi_store_relaxed(waiters_of(cond), 0);
  thrumi_bucket_remove(buckets.of[0], &c->wait.waiter);
  thrumi_store_relaxed(&c->wait.waiter.address, c->wait.lock);
  thrumi_lock_pass_on(buckets.of[1], &c->wait);
}

/* Notifies at most n of the waiters that were queued before number `end`, as long as they wait with *lock, which the first
 * one does. Returns how many; *lock is then that of the next one, or NULL. */
static size_t notify_some(thrum_cond *cond, thrum_lock **lock, uint32_t end, size_t n) {
  struct thrumi_buckets buckets = thrumi_buckets_lock(cond, *lock);
  struct cond_wait *c;
  size_t done = 0;
  for (; is_due(c = first_of(buckets.of[0], cond), end) && c->wait.lock == *lock && done < n; done++)
    notify_first(cond, buckets, c);
  *lock = is_due(c, end) ? c->wait.lock : NULL;
  thrumi_buckets_unlock(buckets);
  return done;
}

/* The lock that the first waiter waits with; NULL: nobody waits. *end is the number of the next wait. */
static thrum_lock *first_lock(thrum_cond *cond, uint32_t *end) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(cond);
  struct cond_wait *c = first_of(bucket, cond);
  if (!c) thrumi_store_relaxed(waiters_of(cond), 0);
  *end = cond->number;
  thrum_lock *lock = c ? c->wait.lock : NULL;
  thrumi_bucket_unlock(bucket);
  return lock;
}

static void notify(thrum_cond *cond, size_t n) {
  if (!thrumi_load_relaxed(waiters_of(cond))) return;
  struct thrumi_kthread *k = thrumi_enter();
  uint32_t end;
  thrum_lock *lock = first_lock(cond, &end);
  while (n && lock) n -= notify_some(cond, &lock, end, n < BATCH ? n : BATCH);
  thrumi_leave(k);
}

void thrum_cond_notify(thrum_cond *cond, int n) {
  if (n > 0) notify(cond, (size_t)n);
}

void thrum_cond_notify_all(thrum_cond *cond) { notify(cond, SIZE_MAX); }

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

/* The wait ended without being let go. Whether it was notified before that. */
static bool was_notified(struct thrumi_lock_wait *wait) {
  return thrumi_load_relaxed(&wait->waiter.address) == wait->lock;
}

/* Queues, then releases the lock, then parks, and takes the lock again. */
static int wait_in(thrum_cond *cond, const struct thrumi_lock_wait *wait, int64_t deadline, int flags) {
  struct cond_wait c = {.wait = *wait};
  thrum_lock *lock = wait->lock;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(cond);
  c.number = cond->number++;
  thrumi_store_relaxed(waiters_of(cond), 1);
  int timed = deadline == INT64_MAX ? 0 : THRUMI_TIMED; /* a notify may come before it parks, and keeps it */
  thrumi_enqueue(bucket, &c.wait.waiter, cond, "a condition", cond, flags | timed);
  thrumi_bucket_unlock(bucket);
  thrumi_lock_release(lock);
  enum thrumi_wait_state outcome = thrumi_await_queued(&c.wait.waiter, deadline);
  if (outcome == THRUMI_WOKEN) {
    thrumi_lock_go_on(&c.wait);
    return 0;
  }
  bool notified = was_notified(&c.wait);
  thrumi_lock_acquire(&c.wait, INT64_MAX, notified ? THRUMI_AT_FRONT : 0);
  return notified ? 0 : thrumi_wait_error(outcome);
}

/* A poll lets others have the lock for a moment, as any wait does. */
static int poll_once(struct thrumi_lock_wait *wait) {
  thrumi_lock_release(wait->lock);
  thrumi_lock_acquire(wait, INT64_MAX, 0);
  return thrumi_poll_error(thrumi_self()->current);
}

static bool is_callers(const thrum_lock *lock) {
  uint32_t mark = thrumi_mark();
  return mark && (uint32_t)(thrumi_load_relaxed((const _Atomic uint64_t *)&lock->word) >> 32) == mark;
}

static int wait_for_ever(thrum_cond *cond, thrum_lock *lock, enum thrumi_hold hold, void *site) {
  if (!is_callers(lock)) return -EPERM;
  struct thrumi_lock_wait wait = thrumi_lock_wait(lock, hold, site, THRUMI_MAY_WAIT);
  thrumi_acquire_begins(&wait.acquire);
  thrumi_enter();
  int error = wait_in(cond, &wait, INT64_MAX, 0);
  thrumi_leave(thrumi_self());
  return error;
}

/* The lock is waited for without a limit in any case. */
static int wait_for(thrum_cond *cond, thrum_lock *lock, thrum_duration timeout, enum thrumi_hold hold,
                    void *site) {
  if (!is_callers(lock)) return -EPERM;
  struct thrumi_lock_wait wait = thrumi_lock_wait(lock, hold, site, THRUMI_MAY_WAIT);
  thrumi_acquire_begins(&wait.acquire);
  thrumi_enter();
  int error =
      timeout <= 0 ? poll_once(&wait) : wait_in(cond, &wait, thrum_after(timeout), THRUMI_CANCELLABLE);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_cond_wait(thrum_cond *cond, thrum_lock *lock) {
  return wait_for_ever(cond, lock, THRUMI_HOLD_LOCK, __builtin_return_address(0));
}

int thrum_cond_wait_for(thrum_cond *cond, thrum_lock *lock, thrum_duration timeout) {
  return wait_for(cond, lock, timeout, THRUMI_HOLD_LOCK, __builtin_return_address(0));
}

int thrum_cond_wait_rlock(thrum_cond *cond, thrum_rlock *lock) {
  uint32_t count = thrum_rlock_count(lock);
  int error = wait_for_ever(cond, &lock->lock, THRUMI_HOLD_RLOCK, __builtin_return_address(0));
  if (error != -EPERM) lock->count = count;
  return error;
}

int thrum_cond_wait_rlock_for(thrum_cond *cond, thrum_rlock *lock, thrum_duration timeout) {
  uint32_t count = thrum_rlock_count(lock);
  int error = wait_for(cond, &lock->lock, timeout, THRUMI_HOLD_RLOCK, __builtin_return_address(0));
  if (error != -EPERM) lock->count = count;
  return error;
}

int thrum_cond_destroy(thrum_cond *cond) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(cond);
  bool waited_for = first_of(bucket, cond);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  if (!waited_for) thrumi_object_forget(cond);
  return waited_for ? -EBUSY : 0;
}
