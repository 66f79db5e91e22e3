/* --check: whether the trace contradicts itself. What is looked for is told by the chronicle; here it is counted and printed. */
#include "chronicle.h"
#include "table.h"
#include "units.h"
#include "views.h"

#include <stdlib.h>

enum { PRINTED = 50 };

struct found {
  struct trace *t;
  FILE *to;
  uint64_t *ids; /* of threads, by number */
  size_t threads, room;
  uint64_t runs, parks, found;
};

static int note_thread(void *of, uint32_t number, uint64_t id, uint32_t creator, int64_t time) {
  struct found *f = of;
  (void)number, (void)creator, (void)time;
  if (!make_room(&f->ids, &f->room, f->threads, sizeof *f->ids)) return fail("%s: no memory", f->t->path);
  f->ids[f->threads++] = id;
  return 0;
}

static int count_interval(void *of, const struct interval *i) {
  struct found *f = of;
  f->runs += i->state == STATE_RUN;
  f->parks += i->state == STATE_BLOCKED;
  return 0;
}

static int print_contradiction(void *of, int64_t time, uint32_t thread, const char *words) {
  struct found *f = of;
  if (++f->found > PRINTED) return 0;
  char name[200], at[UNITS_ROOM];
  const char *given = trace_string(f->t, trace_thread_name(f->t, f->ids[thread]));
  plain_text(given, name, sizeof name, 60, NULL);
  int64_t began = f->t->header.began;
  if (*name)
    fprintf(f->to, "  at %s (%lld ns): `%s` %s\n", units_time(time - began, at), (long long)time, name,
            words);
  else
    fprintf(f->to, "  at %s (%lld ns): thread %u %s\n", units_time(time - began, at), (long long)time,
            thread + 1, words);
  return 0;
}

int check_trace(struct trace *t, FILE *to) {
  struct found f = {.t = t, .to = to};
  struct chronicle_summary summary;
  const struct listener l = {
      .of = &f, .thread = note_thread, .interval = count_interval, .contradiction = print_contradiction};
  int status = chronicle_tell(t, &l, &summary);
  free(f.ids);
  if (status) return status;
  if (f.found > PRINTED) fprintf(to, "  %llu more\n", (unsigned long long)(f.found - PRINTED));
  fprintf(to, "%s: %llu events, %zu threads, %llu runs, %llu waits, %llu lost: ", t->path,
          (unsigned long long)t->events, f.threads, (unsigned long long)f.runs, (unsigned long long)f.parks,
          (unsigned long long)t->lost);
  if (f.found)
    fprintf(to, "%llu contradictions\n", (unsigned long long)f.found);
  else
    fprintf(to, "consistent\n");
  return f.found ? STATUS_FAILED : 0;
}
