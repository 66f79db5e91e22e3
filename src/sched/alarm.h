/* What timers are made of: wheels of alarms, and the threads that run what they are set to. docs/design/timers.md says why. */
#ifndef THRUMI_ALARM_H
#define THRUMI_ALARM_H

#include <core/wheel.h>
#include <sched/sched.h>

/* A thrum_timer as the runtime sees it. All-zero: never set. */
struct thrumi_alarm {
  struct thrumi_timer timer; /* first: the wheel hands this out. In the wheel if and only if it is pending */
  thrum_fn *fn;
  void *arg;
  uint64_t runner;       /* the handle of the thread that runs, or ran, its callback last; 0: none */
  _Atomic uint32_t home; /* 1 + the shard that it belongs to; 0: none yet */
  uint32_t forks;        /* thrumi_forks when it was last touched */
};

/* Sets it, to fn(arg), or anew to what it was set to before if fn is NULL. Inside. False: there was nothing before. */
bool thrumi_alarm_set(struct thrumi_alarm *alarm, int64_t when, thrum_fn *fn, void *arg);

/* Takes it back. True: it was pending, and will not fire. *runner becomes the handle of the thread that runs its callback, 0 if
 * none does: seen under the same lock, so with 0 the alarm is idle. (Seen later, a thread that has ended may have set the alarm
 * again, and the next one run its callback.) Inside. */
bool thrumi_alarm_clear(struct thrumi_alarm *alarm, uint64_t *runner);

/* Whether the thread is one of those that run callbacks of the alarm, given the last one's handle. Inside. */
bool thrumi_alarm_runs_in(uint64_t runner, const struct thrumi_thread *t);

/* For timeout.c, which answers for all deadlines. */
int64_t thrumi_alarms_next(void);
void thrumi_alarms_expire(int64_t now);
size_t thrumi_alarms_pending(void);
void thrumi_alarms_fork(void);

/* A thread that was to run a callback cannot begin: it is tried again later. False: t is none of these. */
bool thrumi_alarm_put_off(const struct thrumi_thread *t);

#endif
