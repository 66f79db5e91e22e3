/* A small lock for a few instructions' work: spins a little, then sleeps on a futex.
 *
 *   word   meaning                                    written by
 *   0      free                                       the holder (unlock)
 *   1      held, nobody sleeps                        whoever takes it at once
 *   2      held, somebody may sleep: unlock wakes     whoever has to wait. Legal although nobody sleeps.
 *
 * All-zero is free. Its holder is inside the runtime and so never preempted by thrum, only by the kernel;
 * that is why a waiter sleeps in the end. A handler may take it, too, unless it interrupted the runtime. It
 * knows nothing of light threads: it blocks the kernel thread. */
#ifndef THRUMI_SPIN_H
#define THRUMI_SPIN_H

#include <core/atomic.h>
#include <os/os.h>

struct thrumi_spin {
  thrumi_futex word;
};

enum { THRUMI_SPIN_FREE, THRUMI_SPIN_HELD, THRUMI_SPIN_CONTENDED };
enum { THRUMI_SPIN_TRIES = 100 };

static inline bool thrumi_spin_try_lock(struct thrumi_spin *spin) {
  uint32_t free_word = THRUMI_SPIN_FREE;
  return thrumi_cas(&spin->word, &free_word, THRUMI_SPIN_HELD);
}

static __attribute__((noinline, unused)) void thrumi_spin_wait(struct thrumi_spin *spin) {
  for (int i = 0; i < THRUMI_SPIN_TRIES; i++) {
    if (thrumi_load_relaxed(&spin->word) == THRUMI_SPIN_FREE && thrumi_spin_try_lock(spin)) return;
    thrumi_pause();
  }
  /* Who has slept takes it as CONTENDED: others may still sleep. */
  while (thrumi_swap(&spin->word, THRUMI_SPIN_CONTENDED) != THRUMI_SPIN_FREE)
    thrumi_os.futex_wait(&spin->word, THRUMI_SPIN_CONTENDED, INT64_MAX);
}

static inline void thrumi_spin_lock(struct thrumi_spin *spin) {
  if (thrumi_unlikely(!thrumi_spin_try_lock(spin))) thrumi_spin_wait(spin);
}

static inline void thrumi_spin_unlock(struct thrumi_spin *spin) {
  if (thrumi_unlikely(thrumi_swap(&spin->word, THRUMI_SPIN_FREE) == THRUMI_SPIN_CONTENDED))
    thrumi_os.futex_wake(&spin->word, 1);
}

#endif
