/* Waits that one change of an object ends for all at once: of an event, a wait group, a once.
 *
 * The object is a word of 64 bits that counts its rounds: a round ends when it is set, becomes 0, has run. Who waits takes down
 * the round in which it queued, in one step with saying that it waits (WAITERS). Whoever waits since another round than the
 * present one may go, whatever the object is by now: a set followed by a clear, or a zero followed by an add, frees exactly
 * those who waited. Rounds do not decrease along a queue, so those who may go are at its head.
 *
 * Once the last one is let go the object may be gone: it can lie on that thread's stack. So whoever settles looks at the object
 * only while one of its waiters is queued, and clears WAITERS before it lets the last one go. */
#ifndef THRUMI_ROUND_H
#define THRUMI_ROUND_H

#include <sched/await.h>

struct thrumi_round_wait {
  struct thrumi_waiter waiter; /* first: queues hold these */
  uint64_t round;
};

/* A kind of object. */
struct thrumi_rounds {
  const char *what;
  uint64_t waiters, rounds; /* bits of the word */
  thrumi_settle_fn *settle;
  int flags; /* of its waits */
};

/* In the bucket: lets go those who wait on the address since another round than the word's, a batch at most. True: there are
 * more. The whole of what a kind's `settle` does. */
bool thrumi_round_settle(const struct thrumi_rounds *kind, struct thrumi_bucket *bucket, const void *address);

/* In the bucket, which it unlocks, after the caller said that it waits, seeing `word`. 0: let go, or the round ended before
 * time ran out or a cancellation came; otherwise -ETIMEDOUT or -ECANCELED. */
int thrumi_round_await(const struct thrumi_rounds *kind, struct thrumi_bucket *bucket, const void *address,
                       uint64_t word, int64_t deadline, int flags);

/* For a thread that waits for several things, with one ticket. In the bucket, as above: queues its wait for this one, whose
 * thread, ticket and round are set. And behind thrumi_withdraw, if it was not let go: clears WAITERS if nobody is left, and
 * says whether the round has ended all the same. */
void thrumi_round_enlist(const struct thrumi_rounds *kind, struct thrumi_bucket *bucket, const void *address,
                         struct thrumi_round_wait *wait);
bool thrumi_round_leave(const struct thrumi_rounds *kind, const void *address,
                        const struct thrumi_round_wait *wait);

/* The whole of a kind's _destroy. -EBUSY if somebody waits, else 0: what was known of the object is forgotten. Outside. */
int thrumi_round_destroy(const void *address);

#endif
