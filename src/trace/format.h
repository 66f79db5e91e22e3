/* The trace file: what the recorder writes and `thrum timeline` reads.
 *
 * A header, then blocks until the end of the file; all little-endian, all in multiples of 8 bytes, to be read as a stream: nothing
 * refers to what comes later. A string comes before who names it by its number; otherwise blocks come in any order. Events of one
 * ring are in order of time; those of different rings overlap, and a reader merges them.
 *
 * A file that does not end with THRUMI_TRACE_END was cut off: all blocks that are there whole are good. */
#ifndef THRUMI_TRACE_FORMAT_H
#define THRUMI_TRACE_FORMAT_H

#include "core/event.h"

#include <stdint.h>

#define THRUMI_TRACE_MAGIC "THRUMTRC" /* 8 bytes, no NUL */

enum {
  THRUMI_TRACE_VERSION = 1,
  THRUMI_TRACE_NO_WORKER = 0xffff, /* in place of a worker's number: a kernel thread without one */
};

enum thrumi_trace_flag {
  THRUMI_TRACE_FLIGHT = 1, /* of a flight recorder: the last moments only */
};

struct thrumi_trace_header { /* at offset 0 */
  char magic[8];
  uint32_t version;
  uint32_t event_size; /* of struct thrumi_event */
  int64_t began;       /* monotonic clock, ns: when recording began; the oldest event of a flight recorder */
  int64_t began_wall;  /* CLOCK_REALTIME at that moment, ns */
  uint32_t pid, workers;
  uint32_t flags; /* enum thrumi_trace_flag */
  uint32_t reserved[5];
};

struct thrumi_trace_block {
  uint32_t kind;  /* enum thrumi_trace_block_kind */
  uint32_t bytes; /* of payload that follow, without the zeros that fill it up to a multiple of 8 */
  uint64_t a, b;  /* by kind */
};

enum thrumi_trace_block_kind {
  /* a: the ring, a worker's number or THRUMI_TRACE_NO_WORKER. b: how many events of this ring were lost since its last block.
   * Payload: struct thrumi_event[]. */
  THRUMI_TRACE_EVENTS = 1,
  THRUMI_TRACE_STRING, /* a: its number, from 1. Payload: the text, without a NUL */
  THRUMI_TRACE_THREAD, /* a: id of a thread. b: number of its name's string, 0 for none. The last one of an id counts */
  THRUMI_TRACE_OBJECT, /* a: address of an object. b: number of a string such as "lock `table`". The last one counts */
  THRUMI_TRACE_END, /* a: events written, b: events lost. The file's last block */
};

_Static_assert(sizeof(struct thrumi_trace_header) == 64, "readers rely on it");
_Static_assert(sizeof(struct thrumi_trace_block) == 24, "readers rely on it");

#endif
