/* Timers: the public face of sched/alarm.c. */
#include <core/parking.h>
#include <sched/alarm.h>
#include <sched/self.h>
#include <thrum/time.h>
#include <thrum/timer.h>

_Static_assert(sizeof(struct thrumi_alarm) == sizeof(thrum_timer) &&
                   offsetof(struct thrumi_alarm, timer.when) == offsetof(thrum_timer, when) &&
                   offsetof(struct thrumi_alarm, runner) == offsetof(thrum_timer, runner) &&
                   offsetof(struct thrumi_alarm, forks) == offsetof(thrum_timer, forks),
               "a thrum_timer is a struct thrumi_alarm");

static struct thrumi_alarm *alarm_of(thrum_timer *timer) { return (struct thrumi_alarm *)timer; }

/* What is due at once needs no clock: it lies before all time. */
static int64_t point_of(thrum_duration after) { return after <= 0 ? 0 : thrum_after(after); }

static int set(thrum_timer *timer, int64_t when, thrum_fn *fn, void *arg) {
  struct thrumi_kthread *k = thrumi_enter();
  bool known = thrumi_alarm_set(alarm_of(timer), when, fn, arg);
  thrumi_leave(k);
  return known ? 0 : -EINVAL;
}

int thrum_timer_start_at(thrum_timer *timer, thrum_time when, thrum_fn *fn, void *arg) {
  return fn ? set(timer, when, fn, arg) : -EINVAL;
}

int thrum_timer_start(thrum_timer *timer, thrum_duration after, thrum_fn *fn, void *arg) {
  return fn ? set(timer, point_of(after), fn, arg) : -EINVAL;
}

int thrum_timer_restart_at(thrum_timer *timer, thrum_time when) { return set(timer, when, NULL, NULL); }

int thrum_timer_restart(thrum_timer *timer, thrum_duration after) {
  return set(timer, point_of(after), NULL, NULL);
}

int thrum_timer_cancel(thrum_timer *timer) {
  struct thrumi_kthread *k = thrumi_enter();
  bool won = thrumi_alarm_clear(alarm_of(timer), NULL);
  thrumi_leave(k);
  return won;
}

/* A callback that is waited for may start the timer again: so it is taken back once more, until it was idle. */
int thrum_timer_cancel_wait(thrum_timer *timer) {
  bool won = false, own;
  uint64_t runner;
  do {
    struct thrumi_kthread *k = thrumi_enter();
    won |= thrumi_alarm_clear(alarm_of(timer), &runner);
    own = thrumi_alarm_runs_in(runner, k->current);
    thrumi_leave(k);
    if (runner && !own) thrum_wait((thrum_thread){runner}); /* -ESRCH: it has ended meanwhile */
  } while (runner && !own);
  if (own) return -EDEADLK;
  thrumi_rely_on(&alarm_of(timer)->runner);
  return won;
}

bool thrum_timer_pending(const thrum_timer *timer) {
  return __atomic_load_n(&timer->prev, __ATOMIC_RELAXED) && timer->forks == thrumi_forks;
}
