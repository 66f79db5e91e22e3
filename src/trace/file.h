/* Writes a trace file (format.h), block by block. Async-signal-safe but for thrumi_file_make. One at a time uses a file.
 *
 * Two blocks' worth of bytes are gathered: events, and what must come before them, such as the strings that they name. A block is written
 * when it is whole, in one call: the kernel takes 32 bytes in 10 ns where they come by 256 KiB, and in 30 where they come by 4. After the
 * first error nothing is written any more, and what the kernel took of a block in part is cut off again where that can be done: so the
 * file ends behind a whole block.
 *
 * A pipe or a terminal is open without waiting. One that takes no bytes for THRUMI_FILE_PATIENCE while somebody waits is an error. */
#ifndef THRUMI_TRACE_FILE_H
#define THRUMI_TRACE_FILE_H

#include <os/os.h>
#include <stdbool.h>
#include <stddef.h>
#include <thrum/time.h>
#include <trace/format.h>
#include <trace/strings.h>

enum {
  THRUMI_FILE_EVENTS = 8192,    /* of a block at most */
  THRUMI_FILE_SIDE = 64 * 1024, /* bytes beside */
  THRUMI_FILE_TEXT = 4096       /* of a text: the rest is cut off */
};

#define THRUMI_FILE_PATIENCE THRUM_S(3)

/* A block of events as it is written. */
struct thrumi_gathered {
  struct thrumi_trace_block head;
  struct thrumi_event event[THRUMI_FILE_EVENTS];
};
_Static_assert(offsetof(struct thrumi_gathered, event) == sizeof(struct thrumi_trace_block),
               "it is written as it is");

struct thrumi_trace_file {
  int fd;                      /* -1: none */
  int error;                   /* of the first call that failed: a negative errno */
  const thrumi_futex *awaited; /* NULL, or 1 there: somebody waits until it is written */
  uint64_t bytes, events, lost;
  uint32_t strings;                 /* the last number that was given to a string of its own */
  uint8_t told[THRUMI_STRINGS / 8]; /* strings of strings.h that are in the file */
  uint32_t gathered;                /* events */
  struct thrumi_trace_block head;   /* of theirs */
  size_t side;                      /* bytes */
  char *side_bytes;
  struct thrumi_gathered *block;
};

/* Memory, kept for good. False: none. */
bool thrumi_file_make(struct thrumi_trace_file *f);

/* From here on to fd, beginning with this header. */
void thrumi_file_begin(struct thrumi_trace_file *f, int fd, const struct thrumi_trace_header *header);

/* The number of a string of its own, 0 when all numbers are given out; and one of strings.h, which is written when it is named first. */
uint32_t thrumi_file_string(struct thrumi_trace_file *f, const char *text);
void thrumi_file_tell(struct thrumi_trace_file *f, uint32_t number);

void thrumi_file_thread(struct thrumi_trace_file *f, uint64_t thread, const char *name);
void thrumi_file_object(struct thrumi_trace_file *f, uint64_t address, const char *text);

/* A block of events: begun, event by event, ended; it becomes several if there are many. */
void thrumi_file_ring(struct thrumi_trace_file *f, uint32_t ring, uint64_t lost);
void thrumi_file_flush(struct thrumi_trace_file *f);

/* Where the next event comes to be: it is in the block once `gathered` counts it. */
static inline struct thrumi_event *thrumi_file_place(struct thrumi_trace_file *f) {
  if (thrumi_unlikely(f->gathered == THRUMI_FILE_EVENTS)) thrumi_file_flush(f);
  return &f->block->event[f->gathered];
}

/* The last block; does not close. */
void thrumi_file_end(struct thrumi_trace_file *f);

#endif
