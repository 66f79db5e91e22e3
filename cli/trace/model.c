/* The model: what the chronicle tells, kept and put in order. See model.h. */
#include "build.h"
#include "chronicle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hold { /* of an object, while the model is made */
  int64_t since;
  uint32_t count;
};

struct waited { /* one thread for one object */
  int64_t sum;
};

struct maker {
  struct model *m;
  struct model_memory *own;
  struct hold *holds;    /* beside m->objects */
  struct waited *waited; /* by the table `pairs` */
  struct table pairs;
  size_t threads_room, intervals_room, spans_room, counters_room, marks_room, objects_room, holds_room,
      waited_count, waited_room;
};

static int no_memory(const struct maker *k) {
  return fail("%s: no memory for all of its events; -o FILE.json and FILE.pftrace need less", k->m->path);
}

#define ADD(k, array, count, value) \
  (make_room(&(k)->m->array, &(k)->array##_room, (k)->m->count, sizeof *(k)->m->array) \
       ? ((k)->m->array[(k)->m->count++] = (value), 0) \
       : no_memory(k))

/* ---- As it is told ---------------------------------------------------------------------------------------------- */

static int add_thread(void *of, uint32_t number, uint64_t id, uint32_t creator, int64_t time) {
  struct maker *k = of;
  struct thread t = {
      .id = id, .creator = creator, .born = time, .born_before = creator == NOBODY, .lives_on = true};
  if (!table_add(&k->own->threads, id, number)) return no_memory(k);
  return ADD(k, threads, thread_count, t);
}

static int end_thread(void *of, uint32_t number, int64_t time) {
  struct maker *k = of;
  k->m->threads[number].lives_on = false;
  k->m->threads[number].ended = time;
  return 0;
}

/* The object of that address, made when it is not there. NULL: no memory. */
static struct object *object_of(struct maker *k, uint64_t address, uint32_t *number) {
  uint32_t n = table_get(&k->own->objects, address);
  if (n == TABLE_NONE) {
    n = (uint32_t)k->m->object_count;
    struct object o = {.address = address,
                       .name = trace_object_name(&k->own->trace, address),
                       .longest_by = NOBODY,
                       .most_by = NOBODY,
                       .holder = NOBODY};
    if (!make_room(&k->holds, &k->holds_room, n, sizeof *k->holds) ||
        !table_add(&k->own->objects, address, n) || ADD(k, objects, object_count, o))
      return NULL;
    k->holds[n] = (struct hold){0};
  }
  *number = n;
  return &k->m->objects[n];
}

/* How long that thread has waited for that object in all, of which `ns` are new. -1: no memory. */
static int64_t waited_in_all(struct maker *k, uint32_t object, uint32_t thread, int64_t ns) {
  uint64_t key = (uint64_t)object << 32 | thread;
  uint32_t n = table_get(&k->pairs, key);
  if (n == TABLE_NONE) {
    n = (uint32_t)k->waited_count;
    if (!make_room(&k->waited, &k->waited_room, n, sizeof *k->waited) || !table_add(&k->pairs, key, n))
      return -1;
    k->waited[k->waited_count++] = (struct waited){0};
  }
  add_time(&k->waited[n].sum, ns);
  return k->waited[n].sum;
}

static int count_wait(struct maker *k, const struct interval *i) {
  uint32_t number;
  struct object *o = object_of(k, i->object, &number);
  if (!o) return no_memory(k);
  int64_t ns = i->to - i->from, all = waited_in_all(k, number, i->thread, ns);
  if (all < 0) return no_memory(k);
  o->waits++;
  add_time(&o->waited, ns);
  if (i->what) o->what = i->what;
  if (ns >= o->longest) {
    o->longest = ns;
    o->longest_by = i->thread;
  }
  if (all >= o->most) {
    o->most = all;
    o->most_by = i->thread;
  }
  return 0;
}

static int add_interval(void *of, const struct interval *i) {
  struct maker *k = of;
  if (i->state == STATE_BLOCKED && i->object && count_wait(k, i)) return STATUS_FAILED;
  return ADD(k, intervals, interval_count, *i);
}

static int add_span(void *of, const struct span *s) {
  struct maker *k = of;
  return ADD(k, spans, span_count, *s);
}

static int acquire(struct maker *k, const struct thrumi_event *e, uint32_t thread) {
  uint32_t number;
  struct object *o = object_of(k, e->object, &number);
  if (!o) return no_memory(k);
  o->lock = true;
  o->acquired++;
  o->holder = thread;
  if (!k->holds[number].count++) k->holds[number].since = e->time;
  return 0;
}

/* Readers of an rwlock hold it together: it is held from the first to the last of them. */
static int release(struct maker *k, const struct thrumi_event *e) {
  uint32_t number;
  struct object *o = object_of(k, e->object, &number);
  if (!o) return no_memory(k);
  o->lock = true;
  if (!k->holds[number].count || --k->holds[number].count) return 0;
  int64_t ns = e->time - k->holds[number].since;
  add_time(&o->held, ns);
  if (ns > o->longest_held) o->longest_held = ns;
  o->holder = NOBODY;
  return 0;
}

static int add_event(void *of, const struct thrumi_event *e, uint32_t thread) {
  struct maker *k = of;
  struct counter counter = {e->time, (int64_t)e->object, e->detail, thread};
  struct mark mark = {e->time, e->detail, thread};
  switch (e->kind) {
  case THRUMI_EVENT_ACQUIRE: return e->object ? acquire(k, e, thread) : 0;
  case THRUMI_EVENT_RELEASE: return e->object ? release(k, e) : 0;
  case THRUMI_EVENT_COUNTER: return ADD(k, counters, counter_count, counter);
  case THRUMI_EVENT_MARK: return ADD(k, marks, mark_count, mark);
  case THRUMI_EVENT_RETURN:
    k->m->main = thread;
    k->m->main_returned = e->time;
    return 0;
  default: return 0;
  }
}

/* ---- Putting in order ------------------------------------------------------------------------------------------- */

/* By thread; those of one thread are in order already. */
static int sort_intervals(struct maker *k) {
  struct model *m = k->m;
  struct interval *sorted = malloc((m->interval_count + 1) * sizeof *sorted);
  if (!sorted) return no_memory(k);
  for (size_t i = 0; i < m->interval_count; i++) m->threads[m->intervals[i].thread].count++;
  size_t first = 0;
  for (size_t i = 0; i < m->thread_count; i++) {
    m->threads[i].first = first;
    first += m->threads[i].count;
    m->threads[i].count = 0;
  }
  for (size_t i = 0; i < m->interval_count; i++) {
    struct thread *t = &m->threads[m->intervals[i].thread];
    sorted[t->first + t->count++] = m->intervals[i];
  }
  free(m->intervals);
  m->intervals = sorted;
  return 0;
}

static void sum_up(struct model *m, struct thread *t) {
  t->outside = t->count > 0;
  if (t->lives_on) t->ended = m->to;
  for (size_t i = t->first; i < t->first + t->count; i++) {
    const struct interval *v = &m->intervals[i];
    t->total[v->state] += v->to - v->from;
    if (v->state != STATE_RUN) continue;
    t->runs++;
    t->switches[v->reason]++;
    if (v->worker != NO_WORKER) t->outside = false;
  }
  if (!t->count) return;
  const struct interval *v = &m->intervals[t->first];
  if (t->born_before && v->from < t->born) t->born = v->from;
}

static int by_thread(const void *a, const void *b) {
  const struct span *x = a, *y = b;
  if (x->thread != y->thread) return x->thread < y->thread ? -1 : 1;
  if (x->from != y->from) return x->from < y->from ? -1 : 1;
  return (x->depth > y->depth) - (x->depth < y->depth);
}

static int by_waited(const void *a, const void *b) {
  const struct object *x = a, *y = b;
  if (x->waited != y->waited) return x->waited > y->waited ? -1 : 1;
  return (x->address > y->address) - (x->address < y->address);
}

static int sort_objects(struct maker *k) {
  struct model *m = k->m;
  if (m->object_count) qsort(m->objects, m->object_count, sizeof *m->objects, by_waited);
  table_free(&k->own->objects);
  for (size_t i = 0; i < m->object_count; i++) {
    struct object *o = &m->objects[i];
    if (strstr(m->strings[o->what], "lock")) o->lock = true;
    if (!table_add(&k->own->objects, o->address, (uint32_t)i)) return no_memory(k);
  }
  return 0;
}

/* ---- Strings ---------------------------------------------------------------------------------------------------- */

/* Every number that the model has is one of m->strings. */
static int take_strings(struct maker *k) {
  struct model *m = k->m;
  m->string_count = k->own->trace.string_count ? k->own->trace.string_count : 1;
  m->strings = malloc(m->string_count * sizeof *m->strings);
  if (!m->strings) return no_memory(k);
  for (size_t i = 0; i < m->string_count; i++) m->strings[i] = trace_string(&k->own->trace, (uint32_t)i);
  return 0;
}

static void check_strings(struct model *m) {
  for (size_t i = 0; i < m->interval_count; i++)
    if (m->intervals[i].what >= m->string_count) m->intervals[i].what = 0;
  for (size_t i = 0; i < m->span_count; i++)
    if (m->spans[i].name >= m->string_count) m->spans[i].name = 0;
  for (size_t i = 0; i < m->counter_count; i++)
    if (m->counters[i].name >= m->string_count) m->counters[i].name = 0;
  for (size_t i = 0; i < m->mark_count; i++)
    if (m->marks[i].name >= m->string_count) m->marks[i].name = 0;
  for (size_t i = 0; i < m->object_count; i++)
    if (m->objects[i].what >= m->string_count) m->objects[i].what = 0;
}

/* Those without a name are called by their number. */
static int name_threads(struct maker *k) {
  enum { MADE = sizeof "thread 4294967295" };
  struct model *m = k->m;
  size_t made = 0;
  for (size_t i = 0; i < m->thread_count; i++) {
    m->threads[i].name = trace_string(&k->own->trace, trace_thread_name(&k->own->trace, m->threads[i].id));
    made += !*m->threads[i].name;
  }
  char *at = k->own->names = malloc(made * MADE + 1);
  if (!at) return no_memory(k);
  for (size_t i = 0; i < m->thread_count; i++) {
    if (*m->threads[i].name) continue;
    snprintf(at, MADE, "thread %u", (uint32_t)i + 1);
    m->threads[i].name = at;
    at += MADE;
  }
  return 0;
}

const char *model_waits_for(const struct model *m, const struct interval *i, char *buffer, size_t size) {
  const struct object *o = i->object ? model_object(m, i->object) : NULL;
  if (o && *m->strings[o->name]) return m->strings[o->name];
  const char *what = *m->strings[i->what] ? m->strings[i->what] : "something";
  uint32_t thread = i->object ? model_thread(m, i->object) : NOBODY;
  if (thread == NOBODY) return what;
  snprintf(buffer, size, "%s %s", i->what ? what : "thread", m->threads[thread].name);
  return buffer;
}

uint32_t model_thread(const struct model *m, uint64_t id) {
  const struct model_memory *own = m->memory;
  return table_get(&own->threads, id);
}

const struct object *model_object(const struct model *m, uint64_t address) {
  const struct model_memory *own = m->memory;
  uint32_t n = table_get(&own->objects, address);
  return n == TABLE_NONE ? NULL : &m->objects[n];
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

static int make(struct maker *k) {
  struct model *m = k->m;
  struct trace *t = &k->own->trace;
  struct chronicle_summary summary;
  const struct listener l = {.of = k,
                             .thread = add_thread,
                             .ended = end_thread,
                             .interval = add_interval,
                             .span = add_span,
                             .event = add_event};
  if (take_strings(k) || chronicle_tell(t, &l, &summary)) return STATUS_FAILED;
  m->from = summary.from;
  m->to = summary.to;
  check_strings(m);
  if (sort_intervals(k) || sort_objects(k) || name_threads(k)) return STATUS_FAILED;
  if (m->span_count) qsort(m->spans, m->span_count, sizeof *m->spans, by_thread);
  for (size_t i = 0; i < m->thread_count; i++) sum_up(m, &m->threads[i]);
  m->cut = t->cut;
  m->began_wall = t->header.began_wall;
  m->pid = t->header.pid;
  m->workers = t->header.workers;
  m->flight = t->header.flags & THRUMI_TRACE_FLIGHT;
  m->events = t->events;
  m->lost = t->lost;
  if (summary.unknown)
    warn("%s: %llu events of kinds that this command does not know are left out", m->path,
         (unsigned long long)summary.unknown);
  return model_find_critical(m) || model_warn(m);
}

int model_read(struct model *m, const char *path, const char *called, bool partial) {
  *m = (struct model){.path = called, .main = NOBODY};
  struct maker k = {.m = m, .own = calloc(1, sizeof *k.own)};
  m->memory = k.own;
  if (!k.own) return no_memory(&k);
  k.own->trace.fd = -1;
  int status = trace_open(&k.own->trace, path, called, partial) || make(&k) ? STATUS_FAILED : 0;
  free(k.holds);
  free(k.waited);
  table_free(&k.pairs);
  if (status) model_free(m);
  return status;
}

void model_free(struct model *m) {
  struct model_memory *own = m->memory;
  if (own) {
    trace_close(&own->trace);
    table_free(&own->threads);
    table_free(&own->objects);
    free(own->names);
    free(own);
  }
  for (size_t i = 0; i < m->warning_count; i++) free(m->warnings[i]);
  free(m->warnings);
  free(m->threads);
  free(m->intervals);
  free(m->spans);
  free(m->counters);
  free(m->marks);
  free(m->objects);
  free(m->strings);
  free(m->critical);
  *m = (struct model){0};
}
