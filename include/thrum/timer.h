/* A timer calls a function when its time has come.
 *
 *     static thrum_timer timer;                                       // all-zero: not started
 *     thrum_timer_start(&timer, THRUM_S(30), drop, connection);       // calls drop(connection) in 30 s
 *     if (thrum_timer_cancel(&timer)) ...                             // it will not, and connection is ours again
 *
 * The callback runs in a light thread of its own, named for it. So it may do all that a thread may: block, take locks, spawn, end
 * by thrum_exit; and however long it takes, it delays no other timer. A result that is a failure goes to thrum_on_uncaught. It
 * runs as soon as a woken thread would: never early, and late by less than 33 us plus what the scheduler needs. Callbacks of timers
 * that are due at the same time run side by side. With one worker they begin in the order in which one thread started them, as
 * long as none is preempted before its first step; with several they may begin in any order.
 *
 * The timer lies in the caller's memory; starting and cancelling allocate nothing and cost the same however many there are. It
 * must stay where it is while it is pending. A timer that is not pending may be started, or freed: also in its own callback,
 * which no longer needs it, and right after a cancel that returned 1. Who frees what a callback uses calls
 * thrum_timer_cancel_wait.
 *
 * Threads of any kind may use a timer, several at once. No call but thrum_timer_cancel_wait switches; none is a cancellation
 * point.
 *
 * Pending timers do not keep the program: returning from main waits for callbacks that have begun, not for those that are to
 * come. (A thread that sleeps and then calls the function is waited for.) While a timer is pending there is no deadlock. In
 * the child of a fork no timer is pending; it can be started there. The clock is thrum_now's: a changed wall clock does not
 * matter, and while the machine is suspended no time passes.
 *
 * If there is no memory for a callback's thread it is tried again each millisecond: callbacks are late then, not lost. */
#ifndef THRUM_TIMER_H
#define THRUM_TIMER_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_timer {
  void *next, *prev; /* all of it is the runtime's: see docs/design/timers.md */
  thrum_time when;
  thrum_fn *fn;
  void *arg;
  uint64_t runner;
  uint32_t home, forks;
} thrum_timer;

/* Calls fn(arg) after so long: at once for 0 or less, never for THRUM_FOREVER. If the timer is pending it is set to the new
 * time, function and argument instead, and the former call does not come. 0, or -EINVAL: fn is NULL. */
THRUM_API int thrum_timer_start(thrum_timer *timer, thrum_duration after, thrum_fn *fn, void *arg);

/* The same at a point of time. */
THRUM_API int thrum_timer_start_at(thrum_timer *timer, thrum_time when, thrum_fn *fn, void *arg);

/* Starts it again with the function and argument of last time, whether it is pending, running, has fired or was cancelled. 0, or
 * -EINVAL: it was never started. */
THRUM_API int thrum_timer_restart(thrum_timer *timer, thrum_duration after);
THRUM_API int thrum_timer_restart_at(thrum_timer *timer, thrum_time when);

/* Takes the call back. 1: it was pending, and will not fire. 0: too late, the callback has begun and may be running, or has
 * ended, or the timer was not pending anyway. Of a cancel and the callback exactly one wins, for each start. */
THRUM_API int thrum_timer_cancel(thrum_timer *timer);

/* The same, and waits for callbacks of the timer that have begun; what these start again is taken back, too. So afterwards no
 * callback of it runs or will, unless another thread starts it. 1 or 0 as above, or -EDEADLK at once: the caller is such a callback
 * itself; the timer is not pending then either. Switches. */
THRUM_API int thrum_timer_cancel_wait(thrum_timer *timer);

/* Whether it will fire, at this moment. */
THRUM_API bool thrum_timer_pending(const thrum_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
