/* A thread runs a function beside the others.
 *
 *     thrum_thread t;
 *     thrum_spawn_named(&t, hello, NULL, "hello-%d", i);   // starts it
 *     thrum_join(t, &result);                              // waits, takes its result, gives the handle back
 *
 * Threads are light unless asked otherwise: a stack of their own, run by any worker. A bound thread owns
 * one kernel thread for its life. The main thread is bound. An OS thread that thrum did not start is
 * foreign: it may call everything here, and takes no worker. Unless a call says otherwise it may be made
 * from all of these; none may be made from a signal handler.
 *
 * "Switches" below means: another thread may run before the call returns. Calls that do not say so do not
 * switch of themselves; any code at all may be preempted. */
#ifndef THRUM_THREAD_H
#define THRUM_THREAD_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle is a value: copy it, compare it with thrum_same, keep it as long as you like. Once its thread has
 * been joined or detached and has ended, the handle is stale, and every call says -ESRCH (or "not alive").
 * All-zero is no thread. */
typedef struct thrum_thread {
  uint64_t value;
} thrum_thread;

static inline bool thrum_same(thrum_thread a, thrum_thread b) { return a.value == b.value; }

/* A number that is never 0 and never used again for another thread of this process. */
static inline uint64_t thrum_id(thrum_thread t) { return t.value; }

enum { THRUM_NAME_MAX = 64 };         /* bytes of a name with its NUL; longer ones are cut */
enum { THRUM_STACK_MIN = 32 * 1024 }; /* bytes of the smallest stack */

/* ---- Starting ------------------------------------------------------------------------------------- */

/* Starts a light thread that runs fn(arg), and stores its handle in *out; with out == NULL the thread is
 * detached. Never switches: the new thread runs when a worker takes it. Its name is "Thread-N (function)".
 * -EINVAL: fn is NULL. -ENOMEM: no memory or no room for its stack; nothing was started. (A stack is reserved then, and
 * bound when the thread first runs. If that fails after all, because the default size was raised or the
 * kernel is out of memory, the thread ends with the result -ENOMEM without having run.) */
THRUM_API int thrum_spawn(thrum_thread *out, thrum_fn *fn, void *arg);

/* The same, with a name in the manner of printf. The text is copied. If it is empty, the thread is called "Thread-0 (function)", as any
 * other such one. -EINVAL also: format is NULL. */
THRUM_API int thrum_spawn_named(thrum_thread *out, thrum_fn *fn, void *arg, const char *format, ...)
    THRUM_PRINTF(4, 5);

/* The same, with a copy of the `size` bytes at `value` as the argument; thrum frees the copy when the thread
 * ends. This is what a loop wants: thrum_spawn_copy(&t, hello, &i, sizeof i).
 * -EINVAL also: value is NULL while size is not 0. */
THRUM_API int thrum_spawn_copy(thrum_thread *out, thrum_fn *fn, const void *value, size_t size);

enum { THRUM_INHERIT = 0, THRUM_YES = 1, THRUM_NO = -1 };

struct thrum_scope;

/* All-zero (with size set) means the defaults:
 *     thrum_options o = THRUM_OPTIONS_INIT; o.bound = true; thrum_spawn_with(&t, &o, fn, arg); */
typedef struct thrum_options {
  size_t size;       /* sizeof(thrum_options) */
  const char *name;  /* NULL or "": Thread-N (function); copied */
  size_t stack_size; /* bytes, 0: the default; rounded up to a power of two */
  int daemon;        /* THRUM_YES: the program does not wait for it at exit; default: as its creator */
  bool bound;        /* owns a kernel thread for its life: _Thread_local and the like work in it */
  struct thrum_scope *scope; /* NULL: none; else the thread belongs to it, see scope.h */
} thrum_options;

#define THRUM_OPTIONS_INIT \
  { sizeof(thrum_options), 0, 0, THRUM_INHERIT, false, 0 }

/* The same, with options. -EINVAL also: size is not that of a known version, stack_size is below
 * THRUM_STACK_MIN or above 1 TiB. -EAGAIN: a bound thread, and the bound on kernel
 * threads is reached. -ECANCELED: the scope is cancelled. */
THRUM_API int thrum_spawn_with(thrum_thread *out, const thrum_options *options, thrum_fn *fn, void *arg);

/* Runs fn(arg) as a light thread and waits for it: the body of a program whose main should be as light as
 * the rest. Switches. Returns the result of fn; a negative errno also if it could not be started. */
THRUM_API intptr_t thrum_run(thrum_fn *fn, void *arg);

/* ---- Waiting for the end, results ------------------------------------------------------------------- */

/* Waits until the thread has ended, stores what it returned in *result (unless NULL) and gives the handle
 * back, so that it is stale afterwards; main's is never stale, and main may be joined by several. A thread that has
 * ended is in no list any more and its thread-local values are destroyed, but for main's. Switches. A thread that
 * has not begun may run within this call, on the caller's stack. thrum_join never ends early; thrum_join_for is a
 * cancellation point.
 * A failure of the thread is its *result; thrum_failure() has the sentence that came with it.
 * -ESRCH: stale or no thread. -EDEADLK: the caller itself. -EINVAL: a foreign thread.
 * thrum_join_for also: -ETIMEDOUT (0 or less only asks), -ECANCELED; the handle then stays valid. */
THRUM_API int thrum_join(thrum_thread t, intptr_t *result);
THRUM_API THRUM_MUST_CHECK int thrum_join_for(thrum_thread t, intptr_t *result, thrum_duration timeout);

/* Waits until the thread has ended and leaves the handle valid: any number of threads may, any number of
 * times. The rest as for join. */
THRUM_API int thrum_wait(thrum_thread t);
THRUM_API THRUM_MUST_CHECK int thrum_wait_for(thrum_thread t, thrum_duration timeout);

/* True from thrum_spawn on until the thread has ended; false for a stale handle. */
THRUM_API bool thrum_is_alive(thrum_thread t);

/* Gives the handle back unwaited: the thread cleans up after itself. Its failure, if it fails, goes to the uncaught hook: in the thread
 * itself, if that fails later, and else in this call, which then waits for the end of a thread that is just ending. Switches in that case
 * alone. -ESRCH: stale. -EINVAL: the main thread or a foreign one. */
THRUM_API int thrum_detach(thrum_thread t);

/* Ends the calling thread as if its function had returned `result`. C++ destructors and cleanup attributes of
 * the frames in between do not run; scopes that it has open are cancelled and closed, and its clean-up handlers run (scope.h).
 * In the main thread: as pthread_exit there, the program goes on until
 * its threads have ended, and then exits with `result` as its status. Aborts in a foreign thread. */
THRUM_API THRUM_NORETURN void thrum_exit(intptr_t result);

/* Adds a sentence to the failure that the calling thread is about to return, and returns -|code| for that:
 *     return thrum_fail(ENOENT, "no such table: %s", name);
 * Code outside 1..4095 becomes EINVAL. */
THRUM_API intptr_t thrum_fail(int code, const char *format, ...) THRUM_PRINTF(2, 3);

/* The sentence of the last thread that the caller joined, or "" if it gave none: ask for it only if the result is a
 * failure, since a thread that has called thrum_fail and then returns something else leaves its sentence too. A join
 * of main leaves what there was. After the close of a scope that has failed it is that of the scope, while a close
 * without a failure leaves what there was. Valid until the caller's next join or close of a scope, also one in a
 * function that it calls: copy what is to be kept. */
THRUM_API const char *thrum_failure(void);

/* ---- Who am I, who is there ------------------------------------------------------------------------- */

THRUM_API thrum_thread thrum_current(void);
THRUM_API thrum_thread thrum_main_thread(void);

/* Copies the thread's name, cut to fit, and returns its length as snprintf does. -ESRCH: stale.
 * -EINVAL: buffer is NULL while size is not 0. */
THRUM_API int thrum_name(thrum_thread t, char *buffer, size_t size);

/* The caller's own name; valid until the caller ends. */
THRUM_API const char *thrum_current_name(void);

/* Renames. The OS shows a bound thread's name, cut to 15 bytes: that which it began with, and any that it gives itself, but none
 * that others give it later. All others keep the names that they have there: main that of the program, foreign threads their own,
 * and what carries light threads, pinned ones too, is called "thrum-worker". -ESRCH: stale. -EINVAL: NULL or empty. -ENOMEM. */
THRUM_API int thrum_set_name(thrum_thread t, const char *name);

/* The kernel's number of the thread that carries t at this moment: for a light thread it changes, and is 0
 * while nothing carries it, and when it has ended. -ESRCH: stale. */
THRUM_API pid_t thrum_native_id(thrum_thread t);

/* Stores the handles of at most `max` threads that are alive (main, daemons, foreign ones that have called
 * thrum and threads that have not begun are among them) and returns how many there are. A thread that was
 * joined is never among them. Threads are looked at one after the other, while others start and end: who is there during the whole call is
 * counted, who comes or goes meanwhile may be or not, and the number need not have been right at any one moment. */
THRUM_API size_t thrum_enumerate(thrum_thread *out, size_t max);
THRUM_API size_t thrum_active_count(void);

/* The most bytes of stack that this thread has used so far, to the byte for a light thread on a fresh stack;
 * pooled stacks remember earlier users, and a thread that runs within a join, on the joiner's stack, counts what has been used of that,
 * unless thrum_config.measure_stacks is set. A light thread that has no stack (not
 * yet, or because it has ended) has used 0; one with a stack_size, and a bound one, has a stack from its start on, before it runs.
 * -ESRCH: stale. -ENOTSUP: it has no stack of thrum's, or is bound and has ended. */
THRUM_API ssize_t thrum_stack_used(thrum_thread t);

/* ---- Giving up the CPU ------------------------------------------------------------------------------ */

/* Lets every thread that is ready on this worker go first. Switches. A foreign thread yields to the OS. */
THRUM_API void thrum_yield(void);

/* Sleeps for so long; 0 or less yields. Switches; a cancellation point. 0 or -ECANCELED. */
THRUM_API int thrum_sleep(thrum_duration duration);

/* Between the two the calling thread stays on its kernel thread and nothing else runs there, so that
 * thread-affine code works. They nest. A bound thread needs neither. -EAGAIN: no kernel thread to be had.
 * -EPERM: unpin without pin. */
THRUM_API int thrum_pin(void);
THRUM_API int thrum_unpin(void);

/* Runs fn(arg) on the caller's stack after giving up its worker at once: for a call into code that is known
 * to block. Without it the worker is lost after about one switch interval instead. Within fn the thread may
 * use thrum as ever. Switches. Returns what fn returned. -EINVAL: fn is NULL. */
THRUM_API intptr_t thrum_blocking(thrum_fn *fn, void *arg);

/* ---- Printing --------------------------------------------------------------------------------------- */

/* printf to stdout in one piece: however many threads print, no line is torn. Mixes with stdio in order.
 * Returns the number of bytes or a negative errno. Switches. Not a cancellation point. */
THRUM_API int thrum_print(const char *format, ...) THRUM_PRINTF(1, 2);

#ifdef __cplusplus
}
#endif
#endif
