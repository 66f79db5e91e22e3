/* What threads and objects are called, for a drain. */
#ifndef THRUMI_TRACE_NAMES_H
#define THRUMI_TRACE_NAMES_H

#include <trace/drain.h>

/* A thread that ended and had no name of its own: pieces.h. */
void thrumi_drain_name(struct thrumi_drain *d, const struct thrumi_event *event);

/* All threads that live. */
void thrumi_drain_living(struct thrumi_drain *d);

/* What a thread waits for: named if it has a name, or a symbol. */
void thrumi_drain_object(struct thrumi_drain *d, uint64_t object, uint32_t what);

/* Once more those that had none when they were seen. */
void thrumi_drain_objects(struct thrumi_drain *d);

#endif
