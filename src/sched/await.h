/* One thread waits on an address, another one lets it go on: what every blocking object is built on.
 *
 *     who waits                                           who lets go
 *     bucket = thrumi_bucket_lock(&object)                bucket = thrumi_bucket_lock(&object)
 *     need not wait after all: thrumi_bucket_unlock       changes the object
 *     changes the object to say that somebody waits       for (w = thrumi_bucket_first(bucket, &object); w; ...)
 *     outcome = thrumi_await(bucket, &waiter, ...)          thrumi_let_go(bucket, w, gift)
 *                                                         thrumi_bucket_unlock(bucket)
 *
 * The bucket's lock stands between the look and the queueing, so no wake-up falls in between. A gift (a lock handed
 * over, an item) is never lost: thrumi_let_go says whether the waiter took it, or had run out of time before.
 * All of it inside the runtime. */
#ifndef THRUMI_AWAIT_H
#define THRUMI_AWAIT_H

#include <core/parking.h>
#include <sched/sched.h>

enum { THRUMI_BATCH = 64 }; /* waiters let go under one lock of a bucket */

/* Queues the caller behind those who wait on the address, unlocks the bucket, and parks until it is let go, the
 * deadline (absolute; INT64_MAX: none) or, with THRUMI_CANCELLABLE, a cancellation. THRUMI_WOKEN means let go, and
 * waiter->gift is there. In every case the waiter is in no queue afterwards. `what` and `object` are for dumps. */
enum thrumi_wait_state thrumi_await(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter,
                                    const void *address, const char *what, const void *object,
                                    int64_t deadline, int flags);

/* Its two halves, for who has something to do in between that must come after the queueing: thrumi_enqueue leaves the
 * bucket locked; thrumi_await_queued is called with no bucket locked. In between the caller may neither wait for
 * anything else nor leave the runtime. */
void thrumi_enqueue(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address,
                    const char *what, const void *object, int flags);
enum thrumi_wait_state thrumi_await_queued(struct thrumi_waiter *waiter, int64_t deadline);

/* Takes the waiter out of its queue and lets it go on with the gift. False: its time ran out, or it was cancelled;
 * the gift is still the caller's. Under the bucket's lock. *waiter is gone afterwards. */
bool thrumi_let_go(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, uintptr_t gift);

/* For who is about to let go that many, the given one first: asks for their memory, all of it at once. Changes nothing. */
void thrumi_ask_for_waiters(const struct thrumi_waiter *first, int n);

/* For a thread that waits on several addresses at once, with one ticket: queues a waiter, whose thread and ticket are set and
 * which `stays`, in the locked bucket of the address; and takes it out, after the wait. True: it was let go, not another one. */
void thrumi_enlist(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address);
bool thrumi_withdraw(struct thrumi_waiter *waiter);

/* The object has changed: lets go who may go of those who wait on it, whoever does it. Outside of the runtime, and
 * async-signal-safe. Whoever may not lock the bucket here leaves it to the monitor; those who wait must have `settle` as
 * their waiter->settle, set while they are queued. */
void thrumi_settle(const void *address, thrumi_settle_fn *settle);
void thrumi_settle_inside(const void *address,
                          thrumi_settle_fn *settle); /* the same, at once; in no handler */

/* thrumi_poll_error of the caller, for who is outside of the runtime. */
int thrumi_poll_failed(void);

/* What a wait that ended without being let go means to the user. */
static inline int thrumi_wait_error(enum thrumi_wait_state outcome) {
  return outcome == THRUMI_WOKEN ? 0 : outcome == THRUMI_TIMED_OUT ? -ETIMEDOUT : -ECANCELED;
}

#endif
