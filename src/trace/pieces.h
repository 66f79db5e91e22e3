/* The names of threads that end, on their way through a ring.
 *
 * A record is used again as soon as its thread has ended, so the name must be taken before, inside, where nothing may be looked up. Of a
 * thread without a name of its own one event has what the name is made from later: the function, N of Thread-N and the kind. A name that
 * was given goes in pieces of 12 bytes, one an event, the last with the NUL. They are put one behind the other; if one is lost, the thread
 * has no name.
 *
 *   kind        thread  object          worker            detail
 *   NAME        id      the function    enum thrumi_kind  N
 *   NAME_PIECE  id      8 bytes of it   which, from 0     the next 4 bytes */
#ifndef THRUMI_TRACE_PIECES_H
#define THRUMI_TRACE_PIECES_H

#include <core/event.h>
#include <sched/sched.h>

enum { THRUMI_PIECE = 12, THRUMI_PIECES = (THRUM_NAME_MAX + THRUMI_PIECE - 1) / THRUMI_PIECE };

/* Inside; the thread has not been buried. Times are left to the caller. Returns how many. */
int thrumi_pieces_make(uint64_t thread, struct thrumi_event *out);

/* What came of a name so far; one for each ring. */
struct thrumi_pieces {
  uint64_t thread;
  uint32_t count;
  char text[THRUMI_PIECES * THRUMI_PIECE];
};

/* True: the name is whole. */
bool thrumi_pieces_add(struct thrumi_pieces *p, const struct thrumi_event *piece);

#endif
