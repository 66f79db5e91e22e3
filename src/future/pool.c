/* The pool: its queue, and who is needed to work on it. See pool.h for states and invariants; member.c for what its threads do.
 *
 * A task is queued, and somebody comes for it: an idle member is woken, or a thread is started. Members are woken one at a time:
 * whoever comes and sees that more is queued wakes the next one. So tasks that are shorter than a wake-up take are run by
 * those who are awake, and a submitter pays for one wake-up at most. Threads are started at once, one for each task that nobody
 * else will come for, since only the submitter can be told that there is none to be had.
 *
 * Places. `limit` tasks run at once. A member that waits for a future lends its place (P1 to P3 see it gone), takes it back when
 * it goes on, and does not wait for that: it may hold locks that those who have places wait for. So for a while more may run. That is
 * the whole of why waits for futures cannot exhaust a pool: whatever waits for a future holds no place, so places are held by
 * tasks that run or wait for something else; if these end, what is queued begins, P4.
 *
 * Rejected: to run the awaited task on the waiter's stack, as thrum_join runs a thread that has not begun. A task would find
 * itself in a thread that holds rlocks, locals and a name of another task; a timeout could not end such a wait, and one for the first of several
 * would go on until the one that it happened to run is finished. And it helps only who waits for its own pool: two pools whose tasks wait
 * for each other's would still block. A thread more costs some hundred nanoseconds here. */
#include <future/pool.h>

#include <stdio.h>
#include <string.h>

#include <future/case.h>
#include <future/place.h>
#include <sched/servant.h>

enum { DEFAULT_LIMIT = 32 };

/* ---- The queue; under the lock ----------------------------------------------------------------------------------------- */

static void append(struct thrumi_pool *p, struct thrumi_work *work) {
  work->next = NULL;
  if ((work->prev = p->last))
    p->last->next = work;
  else
    p->first = work;
  p->last = work;
  work->queued = true;
  work->tries = p->round;
  p->queued++;
}

/* Whether it can be taken out. Not if all of the queue has been since it was queued. */
static bool is_queued(const struct thrumi_pool *p, const struct thrumi_work *work) {
  return work->queued && work->tries == p->round;
}

void thrumi_pool_unqueue(struct thrumi_pool *p, struct thrumi_work *work) {
  if (work->next)
    work->next->prev = work->prev;
  else
    p->last = work->prev;
  if (work->prev)
    work->prev->next = work->next;
  else
    p->first = work->next;
  work->queued = false;
  p->queued--;
}

/* ---- Who is needed ------------------------------------------------------------------------------------------------------ */

/* The member that was idle for the shortest time: its stack is the warmest. */
struct thrumi_thread *thrumi_pool_claim_idle(struct thrumi_pool *p) {
  struct thrumi_member *m = p->idle;
  bool parked;
  p->idle = m->next_idle;
  p->idle_count--;
  p->coming++;
  p->woken++;
  thrumi_claim(m->thread, m->ticket, THRUMI_WOKEN, &parked); /* nobody else claims it */
  return parked ? m->thread : NULL;
}

struct thrumi_need thrumi_pool_need(struct thrumi_pool *p) {
  struct thrumi_need need = {0};
  if (!p->queued || thrumi_pool_busy(p) >= p->limit) return need;
  if (p->idle) {
    if (!p->woken) need.wake = thrumi_pool_claim_idle(p);
  } else if (p->queued > p->coming && p->queued > p->coming + thrumi_load(&p->finishing)) {
    need.start = true;
    need.number = p->number++;
    p->coming++;
    p->count++;
    p->pins++;
    p->started++;
  }
  return need;
}

int thrumi_pool_start(struct thrumi_pool *p, struct thrumi_need need) {
  char name[THRUM_NAME_MAX + 24];
  snprintf(name, sizeof name, "%s-%llu", p->name, (unsigned long long)need.number);
  thrum_options options = thrumi_servant(name, THRUM_NO);
  if (p->stack_size) options.stack_size = p->stack_size;
  options.bound = p->bound;
  int error = thrum_spawn_with(NULL, &options, thrumi_member_main, p);
  if (!error) return 0;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->coming--;
  p->waiting++;
  bool idles = p->idle && !p->woken && p->queued && thrumi_pool_busy(p) < p->limit; /* since it was counted */
  struct thrumi_need comes = {.wake = idles ? thrumi_pool_claim_idle(p) : NULL};
  thrumi_spin_unlock(&p->lock);
  thrumi_pool_wake(comes);
  thrumi_leave(k);
  return error;
}

/* Under the lock: the thread that was not to be had counts no more. True: none is left. */
static bool uncount(struct thrumi_pool *p) {
  p->waiting--;
  p->count--;
  p->started--;
  thrumi_pool_unpin(p); /* the caller has another */
  return p->count == 0;
}

/* Under the lock, for a few steps, however much is queued: takes all of it out. Linked, in order, for claim_all. */
static struct thrumi_work *take_queue(struct thrumi_pool *p) {
  struct thrumi_work *all = p->first;
  p->first = p->last = NULL;
  p->queued = 0;
  p->round++;
  return all;
}

/* One that the caller has taken out, or cancelled, while another does the other. The second of them gives the executor's reference back:
 * the first may still need it, or the link in it. */
static void pass(struct thrumi_work *work) {
  if (thrumi_swap(&work->passed, true)) thrum_future_release(&work->future);
}

/* Outside and with no lock, since there may be very many. Linked: those that the caller has claimed; others have been cancelled, and their
 * cancellers are on their way. */
static struct thrumi_work *claim_all(struct thrumi_work *all, bool (*claim)(thrum_future *f)) {
  struct thrumi_work *mine = NULL, **end = &mine;
  for (struct thrumi_work *work = all, *next; work; work = next) {
    next = work->next;
    if (!claim(&work->future)) {
      pass(work);
      continue;
    }
    *end = work;
    end = &work->next;
  }
  *end = NULL;
  return mine;
}

/* Fails what is linked; the pool has a pin beside theirs. Linked: those that have still to be told. */
static struct thrumi_work *fail_all(struct thrumi_pool *p, struct thrumi_work *work, int failure,
                                    const char *why) {
  struct thrumi_work *untold = NULL, **end = &untold;
  for (struct thrumi_work *next; work; work = next) {
    char sentence[THRUMI_SENTENCE_MAX];
    next = work->next;
    work->next = NULL;
    snprintf(sentence, sizeof sentence, "executor %s %s", p->name, why);
    struct thrumi_kthread *k = thrumi_enter();
    thrumi_spin_lock(&p->lock);
    p->finished++;
    thrumi_pool_unpin(p);
    thrumi_spin_unlock(&p->lock);
    thrumi_leave(k);
    if (!thrumi_work_fail(work, failure, sentence)) continue;
    *end = work;
    end = &work->next;
  }
  return untold;
}

/* All that wait go on before the first callback, which may wait for one of them. */
static void tell_all(struct thrumi_work *work) {
  for (struct thrumi_work *w = work; w; w = w->next) thrumi_future_tell(&w->future);
  for (struct thrumi_work *next; work; work = next) {
    next = work->next;
    thrumi_future_call_back(&work->future);
    thrum_future_release(&work->future);
  }
}

/* Somebody may wait for the pool's end, and until it counts no more for that of the thread: by then all that counted on it has a result. Their
 * callbacks are called behind that, since they may wait for the end themselves. */
void thrumi_pool_forsake(struct thrumi_pool *p, int error) {
  struct thrumi_work *forsaken = NULL;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  if (p->queued && !thrumi_pool_busy(p)) forsaken = take_queue(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  forsaken = fail_all(p, claim_all(forsaken, thrumi_future_begin), error, "has no thread for it");
  k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  bool none_left = uncount(p);
  thrumi_spin_unlock(&p->lock);
  if (none_left) thrumi_pool_has_ended(p);
  thrumi_leave(k);
  tell_all(forsaken);
}

void thrumi_pool_break(struct thrumi_pool *p) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->broken = true;
  struct thrumi_work *forsaken = take_queue(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  forsaken = claim_all(forsaken, thrumi_future_begin);
  tell_all(fail_all(p, forsaken, -EPIPE, "is broken: its initializer failed"));
  thrumi_pool_wake_all(p);
}

/* ---- Submitting ---------------------------------------------------------------------------------------------------------- */

/* No thread was to be had. 0 if the work has begun all the same, or was cancelled: somebody else had come. */
static int withdraw(struct thrumi_pool *p, struct thrumi_work *work, int error) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  if (!is_queued(p, work)) {
    error = 0;
  } else {
    thrumi_pool_unqueue(p, work);
    p->submitted--;
    thrumi_pool_unpin(p); /* the caller has the handle */
  }
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  return error;
}

/* A thread is to be started for the work, of which the caller has a reference of its own: it may be done by now. */
static int start_for(struct thrumi_pool *p, struct thrumi_work *work, struct thrumi_need need) {
  int refused = thrumi_pool_start(p, need), error = refused ? withdraw(p, work, refused) : 0;
  if (refused) thrumi_pool_forsake(p, refused); /* others may have counted on that thread */
  thrum_future_release(&work->future);
  return error;
}

static int pool_submit(struct thrum_executor *executor, struct thrumi_work *work) {
  struct thrumi_pool *p = thrumi_pool_of(executor);
  struct thrumi_need need = {0};
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  bool takes = !p->shut && !p->broken;
  if (thrumi_likely(takes)) {
    append(p, work);
    p->pins++;
    p->submitted++;
    need = thrumi_pool_need(p);
    if (thrumi_unlikely(need.start)) thrum_future_retain(&work->future);
  }
  thrumi_spin_unlock(&p->lock);
  thrumi_pool_wake(need);
  thrumi_leave(k);
  if (thrumi_unlikely(!takes)) return -EPIPE;
  return thrumi_unlikely(need.start) ? start_for(p, work, need) : 0;
}

/* ---- Cancelling ------------------------------------------------------------------------------------------------------------ */

/* The caller is the work's canceller. It may have been taken out of the queue by who found it cancelled; or with all others, by who will find
 * that. */
static void pool_cancelled(struct thrum_executor *executor, struct thrumi_work *work) {
  struct thrumi_pool *p = thrumi_pool_of(executor);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  bool queued = is_queued(p, work), taken = work->queued && !queued;
  if (queued) thrumi_pool_unqueue(p, work);
  p->cancelled++;
  bool last = thrumi_pool_unpin(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  if (last) thrumi_pool_free(p);
  if (taken) thrum_future_retain(&work->future); /* the one that is given back next */
  thrumi_future_dropped(&work->future);
  if (taken) pass(work);
}

/* ---- Shutting down ----------------------------------------------------------------------------------------------------------- */

static bool is_over(const struct thrumi_pool *p) { return !p->count && !p->dropping; }

/* Wakes one who is idle: it looks, and leaves. */
static bool wake_one(struct thrumi_pool *p) {
  struct thrumi_thread *t = NULL;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  bool more = p->idle;
  if (more) t = thrumi_pool_claim_idle(p);
  thrumi_spin_unlock(&p->lock);
  if (t) thrumi_make_ready(t);
  thrumi_leave(k);
  return more;
}

void thrumi_pool_wake_all(struct thrumi_pool *p) {
  while (wake_one(p)) {
  }
}

/* Cancels what has been taken out, for which the pool counts the caller as one who is dropping. All is cancelled before the first callback,
 * and before others hear of the end. */
static void drop_all(struct thrumi_pool *p, struct thrumi_work *all) {
  uint32_t forks = thrumi_forks;
  uint64_t count = 0;
  struct thrumi_work *mine = claim_all(all, thrumi_future_drop);
  for (struct thrumi_work *w = mine; w; w = w->next) count++;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->dropping--;
  p->cancelled += count;
  bool ended = is_over(p);
  thrumi_spin_unlock(&p->lock);
  if (ended) thrumi_pool_has_ended(p);
  thrumi_leave(k);
  for (struct thrumi_work *next; mine; mine = next) {
    next = mine->next;
    thrumi_future_dropped(&mine->future);
  }
  if (!count || forks != thrumi_forks)
    return; /* these pins are the parent's; and without any, the pool may be gone */
  k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->pins -= count;
  bool last = p->pins == 0;
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  if (last) thrumi_pool_free(p);
}

/* The caller has a pin, or the executor's handle. */
static void pool_shut(struct thrum_executor *executor, bool cancel_pending) {
  struct thrumi_pool *p = thrumi_pool_of(executor);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->shut = true;
  struct thrumi_work *all = cancel_pending ? take_queue(p) : NULL;
  if (all) p->dropping++;
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  thrumi_pool_wake_all(p);
  if (all) drop_all(p, all);
}

void thrumi_pool_has_ended(struct thrumi_pool *p) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&p->count);
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, &p->count));) thrumi_let_go(bucket, w, 0);
  thrumi_bucket_unlock(bucket);
}

/* Waits until somebody says that it is over, as it was at some time: who came meanwhile may be there. Inside. */
static int wait_once(struct thrumi_pool *p, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&p->count);
  thrumi_spin_lock(&p->lock);
  bool ended = is_over(p);
  thrumi_spin_unlock(&p->lock);
  if (ended) {
    thrumi_bucket_unlock(bucket);
    return 0;
  }
  struct thrumi_waiter waiter;
  return thrumi_wait_error(
      thrumi_await(bucket, &waiter, &p->count, "the end of executor", p, deadline, flags));
}

/* Inside. */
static bool all_have_gone(struct thrumi_pool *p, thrum_thread *last) {
  thrumi_spin_lock(&p->lock);
  bool gone = is_over(p);
  *last = p->last_gone;
  thrumi_spin_unlock(&p->lock);
  return gone;
}

/* The end of a thread that has left its pool. With flags for a cancellation point: no longer than until then. */
static int await_end(thrum_thread t, int64_t deadline, int flags) {
  int error = flags & THRUMI_CANCELLABLE ? thrum_wait_for(t, thrum_left(deadline)) : thrum_wait(t);
  return error == -ETIMEDOUT || error == -ECANCELED ? error : 0;
}

static int pool_wait(struct thrum_executor *executor, int64_t deadline, int flags) {
  struct thrumi_pool *p = thrumi_pool_of(executor);
  struct thrumi_member *me = thrumi_member_current();
  if ((me && me->pool == p) || thrumi_member_was_of(p))
    return -EDEADLK; /* those behind it wait for its end */
  thrum_thread last_gone;
  int error = 0;
  thrumi_enter();
  while (!error && !all_have_gone(p, &last_gone)) error = wait_once(p, deadline, flags);
  thrumi_leave(thrumi_self());
  if (!error) error = await_end(last_gone, deadline, flags); /* it has left, and will end; as all before it */
  if (!error) thrumi_rely_on(p);
  return error;
}

/* ---- Places ---------------------------------------------------------------------------------------------------------------------- */

/* Under the lock. In its initializer it is one of those coming, but while it waits no task may count on it. */
static void set_waiting(struct thrumi_pool *p, struct thrumi_member *me, bool waiting) {
  uint32_t one = waiting ? 1 : -1u;
  me->waiting = waiting;
  p->waiting += one;
  if (!me->initialized) p->coming -= one;
}

int thrumi_place_lend(struct thrumi_place *place) {
  struct thrumi_member *me = thrumi_member_current();
  place->member = me && !me->waiting ? me : NULL;
  if (!place->member) return 0;
  struct thrumi_pool *p = me->pool;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  set_waiting(p, me, true);
  struct thrumi_need need = thrumi_pool_need(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_pool_wake(need);
  thrumi_leave(k);
  int error = need.start ? thrumi_pool_start(p, need) : 0;
  if (!error) return 0;
  k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  bool alone = p->queued && !thrumi_pool_busy(p);
  if (alone) set_waiting(p, me, false);
  uncount(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  if (alone) place->member = NULL;
  return alone ? error : 0;
}

void thrumi_place_take_back(struct thrumi_place *place) {
  struct thrumi_member *me = place->member;
  if (!me || me->forks != thrumi_forks) return;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&me->pool->lock);
  set_waiting(me->pool, me, false);
  thrumi_spin_unlock(&me->pool->lock);
  thrumi_leave(k);
}

/* ---- Life --------------------------------------------------------------------------------------------------------------------------- */

bool thrumi_pool_unpin(struct thrumi_pool *p) { return --p->pins == 0; }

void thrumi_pool_free(struct thrumi_pool *p) {
  thrumi_pools_remove(p);
  thrumi_os.free(p);
}

static void pool_release(struct thrum_executor *executor) {
  struct thrumi_pool *p = thrumi_pool_of(executor);
  pool_shut(executor, false);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  p->held = false;
  bool last = thrumi_pool_unpin(p);
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
  if (last) thrumi_pool_free(p);
}

static void pool_statistics(struct thrum_executor *executor, thrum_executor_stats *out) {
  struct thrumi_pool *p = thrumi_pool_of(executor);
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&p->lock);
  out->submitted = p->submitted;
  out->finished = p->finished;
  out->cancelled = p->cancelled;
  out->started = p->started;
  out->queued = p->queued;
  out->threads = p->count;
  out->idle = p->idle_count;
  out->waiting = p->waiting;
  thrumi_spin_unlock(&p->lock);
  thrumi_leave(k);
}

static const struct thrumi_executor_kind pool_kind = {pool_submit, pool_cancelled, pool_shut,
                                                      pool_wait,   pool_release,   pool_statistics};

static bool good_options(const thrum_executor_options *o) {
  bool stack = o->stack_size == 0 || (o->stack_size >= THRUM_STACK_MIN && o->stack_size <= (size_t)1 << 40);
  return o->size == sizeof *o && o->threads >= 0 && stack;
}

static uint32_t default_limit(void) {
  uint32_t workers = (uint32_t)thrum_workers();
  return 2 * workers > DEFAULT_LIMIT ? 2 * workers : DEFAULT_LIMIT;
}

int thrum_executor_threads(thrum_executor **out, const thrum_executor_options *options) {
  static _Atomic uint32_t number;
  static _Atomic uint64_t ids;
  static const thrum_executor_options defaults = THRUM_EXECUTOR_OPTIONS_INIT;
  const thrum_executor_options *o = options ? options : &defaults;
  if (!out || !good_options(o)) return -EINVAL;
  struct thrumi_pool *p = thrumi_os.allocate(sizeof *p);
  if (!p) return -ENOMEM;
  p->executor.kind = &pool_kind;
  p->id = thrumi_add(&ids, (uint64_t)1) + 1;
  p->limit = o->threads ? (uint32_t)o->threads : default_limit();
  p->stack_size = o->stack_size;
  p->bound = o->bound;
  p->initializer = o->initializer;
  p->initializer_arg = o->initializer_arg;
  p->pins = 1;
  p->held = true;
  thrumi_executor_name(p->name, o->name, "pool", &number);
  thrumi_pools_start();
  thrumi_pools_add(p);
  *out = &p->executor;
  return 0;
}
