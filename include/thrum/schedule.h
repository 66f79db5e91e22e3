/* A schedule is a list of events, each a function to be called at its time by whoever runs the schedule: Python's sched.
 *
 *     static thrum_schedule schedule;                                     // all-zero: empty, by the monotonic clock
 *     static thrum_schedule_event a, b;                                   // in the caller's memory
 *     thrum_schedule_enter(&schedule, &a, THRUM_S(2), 0, print, "late");
 *     thrum_schedule_enter(&schedule, &b, THRUM_S(1), 0, print, "early");
 *     thrum_schedule_run(&schedule);                                      // prints early, then late, in this thread
 *
 * Events come in the order of their times; at the same time, the lower priority number first; else as they were entered. An event
 * has been taken out when its function is called, so that function may enter it again, or free it; any function may enter and
 * cancel events. A function's result that is a failure ends the run, which returns it; the schedule is as good as before, and may
 * be run again.
 *
 * The clock and the sleep may be the caller's own, in units of its own: a simulation runs by virtual time.
 *
 * Threads of any kind may use a schedule at once, and several may run it: each event goes to one of them. An event that is entered
 * before all others wakes a run that sleeps. (With a sleep of the caller's own only if that one ends.) An event must stay where it
 * is until it has come or was cancelled. */
#ifndef THRUM_SCHEDULE_H
#define THRUM_SCHEDULE_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_schedule {
  void *first; /* these three are the runtime's */
  size_t size;
  uint64_t entered;
  thrum_time (*now)(void *clock);                     /* NULL: thrum_now */
  int (*sleep)(void *clock, thrum_duration duration); /* 0, or a negative error that ends the run */
  void *clock;
} thrum_schedule;

/* A schedule by a clock of the caller's own: both functions are there, and may be called by several threads at once if these
 * run the schedule. */
#define THRUM_SCHEDULE_INIT(now, sleep, clock) \
  { NULL, 0, 0, now, sleep, clock }

/* All-zero: in no schedule. */
typedef struct thrum_schedule_event {
  void *child[2], *parent; /* all of it is the runtime's */
  uintptr_t rank;
  thrum_time time;
  uint64_t order;
  thrum_fn *fn;
  void *arg;
  struct thrum_schedule *schedule;
  int priority;
} thrum_schedule_event;

/* Enters an event that calls fn(arg) after a delay, or at a time, both of the schedule's clock. 0; -EINVAL: fn is NULL; -EBUSY: the
 * event is in a schedule already. O(log n), allocates nothing, does not switch. */
THRUM_API int thrum_schedule_enter(thrum_schedule *schedule, thrum_schedule_event *event,
                                   thrum_duration delay, int priority, thrum_fn *fn, void *arg);
THRUM_API int thrum_schedule_enter_at(thrum_schedule *schedule, thrum_schedule_event *event, thrum_time time,
                                      int priority, thrum_fn *fn, void *arg);

/* Takes this very event out. 0, or -ESRCH: it is not in this schedule; it has come, was cancelled, or never entered. O(log n),
 * does not switch. */
THRUM_API int thrum_schedule_cancel(thrum_schedule *schedule, thrum_schedule_event *event);

/* Calls the functions of all events, each at its time, until none is left, and lets other threads run after each. 0, or the first
 * failure: of a function, or of the clock's sleep; -ECANCELED: the thread was cancelled while it slept; -EINVAL: only one of the
 * clock's functions is there. Switches; a cancellation point. */
THRUM_API int thrum_schedule_run(thrum_schedule *schedule);

/* The same for events that are due; does not sleep. Returns how long it is to the next one (THRUM_FOREVER: there is none), or a
 * failure as above. */
THRUM_API thrum_duration thrum_schedule_run_due(thrum_schedule *schedule);

/* How many there are. */
THRUM_API size_t thrum_schedule_size(const thrum_schedule *schedule);

/* What is to come, in order. Returns how many events there are; if these are more than max, nothing is written. It copies them all
 * in one step, during which the thread is not preempted and others wait, O(n), and then sorts them, O(n log n): meant for
 * looking at hundreds. */
typedef struct thrum_schedule_entry {
  thrum_schedule_event *event;
  thrum_time time;
  int priority;
  uint64_t order; /* the number of its entering */
} thrum_schedule_entry;
THRUM_API size_t thrum_schedule_list(thrum_schedule *schedule, thrum_schedule_entry *out, size_t max);

#ifdef __cplusplus
}
#endif
#endif
