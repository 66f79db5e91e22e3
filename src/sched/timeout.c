/* Who is due is taken out of the wheel and copied under the shard's lock, and woken without it: the struct lies on
 * the stack of a thread that may be woken by something else at any moment, but cannot return from its wait before
 * thrumi_timeout_stop got the lock. A reminder rings under that lock, so that who stopped it may free what it lies in.
 *
 * `pending` counts the waits that will end by themselves. Reminders are not among them: they wake nobody, so the deadlock
 * verdict must not wait for them; and `earliest`, by which everybody decides how long to sleep, has them anyway.
 *
 * Who looks: the worker that polls while it is idle, else the monitor (idle.c, monitor.c). Each says in
 * its watch word until when it sleeps, and then looks at `earliest`; a new earliest deadline is stored and
 * then compared with the watch words. A full fence stands between the two steps on both sides. */
#include <sched/alarm.h>
#include <sched/self.h>
#include <sched/timeout.h>

enum { SHARDS = 16, BATCH = 64 };

static struct {
  _Alignas(64) struct thrumi_spin lock;
  bool started;
  struct thrumi_wheel wheel;
  _Atomic int64_t earliest; /* when to look again; 0: never started, nothing there */
  _Atomic size_t pending;
} shards[SHARDS];

static int64_t earliest(int i) {
  int64_t when = thrumi_load(&shards[i].earliest);
  return when ? when : INT64_MAX;
}

static void start_wheel(int i) {
  if (shards[i].started) return;
  shards[i].started = true;
  thrumi_wheel_init(&shards[i].wheel, thrumi_os.now());
  thrumi_store_relaxed(&shards[i].earliest, INT64_MAX);
}

void thrumi_watch_ring(int64_t when) {
  atomic_thread_fence(memory_order_seq_cst);
  if (when >= thrumi_load(&thrumi_sched.poller_watch) || when >= thrumi_load(&thrumi_sched.monitor_watch))
    return;
  struct thrumi_kthread *poller = thrumi_load(&thrumi_sched.poller);
  if (poller)
    thrumi_rouse(poller);
  else
    thrumi_monitor_rouse();
}

/* Under the shard's lock. True: it is the earliest, and its due time must be told to who watches. */
static bool add(int i, struct thrumi_timer *timer, int64_t when) {
  start_wheel(i);
  thrumi_wheel_add(&shards[i].wheel, timer, when);
  int64_t due = thrumi_wheel_due(when);
  bool sooner = due < thrumi_load_relaxed(&shards[i].earliest);
  if (sooner) thrumi_store(&shards[i].earliest, due);
  return sooner;
}

void thrumi_timeout_start(struct thrumi_timeout *timeout, uint32_t worker, int64_t when) {
  int i = (int)(worker % SHARDS);
  timeout->shard = (uint32_t)i;
  thrumi_spin_lock(&shards[i].lock);
  bool sooner = add(i, &timeout->timer, when);
  thrumi_add(&shards[i].pending, (size_t)1);
  thrumi_spin_unlock(&shards[i].lock);
  if (sooner) thrumi_watch_ring(thrumi_wheel_due(when));
}

void thrumi_timeout_stop(struct thrumi_timeout *timeout) {
  uint32_t i = timeout->shard;
  thrumi_spin_lock(&shards[i].lock);
  if (thrumi_wheel_remove(&shards[i].wheel, &timeout->timer)) thrumi_add(&shards[i].pending, -(size_t)1);
  thrumi_spin_unlock(&shards[i].lock);
}

/* A reminder may lie in one of 16 shards whatever worker sets it: which one its address says. */
static int shard_of(const struct thrumi_reminder *reminder) {
  return (int)((uintptr_t)reminder / sizeof *reminder % SHARDS);
}

void thrumi_reminder_set(struct thrumi_reminder *reminder, int64_t when) {
  int i = shard_of(reminder);
  struct thrumi_timer *timer = &reminder->timeout.timer;
  bool sooner = false;
  thrumi_spin_lock(&shards[i].lock);
  if (!timer->prev || timer->when > when) {
    if (timer->prev) thrumi_wheel_remove(&shards[i].wheel, timer);
    sooner = add(i, timer, when);
  }
  thrumi_spin_unlock(&shards[i].lock);
  if (sooner) thrumi_watch_ring(thrumi_wheel_due(when));
}

void thrumi_reminder_stop(struct thrumi_reminder *reminder) {
  int i = shard_of(reminder);
  thrumi_spin_lock(&shards[i].lock);
  if (reminder->timeout.timer.prev) thrumi_wheel_remove(&shards[i].wheel, &reminder->timeout.timer);
  thrumi_spin_unlock(&shards[i].lock);
}

/* Under the shard's lock. */
static void ring(int i, struct thrumi_reminder *reminder, int64_t now) {
  int64_t again = reminder->ring(reminder, now);
  if (again != INT64_MAX) thrumi_wheel_add(&shards[i].wheel, &reminder->timeout.timer, again);
}

/* What is due at one time, BATCH at most: how many were taken out, and of these the waits that end. */
struct due {
  size_t taken, waits;
  struct thrumi_timeout of[BATCH];
};

static void take_due(int i, int64_t now, struct due *due) {
  thrumi_spin_lock(&shards[i].lock);
  struct thrumi_timer *list = NULL;
  due->waits = 0;
  due->taken = thrumi_wheel_expire(&shards[i].wheel, now, &list, BATCH);
  for (struct thrumi_timer *next; list; list = next) {
    const struct thrumi_timeout *timeout = (struct thrumi_timeout *)list;
    next = list->next;
    if (timeout->thread) {
      due->of[due->waits].thread = timeout->thread;
      due->of[due->waits++].ticket = timeout->ticket;
    } else {
      ring(i, (struct thrumi_reminder *)list, now);
    }
  }
  thrumi_store(&shards[i].earliest, thrumi_wheel_next(&shards[i].wheel));
  thrumi_spin_unlock(&shards[i].lock);
}

static void expire(int i, int64_t now) {
  struct due due;
  while (earliest(i) <= now) {
    take_due(i, now, &due);
    /* Far away, when very many sleep: asked for together. */
    for (size_t j = 0; j < due.waits; j++) __builtin_prefetch((const void *)&due.of[j].thread->wait, 1);
    for (size_t j = 0; j < due.waits; j++) thrumi_wake(due.of[j].thread, due.of[j].ticket, THRUMI_TIMED_OUT);
    /* Now only: until they are woken they are what may wake somebody. */
    if (due.waits) thrumi_add(&shards[i].pending, -due.waits);
    if (due.taken < BATCH) return;
  }
}

/* ---- With the alarms: all that the passing of time brings about ----------------------------------------- */

int64_t thrumi_timeouts_next(void) {
  int64_t next = thrumi_alarms_next();
  for (int i = 0; i < SHARDS; i++)
    if (earliest(i) < next) next = earliest(i);
  return next;
}

int64_t thrumi_timeouts_expire(int64_t now) {
  for (int i = 0; i < SHARDS; i++)
    if (earliest(i) <= now) expire(i, now);
  thrumi_alarms_expire(now);
  return thrumi_timeouts_next();
}

size_t thrumi_timeouts_pending(void) {
  size_t n = thrumi_alarms_pending();
  for (int i = 0; i < SHARDS; i++) n += thrumi_load_relaxed(&shards[i].pending);
  return n;
}

void thrumi_timeouts_fork(void) {
  thrumi_alarms_fork();
  for (int i = 0; i < SHARDS; i++) {
    shards[i].started = false;
    thrumi_store(&shards[i].earliest, 0);
    thrumi_store(&shards[i].pending, 0);
    shards[i].lock = (struct thrumi_spin){0};
  }
}
