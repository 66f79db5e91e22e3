/* thrum_sem: 64 bits and a limit, and its waiters in the parking table.
 *
 * The word:
 *
 *   bits    name      meaning                                        changed by
 *   0-30    value     units                                          release; who takes one
 *   31      BAD       the initialiser was out of range               the initialiser; every slow path aborts
 *   32      WAITERS   threads may be queued                          who queues sets it; cleared in one step with waking the
 *                                                                    last one, and by who leaves by itself and finds none
 *   33      FAIR      the first waiter has waited for long: only     a woken waiter that found nothing sets it when it queues
 *                     woken ones may take                            again, and a release that came to the bucket and found
 *                                                                    nothing; cleared by who wakes one that is not so old,
 *                                                                    and with the last waiter
 *   34-47   woken     waiters that were let go and have not tried    who wakes one; that one
 *                     since
 *   48-63   fork      in which process `woken` counts                with `woken`
 *
 * WAITERS, FAIR and `woken` change in the bucket; but a woken waiter takes its unit, and itself off `woken`, anywhere.
 *
 *  - A unit is taken by the thread that gets it, never on its behalf: so the value is exact at each moment, and a limit too.
 *  - A thread is queued, and value > woken: somebody is in the bucket who will wake one, or on the way there (a release that
 *    saw WAITERS, the monitor for a mark, a woken one that is about to take). Proof, by what changes either side: a release
 *    makes the value larger, and goes there. Who takes makes it smaller; a woken one makes both smaller by 1, and goes there if
 *    value > woken then. Who queues finds the value 0; or FAIR, and others queued, for whom the claim holds already; or FAIR
 *    and none queued, and then woken is not 0 and those take, since the value is not. A woken one that queues again found the
 *    value 0. Who wakes goes on until value <= woken, or nobody is queued, or `woken` is at its top.
 *  - Nobody starves: a waiter that has waited for FAIR_AFTER and found nothing is at the head of the queue, and FAIR is set.
 *    From then on only woken ones take, and there are never more of these than units when one is woken; FAIR stays until the
 *    first waiter is a young one and none that was woken is still to try. A release whose unit another thread takes before
 *    the release has come to the bucket wakes nobody; it sets FAIR instead, if the first waiter is so old.
 *  - Another process wrote `woken`: in the child of a fork it counts as 0, since those threads are not there.
 *
 * A release is one compare-and-swap, in a signal handler too; the rest can be done by anybody later.
 *
 * Whoever settles looks at the semaphore only while one of its waiters is queued: with a unit a thread may free the semaphore.
 *
 * Rejected: to hand units over, taking them on a waiter's behalf: the waiter may run out of time at that moment, and its unit
 * come back above the limit. To wake one waiter at a time, each waking the next: a release of many would go from thread to
 * thread. Strict order, without passing by: each release of a semaphore that is waited for costs a switch. */
#include <core/fatal.h>
#include <sched/await.h>
#include <sched/object.h>
#include <sched/self.h>
#include <thrum/sync/sem.h>

#include "round.h"

#define VALUE UINT64_C(0x7fffffff)
#define BAD THRUMI_SEM_BAD
#define WAITERS THRUMI_SEM_WAITERS
#define FAIR THRUMI_SEM_FAIR
#define ONE_WOKEN (UINT64_C(1) << 34)
#ifndef WOKEN_TOP /* the exhaustive driver's is small, so that it is reached */
#define WOKEN_TOP UINT64_C(0x3fff)
#endif
#define FORK_SHIFT 48
#define FAIR_AFTER THRUM_MS(1)

typedef _Atomic uint64_t sem_word;

struct sem_wait {
  struct thrumi_waiter waiter; /* first: queues hold these */
  thrum_sem *sem;
  int64_t since; /* when it began to wait; 0: it has not waited yet */
  bool woken;    /* let go, and has not tried since: one of `woken` */
};

static sem_word *word_of(const thrum_sem *sem) { return (sem_word *)(uintptr_t)&sem->word; }

static uint64_t fork_now(void) { return (uint64_t)thrumi_forks << FORK_SHIFT; }

static uint64_t woken_of(uint64_t word) {
  return word >> FORK_SHIFT << FORK_SHIFT == fork_now() ? word / ONE_WOKEN & WOKEN_TOP : 0;
}

/* The word with another number of woken ones. */
static uint64_t with_woken(uint64_t word, uint64_t woken) {
  return (word & (ONE_WOKEN - 1)) | woken * ONE_WOKEN | fork_now();
}

static bool has_spare_units(uint64_t word) { return (word & VALUE) > woken_of(word); }

static uint64_t load(const thrum_sem *sem) {
  uint64_t seen = thrumi_load(word_of(sem));
  if (seen & BAD)
    thrumi_fatal("thread %s uses semaphore %s, whose initialiser is out of range", thrum_current_name(),
                 THRUMI_NAME_OF(sem));
  return seen;
}

/* ---- Waking --------------------------------------------------------------------------------------------------------- */

/* The word once the first waiter has been woken. */
static uint64_t after_waking(uint64_t seen, const struct thrumi_waiter *first) {
  const struct sem_wait *wait = (const struct sem_wait *)first;
  uint64_t woken = woken_of(seen);
  bool young = seen & FAIR && thrumi_os.now() - wait->since < FAIR_AFTER;
  if (young && woken == 0) seen &= ~FAIR;
  if (!first->next) seen &= ~WAITERS;
  return with_woken(seen, woken + 1);
}

/* A release has come for the first waiter, and others had taken its units before: as good as woken in vain. */
static bool was_passed_by(uint64_t seen, const struct thrumi_waiter *first) {
  const struct sem_wait *wait = (const struct sem_wait *)first;
  return !(seen & (VALUE | FAIR)) && thrumi_os.now() - wait->since >= FAIR_AFTER;
}

/* In the bucket: wakes as many as there are units for, a batch at most. True: there are more. */
static bool settle(struct thrumi_bucket *bucket, const void *address) {
  const thrum_sem *sem = address;
  struct thrumi_waiter *first;
  for (int n = 0; (first = thrumi_bucket_first(bucket, sem)) && first->settle == settle;) {
    uint64_t seen = thrumi_load(word_of(sem));
    if (!has_spare_units(seen) || woken_of(seen) == WOKEN_TOP) {
      if (was_passed_by(seen, first) && !thrumi_cas(word_of(sem), &seen, seen | FAIR)) continue;
      return false;
    }
    if (n == THRUMI_BATCH) return true;
    if (!thrumi_cas(word_of(sem), &seen, after_waking(seen, first))) continue;
    if (thrumi_let_go(bucket, first, 0)) {
      n++;
      continue;
    }
    seen = thrumi_load(word_of(sem)); /* it gave up; it cannot leave before the bucket is unlocked */
    while (!thrumi_cas(word_of(sem), &seen, with_woken(seen, woken_of(seen) - 1))) {
    }
  }
  return false;
}

int thrumi_sem_release_slow(thrum_sem *sem, int n) {
  uint64_t seen = load(sem);
  uint64_t limit = sem->limit ? sem->limit : THRUM_SEM_MAX;
  if (n < 1) return -EINVAL;
  thrumi_announce(sem);
  do {
    if ((uint64_t)n > limit - (seen & VALUE)) return -EOVERFLOW;
  } while (!thrumi_cas(word_of(sem), &seen, seen + (uint64_t)n));
  if (seen & WAITERS && has_spare_units(seen + (uint64_t)n)) thrumi_settle(sem, settle);
  return 0;
}

/* ---- Acquiring ------------------------------------------------------------------------------------------------------ */

/* The word once a woken waiter has its unit: with the last of them goes FAIR, if nobody waits. */
static uint64_t after_woken(uint64_t seen) {
  uint64_t next = with_woken(seen, woken_of(seen) - 1);
  return woken_of(next) == 0 && !(next & WAITERS) ? next & ~FAIR : next;
}

/* Takes a unit if the caller may have one; otherwise *seen has the word. */
static bool take(thrum_sem *sem, bool woken, uint64_t *seen) {
  while (*seen & VALUE && (woken || !(*seen & FAIR)))
    if (thrumi_cas(word_of(sem), seen, (woken ? after_woken(*seen) : *seen) - 1)) return true;
  return false;
}

/* In the bucket, nobody queued. */
static void forget_waiters(thrum_sem *sem) {
  uint64_t seen = thrumi_load(word_of(sem)), next;
  do next = seen & ~(woken_of(seen) ? WAITERS : WAITERS | FAIR);
  while (!thrumi_cas(word_of(sem), &seen, next));
}

/* In the bucket: whether the caller must wait; if so, the word says that it does. */
static bool say_waits(struct sem_wait *wait, uint64_t fair) {
  uint64_t seen = thrumi_load(word_of(wait->sem)), next;
  do {
    if (seen & VALUE && (wait->woken || !(seen & FAIR))) return false;
    next = (wait->woken ? with_woken(seen, woken_of(seen) - 1) : seen) | WAITERS | fair;
  } while (!thrumi_cas(word_of(wait->sem), &seen, next));
  return true;
}

/* Queues, at the head if it was woken before. False: there is a unit to be had. */
static bool enqueue(struct sem_wait *wait, int flags) {
  thrum_sem *sem = wait->sem;
  int64_t now = thrumi_os.now();
  if (!wait->since) wait->since = now;
  uint64_t fair = wait->woken && now - wait->since >= FAIR_AFTER ? FAIR : 0;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(sem);
  if (!thrumi_bucket_first(bucket, sem)) forget_waiters(sem);
  bool waits = say_waits(wait, fair);
  if (waits) {
    thrumi_enqueue(bucket, &wait->waiter, sem, "a semaphore", sem,
                   flags | THRUMI_BY_SIGNAL | (wait->woken ? THRUMI_AT_FRONT : 0));
    wait->waiter.settle = settle;
    wait->woken = false;
  }
  thrumi_bucket_unlock(bucket);
  return waits;
}

/* The wait ended by itself. */
static void leave_queue(thrum_sem *sem) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(sem);
  if (!thrumi_bucket_first(bucket, sem)) forget_waiters(sem);
  thrumi_bucket_unlock(bucket);
}

/* One round. 0: a unit is the caller's. -EAGAIN: once more. */
static int try_and_wait(struct sem_wait *wait, int64_t deadline, int flags) {
  uint64_t seen = load(wait->sem);
  if (take(wait->sem, wait->woken, &seen)) {
    bool others = wait->woken && seen & WAITERS && has_spare_units(after_woken(seen) - 1);
    if (others) thrumi_settle_inside(wait->sem, settle); /* who woke it was at the top of `woken` */
    return 0;
  }
  if (!enqueue(wait, flags)) return -EAGAIN;
  int error = thrumi_wait_error(thrumi_await_queued(&wait->waiter, deadline));
  if (error) leave_queue(wait->sem);
  wait->woken = !error;
  return error ? error : -EAGAIN;
}

static int acquire(thrum_sem *sem, int64_t deadline, int flags) {
  struct sem_wait wait = {.sem = sem};
  int error;
  thrumi_enter();
  do error = try_and_wait(&wait, deadline, flags);
  while (error == -EAGAIN);
  if (!error) thrumi_rely_on(sem);
  thrumi_leave(thrumi_self());
  return error;
}

void thrumi_sem_acquire_slow(thrum_sem *sem) { acquire(sem, INT64_MAX, 0); }

/* FAIR may be there for nobody: in the child of a fork. */
static bool is_unfair_after_all(thrum_sem *sem) {
  thrumi_enter();
  leave_queue(sem);
  thrumi_leave(thrumi_self());
  return !(thrumi_load(word_of(sem)) & FAIR);
}

int thrumi_sem_try_slow(thrum_sem *sem) {
  uint64_t seen = load(sem);
  bool taken = take(sem, false, &seen);
  if (!taken && seen & VALUE && is_unfair_after_all(sem)) {
    seen = load(sem);
    taken = take(sem, false, &seen);
  }
  if (taken) thrumi_rely_on(sem);
  return taken ? 0 : -EAGAIN;
}

int thrumi_sem_for_slow(thrum_sem *sem, thrum_duration timeout) {
  if (timeout <= 0) return thrumi_sem_try_slow(sem) ? thrumi_poll_failed() : 0;
  return acquire(sem, thrum_after(timeout), THRUMI_CANCELLABLE);
}

/* Who was woken has yet to try: it looks at the semaphore once more. */
int thrum_sem_destroy(thrum_sem *sem) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(sem);
  bool waited_for = thrumi_bucket_first(bucket, sem) || woken_of(thrumi_load(word_of(sem)));
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  if (!waited_for) thrumi_object_forget(sem);
  return waited_for ? -EBUSY : 0;
}
