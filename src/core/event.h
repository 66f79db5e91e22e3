/* The layout of trace events, fixed here so that recorders and readers agree.
 *
 * Events are 32 bytes, written to a ring of the worker (or kernel thread) on which they happen. */
#ifndef THRUMI_EVENT_H
#define THRUMI_EVENT_H

#include <stdint.h>

enum thrumi_event_kind {
  THRUMI_EVENT_SPAWN = 1, /* object: the new thread */
  THRUMI_EVENT_RUN,       /* thread begins or goes on, on this worker */
  THRUMI_EVENT_YIELD,     /* thread gave up its worker, ready */
  THRUMI_EVENT_PARK,      /* object: what it waits on */
  THRUMI_EVENT_UNPARK,    /* thread made object (a thread) ready */
  THRUMI_EVENT_PREEMPT,   /* thread lost its worker by a signal */
  THRUMI_EVENT_LEASE,     /* thread lost its worker while it blocked */
  THRUMI_EVENT_REGAIN,    /* it asks for a worker again */
  THRUMI_EVENT_STEAL,     /* object: how many threads came from another worker */
  THRUMI_EVENT_END,       /* thread ended */
  THRUMI_EVENT_USER = 64, /* spans and counters of the program */
};

struct thrumi_event {
  int64_t time;    /* monotonic clock, ns */
  uint64_t thread; /* its id, 0: none */
  uint64_t object; /* an id or an address, by kind */
  uint16_t kind;   /* enum thrumi_event_kind */
  uint16_t worker; /* its number, 0xffff: none */
  uint32_t detail; /* by kind */
};

_Static_assert(sizeof(struct thrumi_event) == 32, "readers rely on it");

#endif
