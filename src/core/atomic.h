/* The runtime's atomic operations.
 *
 * All go through these names, so that the exhaustive driver in tests/ can be compiled with
 * THRUMI_EXPLORE and gets control before each of them. Loads acquire, stores release, read-modify-writes
 * do both; the _relaxed forms order nothing and are for hints and counters. On x86-64 the loads and stores
 * are plain instructions. */
#ifndef THRUMI_ATOMIC_H
#define THRUMI_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef THRUMI_EXPLORE
void thrumi_explore_point(void);
#define THRUMI_POINT() thrumi_explore_point()
#else
#define THRUMI_POINT() ((void)0)
#endif

#define thrumi_load(p) (THRUMI_POINT(), atomic_load_explicit(p, memory_order_acquire))
#define thrumi_load_relaxed(p) (THRUMI_POINT(), atomic_load_explicit(p, memory_order_relaxed))
#define thrumi_store(p, v) (THRUMI_POINT(), atomic_store_explicit(p, v, memory_order_release))
#define thrumi_store_relaxed(p, v) (THRUMI_POINT(), atomic_store_explicit(p, v, memory_order_relaxed))
#define thrumi_swap(p, v) (THRUMI_POINT(), atomic_exchange_explicit(p, v, memory_order_seq_cst))
#define thrumi_or(p, v) (THRUMI_POINT(), atomic_fetch_or_explicit(p, v, memory_order_seq_cst))
#define thrumi_and(p, v) (THRUMI_POINT(), atomic_fetch_and_explicit(p, v, memory_order_seq_cst))
#define thrumi_add(p, v) (THRUMI_POINT(), atomic_fetch_add_explicit(p, v, memory_order_seq_cst))

/* On failure *expected becomes what was there. */
#define thrumi_cas(p, expected, v) \
  (THRUMI_POINT(), \
   atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_seq_cst, memory_order_acquire))

/* A counter that one thread writes and others may read a little late. */
#define thrumi_bump(p) \
  atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + 1, memory_order_relaxed)

#define thrumi_likely(x) __builtin_expect(!!(x), 1)
#define thrumi_unlikely(x) __builtin_expect(!!(x), 0)

static inline void thrumi_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

#endif
