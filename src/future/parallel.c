/* Parallel loops and reductions.
 *
 * The range is counted in *units* (one index, or as many as make 32 bits suffice). Each *participant*, the caller and the helpers of its
 * crew (crew.h), has a *place* with the range that is left to it. It claims a *step* off its lower end, calls the function
 * for that, and measures it: the next step is larger or smaller, so that each lasts some 20 us, and never more than an
 * eighth of what is left. When its range is empty it steals the upper half of the largest one there is; when all are empty it
 * leaves. Between two steps a participant whose range is worth it calls another helper if a worker has nothing to do.
 *
 *   place's range   who changes it
 *   next, end       its participant raises `next` (claims), by compare-and-swap
 *                   a thief, with the loop's lock, lowers `end`, by compare-and-swap
 *   0, 0            the place is free, or its participant has been told to stop: it stores that
 *                   its participant stores a new range when it is empty, with the loop's lock: what it has stolen, but for
 *                   the first unit, which it has claimed thereby
 *
 *  - Each unit is claimed once: it is in one range, and leaves it by one compare-and-swap. (The same range never comes back, for its
 *    first unit is claimed or has moved; and if it did, that swap would still be right.)
 *  - Whoever steals claims, so each theft gets something done. (Were the last unit stolen only, and claimed later, two could
 *    steal it from each other for ever: the model found that.)
 *  - With the lock held each unit that was not claimed is in one range. So who looks at all ranges then, and finds nothing, knows
 *    that all has been claimed, and need not look again. When all participants have left everything is done.
 *
 * Failures. `failed` holds the first unit of the lowest step that failed, and its error below; all ones: none did. It only sinks. A
 * step that lies at it or above, claimed when it is seen, is not run. So each step below its last value was run and did not fail,
 * whatever the others did: what is returned is what a plain loop would have returned.
 *
 * Reductions. What a participant folds between two thefts is a *segment*: indices side by side. Segments are a list in the order
 * of their indices; a thief's comes right behind its victim's, whose rest it took. A segment that is over is combined with its
 * neighbours if these are over and idle. Its participant does so outside of the lock: it is *busy*, so nobody else touches it.
 *
 *  - Two neighbours that are not busy are never left: who finishes looks at both sides until both are busy. So there are at most
 *    twice as many busy ones as participants (one more while it combines), and one idle one between each two.
 *  - The first one's accumulator is the result; it is only ever a left side. When all have left it is the only one.
 *
 * The lock is a thrum_lock: who holds it may be preempted. Nothing of the user's runs under it.
 *
 * Before its first step nobody knows what a loop costs. To wake a worker takes some 5 us, more than many a loop; to leave it
 * asleep may double the time of a loop of few long iterations. So a helper is offered, as any new thread is: whether a worker is woken
 * for it is what the scheduler has learnt of threads in general, one that has nothing to do anyway takes it at once, and for one that lies
 * for a millisecond the monitor sees to it.
 *
 * Rejected: lazy binary splitting (Tzannes et al., 2010), where a participant puts the upper half of its range on the queue
 * whenever nothing of its own lies there. What lies behind a long iteration cannot be had by others until that ends; what lies on a queue
 * while all are busy makes the monitor preempt who put it there; accumulators, frames and joins nest log n deep. A piece for
 * each step on the queue (a spawn each). A range in shared steps off one counter (guided schedules): its line of the cache goes to and fro,
 * and neighbouring steps go to different participants, so a reduction has as many accumulators as steps. */
#include "crew.h"

#include <sched/await.h>
#include <sched/object.h>
#include <sched/self.h>
#include <string.h>
#include <thrum/parallel.h>
#include <thrum/sync/lock.h>

enum {
  STEP_NS = 20000,          /* how long a step should take */
  WORTH_CALLING_NS = 50000, /* ... and what is left of a range, for another helper */
  STEPS_LEFT = 8,           /* a step is at most this part of what is left */
  LINE = 64,                /* bytes of a line of the cache */
  MORE_PLACES = 4,          /* for workers that come while it runs */
};
#define STEP_MOST (UINT32_C(1) << 30)
#define NONE_FAILED UINT64_MAX

struct segment {
  struct segment *prev, *next;
  void *accumulator;
  bool busy; /* somebody folds or combines it */
};

struct place {
  _Alignas(LINE) _Atomic uint64_t range; /* next above, end below */
  struct segment *segment;               /* of its participant; with the lock */
  bool taken;                            /* with the lock */
};

/* What helpers need: one block, which begins with the crew. */
struct team {
  struct thrumi_crew crew;
  struct place *places;
};

struct loop {
  thrum_range_fn *fn;
  const thrum_reduction *how; /* NULL: a loop without accumulators */
  void *arg;
  size_t begin, end, unit;
  uint32_t units;
  _Atomic uint64_t failed;
  _Atomic bool cancelled;
  _Atomic bool left_out; /* something was, for cancellation or a failure */
  thrum_lock lock;
  struct segment *free; /* segments; with the lock */
  struct segment first;
  struct place own;  /* the caller's */
  struct team *team; /* NULL: nobody was called yet */
};

/* ---- Ranges ------------------------------------------------------------------------------------------- */

struct span {
  uint32_t from, to;
};

static uint64_t range_of(uint32_t next, uint32_t end) { return (uint64_t)next << 32 | end; }

static struct span span_of(uint64_t range) { return (struct span){(uint32_t)(range >> 32), (uint32_t)range}; }

static uint32_t left_of(uint64_t range) { return (uint32_t)range - (uint32_t)(range >> 32); }

/* Takes at most `most` units off a range. False: it is empty. */
static bool take(_Atomic uint64_t *range, uint32_t most, struct span *out) {
  uint64_t seen = thrumi_load(range);
  do {
    uint32_t left = left_of(seen), part = left / STEPS_LEFT + 1;
    if (!left) return false;
    *out = span_of(seen);
    out->to = out->from + (most < part ? most : part);
  } while (!thrumi_cas(range, &seen, range_of(out->to, (uint32_t)seen)));
  return true;
}

/* Takes the upper half of a range. */
static bool halve(_Atomic uint64_t *range, struct span *out) {
  uint64_t seen = thrumi_load(range);
  do {
    if (!left_of(seen)) return false;
    *out = span_of(seen);
    out->from += left_of(seen) / 2;
  } while (!thrumi_cas(range, &seen, range_of((uint32_t)(seen >> 32), out->from)));
  return true;
}

/* Whether a participant may begin a step that it has claimed. Else it stops, and what it has left is left out. */
static bool may_begin(struct loop *l, struct place *p, uint32_t unit) {
  if (thrumi_likely(unit < thrumi_load(&l->failed) >> 32 && !thrumi_load_relaxed(&l->cancelled))) return true;
  thrumi_swap(&p->range, 0);
  thrumi_store(&l->left_out, true);
  return false;
}

/* ---- Segments: all of it with the lock; ThreadSanitizer is told of accumulators alone ------------------------- */

static void link_behind(struct segment *left, struct segment *s) {
  s->prev = left;
  s->next = left->next;
  if (s->next) s->next->prev = s;
  left->next = s;
}

static void begin_segment(struct loop *l, struct place *thief, struct segment *victim) {
  struct segment *s = l->free;
  l->free = s->next;
  s->busy = true;
  thrumi_rely_on(s->accumulator);
  if (l->how->identity)
    memcpy(s->accumulator, l->how->identity, l->how->size);
  else
    memset(s->accumulator, 0, l->how->size);
  link_behind(victim, s);
  thief->segment = s;
}

/* Combines `right`, which is taken off the list, with `left`; both are the caller's. */
static void combine(struct loop *l, struct segment *left, struct segment *right) {
  left->next = right->next;
  if (right->next) right->next->prev = left;
  left->busy = true;
  thrum_lock_release(&l->lock);
  thrumi_rely_on(left->accumulator);
  thrumi_rely_on(right->accumulator);
  l->how->combine(left->accumulator, right->accumulator, l->arg);
  thrumi_announce(right->accumulator);
  thrum_lock_acquire(&l->lock);
  right->next = l->free;
  l->free = right;
}

static void finish_segment(struct loop *l, struct place *p) {
  struct segment *s = p->segment;
  for (;;) {
    if (s->next && !s->next->busy) {
      combine(l, s, s->next);
    } else if (s->prev && !s->prev->busy) {
      s = s->prev;
      combine(l, s, s->next);
    } else {
      break;
    }
  }
  thrumi_announce(s->accumulator);
  s->busy = false;
  p->segment = NULL;
}

/* ---- Stealing --------------------------------------------------------------------------------------------- */

static struct place *larger(struct place *a, struct place *b) {
  return !a || left_of(thrumi_load(&b->range)) > left_of(thrumi_load(&a->range)) ? b : a;
}

/* With the lock: the upper half of the largest range becomes the thief's, and its first unit a step of the thief's, so that
 * two cannot steal the last one from each other for ever. False: all are empty. */
static bool steal(struct loop *l, struct place *thief, struct span *first) {
  struct span span;
  for (;;) {
    struct place *victim = &l->own;
    for (uint32_t i = 0; l->team && i < l->team->crew.places; i++)
      victim = larger(victim, &l->team->places[i]);
    if (!left_of(thrumi_load(&victim->range))) return false;
    if (!halve(&victim->range, &span)) continue;
    if (l->how) begin_segment(l, thief, victim->segment);
    *first = (struct span){span.from, span.from + 1};
    thrumi_store(&thief->range, range_of(first->to, span.to));
    return true;
  }
}

/* ---- Helpers ------------------------------------------------------------------------------------------------- */

static void help(void *job);

static size_t rounded(size_t size) { return (size + LINE - 1) / LINE * LINE; }

/* How many segments there may be beside the first: see the head. */
static size_t segments_for(const struct loop *l, size_t places) { return l->how ? 4 * places + 4 : 0; }

/* Lays out the block; each part begins with a line of the cache. */
static void lay_out(struct loop *l, struct team *team, uint32_t places) {
  char *at = (char *)rounded((uintptr_t)(team + 1));
  *team = (struct team){.crew = {.places = places, .help = help, .job = l}, .places = (struct place *)at};
  memset(team->places, 0, places * sizeof *team->places);
  struct segment *segments = (struct segment *)(team->places + places);
  size_t n = segments_for(l, places);
  at = (char *)segments + rounded(n * sizeof *segments);
  for (size_t i = 0; i < n; i++, at += rounded(l->how->size)) {
    segments[i] = (struct segment){.next = l->free, .accumulator = at};
    l->free = &segments[i];
  }
}

/* By the caller, who is alone. False: there is no memory for it. */
static bool form_team(struct loop *l) {
  uint32_t places = thrumi_load_relaxed(&thrumi_sched.workers) + MORE_PLACES;
  size_t n = segments_for(l, places), size = l->how ? l->how->size : 0, segments;
  size_t rest = sizeof(struct team) + 2 * LINE + places * sizeof(struct place) + n * sizeof(struct segment);
  if (size > SIZE_MAX / 2 || __builtin_mul_overflow(n, rounded(size), &segments) || segments > SIZE_MAX / 2)
    return false;
  struct team *team = thrumi_os.allocate(rest + segments);
  if (!team) return false;
  lay_out(l, team, places);
  l->team = team;
  return true;
}

/* A team may be missing because there was one worker when the loop began. */
static void call_helper(struct loop *l, bool caller) {
  if (l->team || (thrumi_load_relaxed(&thrumi_sched.workers) > 1 && form_team(l)))
    thrumi_crew_call(&l->team->crew, caller);
}

/* There is one: no more helpers enter than there are places. */
static struct place *take_place(struct loop *l) {
  struct place *p = l->team->places;
  while (p->taken) p++;
  p->taken = true;
  return p;
}

/* ---- Working ------------------------------------------------------------------------------------------------- */

/* Keeps the lowest failure. */
static void fail(struct loop *l, uint32_t unit, int error) {
  uint64_t failure = (uint64_t)unit << 32 | (uint32_t)error, seen = thrumi_load(&l->failed);
  while (failure >> 32 < seen >> 32 && !thrumi_cas(&l->failed, &seen, failure)) {
  }
}

static void run(struct loop *l, struct place *p, struct span s) {
  size_t begin = l->begin + s.from * l->unit, end = s.to == l->units ? l->end : l->begin + s.to * l->unit;
  int result = l->how ? l->how->fold(begin, end, p->segment->accumulator, l->arg) : l->fn(begin, end, l->arg);
  if (thrumi_unlikely(result < 0)) fail(l, s.from, result);
}

/* How large the next step is, if n units took so long. */
static uint32_t next_step(uint32_t n, int64_t took) {
  if (took < STEP_NS / 2) return n < STEP_MOST ? n * 2 : n;
  if (took <= STEP_NS * 2) return n;
  int64_t fit = (int64_t)n * STEP_NS / took;
  return fit ? (uint32_t)fit : 1;
}

static bool is_worth_calling(const struct place *p, uint32_t n, int64_t took) {
  return (double)left_of(thrumi_load_relaxed(&p->range)) * (double)took >= (double)WORTH_CALLING_NS * n;
}

/* Works at its range, step by step; the first one, s, is claimed. `caller`: it is the loop's. */
static void work_off(struct loop *l, struct place *p, struct span s, bool caller) {
  uint32_t step = 1;
  int64_t at = thrumi_os.now();
  do {
    if (!may_begin(l, p, s.from)) return;
    run(l, p, s);
    int64_t now = thrumi_os.now();
    step = next_step(s.to - s.from, now - at);
    if (caller && thrumi_unlikely(thrumi_poll_failed() == -ECANCELED)) thrumi_store(&l->cancelled, true);
    if (is_worth_calling(p, s.to - s.from, now - at)) call_helper(l, caller);
    at = now;
  } while (take(&p->range, step, &s));
}

/* What the caller does, and a helper that has a range, from a step on that is claimed. */
static void work(struct loop *l, struct place *p, struct span first, bool caller) {
  bool more;
  do {
    work_off(l, p, first, caller);
    thrum_lock_acquire(&l->lock);
    if (l->how) finish_segment(l, p);
    more = steal(l, p, &first);
    thrum_lock_release(&l->lock);
  } while (more);
}

static void help(void *job) {
  struct loop *l = job;
  thrum_lock_acquire(&l->lock);
  struct place *p = take_place(l);
  struct span first;
  bool some = steal(l, p, &first);
  thrum_lock_release(&l->lock);
  if (some) work(l, p, first, false);
  thrum_lock_acquire(&l->lock);
  p->taken = false;
  thrum_lock_release(&l->lock);
}

/* ---- The whole ---------------------------------------------------------------------------------------------------- */

static int outcome(struct loop *l) {
  uint64_t failed = thrumi_load(&l->failed);
  if (failed != NONE_FAILED) return (int)(uint32_t)failed;
  return thrumi_load(&l->left_out) ? -ECANCELED : 0;
}

/* Nobody but the caller is there yet, who is returned. */
static struct thrumi_thread *offer_part(struct loop *l) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *me = k->current;
  uint32_t limit = thrumi_crew_limit(k, 1);
  thrumi_leave(k);
  if (limit && l->units > 1 && form_team(l)) thrumi_crew_offer(&l->team->crew);
  return me;
}

static int run_loop(struct loop *l) {
  size_t n = l->end - l->begin;
  l->unit = n / UINT32_MAX + 1;
  l->units = (uint32_t)(n / l->unit + (n % l->unit != 0));
  thrumi_store_relaxed(&l->failed, NONE_FAILED);
  thrumi_store_relaxed(&l->own.range, range_of(1, l->units)); /* the first step is the caller's */
  if (thrumi_poll_failed() == -ECANCELED) thrumi_store(&l->cancelled, true);
  struct thrumi_thread *me = offer_part(l);
  bool in_loop = me->in_loop;
  me->in_loop = true;
  work(l, &l->own, (struct span){0, 1}, true);
  me->in_loop = in_loop;
  if (l->team) {
    thrumi_crew_wait(&l->team->crew);
    thrumi_crew_dismiss(&l->team->crew);
  }
  thrumi_object_forget(&l->lock); /* another lock may come to lie where it lay */
  return outcome(l);
}

int thrum_parallel_for(size_t begin, size_t end, thrum_range_fn *fn, void *arg) {
  if (!fn || begin > end) return -EINVAL;
  if (begin == end) return 0;
  struct loop l = {.fn = fn, .arg = arg, .begin = begin, .end = end};
  return run_loop(&l);
}

int thrum_parallel_reduce(size_t begin, size_t end, const thrum_reduction *how, void *arg, void *result) {
  if (begin > end || !how || !how->size || !how->fold || !how->combine || !result) return -EINVAL;
  if (how->identity)
    memcpy(result, how->identity, how->size);
  else
    memset(result, 0, how->size);
  if (begin == end) return 0;
  struct loop l = {.how = how, .arg = arg, .begin = begin, .end = end};
  l.first = (struct segment){.accumulator = result, .busy = true};
  l.own.segment = &l.first;
  return run_loop(&l);
}

struct items {
  char *first;
  size_t size;
  int (*fn)(void *item, void *arg);
  void *arg;
};

static int each_of(size_t begin, size_t end, void *arg) {
  const struct items *items = arg;
  int result = 0;
  for (size_t i = begin; i < end && result >= 0; i++)
    result = items->fn(items->first + i * items->size, items->arg);
  return result < 0 ? result : 0;
}

int thrum_parallel_each(void *items, size_t n, size_t item_size, int (*fn)(void *item, void *arg),
                        void *arg) {
  if (!fn || !item_size || (!items && n) || n > PTRDIFF_MAX / item_size) return -EINVAL;
  if (!n) return 0;
  struct items all = {items, item_size, fn, arg};
  struct loop l = {.fn = each_of, .arg = &all, .begin = 0, .end = n};
  return run_loop(&l);
}
