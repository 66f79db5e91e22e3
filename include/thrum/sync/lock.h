/* A lock: 8 bytes, held by at most one thread at a time.
 *
 *     static thrum_lock lock;                        // all-zero: free
 *     thrum_lock_acquire(&lock);  total += n;  thrum_lock_release(&lock);
 *     THRUM_LOCKED(&lock) { total += n; }            // the same; any way out of the block releases it
 *
 * Any thread may release it, not only the one that took it; who takes it twice waits for itself. Whoever is there first
 * takes a lock that is released, which is faster than to wait for who was woken; but a thread that was woken in vain after it has
 * waited for about a millisecond gets the lock handed over by the next release, and so do those behind it that have waited for as
 * long. What all objects have in common is said in sync.h. */
#ifndef THRUM_SYNC_LOCK_H
#define THRUM_SYNC_LOCK_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_lock {
  uint64_t word; /* the holder's mark above, bits below: see docs/design/locks.md */
} thrum_lock;

enum { THRUMI_LOCK_HELD = 1 };

THRUM_API void thrumi_lock_acquire_slow(thrum_lock *lock);
THRUM_API int thrumi_lock_try_slow(thrum_lock *lock);
THRUM_API int thrumi_lock_for_slow(thrum_lock *lock, thrum_duration timeout);
THRUM_API int thrumi_lock_release_slow(thrum_lock *lock);

/* What the word is while the caller holds the lock and nobody waits. */
static inline uint64_t thrumi_lock_mine(uint32_t mark) { return (uint64_t)mark << 32 | THRUMI_LOCK_HELD; }

static inline bool thrumi_lock_take(thrum_lock *lock) {
  if (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) != 0, 0)) return false;
  uint32_t mark = thrumi_mark();
  if (__builtin_expect(mark == 0, 0)) return false;
  uint64_t mine = thrumi_lock_mine(mark);
  if (__builtin_expect(thrumi_exchange(&lock->word, 0, mine, __ATOMIC_ACQUIRE), 1)) return true;
  uint64_t seen = thrumi_peek(&lock->word); /* free, and others wait: what it says of them stays */
  return !(seen & THRUMI_LOCK_HELD) && thrumi_exchange(&lock->word, seen, seen | mine, __ATOMIC_ACQUIRE);
}

/* Waits until the lock is the caller's. Never fails. Switches; not a cancellation point. */
static THRUMI_INLINE void thrum_lock_acquire(thrum_lock *lock) {
  if (!thrumi_lock_take(lock)) thrumi_lock_acquire_slow(lock);
}

/* Takes it if that needs no waiting. 0 or -EAGAIN. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_lock_try_acquire(thrum_lock *lock) {
  return thrumi_lock_take(lock) ? 0 : thrumi_lock_try_slow(lock);
}

/* Waits for so long. 0, -ETIMEDOUT or -ECANCELED: the lock is the caller's if and only if it returns 0. Switches; a
 * cancellation point. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_lock_acquire_for(thrum_lock *lock, thrum_duration timeout) {
  return thrumi_lock_take(lock) ? 0 : thrumi_lock_for_slow(lock, timeout);
}

/* Any thread may, also one that did not take it. Does not switch. 0, or -EPERM: it was not held, nothing has changed. */
static inline int thrum_lock_release(thrum_lock *lock) {
  bool plain = __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0;
  uint64_t mine = thrumi_lock_mine(thrumi_mark());
  plain = plain &&
          thrumi_peek(&lock->word) == mine; /* a comparison that fails costs as much as one that does not */
  if (__builtin_expect(plain && thrumi_exchange(&lock->word, mine, 0, __ATOMIC_RELEASE), 1)) return 0;
  return thrumi_lock_release_slow(lock);
}

/* Whether anybody holds it, at this moment. */
static inline bool thrum_lock_held(const thrum_lock *lock) {
  return (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & THRUMI_LOCK_HELD) != 0;
}

/* What dumps and reports call it: copied, 63 bytes at most, and kept until _destroy. NULL or "" takes the name away. Without one, a
 * lock that is a variable of the program, or lies in one, goes by that. 0 or -ENOMEM. */
static inline int thrum_lock_set_name(thrum_lock *lock, const char *name) {
  return thrumi_object_name(lock, name);
}

/* Need not be called. A check before the lock's memory is used for something else: -EBUSY if threads wait for it, else 0. A
 * lock that is held, and not waited for, may go. */
THRUM_API int thrum_lock_destroy(thrum_lock *lock);

/* THRUM_LOCKED(&lock) { ... } holds the lock in the block, and releases it however the block is left: at its end, by return,
 * goto or an exception of C++, or by break or continue, which leave this block and no loop around it. Aborts if the block itself
 * has released it and nobody holds it then. */
#define THRUM_LOCKED(lock) THRUMI_HOLDING(thrum_lock, thrumi_lock, lock, __COUNTER__)

static THRUMI_INLINE thrum_lock *thrumi_lock_enter(thrum_lock *lock) {
  thrum_lock_acquire(lock);
  return lock;
}

static inline void thrumi_lock_leave(thrum_lock **lock) {
  if (thrum_lock_release(*lock) != 0) thrumi_not_held("lock", *lock);
}

#ifdef __cplusplus
}
#endif
#endif
