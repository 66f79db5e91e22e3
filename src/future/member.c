/* What a pool's thread does: comes, takes one task after the other, idles, leaves. See pool.h.
 *
 * A result is told before the next task is taken, since callbacks may take long. So that a task that is submitted right after the one
 * before it was finished finds the same thread, and not a second one, a member says that it is finishing before it tells:
 * whoever is about to start a thread counts those as coming (P3). If there are callbacks to be called after all, it takes
 * that back first. */
#include <sched/part.h>
#include <string.h>

#include <future/pool.h>

/* A member's thread is known by its function, and has the member as its argument from the beginning on. From when it has left the
 * argument is an odd number in place of that: the mark of its pool, whose memory may be another's by then. */
static uintptr_t mark_of(const struct thrumi_pool *p) { return (uintptr_t)p->id << 1 | 1; }

static void *argument(void) {
  const struct thrumi_thread *t = thrumi_me();
  return t->fn == thrumi_member_main ? t->arg : NULL;
}

struct thrumi_member *thrumi_member_current(void) {
  struct thrumi_member *me = argument();
  return me && !((uintptr_t)me & 1) && me->forks == thrumi_forks ? me : NULL;
}

bool thrumi_member_was_of(const struct thrumi_pool *p) { return (uintptr_t)argument() == mark_of(p); }

/* ---- Coming and leaving ------------------------------------------------------------------------------------------------ */

static void join_pool(struct thrumi_member *me) {
  struct thrumi_kthread *k = thrumi_enter();
  me->thread = k->current;
  me->thread->arg = me;
  thrumi_leave(k);
}

/* Under the lock: it counts no more. */
static void resign(struct thrumi_pool *p, struct thrumi_member *me) {
  p->count--;
  me->waiting = true;
}

static void start_one(struct thrumi_pool *p, struct thrumi_need need) {
  int error = need.start ? thrumi_pool_start(p, need) : 0;
  if (error) thrumi_pool_forsake(p, error);
}

/* In the child of a fork. */
static intptr_t forget_member(struct thrumi_member *me, intptr_t result) {
  me->thread->arg = NULL;
  return result;
}

/* Who waits for the end is woken before the pin is given back: the pool is there until then. The thread ends behind the one
 * that left before it, so the last one's end is the end of all. What the thread runs
 * behind that, destructors of its locals, finds no member: this one's memory goes with the frame. */
static void leave_pool(struct thrumi_pool *p, struct thrumi_member *me) {
  thrum_thread self = thrum_current();
  uintptr_t mark = mark_of(p);
  thrumi_announce(p); /* what its tasks did is seen by who waits for the end */
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  resign(p, me);
  thrum_thread former = p->last_gone;
  p->last_gone = self;
  struct thrumi_need need = thrumi_pool_need(p);
  bool none_left = p->count == 0;
  thrumi_spin_unlock(&p->lock);
  thrumi_pool_wake(need);
  if (none_left) thrumi_pool_has_ended(p);
  thrumi_leave(k);
  start_one(p, need);
  if (thrumi_unlikely(me->forks != thrumi_forks)) { /* by a callback of what failed there */
    forget_member(me, 0);
    return;
  }
  k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  bool last = thrumi_pool_unpin(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  if (last) thrumi_pool_free(p);
  me->thread->arg = (void *)mark; /* NOLINT(performance-no-int-to-ptr): a number that is never followed */
  thrum_wait(former);
}

/* ---- Taking tasks --------------------------------------------------------------------------------------------------------- */

/* Under the lock: the first that has not been cancelled. */
static struct thrumi_work *pop(struct thrumi_pool *p) {
  for (struct thrumi_work *work; (work = p->first);) {
    thrumi_pool_unqueue(p, work);
    if (thrumi_future_begin(&work->future)) return work;
  }
  return NULL;
}

static bool must_leave(const struct thrumi_pool *p, const struct thrumi_member *me) {
  return p->shut || p->broken || thrumi_pools_end() || thrumi_is_cancelled(me->thread);
}

enum verdict { RUN, IDLE, LEAVE };

/* Under the lock: one who has a place decides what to do next. *work: for RUN, if there is any. */
static enum verdict decide(struct thrumi_pool *p, struct thrumi_member *me, struct thrumi_work **work) {
  bool may_run = thrumi_pool_busy(p) <= p->limit && !thrumi_is_cancelled(me->thread);
  if (may_run && (*work = pop(p))) {
    p->pins--; /* of the work; its runner has one */
    return RUN;
  }
  return must_leave(p, me) || p->idle_count >= p->limit ? LEAVE : IDLE;
}

/* Under the lock, which it lets go of. */
static void idle(struct thrumi_pool *p, struct thrumi_member *me) {
  me->ticket = thrumi_arm(me->thread, "tasks of executor", p, 0);
  me->next_idle = p->idle;
  p->idle = me;
  p->idle_count++;
  thrumi_spin_unlock(&p->lock);
  thrumi_park(me->thread, me->ticket, INT64_MAX);
}

/* Under the lock: nobody counts on it any longer, as one that is finishing. */
static void go_on(struct thrumi_pool *p, struct thrumi_member *me) {
  if (me->finishing) thrumi_add(&p->finishing, -1u);
  me->finishing = false;
}

/* The next task for one who has a place, was woken, or has just begun (`comes`). NULL: it is to leave. */
static struct thrumi_work *next_work(struct thrumi_pool *p, struct thrumi_member *me, bool comes) {
  struct thrumi_work *work = NULL;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  if (comes)
    p->coming--;
  else
    p->finished++;
  go_on(p, me);
  enum verdict verdict;
  while ((verdict = decide(p, me, &work)) == IDLE) {
    idle(p, me);
    thrumi_spin_lock(&p->lock);
    p->coming--;
    p->woken--;
  }
  struct thrumi_need need = {0};
  if (verdict == RUN) need = thrumi_pool_need(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_pool_wake(need);
  thrumi_leave(thrumi_self());
  (void)k;
  start_one(p, need);
  return work;
}

/* ---- Running them ------------------------------------------------------------------------------------------------------------ */

static void stop_finishing(struct thrumi_pool *p, struct thrumi_member *me) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  go_on(p, me);
  struct thrumi_need need = thrumi_pool_need(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_pool_wake(need);
  thrumi_leave(k);
  start_one(p, need);
}

static void tell(struct thrumi_pool *p, struct thrumi_member *me, thrum_future *f) {
  if (thrumi_future_tell(f)) {
    stop_finishing(p, me);
    thrumi_future_call_back(f);
  }
  thrum_future_release(f);
}

/* False: this is the child of a fork by the task or by a callback, and nothing of the pool's is here. */
static bool run(struct thrumi_pool *p, struct thrumi_member *me, struct thrumi_work *work, intptr_t *result) {
  thrumi_work_run(work, me->thread);
  *result = work->future.result;
  if (thrumi_unlikely(me->forks != thrumi_forks)) return false;
  me->finishing = true;
  thrumi_add(&p->finishing, 1u); /* before FINISHED, behind which a submitter sees it */
  if (thrumi_unlikely(thrumi_future_finish(&work->future))) tell(p, me, &work->future);
  return me->forks == thrumi_forks;
}

static intptr_t break_pool(struct thrumi_pool *p, struct thrumi_member *me, intptr_t failure) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->coming--;
  me->initialized = true; /* it counts as working, at callbacks of what fails now */
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  thrumi_pool_break(p);
  if (thrumi_unlikely(me->forks != thrumi_forks)) return forget_member(me, failure);
  leave_pool(p, me);
  return failure; /* goes to the hook, with its sentence */
}

intptr_t thrumi_member_main(void *pool) {
  struct thrumi_pool *p = pool;
  struct thrumi_member self = {.pool = p, .forks = thrumi_forks}, *me = &self;
  join_pool(me);
  intptr_t failure = p->initializer ? thrumi_part_call(me->thread, p->initializer, p->initializer_arg) : 0;
  if (thrumi_unlikely(me->forks != thrumi_forks)) return forget_member(me, failure);
  if (thrum_failed(failure)) return break_pool(p, me, failure);
  me->initialized = true;
  bool comes = true;
  intptr_t result;
  for (struct thrumi_work *work; (work = next_work(p, me, comes)); comes = false)
    if (!run(p, me, work, &result)) return forget_member(me, result);
  leave_pool(p, me);
  return 0;
}
