/* Alarms: a function is called in a thread of its own when its time has come.
 *
 * A shard is a wheel with a lock; a worker sets alarms in its own. When some are due, one thread is *called* for the shard:
 * it takes the first of them out, calls the next thread if there are more, and then runs the callback, and ends. So
 *
 *  - a callback that blocks, or burns time, delays none behind it: the next thread is ready before the callback begins;
 *  - there are never more threads than callbacks that have begun, and one a shard, however many alarms are due at once:
 *    those lie in the wheel, which is their own memory;
 *  - a callback that returns at once costs about what a thread does that ends at once: its stack goes to the next one.
 *
 * Who owns an alarm's memory: from set to clear, or until a thread has taken it out, the shard; from then on nobody. The thread
 * that runs the callback has copied all that it needs, so the callback may free the alarm, or set it anew.
 *
 * `home` says which shard's lock guards all other fields.
 *
 *   value   meaning                   written by
 *   0       no shard yet              the user, who zeroes it
 *   n + 1   shard n                   who sets it first (from 0, by compare-and-swap); who sets it on another worker while it
 *                                     is in no wheel (under shard n's lock)
 *
 * So who has locked a shard looks at `home` again, and if it has changed, goes after it.
 *
 * Under the lock:
 *
 *   state     in the wheel   runner              entered by
 *   idle      no             0, or has ended     clear; all-zero; the callback's end
 *   pending   yes            any                 set
 *   running   no             a living thread     the thread that took it out
 *
 * `called`: a thread is on its way to this shard. While it is set nobody calls another one. Invariant: an alarm is due, and
 * the wheel knows it, => `called`, or `earliest` is at most RETRY away (there was no memory for a thread).
 *
 * Callbacks of one alarm overlap if it is set again while one runs. Each thread notes the one before it (`former_runner`), and
 * ends only after that one: whoever has waited for the last has waited for all.
 *
 * Who looks whether alarms are due: as for deadlines of waits (timeout.c), and with the same fence: `earliest`, then the watch
 * words.
 *
 * Rejected: callbacks in the thread that expires (one that blocks stops all); a crew of threads that each run many callbacks
 * (what one leaves in its thread (locals, a name, a cancellation) the next one finds, and a crew must be kept small again); a
 * thread for each alarm that is due (a million at once are 4 GB of stacks); lazy removal (the memory of what was cancelled could
 * not be freed). */
#include <arch/arch.h>
#include <core/parking.h>
#include <sched/alarm.h>
#include <sched/self.h>
#include <sched/step.h>
#include <sched/timeout.h>

enum { SHARDS = 16 };
#define RETRY THRUM_MS(1)

static struct shard {
  _Alignas(64) struct thrumi_spin lock;
  bool started, called;
  _Atomic int64_t earliest; /* when to look again; 0: never started, nothing there */
  _Atomic size_t pending;   /* of those that will be due some day; written under the lock */
  struct thrumi_wheel wheel;
} shards[SHARDS];

static void start_shard(struct shard *shard) {
  if (thrumi_likely(shard->started)) return;
  shard->started = true;
  thrumi_wheel_init(&shard->wheel, thrumi_os.now());
  thrumi_store_relaxed(&shard->earliest, INT64_MAX);
}

static int64_t earliest(const struct shard *shard) {
  int64_t when = thrumi_load(&shard->earliest);
  return when ? when : INT64_MAX;
}

/* One that is never due wakes nobody. */
static void count(struct shard *shard, int64_t when, size_t n) {
  if (thrumi_likely(thrumi_wheel_due(when) != INT64_MAX))
    thrumi_store_relaxed(&shard->pending, thrumi_load_relaxed(&shard->pending) + n);
}

/* ---- Threads for callbacks ------------------------------------------------------------------------------------------ */

static intptr_t run_one(void *arg);

/* Under the lock. True: the caller must call a thread, after unlocking. */
static bool must_call(struct shard *shard) {
  if (shard->called || !thrumi_wheel_has_due(&shard->wheel)) return false;
  return shard->called = true;
}

/* Nobody is on the way after all: whoever watches the time comes back. */
static void try_later(struct shard *shard) {
  int64_t when = thrumi_os.now() + RETRY;
  thrumi_spin_lock(&shard->lock);
  shard->called = false;
  bool sooner = when < thrumi_load_relaxed(&shard->earliest);
  if (sooner) thrumi_store(&shard->earliest, when);
  thrumi_spin_unlock(&shard->lock);
  if (sooner) thrumi_watch_ring(when);
}

/* Like a thread that has waited for this moment: it goes before hogs. */
static void call(struct shard *shard) {
  struct thrumi_thread *t = thrumi_spawn_called(run_one, shard);
  if (thrumi_likely(t != NULL))
    thrumi_make_ready(t);
  else
    try_later(shard);
}

bool thrumi_alarm_put_off(const struct thrumi_thread *t) {
  if (t->fn != run_one) return false;
  try_later(t->arg);
  return true;
}

struct taken {
  thrum_fn *fn;
  void *arg;
  const struct thrumi_alarm *alarm; /* may be gone */
  uint64_t former;
};

/* Takes out the first that is due, for the calling thread. False: there is none any more. */
static bool take(struct shard *shard, struct thrumi_thread *me, struct taken *out) {
  thrumi_spin_lock(&shard->lock);
  struct thrumi_alarm *alarm = (struct thrumi_alarm *)thrumi_wheel_pop(&shard->wheel);
  if (alarm) {
    *out = (struct taken){alarm->fn, alarm->arg, alarm, alarm->runner};
    thrumi_store(&me->former_runner, out->former);
    alarm->runner = thrumi_handle(me).value;
    count(shard, alarm->timer.when, -(size_t)1);
  }
  bool more = shard->called = thrumi_wheel_has_due(&shard->wheel);
  thrumi_spin_unlock(&shard->lock);
  if (more) call(shard);
  return alarm != NULL;
}

static bool runs(uint64_t runner) {
  uint64_t life;
  return runner && thrumi_lookup((thrum_thread){runner}, &life) && !(THRUMI_FLAGS(life) & THRUMI_FINISHED);
}

/* The whole of a thread that was called. It is known by its callback from then on. thrum_exit ends the callback only. */
static intptr_t run_one(void *arg) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *me = k->current;
  struct taken taken;
  bool any = take(arg, me, &taken);
  bool overlaps = any && runs(taken.former);
  if (any) {
    me->fn = taken.fn;
    me->arg = taken.arg;
    thrumi_step(TIMER, timer, me, (uintptr_t)taken.alarm, 0);
    thrumi_rely_on(&taken.alarm->fn);
  }
  thrumi_leave(k);
  if (!any) return 0;
  intptr_t result = thrumi_call(taken.fn, taken.arg, &me->exit_mark);
  thrumi_announce(&taken.alarm->runner);
  if (overlaps) thrum_wait((thrum_thread){taken.former});
  return result;
}

bool thrumi_alarm_runs_in(uint64_t runner, const struct thrumi_thread *t) {
  uint64_t life;
  for (struct thrumi_thread *r; runner && (r = thrumi_lookup((thrum_thread){runner}, &life));) {
    if (r == t) return true;
    uint64_t former = thrumi_load(&r->former_runner);
    if (THRUMI_GENERATION(thrumi_load(&r->life)) != THRUMI_GENERATION(life)) return false; /* it has ended */
    runner = former;
  }
  return false;
}

/* ---- Setting and clearing ------------------------------------------------------------------------------------------- */

/* Locks the alarm's shard. NULL: it has none. */
static struct shard *lock_home(struct thrumi_alarm *alarm) {
  for (uint32_t home; (home = thrumi_load(&alarm->home));) {
    struct shard *shard = &shards[home - 1];
    thrumi_spin_lock(&shard->lock);
    if (thrumi_likely(thrumi_load_relaxed(&alarm->home) == home)) return shard;
    thrumi_spin_unlock(&shard->lock);
  }
  return NULL;
}

/* Under the lock. The wheels of before a fork are not there any more, nor are the threads. */
static void forget_parent(struct thrumi_alarm *alarm) {
  if (thrumi_likely(alarm->forks == thrumi_forks)) return;
  alarm->forks = thrumi_forks;
  alarm->timer.prev = NULL;
  alarm->runner = 0;
}

/* The shard to set alarms in: of the caller's worker, or any. */
static uint32_t own_home(void) {
  const struct thrumi_kthread *k = thrumi_self();
  return (k->worker ? k->worker->id : k->current->slot) % SHARDS + 1;
}

/* Locks its shard, which becomes the caller's if it can. Tried once: two who move it to and fro must come to an end. */
static struct shard *lock_to_set(struct thrumi_alarm *alarm) {
  uint32_t own = own_home(), none = 0;
  if (thrumi_unlikely(!thrumi_load_relaxed(&alarm->home))) thrumi_cas(&alarm->home, &none, own);
  struct shard *shard = lock_home(alarm);
  forget_parent(alarm);
  if (thrumi_likely(shard == &shards[own - 1]) || alarm->timer.prev) return shard;
  thrumi_store(&alarm->home, own);
  thrumi_spin_unlock(&shard->lock);
  shard = lock_home(alarm);
  forget_parent(alarm);
  return shard;
}

/* Under the lock. INT64_MAX, or a time that whoever watches the time must hear of. */
static int64_t put_in(struct shard *shard, struct thrumi_alarm *alarm, int64_t when) {
  start_shard(shard);
  if (thrumi_wheel_remove(&shard->wheel, &alarm->timer)) count(shard, alarm->timer.when, -(size_t)1);
  thrumi_wheel_add(&shard->wheel, &alarm->timer, when);
  count(shard, when, 1);
  if (thrumi_unlikely(alarm->timer.next == &shard->wheel.due)) return INT64_MAX; /* due already */
  int64_t due = thrumi_wheel_due(when);
  if (thrumi_likely(due >= thrumi_load_relaxed(&shard->earliest))) return INT64_MAX;
  thrumi_store(&shard->earliest, due);
  return due;
}

bool thrumi_alarm_set(struct thrumi_alarm *alarm, int64_t when, thrum_fn *fn, void *arg) {
  struct shard *shard = lock_to_set(alarm);
  thrumi_announce(&alarm->fn);
  if (fn) {
    alarm->fn = fn;
    alarm->arg = arg;
  }
  bool known = alarm->fn;
  int64_t sooner = known ? put_in(shard, alarm, when) : INT64_MAX;
  bool calls = known && must_call(shard);
  thrumi_spin_unlock(&shard->lock);
  if (thrumi_unlikely(calls)) call(shard);
  if (thrumi_unlikely(sooner != INT64_MAX)) thrumi_watch_ring(sooner);
  return known;
}

bool thrumi_alarm_clear(struct thrumi_alarm *alarm, uint64_t *runner) {
  if (runner) *runner = 0;
  struct shard *shard = lock_home(alarm);
  if (!shard) return false;
  forget_parent(alarm);
  bool pending = thrumi_wheel_remove(&shard->wheel, &alarm->timer);
  if (pending) count(shard, alarm->timer.when, -(size_t)1);
  if (runner && runs(alarm->runner)) *runner = alarm->runner;
  thrumi_spin_unlock(&shard->lock);
  if (pending) thrumi_rely_on(&alarm->fn);
  return pending;
}

/* ---- Time passes ---------------------------------------------------------------------------------------------------- */

static void expire(struct shard *shard, int64_t now) {
  thrumi_spin_lock(&shard->lock);
  thrumi_wheel_advance(&shard->wheel, now);
  bool calls = must_call(shard);
  thrumi_store(&shard->earliest, thrumi_wheel_upcoming(&shard->wheel));
  thrumi_spin_unlock(&shard->lock);
  if (calls) call(shard);
}

int64_t thrumi_alarms_next(void) {
  int64_t next = INT64_MAX;
  for (int i = 0; i < SHARDS; i++)
    if (earliest(&shards[i]) < next) next = earliest(&shards[i]);
  return next;
}

void thrumi_alarms_expire(int64_t now) {
  for (int i = 0; i < SHARDS; i++)
    if (earliest(&shards[i]) <= now) expire(&shards[i], now);
}

size_t thrumi_alarms_pending(void) {
  size_t n = 0;
  for (int i = 0; i < SHARDS; i++) n += thrumi_load_relaxed(&shards[i].pending);
  return n;
}

void thrumi_alarms_fork(void) {
  for (int i = 0; i < SHARDS; i++) {
    shards[i].started = shards[i].called = false;
    thrumi_store(&shards[i].earliest, 0);
    thrumi_store(&shards[i].pending, 0);
    shards[i].lock = (struct thrumi_spin){0};
  }
}
