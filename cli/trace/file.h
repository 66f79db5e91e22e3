/* A trace file, read as far as it can be trusted.
 *
 * trace_open walks once over the blocks, leaving the events where they are: it checks that each block is whole and of a known kind,
 * and keeps the strings, the names and where each ring's events lie. trace_next then gives the events of all rings in order of time,
 * with one buffer a ring: memory is bounded by names and blocks, not by events.
 *
 * The file is read, not mapped: it may be cut short meanwhile by a program that records anew, which is then an error and not a
 * SIGBUS. What cannot be read twice (a pipe) is copied to a file without a name first.
 *
 * Rejected: to believe the numbers of a damaged file as far as they go. Its timeline would show what never happened. */
#ifndef THRUM_TRACE_FILE_H
#define THRUM_TRACE_FILE_H

#include <trace/format.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct extent { /* a block of events */
  uint64_t offset, lost;
  uint32_t count;
};

struct ring {
  struct extent *extents;
  size_t extent_count, extent_room;
  uint32_t largest; /* of them */
  /* Where trace_next is. */
  size_t extent;    /* whose events are in the buffer */
  uint32_t read;    /* events of that extent that were read into the buffer so far */
  uint32_t at, got; /* in the buffer */
  int64_t last;     /* time of the last one given */
  struct thrumi_event *buffer;
  uint16_t id;
  bool gap;       /* events may be missing between the last one and the next one */
  size_t gap_end; /* until the first event of that extent has been given */
};

struct pair {
  uint64_t key;
  uint32_t value;
};

struct pairs { /* sorted by key once the file is open */
  struct pair *all;
  size_t count, room;
};

struct trace {
  const char *path; /* for messages */
  int fd;
  bool partial, cut;
  struct thrumi_trace_header header;
  uint64_t size;         /* of the part that is good */
  uint64_t events, lost; /* in that part */
  bool lost_last;        /* some of them after the last event of their ring */
  char **strings;        /* by number; NULL: not there */
  size_t string_count;   /* the highest number and one */
  struct pairs names, objects;
  struct ring *rings;
  size_t ring_count;
  /* Of trace_next: a heap of rings by the time of their next event; and how many rings are where events were lost. */
  struct ring **heap;
  size_t heap_count;
  unsigned gaps;
  bool given;             /* the first ring of the heap gave an event that it has not gone past yet */
  uint64_t window_offset; /* of trace_open */
  size_t window_got;
  char *window;
};

/* 0, or STATUS_FAILED after a message, which names the file as it is `called`. `partial`: what comes before a damage or a cut is good
 * enough. */
int trace_open(struct trace *t, const char *path, const char *called, bool partial);
void trace_close(struct trace *t);

/* 1 and the next event; 0 at the end; -1 after a message. */
int trace_next(struct trace *t, struct thrumi_event *e);

/* Events may have been lost between the event before, of whatever ring, and the one that trace_next gave last. */
static inline bool trace_in_gap(const struct trace *t) { return t->gaps > 0; }

/* The text of a string; "" where the trace has none of that number. */
const char *trace_string(const struct trace *t, uint32_t number);

/* Number of the string that names the thread or the object; 0: none. */
uint32_t trace_thread_name(const struct trace *t, uint64_t id);
uint32_t trace_object_name(const struct trace *t, uint64_t address);

/* Of this file's parts: a message that names the file, the offset and the remedy. STATUS_FAILED. */
int trace_damaged(const struct trace *t, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of merge.c: all rings before their first event. 0, or STATUS_FAILED after a message. */
int trace_rewind(struct trace *t);

#endif
