/* See lease.h for the protocol and why it is sound. */
#include <core/lease.h>

enum { VERDICT_SPINS = 200 };

uint32_t thrumi_lease_settle(struct thrumi_lease *lease) {
  if (thrumi_load(&lease->attention) & THRUMI_FENCE) atomic_thread_fence(memory_order_seq_cst);
  uint32_t seen = thrumi_load(&lease->attention);
  for (int spins = 0; seen & THRUMI_REVOKING; seen = thrumi_load(&lease->attention)) {
    if (++spins < VERDICT_SPINS) {
      thrumi_pause();
    } else if (seen & THRUMI_SLEEPING) {
      thrumi_lease_wait(&lease->attention, seen);
    } else {
      thrumi_cas(&lease->attention, &seen, seen | THRUMI_SLEEPING);
    }
  }
  if (seen & THRUMI_SLEEPING)
    seen = thrumi_and(&lease->attention, ~(uint32_t)THRUMI_SLEEPING) & ~(uint32_t)THRUMI_SLEEPING;
  return seen;
}

/* Ends REVOKING, setting `set` in the same step, and wakes an owner that waits for the verdict. */
static void conclude(struct thrumi_lease *lease, uint32_t set) {
  uint32_t seen = thrumi_load(&lease->attention);
  while (!thrumi_cas(&lease->attention, &seen, (seen & ~(uint32_t)THRUMI_REVOKING) | set)) {
  }
  if (seen & THRUMI_SLEEPING) thrumi_lease_notify(&lease->attention);
}

bool thrumi_lease_revoke(struct thrumi_lease *lease) {
  uint32_t seen = thrumi_load(&lease->attention);
  do {
    if (seen & (THRUMI_REVOKING | THRUMI_LOST)) return false;
  } while (!thrumi_cas(&lease->attention, &seen, seen | THRUMI_REVOKING));
  thrumi_lease_barrier();
  if (thrumi_load(&lease->inside) == 0) return true;
  conclude(lease, 0);
  return false;
}

void thrumi_lease_restore(struct thrumi_lease *lease) { conclude(lease, 0); }

void thrumi_lease_seize(struct thrumi_lease *lease) { conclude(lease, THRUMI_LOST); }
