#include "round.h"

#include <sched/object.h>
#include <sched/self.h>

typedef _Atomic uint64_t round_word;

static round_word *word_at(const void *address) { return (round_word *)(uintptr_t)address; }

static uint64_t round_of(const struct thrumi_waiter *waiter) {
  return ((const struct thrumi_round_wait *)waiter)->round;
}

bool thrumi_round_settle(const struct thrumi_rounds *kind, struct thrumi_bucket *bucket,
                         const void *address) {
  struct thrumi_waiter *end = thrumi_bucket_first(bucket, address);
  if (!end || end->settle != kind->settle) return false; /* the object may be gone */
  uint64_t now = thrumi_load(word_at(address)) & kind->rounds;
  int n = 0;
  thrumi_ask_for_waiters(end, THRUMI_BATCH);
  for (; end && round_of(end) != now && n < THRUMI_BATCH; n++) end = end->next;
  bool more = end && round_of(end) != now;
  if (!end) thrumi_and(word_at(address), ~kind->waiters);
  for (; n; n--) thrumi_let_go(bucket, thrumi_bucket_first(bucket, address), 0);
  return more;
}

/* The wait ended by itself. Whether its round has ended as well. */
static bool round_ended(const struct thrumi_rounds *kind, const void *address, uint64_t round) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(address);
  uint64_t word = thrumi_load(word_at(address));
  if (!thrumi_bucket_first(bucket, address)) thrumi_and(word_at(address), ~kind->waiters);
  thrumi_bucket_unlock(bucket);
  return (word & kind->rounds) != round;
}

int thrumi_round_await(const struct thrumi_rounds *kind, struct thrumi_bucket *bucket, const void *address,
                       uint64_t word, int64_t deadline, int flags) {
  struct thrumi_round_wait wait = {.round = word & kind->rounds};
  thrumi_enqueue(bucket, &wait.waiter, address, kind->what, address, flags | kind->flags);
  wait.waiter.settle = kind->settle;
  thrumi_bucket_unlock(bucket);
  enum thrumi_wait_state outcome = thrumi_await_queued(&wait.waiter, deadline);
  if (outcome == THRUMI_WOKEN || round_ended(kind, address, wait.round)) return 0;
  return thrumi_wait_error(outcome);
}

void thrumi_round_enlist(const struct thrumi_rounds *kind, struct thrumi_bucket *bucket, const void *address,
                         struct thrumi_round_wait *wait) {
  thrumi_enlist(bucket, &wait->waiter, address);
  wait->waiter.settle = kind->settle;
}

bool thrumi_round_leave(const struct thrumi_rounds *kind, const void *address,
                        const struct thrumi_round_wait *wait) {
  return round_ended(kind, address, wait->round);
}

int thrumi_round_destroy(const void *address) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(address);
  bool waited_for = thrumi_bucket_first(bucket, address);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
  if (!waited_for) thrumi_object_forget(address);
  return waited_for ? -EBUSY : 0;
}
