/* Who is due is taken out of the wheel and copied under the shard's lock, and woken without it: the struct lies on
 * the stack of a thread that may be woken by something else at any moment, but cannot return from its wait before
 * thrumi_timeout_stop got the lock.
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

void thrumi_timeout_start(struct thrumi_timeout *timeout, uint32_t worker, int64_t when) {
  int i = (int)(worker % SHARDS);
  timeout->shard = (uint32_t)i;
  thrumi_spin_lock(&shards[i].lock);
  start_wheel(i);
  thrumi_wheel_add(&shards[i].wheel, &timeout->timer, when);
  thrumi_add(&shards[i].pending, (size_t)1);
  int64_t due = thrumi_wheel_due(when);
  bool sooner = due < thrumi_load_relaxed(&shards[i].earliest);
  if (sooner) thrumi_store(&shards[i].earliest, due);
  thrumi_spin_unlock(&shards[i].lock);
  if (sooner) thrumi_watch_ring(due);
}

void thrumi_timeout_stop(struct thrumi_timeout *timeout) {
  uint32_t i = timeout->shard;
  thrumi_spin_lock(&shards[i].lock);
  if (thrumi_wheel_remove(&shards[i].wheel, &timeout->timer)) thrumi_add(&shards[i].pending, -(size_t)1);
  thrumi_spin_unlock(&shards[i].lock);
}

/* Takes out at most BATCH timeouts that are due. Returns how many. */
static size_t take_due(int i, int64_t now, struct thrumi_timeout out[BATCH]) {
  thrumi_spin_lock(&shards[i].lock);
  struct thrumi_timer *list = NULL;
  size_t copied = 0;
  thrumi_wheel_expire(&shards[i].wheel, now, &list, BATCH);
  for (; list; list = list->next) {
    const struct thrumi_timeout *timeout = (struct thrumi_timeout *)list;
    out[copied].thread = timeout->thread;
    out[copied++].ticket = timeout->ticket;
  }
  thrumi_store(&shards[i].earliest, thrumi_wheel_next(&shards[i].wheel));
  thrumi_spin_unlock(&shards[i].lock);
  return copied;
}

static void expire(int i, int64_t now) {
  struct thrumi_timeout due[BATCH];
  while (earliest(i) <= now) {
    size_t n = take_due(i, now, due);
    for (size_t j = 0; j < n; j++) thrumi_wake(due[j].thread, due[j].ticket, THRUMI_TIMED_OUT);
    thrumi_add(&shards[i].pending, -n); /* now only: until they are woken they are what may wake somebody */
    if (n < BATCH) return;
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
