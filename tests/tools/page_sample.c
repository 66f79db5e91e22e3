/* Writes the timeline page of a made-up trace, for page.py: its own source of models, so that the page is tested with what no program
 * does on demand.
 *
 *     page_sample OUT KIND     KIND: empty, one, some, threads (1000 of them), million (intervals), hostile (names), lost
 *
 * The trace is simulated: workers take runnable threads, threads run, wake others, yield, are preempted, park on one of a few locks or
 * block in calls. The same kind gives the same page each time. */
#include "trace/model.h"

#include <stdlib.h>
#include <string.h>

enum { LOCKS = 4, MAX_WORKERS = 8 };

struct list {
  struct interval *items;
  size_t count, room;
};

struct sim {
  struct model model;
  struct list *lists; /* intervals of each thread */
  int64_t *since;     /* when its present state began */
  uint8_t *state, *reason;
  uint32_t *queue; /* of runnable threads */
  size_t head, queued, total, wanted;
  int64_t free_at[MAX_WORKERS];
  uint32_t seed;
};

static const char *names[] = {"",      "lock",  "lock `table`", "lock `log`", "sleep",     "read",
                              "parse", "reply", "queue length", "half way",   "memory, kB"};
enum { N_LOCK = 1, N_TABLE, N_LOG, N_SLEEP, N_READ, N_PARSE, N_REPLY, N_LENGTH, N_HALF, N_MEMORY };

static void *room(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) abort();
  return memory;
}

static uint32_t roll(struct sim *s, uint32_t below) {
  s->seed = s->seed * 1664525 + 1013904223;
  return (uint32_t)(((uint64_t)s->seed * below) >> 32);
}

static void add(struct sim *s, struct interval i) {
  struct list *l = &s->lists[i.thread];
  if (l->count == l->room) {
    l->room = l->room ? 2 * l->room : 8;
    l->items = realloc(l->items, l->room * sizeof *l->items);
    if (!l->items) abort();
  }
  l->items[l->count++] = i;
  s->total++;
  if (i.to > s->model.to) s->model.to = i.to;
}

static void make_ready(struct sim *s, uint32_t t, int64_t time, uint8_t reason) {
  s->state[t] = STATE_READY;
  s->reason[t] = reason;
  s->since[t] = time;
  s->queue[(s->head + s->queued++) % s->model.thread_count] = t;
}

/* Ends the wait of the first parked thread from a random one on. */
static void wake(struct sim *s, uint32_t waker, int64_t time) {
  uint32_t first = roll(s, (uint32_t)s->model.thread_count);
  for (size_t k = 0; k < s->model.thread_count; k++) {
    uint32_t t = (uint32_t)((first + k) % s->model.thread_count), lock = t % LOCKS;
    if (s->state[t] < STATE_BLOCKED || s->since[t] > time) continue;
    struct interval i = {.from = s->since[t],
                         .to = time,
                         .thread = t,
                         .worker = NO_WORKER,
                         .state = s->state[t],
                         .waker = NOBODY};
    if (i.state == STATE_BLOCKED) {
      i.object = lock < 3 ? 0x7f0000001000 + 64 * lock : 0;
      i.what = lock < 3 ? N_LOCK : N_SLEEP;
      i.waker = lock < 3 ? waker : NOBODY;
    }
    add(s, i);
    make_ready(s, t, time, i.state == STATE_CALL ? REASON_CALL : REASON_PARK);
    return;
  }
}

static void run_one(struct sim *s) {
  struct model *m = &s->model;
  unsigned w = 0;
  for (unsigned k = 1; k < m->workers; k++)
    if (s->free_at[k] < s->free_at[w]) w = k;
  if (s->queued == 0) {
    s->free_at[w] += 200000;
    wake(s, NOBODY, s->free_at[w]);
    if (s->queued == 0) return;
  }
  uint32_t t = s->queue[s->head];
  s->head = (s->head + 1) % m->thread_count;
  s->queued--;
  int64_t from = s->since[t] > s->free_at[w] ? s->since[t] : s->free_at[w],
          length = 500 + roll(s, roll(s, 20) ? 60000 : 2000000);
  uint8_t how = (uint8_t)(REASON_YIELD + roll(s, 8) % 4);
  if (length > 1000000) how = REASON_PREEMPT;
  add(s, (struct interval){s->since[t], from, t, NO_WORKER, STATE_READY, s->reason[t], 0, 0, NOBODY});
  add(s, (struct interval){from, from + length, t, (uint16_t)w, STATE_RUN, how, 0, 0, NOBODY});
  s->free_at[w] = from + length;
  s->state[t] = how == REASON_CALL ? STATE_CALL : STATE_BLOCKED;
  s->since[t] = from + length;
  if (roll(s, 3)) wake(s, t, from + length * 7 / 10);
  if (how == REASON_YIELD || how == REASON_PREEMPT) make_ready(s, t, from + length, how);
}

/* ---- From the simulation to a model ------------------------------------------------------------------------- */

static void flatten(struct sim *s) {
  struct model *m = &s->model;
  m->intervals = room(s->total, sizeof *m->intervals);
  for (size_t t = 0; t < m->thread_count; t++) {
    struct thread *th = &m->threads[t];
    th->first = m->interval_count;
    th->count = s->lists[t].count;
    th->ended = m->to;
    for (size_t k = 0; k < th->count; k++) {
      struct interval *i = &s->lists[t].items[k];
      m->intervals[m->interval_count++] = *i;
      th->total[i->state] += i->to - i->from;
      if (i->state != STATE_RUN) continue;
      th->runs++;
      th->switches[i->reason]++;
    }
    free(s->lists[t].items);
  }
}

static void count_waits(struct model *m) {
  m->object_count = 3;
  m->objects = room(3, sizeof *m->objects);
  for (uint32_t k = 0; k < 3; k++)
    m->objects[k] = (struct object){.address = 0x7f0000001000 + 64 * k,
                                    .name = k == 2 ? 0 : N_TABLE + k,
                                    .what = N_LOCK,
                                    .lock = true,
                                    .longest_by = NOBODY,
                                    .most_by = NOBODY,
                                    .holder = NOBODY};
  for (size_t k = 0; k < m->interval_count; k++) {
    struct interval *i = &m->intervals[k];
    if (!i->object) continue;
    struct object *o = &m->objects[(i->object - 0x7f0000001000) / 64];
    o->waits++;
    o->acquired += 2;
    o->waited += i->to - i->from;
    if (i->to - i->from <= o->longest) continue;
    o->longest = i->to - i->from;
    o->longest_by = o->most_by = i->thread;
  }
}

static size_t interval_before(const struct model *m, uint32_t t, int64_t time) {
  const struct thread *th = &m->threads[t];
  size_t low = th->first, high = th->first + th->count;
  while (low + 1 < high)
    if (m->intervals[(low + high) / 2].from < time)
      low = (low + high) / 2;
    else
      high = (low + high) / 2;
  return low;
}

/* Backwards from the last run: a wait goes to who ended it. */
static void trace_back(struct model *m) {
  enum { MOST = 100000 };
  static struct step back[MOST];
  size_t n = 0;
  uint32_t t = 0;
  int64_t time = m->to;
  for (size_t k = 0; k < m->interval_count; k++)
    if (m->intervals[k].to == m->to) t = m->intervals[k].thread;
  while (n < MOST) {
    size_t at = interval_before(m, t, time);
    struct interval *i = &m->intervals[at];
    if (i->from >= time) break;
    if (i->state == STATE_BLOCKED && i->waker != NOBODY && i->to == time) {
      t = i->waker;
      continue;
    }
    back[n++] = (struct step){at, i->from, time};
    time = i->from;
  }
  m->critical = room(n, sizeof *m->critical);
  m->critical_count = n;
  for (size_t k = 0; k < n; k++) m->critical[k] = back[n - 1 - k];
}

static void add_spans(struct model *m) {
  m->spans = room(m->interval_count, sizeof *m->spans);
  for (size_t t = 0; t < m->thread_count && t < 6; t++) {
    const struct interval *i = m->intervals + m->threads[t].first;
    for (size_t k = 0; k + 9 < m->threads[t].count; k += 10) {
      m->spans[m->span_count++] = (struct span){i[k].from, i[k + 7].to, (uint32_t)t, 0, N_REPLY, false};
      m->spans[m->span_count++] = (struct span){i[k + 1].from, i[k + 3].to, (uint32_t)t, 1, N_PARSE, false};
    }
  }
}

static void add_counters(struct sim *s, size_t samples) {
  struct model *m = &s->model;
  int64_t memory = 4000;
  m->counters = room(2 * samples, sizeof *m->counters);
  for (size_t k = 0; k < samples; k++) {
    int64_t time = m->from + (m->to - m->from) / (int64_t)samples * (int64_t)k;
    m->counters[m->counter_count++] = (struct counter){time, roll(s, 40), N_LENGTH, 0};
    m->counters[m->counter_count++] =
        (struct counter){time, memory += (int64_t)roll(s, 200) - 90, N_MEMORY, 0};
  }
  m->marks = room(1, sizeof *m->marks);
  m->marks[m->mark_count++] = (struct mark){m->from + (m->to - m->from) / 2, N_HALF, 0};
}

const struct object *model_object(const struct model *m, uint64_t address) {
  for (size_t k = 0; k < m->object_count; k++)
    if (m->objects[k].address == address) return &m->objects[k];
  return NULL;
}

/* ---- Kinds -------------------------------------------------------------------------------------------------- */

static void prepare(struct sim *s, size_t threads, unsigned workers) {
  struct model *m = &s->model;
  *s = (struct sim){.seed = 7};
  *m = (struct model){.path = "sample.trace",
                      .from = 5000000000,
                      .to = 5000000000,
                      .began_wall = 1700000000000000000,
                      .pid = 4711,
                      .workers = workers,
                      .thread_count = threads,
                      .strings = names,
                      .string_count = sizeof names / sizeof *names};
  m->threads = room(threads, sizeof *m->threads);
  s->lists = room(threads, sizeof *s->lists);
  s->since = room(threads, sizeof *s->since);
  s->state = room(threads, 1);
  s->reason = room(threads, 1);
  s->queue = room(threads, sizeof *s->queue);
  for (unsigned w = 0; w < workers; w++) s->free_at[w] = m->from;
  for (size_t t = 0; t < threads; t++) {
    char *name = NULL;
    if (asprintf(&name, t ? "worker-thread-%zu" : "main", t) < 0) abort();
    m->threads[t] = (struct thread){
        .id = t + 1, .name = name, .creator = t ? 0 : NOBODY, .born = m->from, .lives_on = true};
    make_ready(s, (uint32_t)t, m->from + (int64_t)t * 1000, REASON_OPEN);
  }
}

static void warn_of(struct model *m, const char *const *texts, size_t count) {
  m->warnings = room(count, sizeof *m->warnings);
  m->warning_count = count;
  for (size_t k = 0; k < count; k++) m->warnings[k] = strdup(texts[k]);
}

static void simulate(struct sim *s, size_t threads, unsigned workers, size_t intervals) {
  static const char *const warnings[] = {"thread `worker-thread-2` never yielded for 300 ms",
                                         "40 % of the time was lost waiting for lock `table`",
                                         "`main` ended before its threads"};
  struct model *m = &s->model;
  prepare(s, threads, workers);
  while (s->total < intervals) run_one(s);
  flatten(s);
  count_waits(m);
  trace_back(m);
  add_spans(m);
  add_counters(s, threads > 1 ? intervals / 20 : 0);
  m->events = intervals;
  warn_of(m, warnings, threads > 1 ? 3 : 0);
}

/* Names that would end an element, run a script, reach for the network, mirror a line, or are no UTF-8. */
static void spoil_names(struct sim *s) {
  static const char *bad[] = {"</script><script>window.broken=1</script>",
                              "<!--<script>",
                              "<img src=x onerror=window.broken=1>",
                              "\"'`&quot;\\\" + window.broken",
                              "\xff\xfe broken \xc3\x28 utf\xed\xa0\x80",
                              "mirrored \xe2\x80\xae txet",
                              "line\nbreak\ttab\x01\x1b[31m",
                              "<svg/onload=window.broken=1>",
                              "http://example.invalid/x.png",
                              "%s%n${x}"};
  enum { BAD = sizeof bad / sizeof *bad, LONG = 10000 };
  static char huge[LONG + 1];
  static const char *strings[sizeof names / sizeof *names];
  struct model *m = &s->model;
  memset(huge, 'w', LONG);
  memcpy(huge, "</script>", 9);
  for (size_t k = 1; k < m->string_count; k++) strings[k] = bad[k % BAD];
  strings[0] = "";
  strings[N_PARSE] = huge;
  for (size_t k = 0; k < m->thread_count; k++) m->threads[k].name = k == 3 ? huge : bad[k % BAD];
  m->strings = strings;
  warn_of(m, bad, BAD);
  m->path = "</title><script>window.broken=1</script>";
}

static int build(struct sim *s, const char *kind) {
  if (strcmp(kind, "empty") == 0)
    prepare(s, 0, 0);
  else if (strcmp(kind, "one") == 0)
    simulate(s, 1, 1, 40);
  else if (strcmp(kind, "some") == 0 || strcmp(kind, "lost") == 0)
    simulate(s, 12, 2, 3000);
  else if (strcmp(kind, "threads") == 0)
    simulate(s, 1000, 4, 40000);
  else if (strcmp(kind, "million") == 0)
    simulate(s, 200, 8, 1000000);
  else if (strcmp(kind, "hostile") == 0)
    simulate(s, 24, 2, 3000);
  else
    return STATUS_USAGE;
  if (strcmp(kind, "hostile") == 0) spoil_names(s);
  if (strcmp(kind, "lost") == 0) s->model.lost = 12345;
  return 0;
}

int main(int argc, char **argv) {
  static struct sim s;
  struct output out;
  if (argc != 3 || build(&s, argv[2])) return fail("wants OUT and a KIND");
  if (output_open(&out, argv[1])) return STATUS_FAILED;
  if (write_page(&s.model, &out)) {
    output_discard(&out);
    return STATUS_FAILED;
  }
  return output_close(&out);
}
