/* A semaphore: a number of units, which threads take and give back.
 *
 *     static thrum_sem tickets = THRUM_SEM_INIT(3);   // three at a time; all-zero: none to begin with
 *     thrum_sem_acquire(&tickets);  work();  thrum_sem_release(&tickets, 1);
 *
 * Whoever gives a unit back need not be the one that took it: a unit can stand for an item, an event, a turn. A bounded
 * semaphore refuses to hold more units than its limit, which finds a release too many.
 *
 * Who waits longest is woken first. Until it runs a thread that comes by may take the unit, which is faster; one that has
 * waited for about a millisecond and found nothing then gets the next one, before all that come later: nobody starves.
 *
 * A release may be made in a signal handler, whatever it has interrupted. What all objects have in common is said in
 * sync.h. */
#ifndef THRUM_SYNC_SEM_H
#define THRUM_SYNC_SEM_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_sem {
  uint64_t word;  /* the value below, bits above: see docs/design/sync.md */
  uint32_t limit; /* 0: none */
  uint32_t reserved;
} thrum_sem;

#define THRUM_SEM_MAX INT32_MAX /* the largest value there is */

/* Starts with n units. THRUM_SEM_BOUNDED_INIT: and never holds more than `limit`. The first call aborts if n is negative or
 * above the limit, or the limit is not in 1..THRUM_SEM_MAX. Both are constant if their arguments are. */
#define THRUM_SEM_INIT(n) \
  { THRUMI_SEM_FIRST(n, THRUM_SEM_MAX), 0, 0 }
#define THRUM_SEM_BOUNDED_INIT(n, limit) \
  { THRUMI_SEM_FIRST(n, limit), (uint32_t)(limit), 0 }
#define THRUMI_SEM_FIRST(n, limit) \
  (THRUMI_SEM_WRONG((uint64_t)(int64_t)(n), (uint64_t)(int64_t)(limit)) \
       ? THRUMI_SEM_BAD | THRUMI_SEM_WAITERS | THRUMI_SEM_FAIR /* so that no inline path takes it */ \
       : (uint64_t)(n))
/* Not 0 <= n <= limit <= THRUM_SEM_MAX or limit < 1: without a comparison that some compiler knows the result of. */
#define THRUMI_SEM_WRONG(n, limit) (((n) | (limit) | ((limit) - (n)) | ((limit)-1)) >> 31)

#define THRUMI_SEM_BAD (UINT64_C(1) << 31)
#define THRUMI_SEM_WAITERS (UINT64_C(1) << 32)
#define THRUMI_SEM_FAIR (UINT64_C(1) << 33)

THRUM_API void thrumi_sem_acquire_slow(thrum_sem *sem);
THRUM_API int thrumi_sem_try_slow(thrum_sem *sem);
THRUM_API int thrumi_sem_for_slow(thrum_sem *sem, thrum_duration timeout);
THRUM_API int thrumi_sem_release_slow(thrum_sem *sem, int n);

static inline bool thrumi_sem_take(thrum_sem *sem) {
  if (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) != 0, 0)) return false;
  uint64_t seen = __atomic_load_n(&sem->word, __ATOMIC_RELAXED);
  if (__builtin_expect((uint32_t)seen == 0 || (seen & THRUMI_SEM_FAIR) != 0, 0)) return false;
  return __builtin_expect(thrumi_exchange(&sem->word, seen, seen - 1, __ATOMIC_ACQUIRE), 1);
}

/* Takes a unit, waiting for one if need be. Never fails. Switches; not a cancellation point. */
static inline void thrum_sem_acquire(thrum_sem *sem) {
  if (!thrumi_sem_take(sem)) thrumi_sem_acquire_slow(sem);
}

/* Takes one if that needs no waiting. 0 or -EAGAIN. */
static inline THRUM_MUST_CHECK int thrum_sem_try_acquire(thrum_sem *sem) {
  return thrumi_sem_take(sem) ? 0 : thrumi_sem_try_slow(sem);
}

/* Waits for so long. 0, -ETIMEDOUT or -ECANCELED: a unit is the caller's if and only if it returns 0. Switches; a
 * cancellation point. */
static inline THRUM_MUST_CHECK int thrum_sem_acquire_for(thrum_sem *sem, thrum_duration timeout) {
  return thrumi_sem_take(sem) ? 0 : thrumi_sem_for_slow(sem, timeout);
}

/* Gives n units. Any thread may, and a signal handler. Does not switch (but for a preemption that is due). 0; -EINVAL: n is
 * below 1; -EOVERFLOW: the value would be above the limit or THRUM_SEM_MAX: none of the n was given. */
static inline int thrum_sem_release(thrum_sem *sem, int n) {
  uint64_t seen = __atomic_load_n(&sem->word, __ATOMIC_RELAXED);
  int64_t room = (sem->limit ? (int64_t)sem->limit : THRUM_SEM_MAX) - (int64_t)(uint32_t)seen;
  bool plain = __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0 && (seen & THRUMI_SEM_WAITERS) == 0;
  if (__builtin_expect(plain && n > 0 && n <= room, 1) &&
      __builtin_expect(thrumi_exchange(&sem->word, seen, seen + (uint64_t)n, __ATOMIC_RELEASE), 1))
    return 0;
  return thrumi_sem_release_slow(sem, n);
}

/* How many units are there at this moment. Those that threads were woken for and have not taken yet are among them. */
static inline int thrum_sem_value(const thrum_sem *sem) {
  return (int)(__atomic_load_n(&sem->word, __ATOMIC_RELAXED) & THRUM_SEM_MAX);
}

/* As thrum_lock_set_name. */
static inline int thrum_sem_set_name(thrum_sem *sem, const char *name) {
  return thrumi_object_name(sem, name);
}

/* Need not be called. A check before the semaphore's memory is used for something else: -EBUSY if threads wait for it, or were
 * woken and have not tried since, else 0. */
THRUM_API int thrum_sem_destroy(thrum_sem *sem);

#ifdef __cplusplus
}
#endif
#endif
