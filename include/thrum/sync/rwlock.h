/* A readers-writer lock: 8 bytes, held by any number of readers or by one writer.
 *
 *     static thrum_rwlock lock;                      // all-zero: free
 *     THRUM_READ_LOCKED(&lock) { n = table_find(key); }
 *     THRUM_WRITE_LOCKED(&lock) { table_put(key, n); }
 *
 * Nobody starves. A writer that waits keeps new readers out, so that those inside are the last ones before it; a writer that
 * releases lets in all readers that wait by then, before any other writer. So a reader waits for one reader's and one
 * writer's hold at most, and a writer for that much for each writer queued before it, and a millisecond: docs/design/rwlock.md
 * has the exact bound.
 *
 * For that reason who holds it for reading must not take it for reading again: with a writer waiting in between, the two would
 * wait for each other. A writer that takes it again, either way, waits for itself. The lock knows its writer, which
 * alone may release it; it counts its readers, and does not know them. So a deadlock through one that readers hold is not found while
 * others go on (docs/guide/deadlocks.md); THRUM_CHECK=locks finds the order of locks that leads to it. What all objects have in common is said in sync.h. */
#ifndef THRUM_SYNC_RWLOCK_H
#define THRUM_SYNC_RWLOCK_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_rwlock {
  uint64_t word; /* the writer's mark above; below readers are counted, and bits: see docs/design/rwlock.md */
} thrum_rwlock;

enum {
  THRUMI_RWLOCK_WRITER = 1,
  THRUMI_RWLOCK_WRITERS = 2, /* may wait */
  THRUMI_RWLOCK_READERS = 4, /* may wait */
  THRUMI_RWLOCK_ONE = 8      /* reader */
};
/* Not 0: this is no case for the inline paths of readers. The uppermost bit of the count is one that no count may reach. */
#define THRUMI_RWLOCK_SPECIAL (UINT64_C(1) << 31 | 7)
#define THRUMI_RWLOCK_COUNT UINT64_C(0xfffffff8)

THRUM_API void thrumi_rwlock_read_slow(thrum_rwlock *lock);
THRUM_API int thrumi_rwlock_try_read_slow(thrum_rwlock *lock);
THRUM_API int thrumi_rwlock_read_for_slow(thrum_rwlock *lock, thrum_duration timeout);
THRUM_API int thrumi_rwlock_release_read_slow(thrum_rwlock *lock);
THRUM_API void thrumi_rwlock_write_slow(thrum_rwlock *lock);
THRUM_API int thrumi_rwlock_try_write_slow(thrum_rwlock *lock);
THRUM_API int thrumi_rwlock_write_for_slow(thrum_rwlock *lock, thrum_duration timeout);
THRUM_API int thrumi_rwlock_release_write_slow(thrum_rwlock *lock);

/* ---- Reading -------------------------------------------------------------------------------------------------------- */

static inline bool thrumi_rwlock_take_read(thrum_rwlock *lock) {
  if (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) != 0, 0)) return false;
  /* An exchange that failed has brought the word's cache line here: the next one hardly ever does. */
  for (;;) {
    uint64_t seen = thrumi_peek(&lock->word);
    if (__builtin_expect((seen & THRUMI_RWLOCK_SPECIAL) != 0, 0)) return false;
    if (thrumi_exchange(&lock->word, seen, seen + THRUMI_RWLOCK_ONE, __ATOMIC_ACQUIRE)) return true;
  }
}

/* Waits until the caller may read. Never fails; more than 2^28 readers at once abort. Switches; not a cancellation point. */
static THRUMI_INLINE void thrum_rwlock_acquire_read(thrum_rwlock *lock) {
  if (!thrumi_rwlock_take_read(lock)) thrumi_rwlock_read_slow(lock);
}

/* Takes it if that needs no waiting. 0, or -EAGAIN: a writer holds it, or waits for the present readers. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_rwlock_try_acquire_read(thrum_rwlock *lock) {
  return thrumi_rwlock_take_read(lock) ? 0 : thrumi_rwlock_try_read_slow(lock);
}

/* Waits for so long. 0, -ETIMEDOUT or -ECANCELED: the caller may read if and only if it returns 0. Switches; a
 * cancellation point. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_rwlock_acquire_read_for(thrum_rwlock *lock,
                                                                        thrum_duration timeout) {
  return thrumi_rwlock_take_read(lock) ? 0 : thrumi_rwlock_read_for_slow(lock, timeout);
}

/* Undoes one acquire for reading; any thread may. Does not switch. 0, or -EPERM: nobody holds it for reading, nothing has
 * changed. */
static inline int thrum_rwlock_release_read(thrum_rwlock *lock) {
  while (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0, 1)) {
    uint64_t seen = thrumi_peek(&lock->word);
    if (__builtin_expect((seen & THRUMI_RWLOCK_SPECIAL) != 0 || seen == 0, 0)) break;
    if (thrumi_exchange(&lock->word, seen, seen - THRUMI_RWLOCK_ONE, __ATOMIC_RELEASE)) return 0;
  }
  return thrumi_rwlock_release_read_slow(lock);
}

/* ---- Writing -------------------------------------------------------------------------------------------------------- */

/* What the word is while the caller writes and nobody waits. */
static inline uint64_t thrumi_rwlock_mine(uint32_t mark) {
  return (uint64_t)mark << 32 | THRUMI_RWLOCK_WRITER;
}

static inline bool thrumi_rwlock_take_write(thrum_rwlock *lock) {
  if (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) != 0, 0)) return false;
  uint32_t mark = thrumi_mark();
  if (__builtin_expect(mark == 0, 0)) return false;
  return __builtin_expect(thrumi_exchange(&lock->word, 0, thrumi_rwlock_mine(mark), __ATOMIC_ACQUIRE), 1);
}

/* Waits until the lock is the caller's alone. Never fails. Switches; not a cancellation point. */
static THRUMI_INLINE void thrum_rwlock_acquire_write(thrum_rwlock *lock) {
  if (!thrumi_rwlock_take_write(lock)) thrumi_rwlock_write_slow(lock);
}

/* Takes it if that needs no waiting. 0 or -EAGAIN. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_rwlock_try_acquire_write(thrum_rwlock *lock) {
  return thrumi_rwlock_take_write(lock) ? 0 : thrumi_rwlock_try_write_slow(lock);
}

/* Waits for so long. 0, -ETIMEDOUT or -ECANCELED: the lock is the caller's if and only if it returns 0; otherwise readers
 * that waited behind it go on. Switches; a cancellation point. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_rwlock_acquire_write_for(thrum_rwlock *lock,
                                                                         thrum_duration timeout) {
  return thrumi_rwlock_take_write(lock) ? 0 : thrumi_rwlock_write_for_slow(lock, timeout);
}

/* By the writer alone. Does not switch. 0, or -EPERM: the caller is not the writer, nothing has changed. */
static inline int thrum_rwlock_release_write(thrum_rwlock *lock) {
  bool plain = __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0;
  uint64_t mine = thrumi_rwlock_mine(thrumi_mark());
  if (__builtin_expect(plain && thrumi_exchange(&lock->word, mine, 0, __ATOMIC_RELEASE), 1)) return 0;
  return thrumi_rwlock_release_write_slow(lock);
}

/* ---- Both ----------------------------------------------------------------------------------------------------------- */

/* The writer becomes a reader; no other writer comes in between, and readers that wait go on. Does not switch. 0, or -EPERM:
 * the caller is not the writer, nothing has changed. */
THRUM_API int thrum_rwlock_downgrade(thrum_rwlock *lock);

/* A reader becomes the writer, if it is the only reader and nobody waits; no writer comes in between. Does not switch. 0,
 * -EAGAIN: it is still a reader, and should release the lock and take it for writing; or -EPERM: nobody reads. */
THRUM_API THRUM_MUST_CHECK int thrum_rwlock_try_upgrade(thrum_rwlock *lock);

/* Whether anybody holds it either way, and whether the caller is its writer. */
static inline bool thrum_rwlock_held(const thrum_rwlock *lock) {
  return (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & (THRUMI_RWLOCK_COUNT | THRUMI_RWLOCK_WRITER)) != 0;
}
static inline bool thrum_rwlock_is_writer(const thrum_rwlock *lock) {
  uint32_t mark = thrumi_mark();
  return mark && (uint32_t)(__atomic_load_n(&lock->word, __ATOMIC_RELAXED) >> 32) == mark;
}

/* As thrum_lock_set_name. */
static inline int thrum_rwlock_set_name(thrum_rwlock *lock, const char *name) {
  return thrumi_object_name(lock, name);
}

/* Need not be called. A check before the lock's memory is used for something else: -EBUSY if threads are queued for it, else 0. Unlike
 * that of a lock or a semaphore it says 0 while a writer that a release has woken has not run yet; that writer still looks at the
 * lock. So first wait for the threads that use it. What is held is not looked at. */
THRUM_API int thrum_rwlock_destroy(thrum_rwlock *lock);

/* THRUM_READ_LOCKED(&lock) { ... } and THRUM_WRITE_LOCKED(&lock) { ... } hold the lock in the block, as THRUM_LOCKED does. In
 * the one for writing it must not be downgraded, nor upgraded in the other. */
#define THRUM_READ_LOCKED(lock) THRUMI_HOLDING(thrum_rwlock, thrumi_read_lock, lock, __COUNTER__)
#define THRUM_WRITE_LOCKED(lock) THRUMI_HOLDING(thrum_rwlock, thrumi_write_lock, lock, __COUNTER__)

static THRUMI_INLINE thrum_rwlock *thrumi_read_lock_enter(thrum_rwlock *lock) {
  thrum_rwlock_acquire_read(lock);
  return lock;
}

static inline void thrumi_read_lock_leave(thrum_rwlock **lock) {
  if (thrum_rwlock_release_read(*lock) != 0) thrumi_not_held("rwlock (read)", *lock);
}

static THRUMI_INLINE thrum_rwlock *thrumi_write_lock_enter(thrum_rwlock *lock) {
  thrum_rwlock_acquire_write(lock);
  return lock;
}

static inline void thrumi_write_lock_leave(thrum_rwlock **lock) {
  if (thrum_rwlock_release_write(*lock) != 0) thrumi_not_held("rwlock (write)", *lock);
}

#ifdef __cplusplus
}
#endif
#endif
