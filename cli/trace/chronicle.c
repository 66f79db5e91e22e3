/* From events to what happened: see chronicle.h. */
#include "chronicle.h"

#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Beside enum state. */
enum { STATE_UNKNOWN = STATES, STATE_ENDED };

struct open_span {
  int64_t from;
  uint32_t name;
};

struct life {
  uint64_t id, object;
  int64_t since;
  struct interval pending; /* a run that ended by PARK or YIELD, as long as it may turn out to go on */
  struct open_span *spans;
  uint32_t depth, span_room;
  uint32_t what, waker;
  uint32_t guest; /* who runs on this thread's stack; NOBODY */
  uint32_t owed;  /* parks that are over and that nobody has said to have ended */
  int64_t owed_since;
  uint32_t loss; /* how many losses there had been when its state was last sure */
  uint16_t worker;
  uint8_t state, reason;
  bool has_pending, token, woken, ran, outside, regained;
};

struct place { /* a worker */
  uint32_t current, last;
  bool seen;
};

struct chronicle {
  const struct listener *l;
  struct life *lives;
  size_t count, room;
  struct table numbers; /* of threads, by id */
  struct place *places; /* by worker */
  int64_t now;
  int64_t from;
  uint32_t loss; /* times that events were lost so far */
  bool in_gap;
  int status; /* of the listener, or of memory */
};

/* ---- Telling ---------------------------------------------------------------------------------------------------- */

#define TELL(c, what, ...) \
  do { \
    if ((c)->l->what && !(c)->status) (c)->status = (c)->l->what((c)->l->of, __VA_ARGS__); \
  } while (0)

static uint32_t number_of(const struct chronicle *c, const struct life *t) {
  return (uint32_t)(t - c->lives);
}

/* That it contradicts itself, unless what was lost can explain it. */
static void contradict(struct chronicle *c, struct life *t, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void contradict(struct chronicle *c, struct life *t, const char *format, ...) {
  if (!c->l->contradiction || c->in_gap || t->loss != c->loss) return;
  char words[200];
  va_list args;
  va_start(args, format);
  vsnprintf(words, sizeof words, format, args);
  va_end(args);
  TELL(c, contradiction, c->now, number_of(c, t), words);
}

static void flush(struct chronicle *c, struct life *t) {
  if (!t->has_pending) return;
  t->has_pending = false;
  TELL(c, interval, &t->pending);
}

/* ---- States ----------------------------------------------------------------------------------------------------- */

static struct place *place_of(struct chronicle *c, uint16_t worker) {
  return worker == NO_WORKER ? NULL : &c->places[worker];
}

/* The state that it is in is over. */
static void leave(struct chronicle *c, struct life *t, enum reason reason) {
  if (t->state < STATES) {
    struct interval i = {.from = t->since,
                         .to = c->now,
                         .thread = number_of(c, t),
                         .worker = t->state == STATE_RUN ? t->worker : NO_WORKER,
                         .state = t->state,
                         .reason = (uint8_t)(t->state == STATE_READY ? t->reason : reason),
                         .waker = NOBODY};
    if (t->state == STATE_BLOCKED) {
      i.object = t->object;
      i.what = t->what;
      i.waker = t->waker;
    }
    flush(c, t);
    bool may_go_on = t->state == STATE_RUN && (reason == REASON_PARK || reason == REASON_YIELD);
    if (may_go_on) {
      t->pending = i;
      t->has_pending = true;
    } else if (t->state == STATE_RUN || i.to > i.from) {
      TELL(c, interval, &i);
    }
  }
  struct place *p = t->state == STATE_RUN ? place_of(c, t->worker) : NULL;
  if (p && p->current == number_of(c, t)) p->current = NOBODY;
}

static void enter(struct chronicle *c, struct life *t, uint8_t state) {
  t->state = state;
  t->since = c->now;
  t->waker = NOBODY;
  t->woken = false;
  if (!c->in_gap) t->loss = c->loss;
}

/* Another thread runs where t did, and t said nothing: its guest, or t's end of run was lost. */
static void displace(struct chronicle *c, struct life *t, uint32_t by) {
  bool sure = !c->in_gap && t->loss == c->loss;
  leave(c, t, sure ? REASON_PARK : REASON_OPEN);
  uint32_t loss = t->loss;
  enter(c, t, sure ? STATE_BLOCKED : STATE_UNKNOWN);
  t->loss = loss;
  t->object = c->lives[by].id;
  t->what = 0;
  t->guest = by;
}

/* It runs on that worker from here on. */
static void run_on(struct chronicle *c, struct life *t, uint16_t worker) {
  struct place *p = place_of(c, worker);
  uint32_t me = number_of(c, t);
  if (p && p->current != NOBODY && p->current != me) displace(c, &c->lives[p->current], me);
  enter(c, t, STATE_RUN);
  t->worker = worker;
  t->ran = true;
  t->token = false;
  t->guest = NOBODY;
  if (!p) return;
  if (p->last != NOBODY && p->last != me) flush(c, &c->lives[p->last]); /* it cannot have gone on there */
  p->seen = true;
  p->current = p->last = me;
}

/* Whether the run that it said to end may have gone on: it is where it was, and nobody was there meanwhile. */
static bool can_go_on(struct chronicle *c, const struct life *t, uint16_t worker) {
  const struct place *p = place_of(c, worker);
  if (!t->has_pending || t->pending.worker != worker) return false;
  return !p || (p->current == NOBODY && p->last == number_of(c, t));
}

static void go_on(struct chronicle *c, struct life *t) {
  struct place *p = place_of(c, t->pending.worker);
  enter(c, t, STATE_RUN);
  t->since = t->pending.from;
  t->worker = t->pending.worker;
  t->has_pending = false;
  if (p) p->current = number_of(c, t);
}

/* Its park is over, and nobody has said to have woken it: somebody had before, or is late to say so. */
static void pay(struct chronicle *c, struct life *t) {
  if (t->token) {
    t->token = false;
  } else if (!c->in_gap && t->loss == c->loss) {
    if (!t->owed) t->owed_since = c->now;
    t->owed++;
  }
}

static const char *const states[] = {
    [STATE_RUN] = "runs",          [STATE_READY] = "waits for a worker", [STATE_BLOCKED] = "is parked",
    [STATE_CALL] = "is in a call", [STATE_UNKNOWN] = "is unknown",       [STATE_ENDED] = "has ended",
};

static void leave_for(struct chronicle *c, struct life *t, enum reason reason, uint8_t state) {
  leave(c, t, reason);
  enter(c, t, state);
  t->reason = (uint8_t)reason;
}

/* ---- Evidence --------------------------------------------------------------------------------------------------- */

/* A blocked thread that is run on that worker, where `last` had run: who, or what, ended its wait? */
static void end_park(struct chronicle *c, struct life *t, uint32_t last) {
  uint32_t guest = t->guest;
  if (guest == NOBODY && last != NOBODY && c->lives[last].id == t->object) guest = last;
  if (guest == NOBODY) {
    pay(c, t);
    return;
  }
  t->waker = guest;
  if (c->lives[guest].state != STATE_ENDED)
    contradict(c, t, "goes on although the thread that took its worker has not ended");
}

static void resume(struct chronicle *c, struct life *t, uint16_t worker) {
  const struct place *p = place_of(c, worker);
  switch (t->state) {
  case STATE_RUN:
    if (t->worker == worker) return;
    contradict(c, t, "is run on worker %u while it runs on worker %u", worker, t->worker);
    break;
  case STATE_BLOCKED:
    end_park(c, t, p ? p->last : NOBODY);
    if (t->waker == NOBODY && can_go_on(c, t, worker)) {
      go_on(c, t);
      return;
    }
    break;
  case STATE_CALL: contradict(c, t, "is run without having asked for a worker after its call"); break;
  case STATE_ENDED: contradict(c, t, "is run after its end"); break;
  default: break;
  }
  leave(c, t, REASON_OPEN);
  t->outside = t->outside && worker == NO_WORKER;
  run_on(c, t, worker);
}

/* What it did shows that it runs; it was not known to. */
static void appear(struct chronicle *c, struct life *t, uint16_t worker) {
  const struct place *p = place_of(c, worker);
  /* Whom the trace meets on a worker that nobody was seen to take has had it from the beginning. */
  bool from_the_beginning = p && !p->seen && !c->loss && !c->in_gap;
  run_on(c, t, worker);
  if (from_the_beginning) t->since = c->from;
}

/* It did something that only a running thread does. */
static void act(struct chronicle *c, struct life *t, uint16_t worker) {
  if (worker == NO_WORKER && !t->ran) t->outside = true;
  if (t->state == STATE_RUN && (worker == NO_WORKER || worker == t->worker)) return;
  if (t->state == STATE_ENDED) return; /* its last rites */
  if (t->state == STATE_UNKNOWN) {
    appear(c, t, worker);
    return;
  }
  if (t->state == STATE_BLOCKED || t->state == STATE_READY) {
    bool parked = t->state == STATE_BLOCKED && t->guest == NOBODY;
    if (can_go_on(c, t, worker)) {
      if (parked) pay(c, t);
      go_on(c, t);
      return;
    }
  }
  if (t->state == STATE_RUN)
    contradict(c, t, "does something on worker %u while it runs on worker %u", worker, t->worker);
  else
    contradict(c, t, "does something while it %s", states[t->state]);
  leave(c, t, REASON_OPEN);
  run_on(c, t, worker);
}

/* ---- Spans ------------------------------------------------------------------------------------------------------ */

static void begin_span(struct chronicle *c, struct life *t, uint32_t name) {
  if (t->depth == t->span_room) {
    uint32_t room = t->span_room ? t->span_room * 2 : 4;
    struct open_span *more = reallocarray(t->spans, room, sizeof *more);
    if (!more) {
      c->status = fail("no memory");
      return;
    }
    t->spans = more;
    t->span_room = room;
  }
  t->spans[t->depth++] = (struct open_span){c->now, name};
}

/* One that began before the trace did is not told: its name is not known. */
static void end_span(struct chronicle *c, struct life *t, bool open) {
  if (!t->depth) return;
  const struct open_span *o = &t->spans[--t->depth];
  struct span s = {o->from, c->now, number_of(c, t), t->depth, o->name, open};
  TELL(c, span, &s);
}

static void end_spans(struct chronicle *c, struct life *t) {
  while (t->depth) end_span(c, t, true);
  free(t->spans);
  t->spans = NULL;
  t->span_room = 0;
}

/* ---- Threads ---------------------------------------------------------------------------------------------------- */

/* The record of that id; NULL for none, and after a message in c->status. The table of records may move. */
static struct life *life_of(struct chronicle *c, uint64_t id, uint32_t creator) {
  if (!id) return NULL;
  uint32_t n = table_get(&c->numbers, id);
  if (n != TABLE_NONE) return &c->lives[n];
  if (c->count >= NOBODY || !make_room(&c->lives, &c->room, c->count, sizeof *c->lives) ||
      !table_add(&c->numbers, id, (uint32_t)c->count)) {
    c->status = fail("no memory for so many threads");
    return NULL;
  }
  struct life *t = &c->lives[c->count];
  *t = (struct life){.id = id, .state = STATE_UNKNOWN, .waker = NOBODY, .guest = NOBODY, .loss = c->loss};
  TELL(c, thread, (uint32_t)c->count, id, creator, c->now);
  c->count++;
  return t;
}

static void spawn(struct chronicle *c, const struct thrumi_event *e, struct life *by) {
  uint32_t creator = by ? number_of(c, by) : NOBODY;
  if (by) act(c, by, e->worker);
  struct life *t = life_of(c, e->object, creator);
  if (!t) return;
  if (t->state != STATE_UNKNOWN) {
    contradict(c, t, "is born, and was there already");
    return;
  }
  enter(c, t, STATE_READY);
  t->reason = REASON_OPEN;
}

static void unpark(struct chronicle *c, const struct thrumi_event *e, struct life *by) {
  uint32_t waker = by ? number_of(c, by) : NOBODY;
  if (by && by->state == STATE_UNKNOWN) act(c, by, e->worker);
  struct life *t = life_of(c, e->object, NOBODY);
  if (!t || t->state == STATE_ENDED) return;
  if (t->owed) {
    t->owed--;
    return;
  }
  if (t->state == STATE_READY && t->woken) {
    contradict(c, t, "is woken twice from one wait");
    return;
  }
  if (t->state != STATE_BLOCKED && t->state != STATE_UNKNOWN) {
    t->token = true;
    return;
  }
  t->waker = waker;
  if (t->outside) {
    leave(c, t, REASON_OPEN);
    run_on(c, t, NO_WORKER);
    return;
  }
  leave_for(c, t, REASON_PARK, STATE_READY);
  t->woken = true;
}

static void park(struct chronicle *c, const struct thrumi_event *e, struct life *t) {
  act(c, t, e->worker);
  if (t->state == STATE_ENDED) return;
  leave_for(c, t, REASON_PARK, STATE_BLOCKED);
  t->object = e->object;
  t->what = e->detail;
}

static void give_up_worker(struct chronicle *c, const struct thrumi_event *e, struct life *t,
                           enum reason reason) {
  act(c, t, e->worker);
  if (t->state != STATE_ENDED) leave_for(c, t, reason, STATE_READY);
}

/* The monitor says so, and may be slower than the thread that is back from its call. */
static void lease(struct chronicle *c, struct life *t) {
  if (t->regained) {
    t->regained = false;
    return;
  }
  if (t->state != STATE_RUN && t->state != STATE_UNKNOWN)
    contradict(c, t, "loses its worker in a call while it %s", states[t->state]);
  leave_for(c, t, REASON_CALL, STATE_CALL);
}

static void regain(struct chronicle *c, struct life *t) {
  if (t->state == STATE_RUN)
    t->regained = true;
  else if (t->state != STATE_CALL && t->state != STATE_UNKNOWN)
    contradict(c, t, "is back from a call while it %s", states[t->state]);
  leave_for(c, t, REASON_CALL, STATE_READY);
}

static void end(struct chronicle *c, const struct thrumi_event *e, struct life *t) {
  if (t->state == STATE_ENDED) {
    contradict(c, t, "ends twice");
    return;
  }
  bool never_ran = t->state == STATE_READY && !t->ran; /* an offer of work that was taken back */
  if (!never_ran) act(c, t, e->worker);
  leave(c, t, REASON_END);
  flush(c, t);
  t->state = STATE_ENDED;
  end_spans(c, t);
  TELL(c, ended, number_of(c, t), c->now);
}

/* ---- Events ----------------------------------------------------------------------------------------------------- */

static void take_user(struct chronicle *c, const struct thrumi_event *e, struct life *t) {
  if (t) act(c, t, e->worker);
  if (t && e->kind == THRUMI_EVENT_SPAN_BEGIN) begin_span(c, t, e->detail);
  if (t && e->kind == THRUMI_EVENT_SPAN_END) end_span(c, t, false);
}

/* Of a thread of its own. False: of no kind that says something of a thread's state. */
static bool take_state(struct chronicle *c, const struct thrumi_event *e, struct life *t) {
  switch (e->kind) {
  case THRUMI_EVENT_RUN: resume(c, t, e->worker); return true;
  case THRUMI_EVENT_YIELD: give_up_worker(c, e, t, REASON_YIELD); return true;
  case THRUMI_EVENT_PREEMPT: give_up_worker(c, e, t, REASON_PREEMPT); return true;
  case THRUMI_EVENT_PARK: park(c, e, t); return true;
  case THRUMI_EVENT_LEASE: lease(c, t); return true;
  case THRUMI_EVENT_REGAIN: regain(c, t); return true;
  case THRUMI_EVENT_END: end(c, e, t); return true;
  default: return false;
  }
}

static void take_other(struct chronicle *c, const struct thrumi_event *e, struct life *t,
                       struct chronicle_summary *summary) {
  switch (e->kind) {
  case THRUMI_EVENT_SPAWN: spawn(c, e, t); break;
  case THRUMI_EVENT_UNPARK: unpark(c, e, t); break;
  case THRUMI_EVENT_STEAL:
  case THRUMI_EVENT_TIMER:
  case THRUMI_EVENT_IO:            /* by whoever polls: no thread, or one that is about to sleep */
  case THRUMI_EVENT_RETURN: break; /* main's; another thread may end the program for it */
  case THRUMI_EVENT_ACQUIRE:
  case THRUMI_EVENT_RELEASE:
  case THRUMI_EVENT_QUEUE_PUT:
  case THRUMI_EVENT_QUEUE_GET:
  case THRUMI_EVENT_HANDOFF:
  case THRUMI_EVENT_SPAN_BEGIN:
  case THRUMI_EVENT_SPAN_END:
  case THRUMI_EVENT_COUNTER:
  case THRUMI_EVENT_MARK: take_user(c, e, t); break;
  default: summary->unknown++; break;
  }
}

static void take(struct chronicle *c, const struct thrumi_event *e, struct chronicle_summary *summary) {
  struct life *t = life_of(c, e->thread, NOBODY);
  uint32_t number = t ? number_of(c, t) : NOBODY;
  if (!t || !take_state(c, e, t)) take_other(c, e, t, summary);
  TELL(c, event, e, number);
}

/* Parks that are over and that nobody has ended up to the end of the trace. */
static void complain_of_debts(struct chronicle *c) {
  int64_t to = c->now;
  for (size_t i = 0; i < c->count && !c->status; i++) {
    struct life *t = &c->lives[i];
    if (!t->owed) continue;
    c->now = t->owed_since;
    t->loss = c->loss; /* a park counts only while its thread's state is sure */
    contradict(c, t, "went on after a wait that nobody had ended");
  }
  c->now = to;
}

/* What is open ends with the trace. */
static void finish(struct chronicle *c) {
  for (size_t i = 0; i < c->count && !c->status; i++) {
    struct life *t = &c->lives[i];
    leave(c, t, REASON_OPEN);
    flush(c, t);
    t->state = STATE_UNKNOWN;
    end_spans(c, t);
  }
}

static void note_loss(struct chronicle *c, bool in_gap) {
  if (c->in_gap && !in_gap) c->loss++;
  c->in_gap = in_gap;
}

static int tell(struct chronicle *c, struct trace *t, struct chronicle_summary *summary) {
  struct thrumi_event e;
  int more = 0;
  bool any = false;
  while (!c->status && (more = trace_next(t, &e)) > 0) {
    note_loss(c, trace_in_gap(t));
    if (!any) summary->from = c->from = t->header.began <= e.time ? t->header.began : e.time;
    any = true;
    c->now = e.time;
    take(c, &e, summary);
  }
  if (!any) summary->from = c->from = c->now = t->header.began;
  if (c->status || more < 0) return STATUS_FAILED;
  summary->to = c->now;
  if (!t->lost_last && !t->cut && !t->lost) complain_of_debts(c);
  finish(c);
  return c->status;
}

int chronicle_tell(struct trace *t, const struct listener *l, struct chronicle_summary *summary) {
  struct chronicle c = {.l = l};
  *summary = (struct chronicle_summary){0};
  c.places = malloc(NO_WORKER * sizeof *c.places);
  if (!c.places) return fail("%s: no memory", t->path);
  for (int i = 0; i < NO_WORKER; i++) c.places[i] = (struct place){.current = NOBODY, .last = NOBODY};
  int status = tell(&c, t, summary);
  for (size_t i = 0; i < c.count; i++) free(c.lives[i].spans);
  free(c.lives);
  free(c.places);
  table_free(&c.numbers);
  return status;
}
