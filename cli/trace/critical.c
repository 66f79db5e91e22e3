/* The critical path: what the last moment of the trace depended on, found backwards in time.
 *
 * It begins with whoever ran last. A run, a call and a wait for a worker depend on what the same thread did before. The end of a park
 * depends on whoever woke the thread, at that moment: the path goes on there, and the time parked is not on it. Where nobody woke
 * it (a timer, the poller) the wait itself is on the path. A birth depends on the creator. The path ends where the trace
 * begins, or where it is not known what a thread did. */
#include "build.h"

#include <stdlib.h>

const struct interval *model_interval_before(const struct model *m, uint32_t thread, int64_t time) {
  const struct interval *first = m->intervals + m->threads[thread].first;
  size_t low = 0, high = m->threads[thread].count; /* the number of those that begin before `time` */
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (first[middle].from < time)
      low = middle + 1;
    else
      high = middle;
  }
  return low && first[low - 1].to >= time ? &first[low - 1] : NULL;
}

/* The run that ended last. NULL: none. */
static const struct interval *last_run(const struct model *m) {
  const struct interval *last = NULL;
  for (size_t i = 0; i < m->interval_count; i++) {
    const struct interval *v = &m->intervals[i];
    if (v->state == STATE_RUN && v->to > v->from && (!last || v->to > last->to)) last = v;
  }
  return last;
}

/* Where the path goes on before `v`, at `time`: the same thread, its waker, or its creator. */
static const struct interval *before(const struct model *m, const struct interval *v, int64_t time) {
  const struct thread *t = &m->threads[v->thread];
  if (time <= t->born && !t->born_before)
    return t->creator == NOBODY ? NULL : model_interval_before(m, t->creator, time);
  const struct interval *earlier = model_interval_before(m, v->thread, time);
  if (!earlier || earlier->state != STATE_BLOCKED || earlier->waker == NOBODY || earlier->to > time)
    return earlier;
  const struct thread *by = &m->threads[earlier->waker];
  const struct interval *waker =
      model_interval_before(m, earlier->waker, by->ended < time ? by->ended : time);
  return waker ? waker : earlier;
}

static int by_time(const void *a, const void *b) {
  const struct step *x = a, *y = b;
  return (x->from > y->from) - (x->from < y->from);
}

int model_find_critical(struct model *m) {
  size_t room = 0;
  const struct interval *v = last_run(m);
  for (int64_t to = v ? v->to : 0; v;) {
    if (to > v->to) to = v->to; /* the waker had ended by then */
    struct step s = {(size_t)(v - m->intervals), v->from, to};
    if (!make_room(&m->critical, &room, m->critical_count, sizeof s)) return fail("%s: no memory", m->path);
    m->critical[m->critical_count++] = s;
    to = v->from;
    v = before(m, v, to);
  }
  if (m->critical_count) qsort(m->critical, m->critical_count, sizeof *m->critical, by_time);
  return 0;
}
