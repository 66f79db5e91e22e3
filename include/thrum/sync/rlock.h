/* A lock that its holder may take again, and must release as often.
 *
 *     static thrum_rlock lock;
 *     THRUM_RLOCKED(&lock) { may_take_it_again(); }
 *
 * It belongs to the thread that took it: a light thread, not the kernel thread that carries it. A thread that ends and
 * leaves one held leaves it held for ever. Otherwise as thrum_lock. */
#ifndef THRUM_SYNC_RLOCK_H
#define THRUM_SYNC_RLOCK_H

#include <thrum/sync/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_rlock {
  thrum_lock lock;
  uint32_t count; /* how often the holder has taken it; the holder's */
  uint32_t reserved;
} thrum_rlock;

THRUM_API void thrumi_rlock_acquire_slow(thrum_rlock *lock);
THRUM_API int thrumi_rlock_try_slow(thrum_rlock *lock);
THRUM_API int thrumi_rlock_for_slow(thrum_rlock *lock, thrum_duration timeout);
THRUM_API THRUM_NORETURN void thrumi_rlock_overflow(thrum_rlock *lock);

/* Once more, if it is the caller's already. Nobody else writes the caller's mark, and it stays while the lock is held. */
static inline bool thrumi_rlock_again(thrum_rlock *lock, uint32_t mark) {
  if ((uint32_t)(__atomic_load_n(&lock->lock.word, __ATOMIC_RELAXED) >> 32) != mark || mark == 0)
    return false;
  if (__builtin_expect(++lock->count == 0, 0)) thrumi_rlock_overflow(lock);
  return true;
}

/* Waits until the lock is the caller's. Never fails; more than 2^32 - 1 times at once abort. Switches; not a cancellation
 * point. */
static THRUMI_INLINE void thrum_rlock_acquire(thrum_rlock *lock) {
  if (thrumi_rlock_again(lock, thrumi_mark())) return;
  if (!thrumi_lock_take(&lock->lock)) thrumi_rlock_acquire_slow(lock);
  lock->count = 1;
}

/* 0 or -EAGAIN: another thread holds it. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_rlock_try_acquire(thrum_rlock *lock) {
  if (thrumi_rlock_again(lock, thrumi_mark())) return 0;
  int error = thrumi_lock_take(&lock->lock) ? 0 : thrumi_rlock_try_slow(lock);
  if (!error) lock->count = 1;
  return error;
}

/* 0, -ETIMEDOUT or -ECANCELED. Switches; a cancellation point. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_rlock_acquire_for(thrum_rlock *lock, thrum_duration timeout) {
  if (thrumi_rlock_again(lock, thrumi_mark())) return 0;
  int error = thrumi_lock_take(&lock->lock) ? 0 : thrumi_rlock_for_slow(lock, timeout);
  if (!error) lock->count = 1;
  return error;
}

/* How often the caller has taken it and not released it; 0 if it is not the caller's. */
static inline uint32_t thrum_rlock_count(const thrum_rlock *lock) {
  uint32_t mark = thrumi_mark();
  bool mine = mark && (uint32_t)(__atomic_load_n(&lock->lock.word, __ATOMIC_RELAXED) >> 32) == mark;
  return mine ? lock->count : 0;
}

/* Undoes one acquire. Does not switch. 0, or -EPERM: it is not the caller's, nothing has changed. */
static inline int thrum_rlock_release(thrum_rlock *lock) {
  if (thrum_rlock_count(lock) == 0) return -EPERM;
  return --lock->count ? 0 : thrum_lock_release(&lock->lock);
}

/* Whether anybody holds it, at this moment. */
static inline bool thrum_rlock_held(const thrum_rlock *lock) { return thrum_lock_held(&lock->lock); }

/* As thrum_lock_set_name. */
static inline int thrum_rlock_set_name(thrum_rlock *lock, const char *name) {
  return thrumi_object_name(lock, name);
}

/* As thrum_lock_destroy. */
static inline int thrum_rlock_destroy(thrum_rlock *lock) { return thrum_lock_destroy(&lock->lock); }

/* THRUM_RLOCKED(&lock) { ... }: as THRUM_LOCKED. */
#define THRUM_RLOCKED(lock) THRUMI_HOLDING(thrum_rlock, thrumi_rlock, lock, __COUNTER__)

static THRUMI_INLINE thrum_rlock *thrumi_rlock_enter(thrum_rlock *lock) {
  thrum_rlock_acquire(lock);
  return lock;
}

static inline void thrumi_rlock_leave(thrum_rlock **lock) {
  if (thrum_rlock_release(*lock) != 0) thrumi_not_held("rlock", *lock);
}

#ifdef __cplusplus
}
#endif
#endif
