/* thrum_waitgroup: 64 bits, and its waiters in the parking table.
 *
 * The word:
 *
 *   bits    name      meaning                              changed by
 *   0-30    count     what is to be done                   add, done; anywhere
 *   31      -         0
 *   32      WAITERS   threads may be queued                who queues sets it; cleared before the last one is let go, and
 *                                                          by who leaves by itself and finds none; all in the bucket
 *   33-63   round     how often it became 0 with WAITERS   add, in one step with the count
 *
 *  - A thread is queued: WAITERS is set. For a moment it is set although nobody is queued: after a time-out.
 *  - Queueing needs a count that is not 0, in one step with setting WAITERS and taking down the round. So the add that makes
 *    the count 0 sees WAITERS and begins another round, and it settles the group. Whoever queues after that has the new round.
 *  - Rounds come again after 2^31. Each begins with an add that settles the group at once, so to mistake one for another the
 *    count would have to pass 0 with waiters as often as that while one add waits for the bucket's lock. */
#include "round.h"

#include <core/fatal.h>
#include <sched/object.h>
#include <sched/self.h>
#include <thrum/sync/waitgroup.h>

#define WAITERS THRUMI_WAITGROUP_WAITERS
#define ROUND (WAITERS << 1)

typedef _Atomic uint64_t group_word;

static group_word *word_of(const thrum_waitgroup *group) { return (group_word *)(uintptr_t)&group->word; }

static bool settle(struct thrumi_bucket *bucket, const void *address);

static const struct thrumi_rounds kind = {"a wait group", WAITERS, ~(ROUND - 1), settle, 0};

static bool settle(struct thrumi_bucket *bucket, const void *address) {
  return thrumi_round_settle(&kind, bucket, address);
}

static bool is_empty(uint64_t word) { return (uint32_t)word == 0; }

static void check_count(const thrum_waitgroup *group, int64_t count) {
  if (count < 0)
    thrumi_fatal("thread %s makes the count of waitgroup %s negative", thrum_current_name(),
                 THRUMI_NAME_OF(group));
  if (count > THRUM_WAITGROUP_MAX)
    thrumi_fatal("thread %s makes the count of waitgroup %s too large", thrum_current_name(),
                 THRUMI_NAME_OF(group));
}

void thrumi_waitgroup_add_slow(thrum_waitgroup *group, int n) {
  thrumi_announce(group);
  uint64_t seen = thrumi_load(word_of(group)), next;
  do {
    check_count(group, (int64_t)(uint32_t)seen + n);
    next = seen + (uint64_t)(int64_t)n;
    if (is_empty(next) && !is_empty(seen) && seen & WAITERS) next += ROUND;
  } while (!thrumi_cas(word_of(group), &seen, next));
  if ((next ^ seen) & kind.rounds) thrumi_settle(group, settle);
}

static int wait_for(thrum_waitgroup *group, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(group);
  uint64_t seen = thrumi_load(word_of(group));
  while (!is_empty(seen) && !thrumi_cas(word_of(group), &seen, seen | WAITERS)) {
  }
  if (!is_empty(seen)) return thrumi_round_await(&kind, bucket, group, seen, deadline, flags);
  thrumi_bucket_unlock(bucket);
  return 0;
}

void thrumi_waitgroup_wait_slow(thrum_waitgroup *group) {
  thrumi_enter();
  wait_for(group, INT64_MAX, 0);
  thrumi_rely_on(group);
  thrumi_leave(thrumi_self());
}

static int poll_once(const thrum_waitgroup *group) {
  if (thrum_waitgroup_count(group) != 0) return thrumi_poll_failed();
  thrumi_rely_on(group);
  return 0;
}

int thrumi_waitgroup_for_slow(thrum_waitgroup *group, thrum_duration timeout) {
  if (timeout <= 0) return poll_once(group);
  thrumi_enter();
  int error = wait_for(group, thrum_after(timeout), THRUMI_CANCELLABLE);
  if (!error) thrumi_rely_on(group);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_waitgroup_destroy(thrum_waitgroup *group) { return thrumi_round_destroy(group); }
