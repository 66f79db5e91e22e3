#include <core/parking.h>
#include <sched/self.h>
#include <sched/waits.h>
#include <string.h>

enum { HOPS = 64 }; /* that a thread looks ahead itself, before it parks */

static bool is_waiting(uint64_t word) {
  enum thrumi_wait_state state = thrumi_wait_state(word);
  return state == THRUMI_WAIT_ARMED || state == THRUMI_WAIT_PARKED;
}

/* The wait that the word was read in has not ended, nor become another thread's. */
static bool lasts(struct thrumi_thread *t, uint64_t word) {
  uint64_t now = thrumi_load(&t->wait);
  return now / THRUMI_WAIT_STATES == word / THRUMI_WAIT_STATES && is_waiting(now) == is_waiting(word);
}

/* Everything but whom it points at. */
static bool read_wait(struct thrumi_thread *t, struct thrumi_look *out) {
  *out = (struct thrumi_look){.thread = t, .word = thrumi_load(&t->wait), .handle = thrumi_handle(t).value};
  bool hosts =
      thrumi_wait_state(out->word) == THRUMI_WAIT_NONE && thrumi_load_relaxed(&t->state) == THRUMI_WAITING;
  if (!is_waiting(out->word) && !hosts) return false;
  out->parked = hosts || thrumi_wait_state(out->word) == THRUMI_WAIT_PARKED;
  out->what = thrumi_load(&t->waits_for);
  out->object = thrumi_load_relaxed(&t->waits_on);
  out->how = thrumi_load_relaxed(&t->waits_how);
  out->since = thrumi_load_relaxed(&t->waits_since);
  atomic_thread_fence(memory_order_acquire); /* with the one in thrumi_arm */
  if (hosts != !!(out->how & THRUMI_HOSTS)) return false;
  return out->what && out->what == thrumi_load(&t->waits_for) && lasts(t, out->word);
}

/* The mark in the object, if the wait still lasts. */
static uint32_t read_mark(const struct thrumi_look *l) {
  struct thrumi_thread *t = l->thread;
  const void *address = thrumi_load(&t->waits_at);
  struct thrumi_bucket *bucket = thrumi_bucket_lock(address);
  bool there = lasts(t, l->word) && thrumi_load(&t->waits_at) == address &&
               thrumi_load(&t->waits_for) == l->what && thrumi_load_relaxed(&t->waits_on) == l->object;
  uint32_t mark =
      there ? (uint32_t)(__atomic_load_n((const uint64_t *)l->object, __ATOMIC_ACQUIRE) >> 32) : 0;
  thrumi_bucket_unlock(bucket);
  return mark;
}

struct thrumi_thread *thrumi_marked(uint32_t mark) {
  struct thrumi_thread *t = mark ? thrumi_record((uint32_t)THRUMI_FLAGS(mark)) : NULL;
  return t && thrumi_mark_of(t) == mark ? t : NULL;
}

/* The thread, unless it has ended. */
static struct thrumi_thread *unended(uint64_t handle) {
  uint64_t life;
  struct thrumi_thread *t = thrumi_lookup((thrum_thread){handle}, &life);
  return t && !(THRUMI_FLAGS(life) & THRUMI_FINISHED) ? t : NULL;
}

static void follow(struct thrumi_look *l) {
  if (l->how & THRUMI_HELD) {
    l->mark = read_mark(l);
    l->next = thrumi_marked(l->mark);
    if (l->next) l->next = unended(thrumi_handle(l->next).value);
  } else if (l->how & THRUMI_THREAD) {
    l->next = unended((uint64_t)(uintptr_t)l->object);
    if (l->how & THRUMI_HOSTS && l->next && thrumi_load_relaxed(&l->next->guest_of) != l->thread)
      l->next = NULL;
  }
}

bool thrumi_look_at(struct thrumi_thread *t, struct thrumi_look *out) {
  if (!read_wait(t, out)) return false;
  follow(out);
  return true;
}

/* A look that points at another thread, and has no deadline. */
static bool arrow(struct thrumi_thread *t, struct thrumi_look *out) {
  return thrumi_look_at(t, out) && !(out->how & THRUMI_TIMED) && out->next;
}

/* ---- Before parking --------------------------------------------------------------------------------------------------- */

/* A look without a lock: most holders run, or wait for something else. */
bool thrumi_may_point(struct thrumi_thread *t) {
  if (!is_waiting(thrumi_load(&t->wait)) && thrumi_load_relaxed(&t->state) != THRUMI_WAITING) return false;
  return thrumi_load_relaxed(&t->waits_how) & (THRUMI_HELD | THRUMI_THREAD);
}

/* The caller's own object is there. */
static struct thrumi_thread *own_next(struct thrumi_thread *me) {
  const void *object = thrumi_load_relaxed(&me->waits_on);
  if (!(thrumi_load_relaxed(&me->waits_how) & THRUMI_HELD)) return unended((uint64_t)(uintptr_t)object);
  return thrumi_marked((uint32_t)(__atomic_load_n((const uint64_t *)object, __ATOMIC_RELAXED) >> 32));
}

/* The fence stands between the caller's wait being armed and its looks at others. Of threads that close a cycle at
 * the same time, the last one to pass it sees the waits of all others. */
bool thrumi_closes_cycle(struct thrumi_thread *me) {
  atomic_thread_fence(memory_order_seq_cst);
  struct thrumi_thread *t = own_next(me);
  if (t == me) return true;
  if (!t || !thrumi_may_point(t)) return false;
  struct thrumi_thread *mile = t;
  struct thrumi_look look;
  for (int n = 1; n < HOPS; n++) {
    if (!arrow(t, &look)) return false;
    t = look.next;
    if (t == me) return true;
    if (t == mile) return false; /* a cycle of others */
    if (!(n & (n - 1))) mile = t;
  }
  return true; /* too far to say: who looks into it later has the time */
}

/* ---- Cycles ----------------------------------------------------------------------------------------------------------- */

static bool look_from_outside(struct thrumi_thread *t, struct thrumi_look *out) {
  struct thrumi_kthread *k = thrumi_enter();
  bool points = arrow(t, out);
  thrumi_leave(k);
  return points;
}

/* One more place at the end; NULL: no memory. */
static struct thrumi_look *place_for_one(struct thrumi_cycle *cycle) {
  if (cycle->count < cycle->room) return &cycle->of[cycle->count++];
  size_t room = cycle->room ? 2 * cycle->room : 8;
  struct thrumi_look *more = thrumi_os.allocate(room * sizeof *more);
  if (!more) return NULL;
  if (cycle->count) memcpy(more, cycle->of, cycle->count * sizeof *more);
  if (cycle->of) thrumi_os.free(cycle->of);
  cycle->of = more;
  cycle->room = room;
  return &cycle->of[cycle->count++];
}

/* Follows t until it comes back. The path may run into a cycle that t is no part of: `mile` waits for it there, at places twice
 * as far each time (Brent's way). */
static bool collect(struct thrumi_thread *t, struct thrumi_cycle *out) {
  struct thrumi_thread *mile = NULL, *at = t;
  for (size_t steps = 0, lap = 1;;) {
    struct thrumi_look *look = place_for_one(out);
    if (!look || !look_from_outside(at, look)) return false;
    at = look->next;
    if (at == t) return true;
    if (at == mile) return false;
    if (++steps < lap) continue;
    mile = at;
    lap *= 2;
    steps = 0;
  }
}

bool thrumi_cycle_from(struct thrumi_thread *t, struct thrumi_cycle *out) {
  *out = (struct thrumi_cycle){.exact = true, .parked = true};
  if (!collect(t, out)) {
    thrumi_cycle_free(out);
    return false;
  }
  for (size_t i = 0; i < out->count; i++) {
    const struct thrumi_look *look = &out->of[i];
    out->exact &= thrumi_is_exact(look);
    out->parked &= look->parked;
    if (look->since > out->youngest) out->youngest = look->since;
  }
  return true;
}

bool thrumi_cycle_holds(const struct thrumi_cycle *cycle) {
  for (size_t i = 0; i < cycle->count; i++) {
    const struct thrumi_look *then = &cycle->of[i];
    struct thrumi_look now;
    if (!look_from_outside(then->thread, &now)) return false;
    if (now.word != then->word || now.handle != then->handle || now.next != then->next) return false;
    if (now.object != then->object || now.how != then->how) return false;
  }
  return true;
}

void thrumi_cycle_free(struct thrumi_cycle *cycle) {
  if (cycle->of) thrumi_os.free(cycle->of);
  cycle->of = NULL;
  cycle->count = cycle->room = 0;
}
