/* A future is a result to come.
 *
 *     thrum_future *f;
 *     thrum_submit(pool, &f, count, &file);         // executor.h: runs count(&file) some time
 *     thrum_future_result(f, &lines);               // waits for it
 *     thrum_future_release(f);
 *
 * It is PENDING first, then RUNNING, and in the end FINISHED with a result, or CANCELLED, which only a pending one can be. Any
 * number of threads may wait for it, any number of times, and ask.
 *
 * Futures are counted: thrum_submit and thrum_future_new give a reference, which thrum_future_release gives back. Every call
 * below wants one that stays during the call. What thrum_future_bytes and thrum_future_failure give is the library's, until the
 * last reference is gone.
 *
 * "Done" means finished or cancelled. What was done in a task before it returned is seen by whoever has learnt that its
 * future is done.
 *
 * In the child of a fork a future whose executor had not finished it counts as finished, with the failure -EOWNERDEAD: its
 * thread is the parent's. Its callbacks do not run there. */
#ifndef THRUM_FUTURE_H
#define THRUM_FUTURE_H

#include <thrum/select.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_future thrum_future;

/* A pending future for who makes its result himself. NULL: no memory. */
THRUM_API thrum_future *thrum_future_new(void);

/* One more reference; returns f. */
THRUM_API thrum_future *thrum_future_retain(thrum_future *f);

/* Gives a reference back; NULL does nothing. The task of an executor goes on without. One release too many aborts where it can
 * be seen. */
THRUM_API void thrum_future_release(thrum_future *f);

/* ---- Asking and waiting ------------------------------------------------------------------------------- */

/* Cancels it if it has not begun. Then whoever waits for its result is let go, and its callbacks run in the caller, who waits
 * for them. True also if it was cancelled before; false: it runs, or has finished. */
THRUM_API bool thrum_future_cancel(thrum_future *f);

THRUM_API bool thrum_future_cancelled(const thrum_future *f);
THRUM_API bool thrum_future_running(const thrum_future *f);
THRUM_API bool thrum_future_done(const thrum_future *f);

/* Waits until it is done: finished or cancelled. Switches. Never ends early. 0. In a thread of a pool also -EAGAIN or -ENOMEM: see
 * "Waiting in a pool" in executor.h; it has not waited then. The timed form is a cancellation point: also -ETIMEDOUT (0 or less
 * only asks), -ECANCELED: the caller was cancelled. */
THRUM_API int thrum_future_wait(thrum_future *f);
THRUM_API THRUM_MUST_CHECK int thrum_future_wait_for(thrum_future *f, thrum_duration timeout);

/* The same, and stores its result in *result (unless NULL). A failure of the task is its *result, as with thrum_join; of a
 * task with bytes *result is what its function returned. Also -ECANCELED: the future was cancelled (thrum_future_cancelled
 * says so, and not the caller); *result is unchanged then. */
THRUM_API int thrum_future_result(thrum_future *f, intptr_t *result);
THRUM_API THRUM_MUST_CHECK int thrum_future_result_for(thrum_future *f, intptr_t *result,
                                                       thrum_duration timeout);

/* The same for a task with bytes: where they are and how many; borrowed. If it failed: its failure, and there are none.
 * NULL and 0 where a result has no bytes. */
THRUM_API int thrum_future_bytes(thrum_future *f, const void **data, size_t *size);
THRUM_API THRUM_MUST_CHECK int thrum_future_bytes_for(thrum_future *f, const void **data, size_t *size,
                                                      thrum_duration timeout);

/* The sentence of thrum_fail that came with its failure, or "": also while it is not done. Borrowed. */
THRUM_API const char *thrum_future_failure(const thrum_future *f);

/* ---- Callbacks ---------------------------------------------------------------------------------------- */

/* f stays valid until it returns. A failure that it returns goes to the hook of thrum_on_uncaught. */
typedef intptr_t thrum_done_fn(thrum_future *f, void *arg);

/* Calls fn(f, arg) once f is done. Those that were added before that are called in the order in which they were added, in the thread that
 * finished or cancelled it, after those who wait for it have been let go. If f is done already fn is called at once, in the caller, who
 * waits for it then; that may be while earlier ones are still to come in the other thread. It may call anything, and may block; it
 * then holds up those behind it, and its thread. thrum_exit ends it alone, but in main and foreign threads. -ENOMEM. -EINVAL: fn is NULL. */
THRUM_API int thrum_future_add_done_callback(thrum_future *f, thrum_done_fn *fn, void *arg);

/* ---- Making the result of thrum_future_new --------------------------------------------------------------- */

/* Who is about to make the result asks whether it is still wanted. 1: it is, and cannot be cancelled from here on. 0: it was
 * cancelled; those who wait for several futures are told. -EALREADY: asked before, or done. -EPERM: it is an executor's. */
THRUM_API int thrum_future_start(thrum_future *f);

/* Finishes it, started or not. The bytes are copied. -EALREADY: it is done, and stays as it is. -EPERM: it is an executor's.
 * -ENOMEM. -EINVAL: data is NULL while size is not 0. */
THRUM_API int thrum_future_set_result(thrum_future *f, intptr_t result);
THRUM_API int thrum_future_set_bytes(thrum_future *f, const void *data, size_t size);

/* The same with the failure -|code| (outside of 1..4095: EINVAL) and a sentence. Without memory the sentence is dropped. */
THRUM_API int thrum_future_fail(thrum_future *f, int code, const char *format, ...) THRUM_PRINTF(3, 4);

/* ---- Several futures --------------------------------------------------------------------------------------- */

enum thrum_wait_mode {
  THRUM_FIRST_COMPLETED, /* until one is done */
  THRUM_FIRST_FAILURE,   /* until one has failed, or all are done; to be cancelled is no failure */
  THRUM_ALL_COMPLETED    /* until all are done */
};

/* Waits for n futures, of any executors, for so long at most, and returns how many are done; ask each which. One that is
 * named several times counts once. A future that was cancelled counts as done once its maker has been told: for an
 * executor's that is at once; for one of thrum_future_new when thrum_future_start has been called. n == 0: 0, at once.
 * Also when time runs out. Switches; a cancellation point: -ECANCELED. -EINVAL: no such mode. -ENOMEM. In a
 * pool's thread also -EAGAIN, as thrum_future_wait. */
THRUM_API ssize_t thrum_future_wait_many(thrum_future *const *futures, size_t n, enum thrum_wait_mode mode,
                                         thrum_duration timeout);

/* Gives n futures in the order in which they become done, each once:
 *
 *     thrum_completion c;
 *     thrum_as_completed(&c, futures, n, THRUM_FOREVER);
 *     for (ssize_t i; (i = thrum_completion_next(&c)) >= 0;) ... futures[i] ...
 *     thrum_completion_end(&c);
 *
 * Those that are done already come first; one that was cancelled comes when its maker has been told, as in thrum_future_wait_many. One that is named several times comes once, with its first index. The time runs from
 * thrum_as_completed on. A future must stay valid until it has come, or thrum_completion_end. All calls by one thread at a time. */
typedef struct thrum_completion {
  void *thrumi[8];
} thrum_completion;

/* 0, -ENOMEM. Does not wait. */
THRUM_API int thrum_as_completed(thrum_completion *c, thrum_future *const *futures, size_t n,
                                 thrum_duration timeout);

/* The index of one more that is done. -EPIPE: there are no more. -ETIMEDOUT: out of time, and none is done that has not come;
 * thrum_completion_left says how many have not. Switches; a cancellation point: -ECANCELED. In a pool's thread also -EAGAIN or
 * -ENOMEM, as thrum_future_wait. */
THRUM_API ssize_t thrum_completion_next(thrum_completion *c);

/* How many have not come yet. */
THRUM_API size_t thrum_completion_left(const thrum_completion *c);

/* Gives back what thrum_as_completed took; also in the middle. */
THRUM_API void thrum_completion_end(thrum_completion *c);

/* For thrum_select: happens when the future is done. Status: 0; in a pool's thread also -EAGAIN or -ENOMEM. NULL never happens. */
static inline thrum_case thrum_case_future(thrum_future *f) {
  return thrumi_case(f ? THRUMI_CASE_FUTURE : THRUMI_CASE_NEVER, f, 0, 0, 0);
}

#ifdef __cplusplus
}
#endif
#endif
