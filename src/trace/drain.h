/* Takes events out of the rings and writes them: what a recording does all the time, a snapshot once, a crash in its last moments.
 *
 * Stamps become ns, numbers of strings get their strings, names of ended threads their blocks. Whose name, or which object, is not known
 * yet is looked up: outside, by libc's means. Not so in a crash (`plain`): then nothing is taken but what lies ready, and no lock. */
#ifndef THRUMI_TRACE_DRAIN_H
#define THRUMI_TRACE_DRAIN_H

#include <trace/clock.h>
#include <trace/file.h>
#include <trace/pieces.h>
#include <trace/rings.h>

enum { THRUMI_DRAIN_CHUNK = 256, THRUMI_DRAIN_OBJECTS = 1024, THRUMI_DRAIN_FUNCTIONS = 64 };

struct thrumi_drain {
  struct thrumi_trace_file file;
  struct thrumi_line line;
  struct thrumi_line former; /* of the go before: an event that was put late is on it */
  bool flight;               /* copies from rings that are written over, in place of taking */
  bool plain;                /* in a crash */
  int64_t since;             /* what is older is left out */
  struct {
    uint64_t at;                 /* of a flight recorder: the next position */
    uint64_t end;                /* of this go: where head was when it began */
    uint64_t lost;               /* seen so far */
    int64_t last;                /* time of the last event */
    uint64_t began, lost_before; /* head and lost when the recording began */
    bool fresh;                  /* nothing was copied since it was rewound */
    struct thrumi_pieces name;
  } ring[THRUMI_RINGS];
  struct { /* seen in a PARK; by a hash of the address */
    uint64_t object;
    uint32_t what;
    bool named;
  } object[THRUMI_DRAIN_OBJECTS];
  struct { /* names of threads' functions */
    uint64_t function;
    char name[THRUM_NAME_MAX];
  } function[THRUMI_DRAIN_FUNCTIONS];
  uint32_t lookups; /* of objects, in this go */
  uint64_t chunk[THRUMI_DRAIN_CHUNK][THRUMI_RING_WORDS];
  struct thrumi_tick began;
  _Atomic uint64_t written; /* bytes of the file, for others */
};

/* A recording begins: nothing is seen yet, and its clock is set. */
void thrumi_drain_begin(struct thrumi_drain *d);

/* A flight recorder's drain is to see again all that its rings hold, but for what is older than that. */
void thrumi_drain_rewind(struct thrumi_drain *d, int64_t keep);

/* The file's first bytes. */
void thrumi_drain_open(struct thrumi_drain *d, int fd);

/* How full the fullest ring is: of 256ths. *enough: there is one of which a piece can be written that is worth a call. */
uint32_t thrumi_drain_look(bool *enough);

/* All events that are there now, and none that come meanwhile. */
void thrumi_drain_events(struct thrumi_drain *d);

/* Names of threads that live, and of objects; and the end of the file. */
void thrumi_drain_finish(struct thrumi_drain *d);

#endif
