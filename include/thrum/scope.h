/* A scope is a group of threads that ends together.
 *
 *     int error;
 *     THRUM_SCOPE(s, .timeout = THRUM_S(2), .status = &error) {
 *       thrum_scope_spawn(&s, NULL, fetch, &left);
 *       thrum_scope_spawn(&s, NULL, fetch, &right);
 *     }                         // waits for both; the first failure, or 2 s, cancels who is still running
 *
 * The scope lies on the stack of the thread that opens it, which closes it too, the last opened first. It cannot be left while a
 * thread of it runs: closing waits for all, without limit, and never ends early. So no thread outlives what it works on.
 *
 * A thread of the scope that fails (thrum_failed(result)) cancels the scope; the first failure is kept: the code, the thread's name,
 * its sentence. It goes to the scope and not to thrum_on_uncaught, whether the thread is detached or not. Those behind the first
 * are each told to thrum_on_uncaught, but for that of a thread whose handle somebody has, who may join for it. -ECANCELED
 * is a failure only of a thread that was not cancelled.
 *
 * Cancellation reaches the opener, all threads of the scope, and all that is nested below: scopes that these have open, their
 * threads, and so on. It is level-triggered: each cancellation point (docs/guide/rules.md lists them) says -ECANCELED again and
 * again, to the opener until the scope is closed, to the others until they end. What computes asks thrum_cancelled().
 *
 * A shield is a scope that is not reached by cancellation from outside, nor is what lies within. Its own deadline and
 * thrum_scope_cancel reach it.
 *
 * Threads of any kind may open scopes. In the child of a fork the scopes that the forking thread has open go on, without
 * threads; their deadlines are off. Scopes that others have opened are gone there: a spawn into one is -EINVAL, and cancelling it does
 * nothing.
 *
 * exit() may be called within a scope. A main that returns with one open aborts the program, as any function of a thread does.
 *
 * Under THRUM_RESTART_ALL threads of the scope do not join each other: one that waits so cannot stop, and the other, which has stopped,
 * does not end. What a thread of it spawns and joins belongs in a scope of that thread's own. */
#ifndef THRUM_SCOPE_H
#define THRUM_SCOPE_H

#include <thrum/sync/inline.h>
#include <thrum/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_scope {
  uint64_t thrumi[32]; /* all of it is the runtime's: see docs/design/scopes.md */
} thrum_scope;

/* What becomes of a thread of the scope that fails. */
enum {
  THRUM_RESTART_NEVER = 0, /* the scope is cancelled */
  THRUM_RESTART_ONE = 1,   /* the thread calls its function again */
  THRUM_RESTART_ALL = 2,   /* all threads of the scope stop, being cancelled, and then call theirs again */
};

/* All-zero (with size set) means the defaults. */
typedef struct thrum_scope_options {
  size_t size;                   /* sizeof(thrum_scope_options) */
  thrum_duration timeout;        /* the scope is cancelled after so long; 0: never; negative: at once */
  thrum_time deadline;           /* ... at this time; 0: never. The earlier of both counts */
  bool shield;                   /* cancellation from outside does not reach it */
  int *status;                   /* where the close puts what it returns */
  int restart;                   /* THRUM_RESTART_x */
  int restart_max;               /* at most so many restarts (0: 3; 2^20 at most) ... */
  thrum_duration restart_period; /* ... within any time so long (0: 5 s); beyond that a failure counts */
  int thrumi;                    /* 0 */
} thrum_scope_options;

/* Opens a scope for the caller; NULL: with the defaults. Any content of *s may be there before. Does not switch. 0, or -EINVAL: an
 * option that cannot be right. */
THRUM_API int thrum_scope_open(thrum_scope *s, const thrum_scope_options *options);

/* Waits until all threads of the scope have ended, and closes it. The scope's memory is the caller's again. Returns
 *     the first failure, of a thread or told by thrum_scope_fail; thrum_failure() is "NAME: sentence" then, until the caller's next
 *     join or close (without a failure it says what it said before);
 *     else -ETIMEDOUT, if its deadline cancelled it;
 *     else -ECANCELED, if cancellation came from outside: the opener was cancelled, or a scope around this one;
 *     else 0: also if thrum_scope_cancel was called for it, by whomever: who asked knows.
 * -EPERM: the caller did not open it, or it is not open; nothing happens. Aborts if the caller has another scope open within.
 * Switches; not a cancellation point. If the scope is cancelled, and its threads have not ended after a second, up to eight of them are
 * named on standard error, once, and how many more there are: cancellation does not reach what computes and never asks. */
THRUM_API int thrum_scope_close(thrum_scope *s);

/* As thrum_spawn and its kin, into a scope. By the opener, or by any thread while the scope cannot be closed: one of its threads,
 * say. -ECANCELED: the scope is cancelled, -EINVAL: it is not open; nothing was started then. With out == NULL the thread is detached; else its handle must be
 * given back, by thrum_join or thrum_detach, as ever. thrum_options.scope does the same for thrum_spawn_with. */
THRUM_API int thrum_scope_spawn(thrum_scope *s, thrum_thread *out, thrum_fn *fn, void *arg);
THRUM_API int thrum_scope_spawn_named(thrum_scope *s, thrum_thread *out, thrum_fn *fn, void *arg,
                                      const char *format, ...) THRUM_PRINTF(5, 6);
THRUM_API int thrum_scope_spawn_copy(thrum_scope *s, thrum_thread *out, thrum_fn *fn, const void *value,
                                     size_t size);

/* Cancels it, for good. By any thread while the scope cannot be closed. When the call returns, every thread that it reaches has been
 * told, unless another call is about to tell it. Does not switch. */
THRUM_API void thrum_scope_cancel(thrum_scope *s);

/* Whether it is cancelled, by whatever. */
THRUM_API bool thrum_scope_cancelled(const thrum_scope *s);

/* Waits until no thread of the scope is left, for so long at most; the scope stays open. Grace before a cancellation:
 *     if (thrum_scope_wait_for(&s, THRUM_S(5)) == -ETIMEDOUT) thrum_scope_cancel(&s);
 * By the opener alone, else -EPERM. 0, -ETIMEDOUT, -ECANCELED. Switches; a cancellation point. */
THRUM_API THRUM_MUST_CHECK int thrum_scope_wait_for(thrum_scope *s, thrum_duration timeout);

/* A failure of the caller's own, the opener's mostly: counts as if one of the scope's threads had failed with it, which was detached. The sentence is in
 * the manner of printf. Returns -|code|, as thrum_fail does. */
THRUM_API int thrum_scope_fail(thrum_scope *s, int code, const char *format, ...) THRUM_PRINTF(3, 4);

/* Sets the time at which it is cancelled, in place of the one before; THRUM_FOREVER: never. A cancellation that has happened
 * stays. By any thread while the scope cannot be closed. */
THRUM_API void thrum_scope_set_deadline(thrum_scope *s, thrum_time deadline);

/* When it is cancelled at the latest: the earliest of its deadline and of those from which a cancellation would reach it, of scopes around
 * it, and so on up to a shield. THRUM_FOREVER: there is none. NULL: of the scope that the caller is in, the innermost that it has open, else the
 * one that it is a thread of. By any thread while the scope cannot be closed. Does not switch. */
THRUM_API thrum_time thrum_scope_deadline(const thrum_scope *s);

/* How many threads of it have not ended, at this moment. */
THRUM_API size_t thrum_scope_count(const thrum_scope *s);

/* ---- Cancelling a thread ---------------------------------------------------------------------------------------------- */

/* Cancels one thread, for the rest of its life, with the scopes that it has open, but for those behind a shield; and their threads,
 * and so on. Does not switch. 0, also if it has ended; -ESRCH: stale. */
THRUM_API int thrum_cancel(thrum_thread t);

/* Whether the caller is cancelled, and not shielded: what a loop that computes asks now and then. A few loads. */
THRUM_API bool thrum_cancelled(void);

/* ---- Clean-up handlers ------------------------------------------------------------------------------------------------ */

/* A call that is due when this part of the thread's work ends, however it ends but by return, goto or an exception, for which C and
 * C++ have means of their own: by thrum_cleanup_pop, or by thrum_exit from anywhere below. Last pushed, first run; behind a shield.
 * thrum_exit runs handlers and closes scopes in the order in which they lie within each other. A handler lies in the caller's
 * memory from push to pop. One pushed within a scope is popped before that is closed, or the close aborts. A handler throws no
 * exception of C++. A function that returns from its thread with a handler left aborts the program. */
typedef struct thrum_cleanup {
  struct thrum_cleanup *next;
  void (*fn)(void *);
  void *arg;
  void *thrumi[2];
} thrum_cleanup;

THRUM_API void thrum_cleanup_push(thrum_cleanup *c, void (*fn)(void *), void *arg);

/* Takes the handler back, which must be the last one pushed (else it aborts), and runs it if `run`. */
THRUM_API void thrum_cleanup_pop(thrum_cleanup *c, bool run);

/* ---- Blocks ----------------------------------------------------------------------------------------------------------- */

THRUM_API thrum_scope *thrumi_scope_enter(thrum_scope *s, const thrum_scope_options *options);
THRUM_API thrum_scope *thrumi_scope_enter_shield(thrum_scope *s, thrum_duration timeout);
THRUM_API void thrumi_scope_leave(thrum_scope *s);

#define THRUMI_SCOPE(n, s, entered) THRUMI_SCOPE_N(n, s, entered)
#define THRUMI_SCOPE_N(n, s, entered) \
  for (thrum_scope s __attribute__((cleanup(thrumi_scope_leave))), *thrumi_once_##n = entered; \
       thrumi_once_##n; thrumi_once_##n = 0)
#define THRUMI_FIRST(...) THRUMI_FIRST_OF(__VA_ARGS__, 0)
#define THRUMI_FIRST_OF(first, ...) first
#define THRUMI_REST_OF(first, ...) __VA_ARGS__

/* THRUM_SCOPE_WITH(s, &options) { ... } is a block with a scope `s` of its own, which is closed however the block is left: at its
 * end, by return, goto or an exception of C++ (C code that it passes through needs -fexceptions; without, the block is passed by, and its
 * threads work on at a frame that is gone), by break or continue, which leave this block and no loop around it, and by
 * thrum_exit. Leaving it does not cancel it: it waits. What the close returns is put into *options.status; without that a failure
 * of the scope goes to thrum_on_uncaught, with the handle of the opener. Aborts if an option cannot be right. In C++ the expression
 * `options` must not throw: have the options ready before the block. */
#define THRUM_SCOPE_WITH(s, options) THRUMI_SCOPE(__COUNTER__, s, thrumi_scope_enter(&s, options))

/* THRUM_SCOPE(s) { ... }, in C also THRUM_SCOPE(s, .timeout = THRUM_S(2), ...) { ... }, in C++ also THRUM_SCOPE(s, &options) { ... } */
#define THRUM_SCOPE(...) THRUM_SCOPE_WITH(THRUMI_FIRST(__VA_ARGS__), THRUMI_SCOPE_OPTIONS(__VA_ARGS__))

#if !defined(__cplusplus)
#define THRUMI_SCOPE_OPTIONS(...) \
  (&(const thrum_scope_options){.size = sizeof(thrum_scope_options), \
                                THRUMI_REST_OF(__VA_ARGS__, .thrumi = 0)})
#else
#define THRUMI_SCOPE_OPTIONS(...) \
  THRUMI_FIRST(THRUMI_REST_OF(__VA_ARGS__, static_cast<const thrum_scope_options *>(NULL)))
#endif

/* THRUM_SHIELD(THRUM_S(1)) { ... } holds cancellation from outside off, and is itself cancelled after so long; 0: never. */
#define THRUM_SHIELD(timeout_) THRUMI_SHIELD(__COUNTER__, timeout_)
#define THRUMI_SHIELD(n, timeout_) THRUMI_SHIELD_N(n, timeout_)
#define THRUMI_SHIELD_N(n, timeout_) \
  THRUMI_SCOPE_N(n, thrumi_shield_##n, thrumi_scope_enter_shield(&thrumi_shield_##n, timeout_))

#ifdef __cplusplus
}
#endif
#endif
