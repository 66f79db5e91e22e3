/* The runtime as a whole: workers, the switch interval, limits, what it has done so far, hooks.
 *
 * Nothing here need be called. The runtime starts with the first call of thrum: the main thread is adopted
 * where it stands, and one worker a usable CPU is there when there is work for it.
 *
 * From outside: THRUM_WORKERS (a number, 1 for concurrency without parallelism), THRUM_INTERVAL ("5ms",
 * "100us"), THRUM_STACK ("256k"), THRUM_KERNEL_THREADS (the bound); THRUM_CHECK and THRUM_PROFILE ("locks", trace.h);
 * THRUM_STATS ("1": the counters of thrum_statistics are printed on standard error when the program ends); THRUM_TRACE (a file)
 * and THRUM_INSPECT ("1"), both in trace.h. A value that cannot be right is named on standard error and ignored; with a bound on
 * kernel threads that is too low for the workers (see thrum_config) there are fewer of these. */
#ifndef THRUM_RUNTIME_H
#define THRUM_RUNTIME_H

#include <thrum/thread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library's version as "0.1.0". Async-signal-safe. */
THRUM_API const char *thrum_version(void);

/* ---- Workers and the switch interval ----------------------------------------------------------------- */

enum { THRUM_WORKERS_MAX = 256 };

/* The right to run a thread: this many run at once. The default is the CPUs that the affinity mask and the
 * cgroup's CPU quota leave, rounded up. Setting it takes effect while running, and does not wait: what runs on a worker
 * that is taken away goes on to its next switch, or until it is preempted, within milliseconds, so for so long more may run
 * than that; nothing begins or resumes there any more. -EINVAL: below 1 or above THRUM_WORKERS_MAX.
 * -EAGAIN: no kernel threads for so many. -ENOMEM. Nothing has changed then. */
THRUM_API int thrum_workers(void);
THRUM_API int thrum_set_workers(int n);

/* How long a thread may keep its worker while others wait: 5 ms by default. -EINVAL: below 100 us or
 * above 10 s. */
THRUM_API thrum_duration thrum_switch_interval(void);
THRUM_API int thrum_set_switch_interval(thrum_duration interval);

/* Bytes of stack of threads without a size of their own that are spawned from now on: 256 KiB by default. Threads that have been spawned
 * already keep the size that was set then, also those that have not begun. It is rounded up to a power of two.
 * -EINVAL: below THRUM_STACK_MIN or above 1 TiB. */
THRUM_API size_t thrum_stack_size(void);
THRUM_API int thrum_set_stack_size(size_t bytes);

/* ---- Configuration before the first use -------------------------------------------------------------- */

/* All-zero (with size set) means the defaults. What is set here goes before the environment.
 *
 * kernel_threads: where it is below the number of workers plus 4 (main, the monitor, the breeder, a spare), there are fewer workers, one at
 * least, and a line on standard error says so; also where it is the default, half of what the limits allow but 16 at least. Where the OS
 * refuses some of these there are fewer workers, too, and a line says so; thrum_set_workers tries again. The first call of thrum aborts only if
 * the OS does not give what one worker needs: four beside main's. */
typedef struct thrum_config {
  size_t size;             /* sizeof(thrum_config) */
  int workers;             /* 0: by affinity and quota */
  int kernel_threads;      /* the most that may exist; 0: from RLIMIT_NPROC and pids.max, at most 1,000 */
  size_t stack_size;       /* 0: 256 KiB */
  thrum_duration interval; /* 0: 5 ms */
  int preempt_signal;      /* 0: SIGURG; below SIGRTMIN: others are lost once the user has too many pending */
  int dump_signal;         /* THRUM_INHERIT: SIGQUIT if the main program starts thrum and nobody handles it;
                              THRUM_NO: none; or a signal's number */
  int fault_handler; /* names the thread that overflows its stack, or has another fault that nobody handles (SIGSEGV);
                              THRUM_INHERIT as above */
  bool ignore_environment; /* read no variable */
  bool measure_stacks;     /* clean each stack before use, none runs on another's: exact thrum_stack_used */
  void (*log)(const char *message, size_t length); /* NULL: write to standard error */
} thrum_config;

#define THRUM_CONFIG_INIT \
  { sizeof(thrum_config), 0, 0, 0, 0, 0, THRUM_INHERIT, THRUM_INHERIT, false, false, 0 }

/* -EBUSY: thrum has been used already. -EINVAL: a value out of its range; a signal that cannot be caught, or that the program's own
 * instructions cause (SIGSEGV and the like); one signal for both. */
THRUM_API int thrum_configure(const thrum_config *config);

/* ---- What it has done -------------------------------------------------------------------------------- */

typedef struct thrum_stats {
  size_t size;                  /* set by the caller: sizeof(thrum_stats) */
  uint64_t spawned;             /* threads started */
  uint64_t switches;            /* from one thread to another */
  uint64_t steals;              /* threads that went to another worker's queue */
  uint64_t preemptions;         /* of threads that ran for a whole interval */
  uint64_t wakeup_preemptions;  /* of such threads, for one that was woken */
  uint64_t leases_lost;         /* workers taken from threads that blocked in a plain call */
  uint64_t signals;             /* preemption signals sent */
  uint64_t signals_blocked;     /* of these, how many met a thread that had just blocked: the rare race */
  uint64_t preempts_refused;    /* for want of a kernel thread */
  uint32_t workers;             /* now */
  uint32_t kernel_threads;      /* now; main's, the monitor's and foreign ones' among them */
  uint32_t kernel_threads_peak; /* ever at once */
  uint32_t kernel_threads_max;  /* the bound; foreign threads may go beyond */
  uint64_t stacks;              /* mapped, in use or pooled */
  uint64_t stacks_marked;       /* of these, guarded by the kernel's guard markers */
  uint64_t stacks_protected;    /* guarded by a mapping without access */
  uint64_t stacks_unguarded;    /* not guarded, for want of mappings: overflow is not caught there */
} thrum_stats;

/* A snapshot; counters of other workers may lag by one event. -EINVAL: size is not a known one. */
THRUM_API int thrum_statistics(thrum_stats *out);

/* ---- Hooks ------------------------------------------------------------------------------------------- */

/* Called with a failure that nobody can read any more: in a detached thread that has failed, as it ends (of a scope: behind the first one that
 * failed there, which goes to the scope); for one that had failed before, by who detaches it, and, if it is neither joined nor detached,
 * when the program ends, by who ends it (behind the functions of thrum_at_exit and the end of the threads that are waited for; with a status
 * that is not 0 as well); and, with the handle of the thread in which it is called, which goes on, for a task whose future nobody has, for a callback of a future, for the initializer of
 * an executor of processes, and for a block with a scope and without .status, by its opener, and for
 * thrum_scope_fail where the scope has a failure already. A task that no thread was to be had for is
 * told of by who submitted it, or by another thread that was to start one. A task's thread may be one of the runtime's own, and a
 * callback's is the one that finished or cancelled the future, main too. The handle of a thread
 * that had ended before is good for its name within the call, and stale afterwards. The default prints one line. Returns the former hook; NULL
 * restores the default. */
typedef void thrum_uncaught_fn(thrum_thread t, intptr_t failure, const char *sentence);
THRUM_API thrum_uncaught_fn *thrum_on_uncaught(thrum_uncaught_fn *hook);

/* Called when nothing can ever run again, or some threads wait for each other for ever, before the dump and exit status 86. */
typedef void thrum_hook_fn(void);
THRUM_API thrum_hook_fn *thrum_on_deadlock(thrum_hook_fn *hook);

/* Called with the message before thrum aborts: misuse, an overflown stack. Async-signal-safe code only. */
typedef void thrum_fatal_fn(const char *message);
THRUM_API thrum_fatal_fn *thrum_on_fatal(thrum_fatal_fn *hook);

/* Calls fn(arg) when the program ends in order, last registered first, before threads are waited for; also if main ends by thrum_exit.
 * -EINVAL: fn is NULL. -ENOMEM. -ECANCELED: it is ending already. */
THRUM_API int thrum_at_exit(void (*fn)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
