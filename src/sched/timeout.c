/* Who is due is taken out of the wheel under the shard's lock, and woken without it. The thread may be woken by something else at
 * any moment, but cannot finish its wait before thrumi_timeout_stop got the lock: so whose timeout is taken out under the
 * lock is still in the wait that the timeout is for, and the ticket to wake it with is the one in its wait word. A
 * reminder rings under that lock, so that who stopped it may free what it lies in.
 *
 * Among a million sleepers a timeout is far away each time that it is touched: when it is added, moves down, and comes out, with a
 * neighbour in its list each time. So it is small, and lies among its like. Rejected: on the stack of who waits (a
 * page, and a line of page table, each); in the record (a line of 64 bytes of its own, in each thread that waits for no time);
 * slots that are arrays (a wait that ends early could not be taken out at once, and they want memory).
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

enum { SHARDS = 16, BATCH = 64, PLENTY = 1024 };

static struct {
  _Alignas(64) struct thrumi_spin lock;
  bool started;
  struct thrumi_wheel wheel;
  _Atomic int64_t earliest; /* when to look again; 0: never started, nothing there */
  _Atomic size_t pending;
} shards[SHARDS];

static struct thrumi_timeout *timeout_of(struct thrumi_thread *t) {
  return thrumi_load(&thrumi_table.timeouts[t->slot / THRUMI_TIMEOUTS]) + t->slot % THRUMI_TIMEOUTS;
}

static int64_t earliest(uint32_t i) {
  int64_t when = thrumi_load(&shards[i].earliest);
  return when ? when : INT64_MAX;
}

static void start_wheel(uint32_t i) {
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
static bool add(uint32_t i, struct thrumi_timer *timer, int64_t when) {
  start_wheel(i);
  thrumi_wheel_add(&shards[i].wheel, timer, when);
  int64_t due = thrumi_wheel_due(when);
  bool sooner = due < thrumi_load_relaxed(&shards[i].earliest);
  if (sooner) thrumi_store(&shards[i].earliest, due);
  return sooner;
}

uint32_t thrumi_timeout_start(struct thrumi_thread *t, uint32_t worker, int64_t when) {
  uint32_t i = worker % SHARDS;
  struct thrumi_timeout *timeout = timeout_of(t);
  timeout->thread = t;
  thrumi_spin_lock(&shards[i].lock);
  bool sooner = add(i, &timeout->timer, when);
  thrumi_add(&shards[i].pending, (size_t)1);
  thrumi_spin_unlock(&shards[i].lock);
  if (sooner) thrumi_watch_ring(thrumi_wheel_due(when));
  return i;
}

void thrumi_timeout_stop(struct thrumi_thread *t, uint32_t shard) {
  struct thrumi_timer *timer = &timeout_of(t)->timer;
  thrumi_spin_lock(&shards[shard].lock);
  if (thrumi_wheel_remove(&shards[shard].wheel, timer)) thrumi_add(&shards[shard].pending, -(size_t)1);
  thrumi_spin_unlock(&shards[shard].lock);
}

/* A reminder may lie in one of 16 shards whatever worker sets it: which one its address says. */
static uint32_t shard_of(const struct thrumi_reminder *reminder) {
  return (uintptr_t)reminder / sizeof *reminder % SHARDS;
}

void thrumi_reminder_set(struct thrumi_reminder *reminder, int64_t when) {
  uint32_t i = shard_of(reminder);
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
  uint32_t i = shard_of(reminder);
  thrumi_spin_lock(&shards[i].lock);
  if (reminder->timeout.timer.prev) thrumi_wheel_remove(&shards[i].wheel, &reminder->timeout.timer);
  thrumi_spin_unlock(&shards[i].lock);
}

/* Under the shard's lock. */
static void ring(uint32_t i, struct thrumi_reminder *reminder, int64_t now) {
  int64_t again = reminder->ring(reminder, now);
  if (again != INT64_MAX) thrumi_wheel_add(&shards[i].wheel, &reminder->timeout.timer, again);
}

/* What is due at one time, BATCH at most: how many were taken out, and of these the waits that end. */
struct due {
  size_t taken, waits;
  struct {
    struct thrumi_thread *thread;
    thrumi_ticket ticket;
  } of[BATCH];
};

/* Far away, when very many sleep: asked for together. */
static void fetch_records(const struct thrumi_timer *list) {
  for (; list; list = list->next) {
    const struct thrumi_thread *t = ((const struct thrumi_timeout *)list)->thread;
    if (!t) continue;
    __builtin_prefetch((const void *)&t->wait, 1);
    __builtin_prefetch(t, 1);
  }
}

static void take_due(uint32_t i, int64_t now, struct due *due) {
  thrumi_spin_lock(&shards[i].lock);
  struct thrumi_timer *list = NULL;
  due->waits = 0;
  due->taken = thrumi_wheel_expire(&shards[i].wheel, now, &list, BATCH);
  fetch_records(list);
  for (struct thrumi_timer *next; list; list = next) {
    struct thrumi_thread *t = ((struct thrumi_timeout *)list)->thread;
    next = list->next;
    if (t) {
      due->of[due->waits].thread = t;
      due->of[due->waits++].ticket = thrumi_wait_ticket(&t->wait);
    } else {
      ring(i, (struct thrumi_reminder *)list, now);
    }
  }
  thrumi_store(&shards[i].earliest, thrumi_wheel_next(&shards[i].wheel));
  thrumi_spin_unlock(&shards[i].lock);
}

/* Who has been woken has a record and a stack that must come from far away when very many sleep, and go again if too many others
 * run before. So a worker that finds many due wakes a batch of each shard, runs it, and comes back; others leave the rest in the
 * wheel while PLENTY woken ones lie on the global queue, behind which they would have to wait anyway. Those alone count: who has
 * timed out is woken, and goes before the many that lie there because they yielded or never ran. `earliest` has passed then, so
 * whoever looks next takes them, and a worker does before it sleeps. So it has when timers are left that must move down first. */
bool thrumi_timeouts_wait(void) { return thrumi_load_relaxed(&thrumi_sched.global_woken) >= PLENTY; }

static void expire(uint32_t i, int64_t now) {
  const struct thrumi_kthread *k = thrumi_self();
  bool by_worker = k && k->worker;
  struct due due;
  while (earliest(i) <= now) {
    if (!by_worker && thrumi_timeouts_wait()) return;
    take_due(i, now, &due);
    for (size_t j = 0; j < due.waits; j++) thrumi_wake(due.of[j].thread, due.of[j].ticket, THRUMI_TIMED_OUT);
    /* Now only: until they are woken they are what may wake somebody. */
    if (due.waits) thrumi_add(&shards[i].pending, -due.waits);
    if (due.taken < BATCH || by_worker) return;
  }
}

/* ---- With the alarms: all that the passing of time brings about ----------------------------------------- */

int64_t thrumi_timeouts_next(void) {
  int64_t next = thrumi_alarms_next();
  for (uint32_t i = 0; i < SHARDS; i++)
    if (earliest(i) < next) next = earliest(i);
  return next;
}

int64_t thrumi_timeouts_expire(int64_t now) {
  for (uint32_t i = 0; i < SHARDS; i++)
    if (earliest(i) <= now) expire(i, now);
  thrumi_alarms_expire(now);
  return thrumi_timeouts_next();
}

size_t thrumi_timeouts_pending(void) {
  size_t n = thrumi_alarms_pending();
  for (uint32_t i = 0; i < SHARDS; i++) n += thrumi_load_relaxed(&shards[i].pending);
  return n;
}

void thrumi_timeouts_fork(void) {
  thrumi_alarms_fork();
  for (uint32_t i = 0; i < SHARDS; i++) {
    shards[i].started = false;
    thrumi_store(&shards[i].earliest, 0);
    thrumi_store(&shards[i].pending, 0);
    shards[i].lock = (struct thrumi_spin){0};
  }
}
