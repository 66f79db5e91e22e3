/* The rings of a recording, and what is put into them.
 *
 * A worker's ring is made when the recording starts, or by the first event of a worker that came later. Rings are never freed: a thread may
 * have looked whether it is traced, and write long after that was switched off. Such a late event goes to the next recording, where its
 * time tells that it is from before. A recording with larger rings than the last one makes new ones; the old ones stay, too. */
#ifndef THRUMI_TRACE_RINGS_H
#define THRUMI_TRACE_RINGS_H

#include <core/hooks.h>
#include <trace/format.h>
#include <trace/ring.h>

enum {
  THRUMI_RINGS =
      256 + 1,          /* the workers', and the one of kernel threads without a worker, which is the last */
  THRUMI_RING_MIN = 64, /* events */
};

/* Rings of so many events for the workers that there are, empty. Outside. False: no memory. */
bool thrumi_rings_begin(uint32_t workers, uint64_t events, bool endless);

/* NULL: nothing happened there. */
struct thrumi_ring *thrumi_ring_at(uint32_t i);

/* As event.worker says it. */
static inline uint32_t thrumi_ring_number(uint32_t i) {
  return i == THRUMI_RINGS - 1 ? THRUMI_TRACE_NO_WORKER : i;
}

/* The hooks by which the runtime tells of its steps. Inside. */
void thrumi_rings_hook(enum thrumi_event_kind kind, uint64_t thread, uint64_t object, uint64_t detail,
                       uint64_t stamp);
uint64_t thrumi_rings_stamp(void);

void thrumi_rings_fork(void); /* in the child of a fork */

#endif
