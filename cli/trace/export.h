/* What the exports have in common: they turn what the chronicle tells into rows at once, and keep of each thread nothing but its
 * name. */
#ifndef THRUM_TRACE_EXPORT_H
#define THRUM_TRACE_EXPORT_H

#include "chronicle.h"
#include "rows.h"
#include "table.h"

struct export {
  struct trace *trace;
  struct chronicle_summary summary; /* its `from` is there before anything is told */
  struct rows rows;
  uint32_t *names; /* of threads: numbers of strings, 0 for none */
  size_t threads, room;
  bool workers[NO_WORKER]; /* that were seen */
};

/* 0, or STATUS_FAILED after a message. */
static inline int export_thread(struct export *x, uint64_t id) {
  if (!make_room(&x->names, &x->room, x->threads, sizeof *x->names))
    return fail("%s: no memory", x->trace->path);
  x->names[x->threads++] = trace_thread_name(x->trace, id);
  return 0;
}

/* The string that says what a BLOCKED interval waits for: the object's name or its sort. 0: not known. */
static inline uint32_t export_waits_for(const struct export *x, const struct interval *i) {
  uint32_t name = i->object ? trace_object_name(x->trace, i->object) : 0;
  return name ? name : *trace_string(x->trace, i->what) ? i->what : 0;
}

#endif
