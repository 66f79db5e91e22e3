/* What threads wait for each other with: locks and conditions.
 *
 *     static thrum_lock lock;                        // all-zero: free
 *     thrum_lock_acquire(&lock);  total += n;  thrum_lock_release(&lock);
 *     THRUM_LOCKED(&lock) { total += n; }            // the same; any way out of the block releases it
 *
 * Every object here is valid when it is all-zero, unless it says otherwise, and needs no destroy. It must not be moved or
 * copied while it is in use. Light, bound and foreign threads may use all of it, together; signal handlers nothing, unless a
 * call says so. To wait here takes no worker, and no kernel thread from a light one.
 *
 * Forms. x waits for ever, x_for(..., timeout) for so long, try_x not at all. A timeout of 0 or less polls. A call that ran
 * out of time or was cancelled has changed nothing, and swallowed nothing that was meant for another thread.
 *
 * "Switches", "cancellation point": as in thread.h, if the call has to wait.
 *
 * After a fork the child has one thread. Nobody waits there for anything; what was held by a thread that is gone stays
 * held. A library that forks releases its locks in the child, which any thread may do. */
#ifndef THRUM_SYNC_H
#define THRUM_SYNC_H

#include <thrum/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Machinery of the inline paths: no promise holds for names that begin with thrumi_ ----------------------------- */

/* Not 0: every inline path goes out of line (tracing, checking, controlled schedules). */
THRUM_API extern uint32_t thrumi_mode;

/* The calling thread's mark: the lower half of its thrum_id, which begins with its slot; 0: it has not called thrum yet.
 * Read by assembly, since a compiler that keeps a thread-local's address would keep it across a switch to another
 * kernel thread. */
#ifndef thrumi_mark
static inline uint32_t thrumi_mark(void) {
#if defined(__x86_64__)
  uint64_t at;
  uint32_t mark;
  __asm__ volatile("movq thrumi_mark_tls@gottpoff(%%rip), %0\n\tmovl %%fs:(%0), %1" : "=&r"(at), "=r"(mark));
#else
  uint64_t at, mark;
  __asm__ volatile("adrp %0, :gottprel:thrumi_mark_tls\n\tldr %0, [%0, #:gottprel_lo12:thrumi_mark_tls]\n\t"
                   "mrs %1, tpidr_el0\n\tldr %w1, [%1, %0]"
                   : "=&r"(at), "=&r"(mark));
#endif
  return (uint32_t)mark;
}
#endif

/* One compare-and-swap on a word. */
#ifndef thrumi_exchange
static inline bool thrumi_exchange(uint64_t *word, uint64_t from, uint64_t to, int order) {
  return __atomic_compare_exchange_n(word, &from, to, false, order, __ATOMIC_RELAXED);
}
#endif

/* ---- Lock -------------------------------------------------------------------------------------------------------- */

/* At most one thread holds a lock. Any thread may release it, not only the one that took it; who takes it twice waits for
 * itself. A thread that has waited for about a millisecond gets the lock handed over by the next release, before
 * threads that come later; until then whoever is there first takes it, which is faster. */
typedef struct thrum_lock {
  uint64_t word; /* the holder's mark above, bits below: see docs/design/locks.md */
} thrum_lock;

enum { THRUMI_LOCK_HELD = 1 };

THRUM_API void thrumi_lock_acquire_slow(thrum_lock *lock);
THRUM_API int thrumi_lock_try_slow(thrum_lock *lock);
THRUM_API int thrumi_lock_for_slow(thrum_lock *lock, thrum_duration timeout);
THRUM_API int thrumi_lock_release_slow(thrum_lock *lock);
THRUM_API THRUM_NORETURN void thrumi_not_held(const char *what, const void *object);

/* What the word is while the caller holds the lock and nobody waits. */
static inline uint64_t thrumi_lock_mine(uint32_t mark) { return (uint64_t)mark << 32 | THRUMI_LOCK_HELD; }

static inline bool thrumi_lock_take(thrum_lock *lock) {
  if (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) != 0, 0)) return false;
  uint32_t mark = thrumi_mark();
  if (__builtin_expect(mark == 0, 0)) return false;
  return __builtin_expect(thrumi_exchange(&lock->word, 0, thrumi_lock_mine(mark), __ATOMIC_ACQUIRE), 1);
}

/* Waits until the lock is the caller's. Never fails. Switches; not a cancellation point. */
static inline void thrum_lock_acquire(thrum_lock *lock) {
  if (!thrumi_lock_take(lock)) thrumi_lock_acquire_slow(lock);
}

/* Takes it if that needs no waiting. 0 or -EAGAIN. */
static inline THRUM_MUST_CHECK int thrum_lock_try_acquire(thrum_lock *lock) {
  return thrumi_lock_take(lock) ? 0 : thrumi_lock_try_slow(lock);
}

/* Waits for so long. 0, -ETIMEDOUT or -ECANCELED: the lock is the caller's if and only if it returns 0. Switches; a
 * cancellation point. */
static inline THRUM_MUST_CHECK int thrum_lock_acquire_for(thrum_lock *lock, thrum_duration timeout) {
  return thrumi_lock_take(lock) ? 0 : thrumi_lock_for_slow(lock, timeout);
}

/* Any thread may, also one that did not take it. Does not switch. 0, or -EPERM: it was not held, nothing has changed. */
static inline int thrum_lock_release(thrum_lock *lock) {
  bool plain = __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0;
  uint64_t mine = thrumi_lock_mine(thrumi_mark());
  if (__builtin_expect(plain && thrumi_exchange(&lock->word, mine, 0, __ATOMIC_RELEASE), 1)) return 0;
  return thrumi_lock_release_slow(lock);
}

/* Whether anybody holds it, at this moment. */
static inline bool thrum_lock_held(const thrum_lock *lock) {
  return (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & THRUMI_LOCK_HELD) != 0;
}

/* Need not be called. A check before the lock's memory is used for something else: -EBUSY if threads wait for it, else 0. A
 * lock that is held, and not waited for, may go. */
THRUM_API int thrum_lock_destroy(thrum_lock *lock);

/* THRUM_LOCKED(&lock) { ... } holds the lock in the block, and releases it however the block is left: at its end, by return,
 * goto or an exception of C++, or by break or continue, which leave this block and no loop around it. Aborts if the block itself
 * has released it and nobody holds it then. */
#define THRUM_LOCKED(lock) THRUMI_HOLDING(thrum_lock, thrumi_lock, lock, __COUNTER__)

#define THRUMI_HOLDING(type, kind, object, n) THRUMI_HOLDING_N(type, kind, object, n)
#define THRUMI_HOLDING_N(type, kind, object, n) \
  for (type * thrumi_held_##n __attribute__((cleanup(kind##_leave))) = kind##_enter(object), \
                              *thrumi_once_##n = thrumi_held_##n; \
       thrumi_once_##n; thrumi_once_##n = 0)

static inline thrum_lock *thrumi_lock_enter(thrum_lock *lock) {
  thrum_lock_acquire(lock);
  return lock;
}

static inline void thrumi_lock_leave(thrum_lock **lock) {
  if (thrum_lock_release(*lock) != 0) thrumi_not_held("lock", *lock);
}

/* ---- Lock that its holder may take again ----------------------------------------------------------------------------- */

/* Belongs to the thread that took it (a light thread, not the kernel thread that carries it), which may take it again and
 * must release it as often. A thread that ends and leaves one held leaves it held for ever. */
typedef struct thrum_rlock {
  thrum_lock lock;
  uint32_t count; /* how often the holder has taken it; the holder's */
  uint32_t reserved;
} thrum_rlock;

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
static inline void thrum_rlock_acquire(thrum_rlock *lock) {
  if (thrumi_rlock_again(lock, thrumi_mark())) return;
  thrum_lock_acquire(&lock->lock);
  lock->count = 1;
}

/* 0 or -EAGAIN: another thread holds it. */
static inline THRUM_MUST_CHECK int thrum_rlock_try_acquire(thrum_rlock *lock) {
  if (thrumi_rlock_again(lock, thrumi_mark())) return 0;
  int error = thrum_lock_try_acquire(&lock->lock);
  if (!error) lock->count = 1;
  return error;
}

/* 0, -ETIMEDOUT or -ECANCELED. Switches; a cancellation point. */
static inline THRUM_MUST_CHECK int thrum_rlock_acquire_for(thrum_rlock *lock, thrum_duration timeout) {
  if (thrumi_rlock_again(lock, thrumi_mark())) return 0;
  int error = thrum_lock_acquire_for(&lock->lock, timeout);
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

/* As thrum_lock_destroy. */
static inline int thrum_rlock_destroy(thrum_rlock *lock) { return thrum_lock_destroy(&lock->lock); }

/* THRUM_RLOCKED(&lock) { ... }: as THRUM_LOCKED. */
#define THRUM_RLOCKED(lock) THRUMI_HOLDING(thrum_rlock, thrumi_rlock, lock, __COUNTER__)

static inline thrum_rlock *thrumi_rlock_enter(thrum_rlock *lock) {
  thrum_rlock_acquire(lock);
  return lock;
}

static inline void thrumi_rlock_leave(thrum_rlock **lock) {
  if (thrum_rlock_release(*lock) != 0) thrumi_not_held("rlock", *lock);
}

/* ---- Condition ------------------------------------------------------------------------------------------------------- */

/* Threads that hold a lock wait in it until another one says that what they wait for may be true now.
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
