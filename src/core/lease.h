/* The lease: how a worker is taken from a kernel thread that does not cooperate.
 *
 * The kernel thread that holds a worker touches what belongs to the worker (its queues, its caches) without
 * any atomic read-modify-write. That is sound because others touch it only after they have revoked the lease, and
 * revoking succeeds only while the holder is outside the runtime. Two words of each kernel thread:
 *
 *   inside     1 while it runs runtime code, 0 while it runs the user's. Written by its owner alone.
 *   attention  0, or some of these bits:
 *
 *     bit        meaning                                        set by                  cleared by
 *     REVOKING   somebody decides whether to take the worker    revoker (CAS)           the same revoker
 *     LOST       the worker is gone; user code runs on without  revoker, or the owner   whoever gives it a
 *                                                               before a blocking call  worker again
 *     SHARE      a hungry worker asks for threads               hungry worker           owner
 *     PREEMPT    a preemption arrived inside; obey on leaving   owner (its handler)     owner
 *     FENCE      this kernel has no membarrier                  creator, for ever       nobody
 *     SLEEPING   the owner waits on the word for the verdict    owner                   owner
 *
 * The two sides of the race (Dekker):
 *
 *     owner, entering                     revoker
 *     inside = 1                          attention |= REVOKING
 *     compiler barrier                    membarrier
 *     attention == 0 ? go on              inside == 0 ? won : give up
 *
 * membarrier puts a full fence into every running thread of the process, so either the owner's load sees REVOKING,
 * or the revoker's load sees inside == 1. If the owner sees REVOKING it waits for the verdict before it touches
 * anything. While REVOKING is set and the verdict was "won", the revoker alone owns the worker's data: it may
 * take threads from the queues and clear REVOKING again (a steal), or take the worker away altogether
 * (REVOKING becomes LOST in one step).
 *
 * A kernel thread that waits for a worker (a spare, one asleep in the preemption handler) keeps inside == 1. Foreign
 * threads and the breeder leave and enter as all do, but no worker names them, so nobody revokes theirs. For whom a worker names,
 * inside == 0 and not LOST means: holds that worker and runs user code. */
#ifndef THRUMI_LEASE_H
#define THRUMI_LEASE_H

#include <core/atomic.h>

enum thrumi_attention {
  THRUMI_REVOKING = 1,
  THRUMI_LOST = 2,
  THRUMI_SHARE = 4,
  THRUMI_PREEMPT = 8,
  THRUMI_FENCE = 16,
  THRUMI_SLEEPING = 32,
};

struct thrumi_lease {
  _Atomic uint32_t inside;
  _Atomic uint32_t attention;
};

/* What the OS does for the lease; replaced by the exhaustive driver. */
void thrumi_lease_barrier(void);
void thrumi_lease_wait(_Atomic uint32_t *attention, uint32_t seen); /* sleeps while *attention == seen */
void thrumi_lease_notify(_Atomic uint32_t *attention);

/* The owner enters the runtime. False: something wants attention, see thrumi_lease_settle. */
static inline bool thrumi_lease_enter(struct thrumi_lease *lease) {
  thrumi_store(&lease->inside, 1);
  atomic_signal_fence(memory_order_seq_cst);
  return thrumi_likely(thrumi_load(&lease->attention) == 0);
}

static inline void thrumi_lease_leave(struct thrumi_lease *lease) { thrumi_store(&lease->inside, 0); }

/* The owner, inside, waits until nobody is revoking. Returns the attention word then. */
uint32_t thrumi_lease_settle(struct thrumi_lease *lease);

/* Somebody else tries to. True: the caller owns the worker's data until it calls one of the two below.
 * False: the owner is inside, or has lost its worker already, or another revoker was first. */
bool thrumi_lease_revoke(struct thrumi_lease *lease);
void thrumi_lease_restore(struct thrumi_lease *lease); /* gives it back */
void thrumi_lease_seize(struct thrumi_lease *lease);   /* keeps the worker: LOST */

#endif
