/* A condition: threads that hold a lock wait in it until another one says that what they wait for may be true now.
 *
 *     THRUM_LOCKED(&lock) { while (!ready) thrum_cond_wait(&cond, &lock); }      // in who waits
 *     THRUM_LOCKED(&lock) { ready = true; thrum_cond_notify(&cond, 1); }         // in who makes it true
 *
 * A wait begins by releasing the lock, in one step with queueing, and always returns holding it, an rlock as often as before.
 * It ends by a notify, its timeout or a cancellation, and by nothing else: there are no spurious wake-ups. The loop is still
 * needed wherever a third thread may take the lock first.
 *
 * Who waits longest is notified first. Notified threads go straight to the lock's queue, in that order: they do not run until
 * they can have the lock. All that wait at one time in one condition should use one lock; each gets its own back.
 *
 * The caller of a notify need not hold the lock, but must have held it when it changed what the others wait for, or a
 * waiter may look, see the old state, and queue after the notify. */
#ifndef THRUM_SYNC_COND_H
#define THRUM_SYNC_COND_H

#include <thrum/sync/rlock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_cond {
  uint32_t waiters; /* not 0: somebody may wait */
  uint32_t number;  /* of the next wait */
} thrum_cond;

/* Waits. Returns 0 once notified, or -EPERM at once: the caller does not hold the lock. (A thrum_lock counts as held by who
 * took it.) Switches. Not a cancellation point: a loop that ignores the result ends all the same. */
THRUM_API int thrum_cond_wait(thrum_cond *cond, thrum_lock *lock);
THRUM_API int thrum_cond_wait_rlock(thrum_cond *cond, thrum_rlock *lock);

/* Waits for so long. 0: notified, or -EPERM, -ETIMEDOUT, -ECANCELED; the lock is held in any case (but for -EPERM), and
 * taking it again may last longer than the timeout. Who was notified before its time ran out returns 0 however long it
 * has to wait for the lock; who was not has swallowed no notify. Switches; a cancellation point. */
THRUM_API THRUM_MUST_CHECK int thrum_cond_wait_for(thrum_cond *cond, thrum_lock *lock,
                                                   thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_cond_wait_rlock_for(thrum_cond *cond, thrum_rlock *lock,
                                                         thrum_duration timeout);

/* Notifies the n threads that have waited longest, or as many as there are; none if n <= 0. A notify that finds nobody is
 * lost. Does not switch. */
THRUM_API void thrum_cond_notify(thrum_cond *cond, int n);
THRUM_API void thrum_cond_notify_all(thrum_cond *cond);

/* As thrum_lock_set_name. */
static inline int thrum_cond_set_name(thrum_cond *cond, const char *name) {
  return thrumi_object_name(cond, name);
}

/* Need not be called. -EBUSY if threads wait in it, else 0. */
THRUM_API int thrum_cond_destroy(thrum_cond *cond);

/* Waits until the expression is true, for so long in all, and has the value 0, or -ETIMEDOUT or -ECANCELED if it is
 * still false then. The expression is evaluated holding the lock:
 *     int error = THRUM_COND_WAIT_UNTIL(&cond, &lock, items > 0, THRUM_S(1)); */
#define THRUM_COND_WAIT_UNTIL(cond, lock, expression, timeout) \
  THRUMI_COND_UNTIL(thrum_cond_wait_for(cond, lock, thrum_left(thrumi_deadline)), expression, timeout)
#define THRUM_COND_WAIT_RLOCK_UNTIL(cond, lock, expression, timeout) \
  THRUMI_COND_UNTIL(thrum_cond_wait_rlock_for(cond, lock, thrum_left(thrumi_deadline)), expression, timeout)
#define THRUMI_COND_UNTIL(wait, expression, timeout) \
  (__extension__({ \
    const thrum_time thrumi_deadline = thrum_after(timeout); \
    int thrumi_error = 0; \
    bool thrumi_true; \
    while (!(thrumi_true = (expression)) && thrumi_error == 0) thrumi_error = wait; \
    thrumi_true ? 0 : thrumi_error; \
  }))

#ifdef __cplusplus
}
#endif
#endif
