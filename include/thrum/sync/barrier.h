/* A barrier: n threads wait for each other, and go on together; then it is good for the next round.
 *
 *     static thrum_barrier barrier = THRUM_BARRIER_INIT(4);
 *     for (;;) { compute_my_part(); thrum_barrier_wait(&barrier); exchange_borders(); thrum_barrier_wait(&barrier); }
 *
 * Each of the n gets a number of its own, 0 to n - 1, in the order in which they came: one of them is 0. All that any of them did
 * before is seen by all of them afterwards.
 *
 * A round that cannot be completed breaks the barrier, for all who wait in it and for all who come later, until it is reset:
 * they get -EPIPE. It breaks when one of its threads runs out of time or is cancelled, when its action fails, and by
 * thrum_barrier_abort. Nobody is left to wait for one that has given up.
 *
 * Not valid when all-zero: it must be told n. What all objects have in common is said in sync.h. */
#ifndef THRUM_SYNC_BARRIER_H
#define THRUM_SYNC_BARRIER_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_barrier {
  uint32_t parties;
  uint32_t arrived; /* in rounds that are not decided */
  uint32_t round;   /* of the next decision */
  uint32_t forks;
  uint32_t actors; /* threads that will look at it again */
  uint8_t broken, acting, outcome;
  thrum_fn *action;
  void *arg;
} thrum_barrier;

/* For n threads; and with an action, which one of them, the last that came, calls in each round before any of them goes on. If it
 * fails (thrum_failed), the thread that called it gets its result, and the barrier is broken. */
#define THRUM_BARRIER_INIT(n) THRUM_BARRIER_INIT_WITH(n, 0, 0)
#ifdef __cplusplus
#define THRUM_BARRIER_INIT_WITH(n, action, arg) \
  { (uint32_t)(n), 0, 0, 0, 0, 0, 0, 0, (action), (arg) }
#else
#define THRUM_BARRIER_INIT_WITH(n, fn, argument) \
  { .parties = (uint32_t)(n), .action = (fn), .arg = (argument) }
#endif

/* The same at run time, while nobody uses it. 0, or -EINVAL: n < 1. */
THRUM_API int thrum_barrier_init(thrum_barrier *barrier, int n);
THRUM_API int thrum_barrier_init_with(thrum_barrier *barrier, int n, thrum_fn *action, void *arg);

/* Waits until n threads have come. Returns the caller's number, or a negative error: -EPIPE, it is broken or was reset; or what
 * the action failed with. Aborts if the barrier has not been told an n of at least 1. Switches; not a cancellation point. */
THRUM_API int thrum_barrier_wait(thrum_barrier *barrier);

/* Waits for so long. As above, or -ETIMEDOUT or -ECANCELED: the round was not complete by then, and the caller has broken the
 * barrier. A poll breaks it too, unless the caller is the last one. Switches; a cancellation point. */
THRUM_API THRUM_MUST_CHECK int thrum_barrier_wait_for(thrum_barrier *barrier, thrum_duration timeout);

/* Breaks it: who waits gets -EPIPE, and who comes later too. Does not switch. */
THRUM_API void thrum_barrier_abort(thrum_barrier *barrier);

/* Begins anew: who waits gets -EPIPE, and who comes later waits for n as at the beginning. Mends a broken barrier, at once: who
 * was in it and has not run yet still learns that it was broken. Does not switch. */
THRUM_API void thrum_barrier_reset(thrum_barrier *barrier);

/* How many wait for others to come, at this moment; 0 if nobody does, or the action runs. */
THRUM_API int thrum_barrier_waiting(thrum_barrier *barrier);

/* Whether it is broken, at this moment. */
THRUM_API bool thrum_barrier_broken(thrum_barrier *barrier);

/* As thrum_lock_set_name. */
static inline int thrum_barrier_set_name(thrum_barrier *barrier, const char *name) {
  return thrumi_object_name(barrier, name);
}

/* Need not be called. -EBUSY if threads wait in it, have not been let go yet, or run its action, else 0. Its memory may be used for something else
 * when all calls have returned, or when this one says 0 and nobody will come. */
THRUM_API int thrum_barrier_destroy(thrum_barrier *barrier);

#ifdef __cplusplus
}
#endif
#endif
