/* The parking table: who waits on which address.
 *
 * A hash table of short FIFO lists with a spin lock each, after WebKit's ParkingLot: an object that threads
 * wait for needs no list of its own, and can be as small as a word. The caller decides under the bucket's lock whether
 * to wait at all; the waker takes waiters out under the same lock and claims them (wait.h). A waiter that
 * was claimed by its deadline instead takes itself out. */
#ifndef THRUMI_PARKING_H
#define THRUMI_PARKING_H

#include <core/spin.h>
#include <core/wait.h>

struct thrumi_thread;

struct thrumi_waiter {
  struct thrumi_waiter *next, *prev;
  _Atomic(const void *) address; /* changes under the locks of both buckets */
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  uintptr_t gift; /* what its waker leaves with it */
  bool queued;    /* under the bucket's lock */
};

struct thrumi_bucket {
  struct thrumi_spin lock;
  struct thrumi_waiter *head, *tail;
};

/* The bucket of an address, locked. */
struct thrumi_bucket *thrumi_bucket_lock(const void *address);
void thrumi_bucket_unlock(struct thrumi_bucket *bucket);

void thrumi_bucket_append(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter);
void thrumi_bucket_remove(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter); /* if it is queued */

/* The waiter that has waited longest on the address; NULL: none. */
struct thrumi_waiter *thrumi_bucket_first(struct thrumi_bucket *bucket, const void *address);

void thrumi_parking_fork(void); /* in the child of a fork: nobody waits */

#endif
