/* thrum_event: 64 bits, and its waiters in the parking table.
 *
 * The word:
 *
 *   bits   name      meaning                          changed by
 *   0      SET       it is set                        set, clear; anywhere
 *   1      WAITERS   threads may be queued            who queues sets it; cleared before the last one is let go, and by
 *                                                     who leaves by itself and finds none; all in the bucket
 *   2-63   round     how often it became set          set, in one step with SET
 *
 *  - A thread is queued: WAITERS is set. For a moment it is set although nobody is queued: after a time-out.
 *  - Queueing needs SET to be 0, in one step with setting WAITERS and taking down the round. So the set that comes next sees
 *    WAITERS, and makes the round another one.
 *    Who waits for the next round whatever the event is now (enlist_next) queues in the same way under SET: the round changes
 *    by a clear and a set, both later, and the set sees WAITERS.
 *  - Whoever changed the round and saw WAITERS settles the event, or marks its bucket: until that has been done, and only
 *    then, threads of former rounds are queued.
 *
 * A set is one compare-and-swap, in a signal handler too; the rest can be done by anybody later. All who were queued then have
 * another round than the word, and a clear does not change that. Who runs out of time in between looks at the round itself: it
 * was set while it waited, and that is what it returns.
 *
 * Rejected: to look at SET when a waiter runs: a set and a clear before that would be lost on it (Python's #57711). To let all
 * go that are queued when the settling comes: some may have queued after a clear. */
#include "event.h"

#include <sched/self.h>
#include <thrum/sync/event.h>

enum { SET = THRUMI_EVENT_SET, WAITERS = THRUMI_EVENT_WAITERS, ROUND = THRUMI_EVENT_ROUND };

typedef _Atomic uint64_t event_word;

static event_word *word_of(const thrum_event *event) { return (event_word *)(uintptr_t)&event->word; }

static bool settle(struct thrumi_bucket *bucket, const void *address);

static const struct thrumi_rounds kind = {"an event", WAITERS, ~(uint64_t)(ROUND - 1), settle,
                                          THRUMI_BY_SIGNAL};

static bool settle(struct thrumi_bucket *bucket, const void *address) {
  return thrumi_round_settle(&kind, bucket, address);
}

void thrumi_event_set_slow(thrum_event *event) {
  thrumi_announce(event);
  uint64_t seen = thrumi_load(word_of(event));
  while (!thrumi_cas(word_of(event), &seen, thrumi_event_after_set(seen))) {
  }
  if (seen & WAITERS) thrumi_settle(event, settle);
}

void thrumi_event_clear_slow(thrum_event *event) {
  thrumi_and(word_of(event), ~(uint64_t)SET);
  thrumi_rely_on(event);
}

static uint64_t round_of(uint64_t word) { return word & ~(uint64_t)(ROUND - 1); }

uint64_t thrumi_event_round(const thrum_event *event) { return round_of(thrumi_load(word_of(event))); }

/* In the bucket: says that the caller waits, unless it is set, or `round` is over. False then. *seen: the word as it was. */
static bool say_waits(thrum_event *event, uint64_t round, uint64_t *seen) {
  bool may;
  while ((may = !(*seen & SET) && round_of(*seen) == round) &&
         !thrumi_cas(word_of(event), seen, *seen | WAITERS)) {
  }
  return may;
}

static int wait_for(thrum_event *event, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(event);
  uint64_t seen = thrumi_load(word_of(event));
  if (say_waits(event, round_of(seen), &seen))
    return thrumi_round_await(&kind, bucket, event, seen, deadline, flags);
  thrumi_bucket_unlock(bucket);
  return 0;
}

bool thrumi_event_enlist(thrum_event *event, struct thrumi_round_wait *wait) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(event);
  uint64_t seen = thrumi_load(word_of(event));
  bool waits = say_waits(event, wait->round, &seen);
  if (waits) thrumi_round_enlist(&kind, bucket, event, wait);
  thrumi_bucket_unlock(bucket);
  return waits;
}

bool thrumi_event_enlist_next(thrum_event *event, struct thrumi_round_wait *wait) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(event);
  uint64_t seen = thrumi_load(word_of(event));
  bool same;
  while ((same = round_of(seen) == wait->round) && !thrumi_cas(word_of(event), &seen, seen | WAITERS)) {
  }
  if (same) thrumi_round_enlist(&kind, bucket, event, wait);
  thrumi_bucket_unlock(bucket);
  return same;
}

bool thrumi_event_withdraw(thrum_event *event, struct thrumi_round_wait *wait) {
  bool was_set = thrumi_withdraw(&wait->waiter) || thrumi_round_leave(&kind, event, wait);
  thrumi_rely_on(event);
  return was_set;
}

void thrumi_event_wait_slow(thrum_event *event) {
  thrumi_enter();
  wait_for(event, INT64_MAX, 0);
  thrumi_rely_on(event);
  thrumi_leave(thrumi_self());
}

static int poll_once(const thrum_event *event) {
  if (!thrum_event_is_set(event)) return thrumi_poll_failed();
  thrumi_rely_on(event);
  return 0;
}

int thrumi_event_for_slow(thrum_event *event, thrum_duration timeout) {
  if (timeout <= 0) return poll_once(event);
  thrumi_enter();
  int error = wait_for(event, thrum_after(timeout), THRUMI_CANCELLABLE);
  if (!error) thrumi_rely_on(event);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_event_destroy(thrum_event *event) { return thrumi_round_destroy(event); }
