/* What the models of objects that processes share have in common: each caller is a process of its own, with a slot; the
 * service that waits is what its contract says; one of them may be killed at every step, and the kernel tells of that. Behind waiting.h. */
#ifndef EXPLORE_SHARING_H
#define EXPLORE_SHARING_H

#include "waiting.h"

#include <process/segment.h>
#include <process/shared_wait.h>

enum { VICTIM = 0, LIVES = 1, DIED = 2 };

static struct thrumi_segment segments[CALLERS];
static _Atomic uint32_t ends[CALLERS];   /* the futex words of the slots */
static _Atomic(thrumi_futex *) slept_on; /* the counter, for the tick after a death */
static bool gives_up, runs_out;          /* waits with a deadline may run out of time; do so at once */

static int caller(void) { return number_of(thrumi_self()->current); }

struct thrumi_segment *thrumi_segment_of(const void *address) {
  return (void)address, &segments[caller()];
}
int thrumi_segment_slot_slow(struct thrumi_segment *segment) { return (void)segment, 0; }

bool thrumi_slot_is_dead(const struct thrumi_segment *segment, thrumi_holder holder) {
  (void)segment;
  if (thrumi_load(&ends[holder - 1]) == LIVES) return false;
  explore_futex_wake(&ends[holder - 1], INT32_MAX);
  return true;
}

thrumi_futex *thrumi_slot_watch(const struct thrumi_segment *segment, thrumi_holder holder,
                                uint32_t *expected) {
  (void)segment;
  *expected = LIVES;
  return thrumi_load(&ends[holder - 1]) == LIVES ? &ends[holder - 1] : NULL;
}

int thrumi_slot_pid(const struct thrumi_segment *segment, thrumi_holder holder) {
  return (void)segment, (int)holder;
}

int thrumi_poll_failed(void) { return -ETIMEDOUT; }
void thrumi_shared_ready(void) {}

int thrumi_shared_await(struct thrumi_shared_wait *wait, thrumi_futex *word, uint32_t seen, int64_t deadline,
                        int flags) {
  (void)flags;
  wait->waited = true;
  thrumi_store(&slept_on, word);
  if (deadline != INT64_MAX && (runs_out || (gives_up && explore_choose(2)))) return -ETIMEDOUT;
  _Atomic uint32_t *words[] = {word, wait->end};
  uint32_t expected[] = {seen, wait->end_expected};
  explore_futex_wait_any(words, expected, wait->end ? 2 : 1);
  return 0;
}

void thrumi_shared_wake(thrumi_futex *word, uint32_t n) { explore_futex_wake(word, (int)n); }

/* The victim dies at any step; the kernel says so, and later there is a tick. */
static inline void kill_victim(void *unused) {
  (void)unused;
  explore_kill(VICTIM);
  thrumi_store(&ends[VICTIM], DIED);
  explore_futex_wake(&ends[VICTIM], 1);
  thrumi_futex *word = thrumi_load(&slept_on);
  if (word) explore_futex_wake(word, INT32_MAX);
}

static void reset_sharing(void) {
  reset_callers();
  memset(segments, 0, sizeof segments);
  for (int i = 0; i < CALLERS; i++) {
    atomic_store(&segments[i].holder, (thrumi_holder)i + 1);
    explore_private(&segments[i].holder, sizeof segments[i].holder);
    atomic_store(&ends[i], LIVES);
  }
  atomic_store(&slept_on, NULL);
  gives_up = runs_out = false;
}

#endif
