/* The heap of a segment: blocks of memory, handed out and taken back by any process that has it mapped, at whatever address.
 *
 * Truth and index. The heap is tiled by blocks. The first word of each says how long it is and whether it is used: these words, from
 * the first block on, are the truth. All else is an index that can be made again from them: how long the block
 * before is, the lists of free blocks by size, the map of lists that are not empty, the counts.
 *
 * Invariant (T): at every moment the truth is a tiling, and a block that was handed out is a used one there. For each change of the truth
 * is one store of one aligned word of 64 bits:
 *
 *   step                      the store                          why (T) holds before and after it
 *   split, and hand out       size|USED of the first part        the word of the rest was written before: it lay inside a free
 *                                                                block, where no word counts
 *   hand out whole            size|USED                          the same block
 *   take back                 size                               the same block
 *   join with the next        the sum of both sizes              both are free; the next one's word is inside now
 *   join with the former      the same, in the former
 *
 * So a process may be killed between any two instructions here: whoever takes the lock over (shared_heap.c) makes the index again, and
 * loses nothing but what the killed process was just being given, if anything. Making it again changes the truth by joining
 * only, so that may be interrupted, too, and begins anew.
 *
 * Blocks are found in constant time: a list for each quarter of a power of two, the first list that has only blocks which are large
 * enough (Masmano, Ripoll, Crespo and Real's TLSF, 2004), or a short look at the list below that.
 *
 * Who calls these holds the heap's lock, but for format, which comes before anybody else knows of it. Words are read and
 * written through core/atomic.h so that a test gets control, and can stop for good, between any two of them.
 *
 * Rejected. A log of what is about to be done: more stores, and it must be right at each point, too. Locks by size class:
 * joining takes two, and a dead holder of either leaves both to be mended. A bump pointer without taking back. */
#ifndef THRUMI_ARENA_H
#define THRUMI_ARENA_H

#include <core/atomic.h>
#include <stddef.h>

enum {
  THRUMI_ARENA_UNIT = 16,
  THRUMI_ARENA_LEAST = 32, /* a block's bytes with its header of 16 */
  THRUMI_ARENA_LISTS = 4 * 43,
  THRUMI_ARENA_MAP = (THRUMI_ARENA_LISTS + 63) / 64,
};
#define THRUMI_ARENA_MOST (UINT64_C(1) << 47)

/* In the segment's header. Blocks are named by how far behind the heap's beginning what they hold begins; 0: none. */
struct thrumi_arena {
  uint64_t bytes;
  _Atomic uint64_t used, blocks; /* bytes handed out, with headers; and in how many blocks */
  _Atomic uint64_t map[THRUMI_ARENA_MAP];
  _Atomic uint64_t first[THRUMI_ARENA_LISTS];
};

/* All of it becomes one free block. base: zeroed, on a boundary of 16; bytes: a multiple of 16, of 64 at least. */
void thrumi_arena_format(struct thrumi_arena *arena, char *base, uint64_t bytes);

/* Makes the index again. False: the truth is none, somebody wrote over it. */
bool thrumi_arena_rebuild(struct thrumi_arena *arena, char *base);

/* A block for so many bytes, whose contents are what they were. 0: there is none that is large enough. */
uint64_t thrumi_arena_take(struct thrumi_arena *arena, char *base, uint64_t bytes);

/* Takes it back. False: it is not a block that is used. */
bool thrumi_arena_give(struct thrumi_arena *arena, char *base, uint64_t block);

/* How many bytes it has room for; 0: it is no used block, or its header was written over. May be asked without the lock. */
uint64_t thrumi_arena_room(const struct thrumi_arena *arena, const char *base, uint64_t block);

#endif
