/* Reads a trace file for tests, and says whether what it tells can be: threads run on one worker at a time, and so on. */
#ifndef TESTS_TRACED_H
#define TESTS_TRACED_H

#include "check.h"

#include <sys/stat.h>
#include <trace/format.h>

enum { TRACED_STRINGS = 1 << 16, TRACED_RINGS = 257, TRACED_THREADS = 1 << 15 };

enum traced_state { TRACED_UNKNOWN, TRACED_READY, TRACED_RUNS, TRACED_PARKED, TRACED_CALLS, TRACED_ENDED };

struct traced_thread {
  uint64_t id;
  const char *name;
  enum traced_state state;
  uint32_t worker;
  bool woken; /* before it parked */
  int64_t spans;
  uint32_t runs, parks, unparks, preempts, leases;
};

struct traced {
  char *bytes;
  size_t size;
  struct thrumi_trace_header header;
  struct thrumi_event *events; /* of all rings, in order of time */
  size_t count;
  uint64_t lost;
  bool ended; /* by its last block */
  const char *strings[TRACED_STRINGS];
  struct traced_thread threads[TRACED_THREADS]; /* open, by a hash of the id; id 0: none */
  uint64_t runs[TRACED_RINGS];                  /* which thread runs on the worker; 0 none */
};

/* ---- Reading ---------------------------------------------------------------------------------------------------- */

static char *traced_load(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  struct stat status;
  CHECK(file);
  CHECK_EQ(fstat(fileno(file), &status), 0);
  char *bytes = (char *)malloc((size_t)status.st_size + 1);
  CHECK(bytes);
  *size = fread(bytes, 1, (size_t)status.st_size, file);
  CHECK_EQ(*size, status.st_size);
  fclose(file);
  return bytes;
}

static struct traced_thread *traced_thread(struct traced *t, uint64_t id) {
  size_t at = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 49);
  for (size_t i = 0; i < TRACED_THREADS; i++, at = (at + 1) % TRACED_THREADS) {
    if (t->threads[at].id == id) return &t->threads[at];
    if (t->threads[at].id) continue;
    t->threads[at].id = id;
    return &t->threads[at];
  }
  check_failed(__FILE__, __LINE__, "too many threads for this test");
}

static const char *traced_string(const struct traced *t, uint64_t number) {
  CHECK(number < TRACED_STRINGS);
  if (number) CHECK(t->strings[number]);
  return number ? t->strings[number] : "";
}

/* In order of time within a ring; each event's strings are there before it. */
static void traced_take_events(struct traced *t, const struct thrumi_trace_block *block, const char *payload,
                               int64_t *last) {
  uint64_t ring = block->a == THRUMI_TRACE_NO_WORKER ? TRACED_RINGS - 1 : block->a;
  CHECK(ring < TRACED_RINGS);
  CHECK_EQ(block->bytes % sizeof(struct thrumi_event), 0);
  for (size_t i = 0; i < block->bytes / sizeof(struct thrumi_event); i++) {
    struct thrumi_event *e = &t->events[t->count++];
    memcpy(e, payload + i * sizeof *e, sizeof *e);
    CHECK(e->time >= last[ring]);
    CHECK(e->kind < THRUMI_EVENT_NAME);
    CHECK_EQ(e->worker, block->a);
    bool named = e->kind == THRUMI_EVENT_PARK || e->kind == THRUMI_EVENT_SPAN_BEGIN ||
                 e->kind == THRUMI_EVENT_COUNTER || e->kind == THRUMI_EVENT_MARK;
    if (named) traced_string(t, e->detail);
    last[ring] = e->time;
  }
  t->lost += block->b;
}

static void traced_take(struct traced *t, const struct thrumi_trace_block *block, char *payload,
                        int64_t *last) {
  CHECK(!t->ended);
  switch (block->kind) {
  case THRUMI_TRACE_EVENTS: traced_take_events(t, block, payload, last); break;
  case THRUMI_TRACE_STRING:
    CHECK(block->a && block->a < TRACED_STRINGS);
    t->strings[block->a] = strndup(payload, block->bytes);
    break;
  case THRUMI_TRACE_THREAD: traced_thread(t, block->a)->name = traced_string(t, block->b); break;
  case THRUMI_TRACE_OBJECT: traced_string(t, block->b); break;
  case THRUMI_TRACE_END:
    CHECK_EQ(block->a, t->count);
    CHECK_EQ(block->b, t->lost);
    t->ended = true;
    break;
  default: check_failed(__FILE__, __LINE__, "a block of kind %u", block->kind);
  }
}

/* At one moment a cause before its effect: a thread is given before it is taken. */
static int traced_earlier(const void *one, const void *other) {
  const struct thrumi_event *a = (const struct thrumi_event *)one, *b = (const struct thrumi_event *)other;
  if (a->time != b->time) return a->time < b->time ? -1 : 1;
  return (a->kind == THRUMI_EVENT_RUN) - (b->kind == THRUMI_EVENT_RUN);
}

/* All blocks are whole; whether the last one is END says `ended`. */
static struct traced *traced_read(const char *path) {
  struct traced *t = (struct traced *)calloc(1, sizeof *t);
  int64_t last[TRACED_RINGS];
  CHECK(t);
  for (int i = 0; i < TRACED_RINGS; i++) last[i] = INT64_MIN;
  t->bytes = traced_load(path, &t->size);
  CHECK(t->size >= sizeof t->header && t->size % 8 == 0);
  memcpy(&t->header, t->bytes, sizeof t->header);
  CHECK(memcmp(t->header.magic, THRUMI_TRACE_MAGIC, 8) == 0);
  CHECK_EQ(t->header.version, THRUMI_TRACE_VERSION);
  CHECK_EQ(t->header.event_size, sizeof(struct thrumi_event));
  t->events = (struct thrumi_event *)malloc(t->size);
  CHECK(t->events);
  for (size_t at = sizeof t->header; at < t->size;) {
    struct thrumi_trace_block block;
    CHECK(t->size - at >= sizeof block);
    memcpy(&block, t->bytes + at, sizeof block);
    at += sizeof block;
    CHECK(t->size - at >= block.bytes);
    traced_take(t, &block, t->bytes + at, last);
    at += (block.bytes + 7u) / 8u * 8u;
  }
  qsort(t->events, t->count, sizeof *t->events, traced_earlier);
  return t;
}

__attribute__((unused)) static void traced_free(struct traced *t) {
  for (size_t i = 0; i < TRACED_STRINGS; i++) free((char *)(uintptr_t)t->strings[i]);
  free(t->bytes);
  free(t->events);
  free(t);
}

/* How many events of a kind; of a thread (0: of any). */
__attribute__((unused)) static size_t traced_count(const struct traced *t, enum thrumi_event_kind kind,
                                                   uint64_t thread) {
  size_t n = 0;
  for (size_t i = 0; i < t->count; i++)
    n += t->events[i].kind == kind && (!thread || t->events[i].thread == thread);
  return n;
}

/* ---- What can be ------------------------------------------------------------------------------------------------ */

#define TRACED_EXPECT(t, e, condition) \
  ((condition) ? (void)0 \
               : check_failed(__FILE__, __LINE__, "%s is false: event %zu, kind %u, thread %llx, at %lld", \
                              #condition, (size_t)((e) - (t)->events), (e)->kind, \
                              (unsigned long long)(e)->thread, (long long)((e)->time - (t)->header.began)))

/* It leaves the worker that it ran on. */
static void traced_stop(struct traced *t, const struct thrumi_event *e, struct traced_thread *th) {
  TRACED_EXPECT(t, e, th->state == TRACED_RUNS || th->state == TRACED_UNKNOWN);
  if (th->state == TRACED_RUNS && th->worker != THRUMI_TRACE_NO_WORKER && t->runs[th->worker] == th->id)
    t->runs[th->worker] = 0;
}

/* It may run already: a trace that begins in the middle says so of who starts it. */
static void traced_run(struct traced *t, const struct thrumi_event *e, struct traced_thread *th) {
  bool may = th->state == TRACED_UNKNOWN || th->state == TRACED_READY ||
             (th->state == TRACED_RUNS && th->worker == e->worker);
  TRACED_EXPECT(t, e, may);
  th->state = TRACED_RUNS;
  th->worker = e->worker;
  th->woken = false;
  th->runs++;
  if (e->worker == THRUMI_TRACE_NO_WORKER) return;
  TRACED_EXPECT(t, e, t->runs[e->worker] == 0 || t->runs[e->worker] == th->id);
  t->runs[e->worker] = th->id;
}

static void traced_unpark(struct traced *t, const struct thrumi_event *e) {
  struct traced_thread *th = traced_thread(t, e->object);
  bool parked = th->state == TRACED_PARKED;
  TRACED_EXPECT(t, e, parked || (!th->woken && (th->state == TRACED_RUNS || th->state == TRACED_UNKNOWN)));
  if (parked)
    th->state = TRACED_READY;
  else
    th->woken = true;
  th->unparks++;
}

static void traced_park(struct traced *t, const struct thrumi_event *e, struct traced_thread *th) {
  traced_stop(t, e, th);
  th->state = th->woken ? TRACED_READY : TRACED_PARKED;
  th->woken = false;
  th->parks++;
}

/* Of what it holds, or does itself, it must be running. */
static void traced_act(struct traced *t, const struct thrumi_event *e, struct traced_thread *th) {
  TRACED_EXPECT(t, e, th->state == TRACED_RUNS || th->state == TRACED_UNKNOWN);
  if (e->kind == THRUMI_EVENT_SPAN_BEGIN) th->spans++;
  if (e->kind == THRUMI_EVENT_SPAN_END) th->spans--;
}

static void traced_step(struct traced *t, const struct thrumi_event *e) {
  struct traced_thread *th = e->thread ? traced_thread(t, e->thread) : NULL, *born;
  switch (e->kind) {
  case THRUMI_EVENT_SPAWN:
    born = traced_thread(t, e->object);
    TRACED_EXPECT(t, e, born->state == TRACED_UNKNOWN);
    born->state = TRACED_READY;
    break;
  case THRUMI_EVENT_RUN: traced_run(t, e, th); break;
  case THRUMI_EVENT_PARK: traced_park(t, e, th); break;
  case THRUMI_EVENT_UNPARK: traced_unpark(t, e); break;
  case THRUMI_EVENT_PREEMPT: th->preempts++; /* fall through */
  case THRUMI_EVENT_YIELD:
    traced_stop(t, e, th);
    th->state = TRACED_READY;
    break;
  case THRUMI_EVENT_LEASE:
    traced_stop(t, e, th);
    th->state = TRACED_CALLS;
    th->leases++;
    break;
  case THRUMI_EVENT_REGAIN:
    TRACED_EXPECT(t, e, th->state == TRACED_CALLS || th->state == TRACED_UNKNOWN);
    th->state = TRACED_READY;
    break;
  case THRUMI_EVENT_END:
    traced_stop(t, e, th);
    th->state = TRACED_ENDED;
    break;
  case THRUMI_EVENT_ACQUIRE:
  case THRUMI_EVENT_RELEASE:
  case THRUMI_EVENT_SPAN_BEGIN:
  case THRUMI_EVENT_SPAN_END:
  case THRUMI_EVENT_COUNTER:
  case THRUMI_EVENT_MARK: traced_act(t, e, th); break;
  default: break;
  }
}

/* Fails if what it tells cannot be. Only of a trace that has lost nothing. */
__attribute__((unused)) static void traced_check(struct traced *t) {
  CHECK_EQ(t->lost, 0);
  for (size_t i = 0; i < t->count; i++) traced_step(t, &t->events[i]);
}

#endif
