/* The parking table: who waits on which address.
 *
 * After WebKit's ParkingLot: an object that threads wait for needs no list of its own, and can be as small as a word. The
 * caller decides under the bucket's lock whether to wait at all; the waker takes waiters out under the same lock
 * and claims them (wait.h). A waiter that was claimed by its deadline instead takes itself out.
 *
 * An address's waiters are a queue, first in, first out. A bucket's queues are a digital search tree (Coffman and Eve,
 * 1970): the first waiter of each queue is a node, a bit of its key a step down. Keys are addresses, mixed without
 * loss, so they are as good as random and no two are the same: a queue is found in O(log n) steps, 64 at most, whatever
 * the addresses. There is nothing to rebalance and nothing to allocate.
 *
 * Sweeping. A signal handler may change an object, but must not take a bucket's lock, which the code that it interrupted may
 * hold. So it marks the object's bucket, and has somebody else settle all objects there whose waiters say how (`settle`). A
 * mark says no more than "look again": it may be set twice or too often, and none is lost, however many signals come.
 *
 * Rejected: one list a bucket (Linux's futex, WebKit): a million threads that wait on a million objects make every
 * wake-up walk thousands. A treap (Go's semaRoot) wants a parent pointer, a priority and rotations for the same depth.
 * A table that grows wants memory while inside the runtime. For sweeping: a ring of addresses (what if it is full?); a list
 * through the objects (the object may be gone by the time it is read; a waiter is not, while it is queued). */
#ifndef THRUMI_PARKING_H
#define THRUMI_PARKING_H

#include <core/spin.h>
#include <core/wait.h>

struct thrumi_thread;
struct thrumi_bucket;

/* Lets go who may go of those who wait on the address, in its bucket, a batch at most. True: there are more. */
typedef bool thrumi_settle_fn(struct thrumi_bucket *bucket, const void *address);

struct thrumi_waiter {
  struct thrumi_waiter *next, *prev; /* in the queue; the first one's prev is the last, whose next is NULL */
  struct thrumi_waiter *child[2];    /* of the first one: queues whose keys go on with 0 and 1 */
  uint64_t key;                      /* of the address */
  _Atomic(const void *) address;     /* changes under the locks of both buckets */
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  thrumi_settle_fn *settle; /* of its object, if signal handlers may change that; NULL */
  uintptr_t gift;           /* what its waker leaves with it */
  bool queued;              /* under the bucket's lock */
  bool stays; /* it is one of several of its thread, which takes the bucket's lock before it goes on; then */
  bool won;   /* says whether this one was let go */
};

struct thrumi_bucket {
  struct thrumi_spin lock;
  struct thrumi_waiter *root;
};

/* The bucket of an address, locked. */
struct thrumi_bucket *thrumi_bucket_lock(const void *address);
void thrumi_bucket_unlock(struct thrumi_bucket *bucket);

/* Those of two addresses, both locked; they may be the same one. */
struct thrumi_buckets {
  struct thrumi_bucket *of[2];
};
struct thrumi_buckets thrumi_buckets_lock(const void *one, const void *other);
void thrumi_buckets_unlock(struct thrumi_buckets buckets);

/* Puts the waiter behind, or before, those who wait on the address, in whose bucket it must be. */
void thrumi_bucket_append(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address);
void thrumi_bucket_prepend(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address);
void thrumi_bucket_remove(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter); /* if it is queued */

/* The waiter at the head of the address's queue; NULL: none. The one behind it is its `next`. */
struct thrumi_waiter *thrumi_bucket_first(struct thrumi_bucket *bucket, const void *address);

/* Marks the bucket of an address. Async-signal-safe. */
void thrumi_parking_mark(const void *address);
bool thrumi_parking_is_marked(void); /* any is */

/* Settles all that is marked. Who marks does so and then rouses the caller; the caller says that it is about to sleep and then
 * calls this. A full fence stands between the two steps on both sides, so no mark is left while the caller sleeps. */
void thrumi_parking_sweep(void);

void thrumi_parking_fork(void); /* in the child of a fork: nobody waits */

/* How many forks lie between this process and the one that started: what an object says of threads that run is
 * outdated in the child. */
extern uint32_t thrumi_forks;

#endif
