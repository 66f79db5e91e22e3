/* The clock and sleeping. */
#include <sched/self.h>
#include <thrum/time.h>

thrum_time thrum_now(void) { return thrumi_os.now(); }

thrum_time thrum_after(thrum_duration span) {
  if (span == THRUM_FOREVER) return THRUM_FOREVER;
  thrum_time now = thrumi_os.now();
  if (span <= 0) return now;
  return span > THRUM_FOREVER - now ? THRUM_FOREVER : now + span;
}

thrum_duration thrum_left(thrum_time deadline) {
  if (deadline == THRUM_FOREVER) return THRUM_FOREVER;
  thrum_time now = thrumi_os.now();
  return deadline > now ? deadline - now : 0;
}

int thrum_sleep_until(thrum_time when) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = k->current;
  if (when <= thrumi_os.now()) {
    bool cancelled = thrumi_is_cancelled(t);
    thrumi_leave(k);
    if (!cancelled) thrum_yield();
    return cancelled ? -ECANCELED : 0;
  }
  thrumi_ticket ticket = thrumi_arm(t, "the time", NULL, THRUMI_CANCELLABLE);
  enum thrumi_wait_state outcome = thrumi_park(t, ticket, when);
  thrumi_leave(thrumi_self());
  return outcome == THRUMI_CANCELLED ? -ECANCELED : 0;
}

int thrum_sleep(thrum_duration duration) { return thrum_sleep_until(thrum_after(duration)); }
