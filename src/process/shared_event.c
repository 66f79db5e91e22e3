/* thrum_shared_event: 32 bits, which are the state that is waited for (shared_wait.h).
 *
 *   bits   name      meaning                    changed by
 *   0      SET       it is set                  set, clear
 *   1      WAITERS   threads may wait           who is going to wait; set clears it
 *   2-31   round     how often it became set    set, in one step with SET
 *
 * A set of what is set already exchanges the word all the same, for the same one: so what was done before it is seen by who clears the event,
 * looks, and waits only if it sees nothing.
 *
 * Who waits goes when it finds SET, or another round than at the beginning: a clear does not undo that. All who wait in one round sleep with
 * the same word, since WAITERS is set by the first of them. A set changes it for good, until the rounds have gone round. A process
 * that is killed between that and its wake leaves it to a tick: the kernel compares the word each time that a watcher goes to sleep. */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>

enum { SET = 1, WAITERS = 2, ROUND = 4 };

static thrumi_futex *word_of(const thrum_shared_event *event) {
  return (thrumi_futex *)(uintptr_t)&event->word;
}

static bool has_come(uint32_t word, uint32_t first) { return word & SET || word / ROUND != first / ROUND; }

static int wait_until(thrum_shared_event *event, int64_t deadline, int flags) {
  struct thrumi_shared_wait wait = {.what = "a shared event", .object = event, .shift = THRUMI_SHARED_STATE};
  uint32_t first = thrumi_load(word_of(event)), seen = first;
  int error = 0;
  if (!has_come(seen, first)) thrumi_shared_ready();
  while (!has_come(seen, first) && !error) {
    if (!(seen & WAITERS) && !thrumi_cas(word_of(event), &seen, seen | WAITERS)) continue;
    thrumi_enter();
    error = thrumi_shared_await(&wait, word_of(event), seen | WAITERS, deadline, flags);
    thrumi_leave(thrumi_self());
    seen = thrumi_load(word_of(event));
  }
  if (!has_come(seen, first)) return error;
  thrumi_rely_on(event);
  return 0;
}

void thrum_shared_event_wait(thrum_shared_event *event) { wait_until(event, INT64_MAX, 0); }

int thrum_shared_event_wait_for(thrum_shared_event *event, thrum_duration timeout) {
  if (timeout > 0) return wait_until(event, thrum_after(timeout), THRUMI_CANCELLABLE);
  return thrum_shared_event_is_set(event) ? 0 : thrumi_shared_poll_failed(-EAGAIN);
}

void thrum_shared_event_set(thrum_shared_event *event) {
  uint32_t seen = thrumi_load(word_of(event)), next;
  thrumi_announce(event);
  do next = seen & SET ? seen : (seen / ROUND + 1) * ROUND + SET;
  while (!thrumi_cas(word_of(event), &seen, next));
  if (seen & WAITERS) thrumi_shared_wake(word_of(event), THRUMI_SHARED_EVERYBODY);
}

void thrum_shared_event_clear(thrum_shared_event *event) { thrumi_and(word_of(event), ~(uint32_t)SET); }

bool thrum_shared_event_is_set(const thrum_shared_event *event) {
  bool is = thrumi_load(word_of(event)) & SET;
  if (is) thrumi_rely_on(event);
  return is;
}
