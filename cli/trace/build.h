/* The parts that make a model, each of which fills in what follows from the ones before. */
#ifndef THRUM_TRACE_BUILD_H
#define THRUM_TRACE_BUILD_H

#include "file.h"
#include "model.h"
#include "table.h"

/* What a model owns beside its arrays. */
struct model_memory {
  struct trace trace; /* for its strings */
  struct table threads, objects;
  char *names; /* of threads that have none, one after the other */
};

/* Adds times that may be many; stays at the end of int64_t. */
static inline void add_time(int64_t *sum, int64_t ns) {
  if (__builtin_add_overflow(*sum, ns, sum)) *sum = INT64_MAX;
}

/* critical.c, warnings.c. 0, or STATUS_FAILED after a message. */
int model_find_critical(struct model *m);
int model_warn(struct model *m);

/* The interval of that thread that ends at or after `time` and begins before it; NULL: none. */
const struct interval *model_interval_before(const struct model *m, uint32_t thread, int64_t time);

#endif
