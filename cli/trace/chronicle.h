/* From events to what happened: follows each thread through its states and tells a listener of each interval when it is over, of
 * spans, and of whatever contradicts itself. Memory: one record a thread.
 *
 * A trace may begin in the midst of threads' lives, and events may have been lost. So an event is also evidence: whoever
 * acts was running, whoever is run on a worker has taken it from the one before. What follows from evidence alone is told as
 * an interval only from the moment of the evidence on; before that the state is not known. A contradiction is told only
 * where no lost event can explain it.
 *
 * How the recorder's order can differ from the order in which a reader would expect it, and what becomes of that:
 * - A thread is woken between saying that it parks and falling asleep: PARK, UNPARK by another one, RUN without a switch. Blocked and
 *   ready for an instant, as told.
 * - It was woken before it said that it parks: UNPARK, PARK, RUN. The run goes on; the park is no switch. (`token`)
 * - It was woken so, but the waker was slow to say so: PARK, RUN, and UNPARK some time later. That one pays for the park that has
 *   passed, and does not end the next one. (`owed`)
 * - A joiner runs the thread that it joins on its own stack: RUN of the guest while the host runs. The host is
 *   blocked until it is run again, and nobody wakes it. (`guest`) */
#ifndef THRUM_TRACE_CHRONICLE_H
#define THRUM_TRACE_CHRONICLE_H

#include "file.h"
#include "model.h"

/* The functions may be NULL. Threads are numbered from 0 in the order in which they are seen. */
struct listener {
  void *of; /* given to each */
  /* Seen first. creator: NOBODY, when it was born before the trace. */
  int (*thread)(void *of, uint32_t thread, uint64_t id, uint32_t creator, int64_t time);
  int (*ended)(void *of, uint32_t thread, int64_t time);
  /* Is over. Those of a thread come in order of time. */
  int (*interval)(void *of, const struct interval *i);
  int (*span)(void *of, const struct span *s);
  /* Each event, with the number of its thread (NOBODY), after what it says about states has been told. */
  int (*event)(void *of, const struct thrumi_event *e, uint32_t thread);
  int (*contradiction)(void *of, int64_t time, uint32_t thread, const char *words);
};

/* What chronicle_tell found on its way. */
struct chronicle_summary {
  int64_t from, to;
  uint64_t unknown; /* events of kinds that this reader does not know */
};

/* Tells all of the trace. 0, or STATUS_FAILED after a message. A listener's function that does not return 0 ends it with that. */
int chronicle_tell(struct trace *t, const struct listener *l, struct chronicle_summary *summary);

#endif
