/* Segments of shared memory: what they begin with, and where they are mapped.
 *
 * A segment is a sealed memfd: a descriptor is all that another process needs, and the memory lives as long as any process has it
 * open or mapped. It is as long as it can ever become: pages that nobody has touched cost nothing.
 *
 *   from                       what
 *   0                          struct thrumi_segment_header: constants, the size, the name, the heap's lock and index
 *   THRUMI_SEGMENT_SLOTS_AT    the table of slots (slot.h)
 *   THRUMI_SEGMENT_DATA_AT     data of the program's own layout: `most` bytes, of which the first `size` are in use
 *   data + most                the heap (arena.h): `heap` bytes
 *
 * A process maps a segment once, however often it attaches it, at an address that stays the same: a thread may hold a pointer
 * into it until the last close. */
#ifndef THRUMI_SEGMENT_H
#define THRUMI_SEGMENT_H

#include <process/arena.h>
#include <process/registry.h>
#include <process/slot.h>
#include <stddef.h>

enum {
  THRUMI_SEGMENT_VERSION = 1,
  THRUMI_NAME_ROOM = 80,
  THRUMI_SEGMENT_GRAIN = 4096, /* of sizes and of what begins where */
  THRUMI_SEGMENT_SLOTS_AT = THRUMI_SEGMENT_GRAIN,
  THRUMI_SEGMENT_DATA_AT = THRUMI_SEGMENT_SLOTS_AT + THRUMI_SLOTS * sizeof(struct thrumi_slot),
};
#define THRUMI_SEGMENT_MAGIC UINT64_C(0x676573206d757274) /* "trum seg" */

struct thrumi_segment_header {
  uint64_t magic;
  uint32_t version, data_at;
  uint64_t id[2]; /* by chance: which segment it is, in whatever process */
  uint64_t most, heap;
  _Atomic uint64_t size;
  _Atomic uint32_t named; /* enum thrumi_named; see name.h */
  char name[THRUMI_NAME_ROOM];
  _Alignas(64) thrumi_futex heap_lock; /* see allocate.c */
  _Alignas(64) struct thrumi_arena arena;
};
_Static_assert(sizeof(struct thrumi_segment_header) <= THRUMI_SEGMENT_SLOTS_AT, "the layout of a segment");

/* A segment in this process. */
struct thrumi_segment {
  struct thrumi_segment_header *header;
  size_t bytes;
  int fd;
  uint32_t users;                        /* under the registry's lock */
  _Atomic thrumi_holder holder;          /* of this process; 0: none yet */
  struct thrumi_segment *before, *after; /* on the robust list; the keeper's */
};

struct thrumi_segment_sizes {
  size_t size, most, heap; /* multiples of THRUMI_SEGMENT_GRAIN; size <= most */
};

/* Makes one. -ENOMEM, -ENOSPC, -EMFILE and what memfd_create(2) says. Outside. */
int thrumi_segment_create(struct thrumi_segment **out, const struct thrumi_segment_sizes *sizes);

/* Maps the one behind the descriptor, which is the segment's from here on, or was closed. -EINVAL: not one of ours. Outside. */
int thrumi_segment_attach(struct thrumi_segment **out, int fd);

/* One user less; the last one unmaps it. Outside. */
void thrumi_segment_close(struct thrumi_segment *segment);

static inline struct thrumi_slot *thrumi_segment_slot_at(const struct thrumi_segment *segment,
                                                         uint32_t slot) {
  return (struct thrumi_slot *)((char *)segment->header + THRUMI_SEGMENT_SLOTS_AT) + slot;
}

static inline char *thrumi_segment_heap(const struct thrumi_segment *segment) {
  return (char *)segment->header + THRUMI_SEGMENT_DATA_AT + segment->header->most;
}

static inline char *thrumi_segment_data(const struct thrumi_segment *segment) {
  return (char *)segment->header + THRUMI_SEGMENT_DATA_AT;
}

/* The caller's process as a holder in the segment. 0, or why it has no slot; see thrumi_segment_slot_slow. */
static inline int thrumi_segment_slot(struct thrumi_segment *segment, thrumi_holder *out) {
  thrumi_holder holder = thrumi_load(&segment->holder);
  int error = thrumi_likely(holder) ? 0 : thrumi_segment_slot_slow(segment);
  *out = thrumi_likely(holder) ? holder : thrumi_load(&segment->holder);
  return error;
}

#endif
