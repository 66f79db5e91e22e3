/* What other objects share with thrum_lock. All of it inside the runtime. */
#ifndef THRUMI_LOCK_H
#define THRUMI_LOCK_H

#include <check/observe.h>
#include <sched/await.h>
#include <thrum/sync.h>

/* One thread's wait for a lock. Who waits for a condition begins with such a one, and may be moved to the lock's queue. */
struct thrumi_lock_wait {
  struct thrumi_waiter waiter; /* first: queues hold these */
  thrum_lock *lock;
  int64_t since;                 /* when it began to wait for the lock; 0: it has not waited yet */
  bool woken;                    /* let go to try: WOKEN in the lock's word stands for it */
  struct thrumi_acquire acquire; /* for who watches; also says whether it is an rlock */
};

/* For the out-of-line paths: a wait that has not begun. `site` is the code that acquires. */
static inline struct thrumi_lock_wait thrumi_lock_wait(thrum_lock *lock, enum thrumi_hold hold, void *site,
                                                       enum thrumi_patience patience) {
  return (struct thrumi_lock_wait){.lock = lock, .acquire = thrumi_acquire(lock, hold, site, patience)};
}

/* The gift to who waits for a lock. */
enum thrumi_lock_gift {
  THRUMI_TRY,         /* it is free, and WOKEN set */
  THRUMI_HANDED_OVER, /* it is yours */
};

/* Takes the lock, waiting if need be. 0, -ETIMEDOUT, or with THRUMI_CANCELLABLE -ECANCELED. */
int thrumi_lock_acquire(struct thrumi_lock_wait *wait, int64_t deadline, int flags);

/* Goes on with a wait in the lock's queue that was let go with a gift. */
void thrumi_lock_go_on(struct thrumi_lock_wait *wait);

/* The word's upper half is the mark of a thread that runs at this moment, on another kernel thread than the caller. */
bool thrumi_holder_runs(uint64_t word, const struct thrumi_thread *me);

/* 0 or -EPERM. */
int thrumi_lock_release(thrum_lock *lock);

/* Lets somebody else's wait, that is in no queue, go on with the lock: behind those who wait for it, or, if nobody has it or
 * is about to, at once. The bucket is the lock's, and locked. *wait may be gone afterwards. */
void thrumi_lock_pass_on(struct thrumi_bucket *bucket, struct thrumi_lock_wait *wait);

#endif
