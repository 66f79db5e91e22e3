/* The stacks of light threads: reserved in slabs, guarded, pooled, and never unmapped.
 *
 * Sizes are powers of two from 4 KiB, one pool each. A slab is one mapping for many stacks of a size, so that
 * a million fit under the kernel's limit of 65,530 mappings:
 *
 *     | slab's record | guard | stack 0 | guard | stack 1 | ...
 *
 * A stack that is in nobody's hands is one of
 *
 *   state   memory                         recorded                              becomes
 *   raw     no guard yet, untouched        bit in its slab                       guarded and taken
 *   cold    guarded, untouched or zeroed   bit in its slab                       taken
 *   warm    guarded, pages in place        linked in its pool by words at its    taken, or trimmed to cold
 *                                          top, or in a worker's magazine
 *
 * Guards are 64 KiB because compilers emit no probes by default and a large frame would jump over a page.
 * They are guard markers where the kernel has them (6.13), which cost no mapping. Otherwise they are made
 * inaccessible, at two mappings a stack, until about 30,000 are; stacks after that have no guard, and are
 * counted.
 *
 * A stack given back may still be the one that its giver runs on: it goes to the magazine, where only the
 * same worker finds it, and what moves on to the pool is another. */
#ifndef THRUMI_STACK_H
#define THRUMI_STACK_H

#include <core/atomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
  THRUMI_STACK_GUARD = 64 * 1024,
  THRUMI_STACK_MAGAZINE = 64,
  THRUMI_STACK_BATCH = 32, /* between magazine and pool */
  THRUMI_STACK_WARM = 64,  /* of a pool are kept warm however long nobody needs them */
  THRUMI_STACK_PROTECTED_MAX = 30000,
};

struct thrumi_stack_slab;

struct thrumi_stack {
  char *low; /* usable: [low, low + size); NULL: none */
  size_t size;
  struct thrumi_stack_slab *slab;
};

/* A worker's stacks of the default size; touched by its holder alone. All-zero is empty. */
struct thrumi_stack_cache {
  size_t size; /* of those in the magazine */
  unsigned count;
  struct thrumi_stack_entry {
    char *low;
    struct thrumi_stack_slab *slab;
  } magazine[THRUMI_STACK_MAGAZINE]; /* last in, first out */
  struct thrumi_stack other;         /* the last one of another size: its giver may still stand on it */
};

/* Gives a stack of at least `size` bytes (0: of the default size). The cache may be NULL. Its contents are
 * arbitrary. -ENOMEM: none to be had now. */
int thrumi_stack_take(struct thrumi_stack_cache *cache, size_t size, struct thrumi_stack *out);

/* Sees to it that there are at least so many stacks of the default size, in use or not. 0 or -ENOMEM. */
int thrumi_stack_reserve(uint64_t count);

/* Without a cache the caller does not run on it. */
void thrumi_stack_give(struct thrumi_stack_cache *cache, struct thrumi_stack *stack);

/* Gives all that is in the cache to the pools. The caller does not run on one of these. */
void thrumi_stack_drain(struct thrumi_stack_cache *cache);

/* The size that 0 stands for from now on. Magazines follow at their next use; threads that have been spawned keep the size that
 * was in force then (thrumi_thread.stack_bits). A thread that others count on is spawned with this as
 * its size: then it has its stack from its birth, or the spawn says that there is none. Others are given theirs at their first turn, and
 * end with -ENOMEM if there is none, without having called their function. */
void thrumi_stack_set_default(size_t size);
extern _Atomic uint8_t thrumi_stack_default_bits; /* its logarithm: sizes are powers of two */
static inline size_t thrumi_stack_default(void) {
  return (size_t)1 << thrumi_load_relaxed(&thrumi_stack_default_bits);
}

/* Gives back the pages of some stacks that have lain in a pool for a second or more, beyond those kept
 * warm. Returns when to come again: INT64_MAX if it has nothing to wait for. By one caller at a time. */
int64_t thrumi_stack_trim(int64_t now);

/* Makes it read as zero. Nobody uses it. */
void thrumi_stack_clean(const struct thrumi_stack *stack);

/* How many stacks there are, in use or not, and how they are guarded: mapped = marked + protected +
 * unguarded. */
struct thrumi_stack_counts {
  uint64_t mapped, marked, protected, unguarded;
};
void thrumi_stack_count(struct thrumi_stack_counts *out);

/* The address is in the guard below the stack: it overflowed. Async-signal-safe. */
bool thrumi_stack_guard_hit(const struct thrumi_stack *stack, uintptr_t address);

/* Bytes from its top down to the lowest byte that is not zero, without touching a page that is not there.
 * Exact for a stack that was zero when it was taken, else what some former user reached. Negative errno. */
ssize_t thrumi_stack_used(const struct thrumi_stack *stack);

/* In the child after fork: no other thread is left to finish what it did with the pools. */
void thrumi_stack_fork(void);

#endif
