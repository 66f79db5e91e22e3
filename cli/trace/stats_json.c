/* The tables of stats.c as JSON. Times are ns; those of moments are counted from the trace's beginning. */
#include "stats.h"

#include <json-c/json.h>
#include <stdlib.h>

static const char *const state_names[STATES] = {"run", "ready", "waiting", "call"};
static const char *const reason_names[REASONS] = {"open", "yield", "preempt", "park", "call", "end"};

static void put(json_object *o, const char *key, int64_t value) {
  json_object_object_add(o, key, json_object_new_int64(value));
}

static void put_text(json_object *o, const char *key, const char *text) {
  char *plain = malloc(4096);
  json_object_object_add(o, key,
                         plain ? json_object_new_string(plain_text(text, plain, 4096, 4096, NULL)) : NULL);
  free(plain);
}

static void put_flag(json_object *o, const char *key, bool value) {
  json_object_object_add(o, key, json_object_new_boolean(value));
}

/* A list that is o's under that key. */
static json_object *list(json_object *o, const char *key) {
  json_object *l = json_object_new_array();
  json_object_object_add(o, key, l);
  return l;
}

/* An object that is o's under that key; the last one of a list without one. */
static json_object *child(json_object *o, const char *key) {
  json_object *c = json_object_new_object();
  if (key)
    json_object_object_add(o, key, c);
  else
    json_object_array_add(o, c);
  return c;
}

static int thread_of(const struct model *m, json_object *o, const struct thread *t, struct waits *w) {
  put_text(o, "name", t->name);
  json_object_object_add(o, "id", json_object_new_uint64(t->id));
  put(o, "born", t->born - m->from);
  put(o, "ended", t->ended - m->from);
  put_flag(o, "born_before", t->born_before);
  put_flag(o, "lives_on", t->lives_on);
  put_flag(o, "outside", t->outside);
  json_object *total = child(o, "ns"), *switches = child(o, "runs_ended_by");
  for (int s = 0; s < STATES; s++) put(total, state_names[s], t->total[s]);
  for (int r = 0; r < REASONS; r++) put(switches, reason_names[r], t->switches[r]);
  put(o, "runs", t->runs);
  if (waits_of(m, t, w)) return STATUS_FAILED;
  json_object *waits = list(o, "waits");
  for (size_t i = 0; i < w->count; i++) {
    json_object *one = child(waits, NULL);
    put_text(one, "what", w->all[i].what);
    put(one, "count", w->all[i].count);
    put(one, "ns", w->all[i].ns);
  }
  return 0;
}

static void put_thread_name(const struct model *m, json_object *o, const char *key, uint32_t thread) {
  if (thread != NOBODY) put_text(o, key, m->threads[thread].name);
}

static void object_of(const struct model *m, json_object *to, const struct object *o) {
  json_object_object_add(to, "address", json_object_new_uint64(o->address));
  if (o->name) put_text(to, "name", m->strings[o->name]);
  if (o->what) put_text(to, "what", m->strings[o->what]);
  put_flag(to, "lock", o->lock);
  put(to, "waits", o->waits);
  put(to, "waited", o->waited);
  put(to, "longest", o->longest);
  put_thread_name(m, to, "longest_by", o->longest_by);
  put_thread_name(m, to, "most_by", o->most_by);
  put(to, "acquired", o->acquired);
  put(to, "held", o->held);
  put(to, "longest_held", o->longest_held);
  put_thread_name(m, to, "holder", o->holder);
}

static int critical_of(const struct model *m, json_object *o) {
  struct critical c;
  if (critical_shares(m, &c)) return STATUS_FAILED;
  put(o, "all", c.all);
  json_object *ns = child(o, "ns"), *threads = list(o, "threads");
  for (int s = 0; s < STATES; s++) put(ns, state_names[s], c.state[s]);
  for (size_t i = 0; i < c.count; i++) {
    json_object *one = child(threads, NULL);
    put_thread_name(m, one, "name", c.shares[i].thread);
    put(one, "ns", c.shares[i].ns);
  }
  free(c.shares);
  return 0;
}

static int all_of(const struct model *m, json_object *o) {
  struct waits w = {0};
  int status = 0;
  put(o, "ns", m->to - m->from);
  put(o, "pid", m->pid);
  put(o, "workers", m->workers);
  put(o, "events", (int64_t)m->events);
  put(o, "lost", (int64_t)m->lost);
  put_flag(o, "cut", m->cut);
  put_flag(o, "flight", m->flight);
  json_object *threads = list(o, "threads"), *objects = list(o, "objects"), *warnings = list(o, "warnings");
  for (size_t i = 0; i < m->thread_count && !status; i++)
    status = thread_of(m, child(threads, NULL), &m->threads[i], &w);
  free(w.all);
  for (size_t i = 0; i < m->object_count; i++) object_of(m, child(objects, NULL), &m->objects[i]);
  for (size_t i = 0; i < m->warning_count; i++)
    json_object_array_add(warnings, json_object_new_string(m->warnings[i]));
  return status ? status : critical_of(m, child(o, "critical_path"));
}

int write_stats_json(const struct model *m, FILE *to) {
  json_object *o = json_object_new_object();
  int status = all_of(m, o);
  if (!status) fprintf(to, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
  json_object_put(o);
  return status;
}
