/* The lease: the owner of a worker enters and leaves; others revoke its lease, one to steal, one to keep the
 * worker. Stores wait in a buffer, since the owner's side has no fence of its own. Never do two touch what
 * belongs to the worker, and no owner sleeps for ever. */
#include "explore.h"

#include <core/lease.h>

static struct thrumi_lease lease;
static _Atomic uint32_t data; /* what belongs to the worker */
static const char *holder;
static bool has_membarrier;

void thrumi_lease_barrier(void) {
#ifndef MUTATE_BARRIER
  if (has_membarrier)
    explore_barrier();
  else
    explore_fence();
#endif
}

static void touch(const char *who) {
  if (holder) explore_fail("%s touches the worker's data, and so does %s", who, holder);
  holder = who;
  explore_point(EXPLORE_WRITE, &data);
  holder = NULL;
}

/* Whoever lost the worker must not touch its data, and gets it back, as from thrumi_regain. */
static void regain(void) {
  touch("the owner's successor");
  thrumi_and(&lease.attention, ~(uint32_t)THRUMI_LOST);
}

static int once = 1, thrice = 3;

static void owner(void *rounds) {
  for (int i = *(int *)rounds; i > 0; i--) {
    if (!thrumi_lease_enter(&lease)) {
      uint32_t seen = thrumi_lease_settle(&lease);
      if (seen & THRUMI_LOST) regain();
    }
    touch("the owner");
    thrumi_lease_leave(&lease);
  }
}

static void thief(void *unused) {
  (void)unused;
  if (!thrumi_lease_revoke(&lease)) return;
  touch("the thief");
  thrumi_lease_restore(&lease);
}

static void monitor(void *unused) {
  (void)unused;
  if (!thrumi_lease_revoke(&lease)) return;
  touch("the monitor");
  thrumi_lease_seize(&lease);
}

#ifdef MUTATE_FENCE /* owners are not told that they need a fence */
enum { FENCE = 0 };
#else
enum { FENCE = THRUMI_FENCE };
#endif

static void reset(void) {
  atomic_store(&lease.inside, 0);
  atomic_store(&lease.attention, has_membarrier ? 0 : FENCE);
  holder = NULL;
}

static void reset_with(void) {
  has_membarrier = true;
  reset();
}

static void reset_without(void) {
  has_membarrier = false;
  reset();
}

static void check(void) {
  uint32_t attention = atomic_load(&lease.attention);
  EXPECT(atomic_load(&lease.inside) == 0);
  EXPECT((attention & ~(uint32_t)(THRUMI_LOST | THRUMI_FENCE)) == 0);
}

#define MODEL(text, reset_fn, ...) \
  { \
    .name = "lease, " text, .buffered = true, .reset = reset_fn, .check = check, .threads = { __VA_ARGS__ } \
  }
#define OWNER(rounds) \
  { .name = "owner", .run = owner, .arg = rounds }
#define THIEF \
  { .name = "thief", .run = thief }
#define MONITOR \
  { .name = "monitor", .run = monitor }

static const struct explore_model models[] = {
    MODEL("no membarrier, a thief", reset_without, OWNER(&thrice), THIEF),
    MODEL("no membarrier, the monitor", reset_without, OWNER(&thrice), MONITOR),
    MODEL("no membarrier, both", reset_without, OWNER(&once), THIEF, MONITOR),
    MODEL("a thief", reset_with, OWNER(&thrice), THIEF),
    MODEL("the monitor", reset_with, OWNER(&thrice), MONITOR),
    MODEL("both", reset_with, OWNER(&once), THIEF, MONITOR),
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
