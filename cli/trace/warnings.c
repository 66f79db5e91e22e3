/* What a reader should not have to find: in words, the gravest first. */
#include "build.h"
#include "units.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A thread that goes on for so long without a yield, a wait or a call that blocks is worth a word. */
#define NEVER_YIELDED INT64_C(300000000)

/* So much of the time that its threads wanted to work, in percent, lost for one lock. */
enum { LOST_FOR_A_LOCK = 20 };
#define LOST_AT_LEAST INT64_C(1000000) /* ns in all */

enum { EACH_AT_MOST = 5 }; /* of one sort; the others are counted */

static int say(struct model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int say(struct model *m, const char *format, ...) {
  char **more = reallocarray(m->warnings, m->warning_count + 1, sizeof *more);
  if (!more) return fail("%s: no memory", m->path);
  m->warnings = more;
  va_list args;
  va_start(args, format);
  int length = vasprintf(&m->warnings[m->warning_count], format, args);
  va_end(args);
  if (length < 0) return fail("%s: no memory", m->path);
  m->warning_count++;
  return 0;
}

static int warn_of_losses(struct model *m) {
  unsigned long long lost = m->lost, kept = m->events;
  if (m->lost &&
      say(m, "%llu events were lost beside %llu that are here: what happened meanwhile is shown as not known",
          lost, kept))
    return STATUS_FAILED;
  return m->cut ? say(m, "the trace has no end: the program was killed, or still runs") : 0;
}

/* ---- Threads that never yield ----------------------------------------------------------------------------------- */

struct stretch { /* of runs that only preemptions interrupt */
  int64_t from, ran;
  uint32_t preempted, thread;
};

static struct stretch longest_stretch(const struct model *m, uint32_t thread) {
  const struct thread *t = &m->threads[thread];
  struct stretch best = {.thread = thread}, now = best;
  for (size_t i = t->first; i < t->first + t->count; i++) {
    const struct interval *v = &m->intervals[i];
    bool goes_on = v->state == STATE_RUN || (v->state == STATE_READY && v->reason == REASON_PREEMPT);
    if (!goes_on || !now.ran) now = (struct stretch){v->from, 0, 0, thread};
    if (v->state != STATE_RUN) continue;
    now.ran += v->to - v->from;
    if (now.ran > best.ran) best = now;
    now.preempted += v->reason == REASON_PREEMPT;
    if (v->reason != REASON_PREEMPT) now.ran = 0;
  }
  return best;
}

static int longest_first(const void *a, const void *b) {
  const struct stretch *x = a, *y = b;
  if (x->ran != y->ran) return x->ran > y->ran ? -1 : 1;
  return (x->thread > y->thread) - (x->thread < y->thread);
}

static int warn_of_stretch(struct model *m, const struct stretch *s) {
  char ran[UNITS_ROOM], at[UNITS_ROOM];
  return say(m, "`%s` never yielded for %s of running, from %s on (preempted: %u)",
             m->threads[s->thread].name, units_time(s->ran, ran), units_time(s->from - m->from, at),
             s->preempted);
}

static int warn_of_hogs(struct model *m) {
  struct stretch *all = malloc((m->thread_count + 1) * sizeof *all);
  size_t count = 0;
  int status = 0;
  if (!all) return fail("%s: no memory", m->path);
  for (uint32_t i = 0; i < m->thread_count; i++) {
    struct stretch s = longest_stretch(m, i);
    if (s.ran >= NEVER_YIELDED) all[count++] = s;
  }
  qsort(all, count, sizeof *all, longest_first);
  for (size_t i = 0; i < count && i < EACH_AT_MOST && !status; i++) status = warn_of_stretch(m, &all[i]);
  if (count > EACH_AT_MOST && !status)
    status = say(m, "%zu more threads never yielded for 300 ms", count - EACH_AT_MOST);
  free(all);
  return status;
}

/* ---- Locks ------------------------------------------------------------------------------------------------------ */

/* How long the threads wanted to work: they ran, wanted a worker, or waited for a lock. */
static double wanted_to_work(const struct model *m) {
  double sum = 0;
  for (size_t i = 0; i < m->thread_count; i++)
    sum += (double)m->threads[i].total[STATE_RUN] + (double)m->threads[i].total[STATE_READY];
  for (size_t i = 0; i < m->object_count; i++)
    if (m->objects[i].lock) sum += (double)m->objects[i].waited;
  return sum;
}

static int warn_of_locks(struct model *m) {
  double all = wanted_to_work(m);
  size_t said = 0;
  for (size_t i = 0; i < m->object_count && said < EACH_AT_MOST; i++) {
    const struct object *o = &m->objects[i];
    double share = all > 0 ? (double)o->waited * 100 / all : 0;
    if (!o->lock || share < LOST_FOR_A_LOCK || o->waited < LOST_AT_LEAST) continue;
    char unnamed[64];
    snprintf(unnamed, sizeof unnamed, "the %.30s at %#llx", o->what ? m->strings[o->what] : "lock",
             (unsigned long long)o->address);
    const char *name = *m->strings[o->name] ? m->strings[o->name] : unnamed;
    char longest[UNITS_ROOM];
    if (say(m,
            "%.0f %% of the time in which threads wanted to work was lost waiting for %s: %u wait%s, the longest one %s",
            share, name, o->waits, o->waits == 1 ? "" : "s", units_time(o->longest, longest)))
      return STATUS_FAILED;
    said++;
  }
  return 0;
}

/* ---- The main thread -------------------------------------------------------------------------------------------- */

/* Threads of pools end right behind main, by themselves. */
#define LIVED_ON INT64_C(1000000)

static int warn_of_main(struct model *m) {
  const struct thread *last = NULL;
  size_t count = 0;
  for (size_t i = 0; i < m->thread_count && m->main != NOBODY; i++) {
    const struct thread *t = &m->threads[i];
    if (i == m->main || t->outside || t->lives_on || t->ended - m->main_returned < LIVED_ON) continue;
    count++;
    if (!last || t->ended > last->ended) last = t;
  }
  if (!count) return 0;
  char at[UNITS_ROOM], later[UNITS_ROOM];
  return say(m, "main returned at %s, before its threads: %zu lived on, `%s` for another %s",
             units_time(m->main_returned - m->from, at), count, last->name,
             units_time(last->ended - m->main_returned, later));
}

int model_warn(struct model *m) {
  return warn_of_losses(m) || warn_of_hogs(m) || warn_of_locks(m) || warn_of_main(m) ? STATUS_FAILED : 0;
}
