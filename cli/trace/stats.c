/* Tables of what the threads did, as text. stats_json.c says the same as JSON. */
#include "stats.h"

#include "units.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_COLUMNS = 22, WAITS_SHOWN = 3, OBJECTS_SHOWN = 20, CRITICAL_SHOWN = 8 };

/* ---- What a thread waited for ----------------------------------------------------------------------------------- */

static int by_what(const void *a, const void *b) {
  const struct wait *x = a, *y = b;
  return strcmp(x->what, y->what);
}

static int by_ns(const void *a, const void *b) {
  const struct wait *x = a, *y = b;
  if (x->ns != y->ns) return x->ns > y->ns ? -1 : 1;
  return strcmp(x->what, y->what);
}

/* Those of one name become one. */
static void join_equal(struct waits *w) {
  size_t kept = 0;
  if (w->count) qsort(w->all, w->count, sizeof *w->all, by_what);
  for (size_t i = 0; i < w->count; i++) {
    if (kept && strcmp(w->all[kept - 1].what, w->all[i].what) == 0) {
      w->all[kept - 1].ns += w->all[i].ns;
      w->all[kept - 1].count += w->all[i].count;
    } else {
      w->all[kept++] = w->all[i];
    }
  }
  w->count = kept;
}

int waits_of(const struct model *m, const struct thread *t, struct waits *w) {
  w->count = 0;
  for (size_t i = t->first; i < t->first + t->count; i++) {
    const struct interval *v = &m->intervals[i];
    char buffer[8];
    if (v->state != STATE_BLOCKED) continue;
    const char *what = model_waits_for(m, v, buffer, sizeof buffer);
    if (what == buffer) what = v->what ? m->strings[v->what] : "the end of thread";
    if (w->count == w->room) join_equal(w);
    if (!make_room(&w->all, &w->room, w->count, sizeof *w->all)) return fail("%s: no memory", m->path);
    w->all[w->count++] = (struct wait){what, v->to - v->from, 1};
  }
  join_equal(w);
  if (w->count) qsort(w->all, w->count, sizeof *w->all, by_ns);
  return 0;
}

/* ---- The critical path ------------------------------------------------------------------------------------------ */

static int longest_share_first(const void *a, const void *b) {
  const struct share *x = a, *y = b;
  if (x->ns != y->ns) return x->ns > y->ns ? -1 : 1;
  return (x->thread > y->thread) - (x->thread < y->thread);
}

int critical_shares(const struct model *m, struct critical *c) {
  struct share *all = calloc(m->thread_count + 1, sizeof *all);
  if (!all) return fail("%s: no memory", m->path);
  *c = (struct critical){.shares = all};
  for (uint32_t i = 0; i < m->thread_count; i++) all[i].thread = i;
  for (size_t i = 0; i < m->critical_count; i++) {
    const struct step *s = &m->critical[i];
    const struct interval *v = &m->intervals[s->interval];
    c->state[v->state] += s->to - s->from;
    c->all += s->to - s->from;
    all[v->thread].ns += s->to - s->from;
  }
  qsort(all, m->thread_count, sizeof *all, longest_share_first);
  while (c->count < m->thread_count && all[c->count].ns) c->count++;
  return 0;
}

/* ---- Tables as text --------------------------------------------------------------------------------------------- */

static void put_name(FILE *to, const char *name, int columns) {
  char text[4 * 64];
  int taken;
  plain_text(name, text, sizeof text, columns < 63 ? columns : 63, &taken);
  fprintf(to, "%s%*s", text, columns - taken, "");
}

static void put_time(FILE *to, int64_t ns) {
  char text[UNITS_ROOM];
  fprintf(to, " %8s", ns ? units_time(ns, text) : "-");
}

static void put_waits(FILE *to, const struct waits *w) {
  for (size_t i = 0; i < w->count && i < WAITS_SHOWN; i++) {
    char ns[UNITS_ROOM], what[200];
    plain_text(w->all[i].what, what, sizeof what, 48, NULL);
    fprintf(to, "%s%s %s", i ? ", " : "  ", what, units_time(w->all[i].ns, ns));
  }
  if (w->count > WAITS_SHOWN) fprintf(to, ", %zu more", w->count - WAITS_SHOWN);
}

static void put_thread(FILE *to, const struct thread *t, const struct waits *w) {
  fputs("  ", to);
  put_name(to, t->name, NAME_COLUMNS);
  for (int s = 0; s < STATES; s++) put_time(to, t->total[s]);
  fprintf(to, " %7u %7u %7u %7u %6u", t->runs, t->switches[REASON_PARK], t->switches[REASON_YIELD],
          t->switches[REASON_PREEMPT], t->switches[REASON_CALL]);
  put_waits(to, w);
  fputc('\n', to);
}

static int put_threads(const struct model *m, FILE *to, size_t at_most) {
  struct waits w = {0};
  int status = 0;
  fprintf(to, "  %-*s %8s %8s %8s %8s %7s %7s %7s %7s %6s  %s\n", NAME_COLUMNS, "thread", "run", "ready",
          "waiting", "in calls", "runs", "parks", "yields", "preempt", "calls", "waits for");
  for (size_t i = 0; i < m->thread_count && i < at_most && !status; i++) {
    status = waits_of(m, &m->threads[i], &w);
    if (!status) put_thread(to, &m->threads[i], &w);
  }
  if (m->thread_count > at_most)
    fprintf(to, "  %zu more threads; --threads N shows N\n", m->thread_count - at_most);
  free(w.all);
  return status;
}

static const char *object_label(const struct model *m, const struct object *o, char *buffer, size_t size) {
  if (*m->strings[o->name]) return m->strings[o->name];
  const char *what = o->what ? m->strings[o->what] : o->lock ? "lock" : "object";
  uint32_t thread = model_thread(m, o->address);
  if (thread != NOBODY) return snprintf(buffer, size, "%.40s %.40s", what, m->threads[thread].name), buffer;
  snprintf(buffer, size, "%.40s %#llx", what, (unsigned long long)o->address);
  return buffer;
}

static void put_object(const struct model *m, FILE *to, const struct object *o) {
  char label[128];
  fputs("  ", to);
  put_name(to, object_label(m, o, label, sizeof label), 30);
  fprintf(to, " %7u", o->waits);
  put_time(to, o->waited);
  put_time(to, o->longest);
  fprintf(to, " %8u", o->acquired);
  put_time(to, o->held);
  put_time(to, o->longest_held);
  fputs("  ", to);
  if (o->most_by != NOBODY) put_name(to, m->threads[o->most_by].name, NAME_COLUMNS);
  if (o->holder != NOBODY) {
    fputc(' ', to);
    put_name(to, m->threads[o->holder].name, NAME_COLUMNS);
  }
  fputc('\n', to);
}

static void put_objects(const struct model *m, FILE *to, bool locks) {
  size_t shown = 0, count = 0;
  for (size_t i = 0; i < m->object_count; i++) {
    const struct object *o = &m->objects[i];
    if (o->lock != locks || count++ >= OBJECTS_SHOWN) continue;
    if (!shown++)
      fprintf(to, "\n  %-30s %7s %8s %8s %8s %8s %8s  %-*s %s\n", locks ? "lock" : "other object", "waits",
              "waited", "longest", "acquired", "held", "longest", NAME_COLUMNS, "who waited most",
              locks ? "held at the end by" : "");
    put_object(m, to, o);
  }
  if (count > shown) fprintf(to, "  %zu more, less waited for\n", count - shown);
}

static int put_critical(const struct model *m, FILE *to) {
  static const char *const words[STATES] = {"running", "waiting for a worker",
                                            "waiting for a time or for input", "in calls"};
  struct critical c;
  char ns[UNITS_ROOM];
  if (critical_shares(m, &c)) return STATUS_FAILED;
  if (c.all) fprintf(to, "\n  critical path: %s", units_time(c.all, ns));
  for (int s = 0; s < STATES; s++)
    if (c.state[s]) fprintf(to, ", %.0f %% %s", 100.0 * (double)c.state[s] / (double)c.all, words[s]);
  if (c.all) fputc('\n', to);
  for (size_t i = 0; i < c.count && i < CRITICAL_SHOWN; i++) {
    fputs("    ", to);
    put_name(to, m->threads[c.shares[i].thread].name, NAME_COLUMNS);
    put_time(to, c.shares[i].ns);
    fprintf(to, " %3.0f %%\n", 100.0 * (double)c.shares[i].ns / (double)c.all);
  }
  free(c.shares);
  return 0;
}

int write_stats(const struct model *m, FILE *to, const struct text_options *options) {
  char length[UNITS_ROOM];
  fprintf(to, "  %s: %s, %u workers, %zu threads, %llu events, %llu lost\n\n", m->path,
          units_time(m->to - m->from, length), m->workers, m->thread_count, (unsigned long long)m->events,
          (unsigned long long)m->lost);
  if (put_threads(m, to, options->threads)) return STATUS_FAILED;
  put_objects(m, to, true);
  put_objects(m, to, false);
  if (put_critical(m, to)) return STATUS_FAILED;
  print_warnings(m, to);
  return 0;
}
