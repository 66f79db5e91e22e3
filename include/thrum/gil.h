/* The lock of an interpreter that is not thread-safe: who holds it may run the interpreter, and gives others their turn.
 *
 *     static thrum_gil gil;                                   // all-zero: free
 *
 *     THRUM_GIL_LOCKED(&gil) {                                // a thread that runs scripts
 *       while (step(interpreter)) thrum_gil_check(&gil);      // between two steps: costs one load
 *     }
 *     THRUM_GIL_UNLOCKED(&gil) { n = thrum_read(fd, p, size); }    // in a function that a script called, and that waits
 *
 * It belongs to the thread that took it: a light thread, not the kernel thread that carries it. While others wait, the holder
 * is asked after the switch interval (thrum_switch_interval) to hand the gil over, which it does at its next check, and gets
 * it back only when another thread has had it. Nobody spins or polls for that, and while nobody waits nothing is measured.
 *
 * Who comes first. A thread that was made to hand over is a *hog* until it releases the gil of its own will. Who released it
 * of its own will, before its interval was used up, is none. Threads that are no hogs go first, in the order in which they
 * came; while one waits and a hog holds the gil, the hog is asked at once, so the wait is as long as from one check to
 * the next. Hogs take turns of one interval each. So that they make progress whatever the others do, they are asked at once
 * no more than 10,000 times a second (ten times in a row), and keep a tenth of the time. The figures are in
 * docs/design/gil.md.
 *
 * A holder that neither checks nor releases keeps everybody waiting. A holder that thrum has preempted in favour of the program's
 * other threads runs again before their hogs when it is asked.
 *
 * The waiting threads may be light, bound, main and foreign. A thread that ends and leaves the gil held leaves it held for
 * ever. After a fork the child's thread holds the gil if it did before; if another thread held it, it must be set to all-zero
 * anew before it is used. `errno` stays as it is in every call, so that THRUM_GIL_UNLOCKED does not hide an error. */
#ifndef THRUM_GIL_H
#define THRUM_GIL_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_gil {
  uint64_t word; /* the holder's mark above, bits below: see docs/design/gil.md */
  int64_t since; /* when the holder got it */
  int64_t turn[5];
  uint64_t reminder[6];
} thrum_gil;

enum { THRUMI_GIL_HELD = 1, THRUMI_GIL_ASKED = 2 };

THRUM_API void thrumi_gil_begin(thrum_gil *gil); /* the caller's turn begins now */
THRUM_API void thrumi_gil_acquire_slow(thrum_gil *gil);
THRUM_API int thrumi_gil_try_slow(thrum_gil *gil);
THRUM_API int thrumi_gil_for_slow(thrum_gil *gil, thrum_duration timeout);
THRUM_API int thrumi_gil_release_slow(thrum_gil *gil);
THRUM_API void thrumi_gil_check_slow(thrum_gil *gil);
THRUM_API THRUM_NORETURN void thrumi_gil_not_owned(const thrum_gil *gil);

/* What the word is while the caller holds the gil and nobody wants it. */
static inline uint64_t thrumi_gil_mine(uint32_t mark) { return (uint64_t)mark << 32 | THRUMI_GIL_HELD; }

static inline bool thrumi_gil_take(thrum_gil *gil) {
  if (__builtin_expect(__atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) != 0, 0)) return false;
  uint32_t mark = thrumi_mark();
  if (__builtin_expect(mark == 0, 0)) return false;
  if (!thrumi_exchange(&gil->word, 0, thrumi_gil_mine(mark), __ATOMIC_ACQUIRE)) return false;
  thrumi_gil_begin(gil);
  return true;
}

/* Waits until the gil is the caller's. Never fails; who holds it already is aborted. Switches; not a cancellation point. */
static THRUMI_INLINE void thrum_gil_acquire(thrum_gil *gil) {
  if (__builtin_expect(!thrumi_gil_take(gil), 0)) thrumi_gil_acquire_slow(gil);
}

/* Takes it if that needs no waiting. 0 or -EAGAIN. Nobody is asked to hand it over. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_gil_try_acquire(thrum_gil *gil) {
  return thrumi_gil_take(gil) ? 0 : thrumi_gil_try_slow(gil);
}

/* Waits for so long. 0, -ETIMEDOUT or -ECANCELED: the gil is the caller's if and only if it returns 0. Switches; a
 * cancellation point. */
static THRUMI_INLINE THRUM_MUST_CHECK int thrum_gil_acquire_for(thrum_gil *gil, thrum_duration timeout) {
  return thrumi_gil_take(gil) ? 0 : thrumi_gil_for_slow(gil, timeout);
}

/* Gives it back; if others wait, to the one who is next. Does not switch. 0, or -EPERM: it is not the caller's, nothing has
 * changed. */
static inline int thrum_gil_release(thrum_gil *gil) {
  bool plain = __atomic_load_n(&thrumi_mode, __ATOMIC_RELAXED) == 0;
  uint64_t mine = thrumi_gil_mine(thrumi_mark());
  if (__builtin_expect(plain && thrumi_exchange(&gil->word, mine, 0, __ATOMIC_RELEASE), 1)) return 0;
  return thrumi_gil_release_slow(gil);
}

/* For the holder, as often as its interpreter is in a state that others may see: hands the gil over if it was asked for, and
 * returns when it is the caller's again. Switches then; not a cancellation point. A caller that does not hold it is aborted
 * when that is noticed. */
static inline void thrum_gil_check(thrum_gil *gil) {
  if (__builtin_expect((__atomic_load_n(&gil->word, __ATOMIC_RELAXED) & THRUMI_GIL_ASKED) != 0, 0))
    thrumi_gil_check_slow(gil);
}

/* Whether anybody holds it, at this moment; whether the caller does. */
static inline bool thrum_gil_held(const thrum_gil *gil) {
  return __atomic_load_n(&gil->word, __ATOMIC_RELAXED) != 0;
}
static inline bool thrum_gil_owned(const thrum_gil *gil) {
  uint32_t mark = thrumi_mark();
  return mark != 0 && (uint32_t)(__atomic_load_n(&gil->word, __ATOMIC_RELAXED) >> 32) == mark;
}

/* As thrum_lock_set_name. */
static inline int thrum_gil_set_name(thrum_gil *gil, const char *name) {
  return thrumi_object_name(gil, name);
}

/* Need not be called. A check before its memory is used for something else: -EBUSY if threads wait for it, else 0. */
THRUM_API int thrum_gil_destroy(thrum_gil *gil);

/* THRUM_GIL_LOCKED(&gil) { ... } holds the gil in the block, and releases it however the block is left: at its end, by return,
 * goto or an exception of C++, or by break or continue, which leave this block and no loop around it.
 * THRUM_GIL_UNLOCKED(&gil) { ... } releases it before the block and takes it again after it, likewise.
 * Both abort if the caller does not hold the gil where they release it. */
#define THRUM_GIL_LOCKED(gil) THRUMI_HOLDING(thrum_gil, thrumi_gil_locked, gil, __COUNTER__)
#define THRUM_GIL_UNLOCKED(gil) THRUMI_HOLDING(thrum_gil, thrumi_gil_unlocked, gil, __COUNTER__)

static THRUMI_INLINE thrum_gil *thrumi_gil_locked_enter(thrum_gil *gil) {
  thrum_gil_acquire(gil);
  return gil;
}

static inline void thrumi_gil_locked_leave(thrum_gil **gil) {
  if (thrum_gil_release(*gil) != 0) thrumi_gil_not_owned(*gil);
}

static THRUMI_INLINE thrum_gil *thrumi_gil_unlocked_enter(thrum_gil *gil) {
  thrumi_gil_locked_leave(&gil);
  return gil;
}

static THRUMI_INLINE void thrumi_gil_unlocked_leave(thrum_gil **gil) { thrum_gil_acquire(*gil); }

#ifdef __cplusplus
}
#endif
#endif
