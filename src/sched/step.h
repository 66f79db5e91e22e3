/* A step of a thread, told to who traces: to the recorder while THRUMI_MODE_TRACE is on, and to the probe of that name. */
#ifndef THRUMI_STEP_H
#define THRUMI_STEP_H

#include <core/probe.h>
#include <sched/record.h>

static inline uint64_t thrumi_id_of(const struct thrumi_thread *t) { return t ? thrumi_handle(t).value : 0; }

#define THRUMI_TRACE(KIND, t, object, detail, stamp) \
  do { \
    if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_TRACE))) \
      thrumi_hooks.trace(THRUMI_EVENT_##KIND, thrumi_id_of(t), object, detail, stamp); \
  } while (0)

/* Of thread t (NULL: of nobody) with an object that is no thread. */
#define thrumi_step(KIND, probe, t, object, detail) \
  do { \
    THRUMI_PROBE(probe, t, object); \
    THRUMI_TRACE(KIND, t, (uint64_t)(object), detail, 0); \
  } while (0)

/* Thread t is about to wait, for what thrumi_wait_for said. */
#define thrumi_step_park(t) \
  thrumi_step(PARK, park, t, (uintptr_t)thrumi_load_relaxed(&(t)->waits_on), \
              (uintptr_t)thrumi_load_relaxed(&(t)->waits_for))

/* Of thread t with another one. */
#define thrumi_step_with(KIND, probe, t, other, detail) \
  do { \
    THRUMI_PROBE(probe, t, other); \
    THRUMI_TRACE(KIND, t, thrumi_id_of(other), detail, 0); \
  } while (0)

#endif
