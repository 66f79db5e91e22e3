/* A once: a function that runs one time, however many threads ask for it at whatever moment.
 *
 *     static thrum_once loaded;                                    // all-zero: it has not run
 *     int error = thrum_once_call(&loaded, load_table, "a.tbl");   // the table is there when this returned 0
 *
 * The first caller runs it, and those that come meanwhile wait. When it has succeeded every call, from then on, is a load and
 * a branch. If it fails (its result is a negative errno) its caller gets the failure, and it has not run: one of those who wait
 * runs it next, or the next caller. It has no destroy, and no name of its own: its memory may be used for something else when every
 * call of it has returned. What all objects have in common is said in sync.h. */
#ifndef THRUM_SYNC_ONCE_H
#define THRUM_SYNC_ONCE_H

#include <thrum/sync/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_once {
  uint64_t word; /* the mark of the thread that runs it above, bits below: see docs/design/sync.md */
} thrum_once;

enum { THRUMI_ONCE_DONE = 4 };

THRUM_API int thrumi_once_slow(thrum_once *once, thrum_fn *fn, void *arg);
THRUM_API int thrumi_once_for_slow(thrum_once *once, thrum_fn *fn, void *arg, thrum_duration timeout);

/* Whether it has run and succeeded. If so, what the function did has happened for the caller. */
static inline bool thrum_once_done(const thrum_once *once) {
  return (__atomic_load_n(&once->word, __ATOMIC_ACQUIRE) & THRUMI_ONCE_DONE) != 0;
}

/* Runs fn(arg) unless that has been done, or waits for the thread that is at it. 0: it has been done, by whomever. Otherwise
 * the failure of the fn that this call ran; or -EDEADLK: the caller is within fn itself, at once. fn may wait, and must
 * return: after thrum_exit in it nobody wakes those who wait. Switches; not a cancellation point. */
static inline int thrum_once_call(thrum_once *once, thrum_fn *fn, void *arg) {
  return __builtin_expect(thrum_once_done(once), 1) ? 0 : thrumi_once_slow(once, fn, arg);
}

/* The same, and waits for another thread's fn for so long; the caller's own takes the time that it takes. -ETIMEDOUT and
 * -ECANCELED also. A cancellation point. */
static inline THRUM_MUST_CHECK int thrum_once_call_for(thrum_once *once, thrum_fn *fn, void *arg,
                                                       thrum_duration timeout) {
  return __builtin_expect(thrum_once_done(once), 1) ? 0 : thrumi_once_for_slow(once, fn, arg, timeout);
}

#ifdef __cplusplus
}
#endif
#endif
