/* The layout of trace events, fixed here so that recorders and readers agree.
 *
 * Events are 32 bytes, written to a ring of the worker on which they happen, or to the one of kernel threads without a worker.
 * What each says about a thread: docs/design/tracing.md. */
#ifndef THRUMI_EVENT_H
#define THRUMI_EVENT_H

#include <stdint.h>

enum thrumi_event_kind {
  THRUMI_EVENT_SPAWN = 1, /* thread made object, a thread */
  THRUMI_EVENT_RUN,       /* thread begins or goes on, on this worker */
  THRUMI_EVENT_YIELD,     /* thread gave up its worker, ready */
  THRUMI_EVENT_PARK,      /* object: what it waits on; detail: number of the string for its sort */
  THRUMI_EVENT_UNPARK,    /* thread (0: nobody) made object, a thread, ready; detail: 1 by a timeout */
  THRUMI_EVENT_PREEMPT,   /* thread lost its worker by a signal, ready */
  THRUMI_EVENT_LEASE,     /* thread lost its worker while it blocked in a call */
  THRUMI_EVENT_REGAIN,    /* the call is over: it asks for a worker again */
  THRUMI_EVENT_STEAL,     /* object: how many threads came from another worker */
  THRUMI_EVENT_END,       /* thread ended */

  THRUMI_EVENT_ACQUIRE = 16, /* thread has object, a lock; detail: 1 when it had waited for it */
  THRUMI_EVENT_RELEASE,      /* thread gave object, a lock, back */
  THRUMI_EVENT_QUEUE_PUT,    /* into object, a queue; detail: its length afterwards */
  THRUMI_EVENT_QUEUE_GET,    /* the same, out of it */
  THRUMI_EVENT_TIMER,        /* object, a timer, fired */
  THRUMI_EVENT_IO,           /* object, the number of a descriptor, is ready */
  THRUMI_EVENT_HANDOFF,      /* thread handed a lock to object, a thread */
  THRUMI_EVENT_RETURN,       /* thread, the main one, has returned; the program waits for the others */

  THRUMI_EVENT_SPAN_BEGIN = 64, /* the program's own; detail: number of the string that is its name */
  THRUMI_EVENT_SPAN_END,        /* of the thread's innermost open span */
  THRUMI_EVENT_COUNTER,         /* object: its value, an int64_t; detail: number of its name's string */
  THRUMI_EVENT_MARK,            /* an instant; detail: number of its name's string */

  THRUMI_EVENT_NAME =
      128, /* between recorders and their drain, in no file: what an ending thread is called, see trace/names.c */
  THRUMI_EVENT_NAME_PIECE,
};

struct thrumi_event {
  int64_t time;    /* monotonic clock, ns */
  uint64_t thread; /* its id, 0: none */
  uint64_t object; /* an id, an address or a number, by kind */
  uint16_t kind;   /* enum thrumi_event_kind */
  uint16_t worker; /* its number, 0xffff: none */
  uint32_t detail; /* by kind */
};

_Static_assert(sizeof(struct thrumi_event) == 32, "readers rely on it");

#endif
