/* The monitor goes to sleep until it is rung for, while threads move from queue to queue, in the functions of sched/monitor.c and
 * sched/pick.c: it looks at one queue after the other, and misses none that is left lying; nor does it sleep while somebody waits for a
 * descriptor that nobody polls. */
#include "../../src/sched/monitor.c"

#include "explore.h"

#include <string.h>

enum { WORKERS = 2, THREADS = 2, NOW = 1, SOON_ENOUGH = NOW + 2 * TICK };

static struct thrumi_worker workers[WORKERS];
static struct thrumi_kthread kthreads[WORKERS], monitor;
static struct thrumi_thread records[THREADS];
static _Atomic uint32_t runs, called[WORKERS];
static uint32_t lie;  /* so many are to run */
static uint32_t idle; /* these workers sleep: the first ones */

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

void thrumi_lease_barrier(void) { explore_barrier(); }
void thrumi_breed(void) {}
int64_t thrumi_timeouts_next(void) { return INT64_MAX; }
size_t thrumi_timeouts_pending(void) { return 0; }
void thrumi_rouse(struct thrumi_kthread *k) {
  if (thrumi_swap(&k->go, THRUMI_AWAKE) != THRUMI_AWAKE) explore_futex_wake(&k->go, 1);
}
void thrumi_doze(struct thrumi_kthread *k, int64_t deadline, bool poll) {
  if (poll || deadline <= SOON_ENOUGH) return; /* it polls itself, or will look again */
  explore_futex_wait(&k->go, THRUMI_ASLEEP_FUTEX, INT64_MAX);
}
/* Those that sleep, one after the other. */
bool thrumi_wake_idle(void) {
  for (uint32_t i = 0; i < idle; i++)
    if (!thrumi_swap(&called[i], 1)) return true;
  return false;
}

/* Until everybody has run, or it has seen that somebody lies: then it would look after them. */
static void going_to_sleep(void *unused) {
  (void)unused;
  thrumi_store(&monitor.go, THRUMI_ASLEEP_FUTEX);
  explore_fence(); /* as in look_once */
  if (thrumi_load(&runs) < lie) sleep_deep(&monitor, INT64_MAX, false, false);
}

static void run(struct thrumi_thread *t) {
  if (t && thrumi_add(&runs, 1u) + 1 == lie) thrumi_rouse(&monitor);
}

/* Its thread computes, was asked to share, answers when it calls the runtime, and computes on. */
static void sharer(void *unused) {
  (void)unused;
  thrumi_share(&workers[1]);
}

/* From outside. */
static void waker(void *unused) {
  (void)unused;
  for (int i = 0; i < THREADS; i++) thrumi_make_ready(&records[i]);
}

/* Its thread ends, and the next one computes. */
static void picker(void *unused) {
  (void)unused;
  run(thrumi_pick(&workers[0]));
}

/* The same, when it is called. */
static void sleeper(void *worker) {
  struct thrumi_worker *w = worker;
  explore_await(&called[w - workers]);
  run(thrumi_pick(w));
}

/* One thread hands over to the next, and is queued behind it, which computes. */
static void yielder(void *unused) {
  (void)unused;
  thrumi_push(&workers[0], &records[0], THRUMI_CLASS_READY);
  run(thrumi_pick(&workers[0]));
}

/* Somebody waits for a descriptor, and a worker polls until another thread is found for it, which computes. */
static size_t one_waits(void) { return 1; }

static void watch_poller(bool waiting) {
  struct look look = {.now = NOW, .next = INT64_MAX, .waiting = waiting};
  seen.quiet = QUIET_TICKS;
  seen.counted = NOW;
  thrumi_store(&monitor.go, THRUMI_ASLEEP_FUTEX);
  thrumi_store(&thrumi_sched.clock, NOW);
  explore_fence();
  sleep_for_now(&monitor, &look);
}

static void watch_beside_nobody(void *unused) {
  (void)unused;
  watch_poller(false);
}

/* The poller has been struck off to take that thread, and has not left yet: nobody sleeps, so the monitor would look again in an
 * interval. */
static void watch_beside_waiting(void *unused) {
  (void)unused;
  watch_poller(true);
}

/* The end of sleep_as_poller, in sched/idle.c. */
static void leave(void *unused) {
  (void)unused;
  thrumi_store(&thrumi_sched.poller_watch, INT64_MAX);
  thrumi_store(&thrumi_sched.poller, NULL);
  explore_fence();
  thrumi_monitor_take_over();
}

/* What nobody else reads, or nobody writes here: it makes no schedules. */
static void hide(void) {
  explore_private(records, sizeof records);
  explore_private(&thrumi_sched.hogs_waiting, sizeof thrumi_sched.hogs_waiting);
  explore_private(&thrumi_sched.global.appended, sizeof thrumi_sched.global.appended);
  explore_private(&thrumi_sched.workers, sizeof thrumi_sched.workers);
  explore_private(&thrumi_sched.worker, sizeof thrumi_sched.worker);
  for (uint32_t i = 0; i < WORKERS; i++) {
    explore_private(&workers[i].queues.appended, sizeof workers[i].queues.appended);
    explore_private(&workers[i].turn, sizeof workers[i].turn);
    explore_private(&workers[i].nudge, sizeof workers[i].nudge);
  }
}

static void reset(void) {
  memset(workers, 0, sizeof workers);
  memset(kthreads, 0, sizeof kthreads);
  memset(records, 0, sizeof records);
  memset(&monitor, 0, sizeof monitor);
  memset(&thrumi_sched, 0, sizeof thrumi_sched);
  thrumi_sched.monitor = &monitor;
  atomic_store(&thrumi_sched.workers, WORKERS);
  atomic_store(&thrumi_sched.poller_watch, INT64_MAX);
  atomic_store(&runs, 0);
  memset(called, 0, sizeof called);
  lie = THREADS;
  idle = 0;
  thrumi_hooks.poll_pending = NULL;
  for (uint32_t i = 0; i < WORKERS; i++) {
    workers[i].id = i;
    atomic_store(&workers[i].kthread, &kthreads[i]);
    atomic_store(&thrumi_sched.worker[i], &workers[i]);
    kthreads[i].worker = &workers[i];
  }
  hide();
}

static void reset_idle(void) {
  reset();
  idle = WORKERS;
}

/* Pushed before the monitor told that it wants to be rung for. */
static void reset_queued(void) {
  reset();
  lie = 1;
  thrumi_push(&workers[1], &records[0], THRUMI_CLASS_NEW);
}

static void reset_next(void) {
  reset();
  atomic_store(&workers[0].next, &records[1]);
}

static void reset_polling(void) {
  reset();
  thrumi_hooks.poll_pending = one_waits;
  atomic_store(&thrumi_sched.poller, &kthreads[0]);
  atomic_store(&thrumi_sched.poller_watch, INT64_MAX - 1);
  atomic_store(&thrumi_sched.monitor_watch, INT64_MAX);
  atomic_store(&thrumi_sched.interval, THRUM_S(1));
}

#define MONITOR \
  { .name = "monitor", .run = going_to_sleep, .self = &monitor }
#define WORKER(text, at) \
  { .name = #text, .run = text, .self = &kthreads[at] }
#define SLEEPER(at) \
  { .name = "sleeper", .run = sleeper, .arg = &workers[at], .self = &kthreads[at] }

static const struct explore_model models[] = {
    {.name = "deep, a worker shares",
     .buffered = true,
     .reset = reset_queued,
     .threads = {MONITOR, WORKER(sharer, 1)}},
    {.name = "deep, a worker shares and another one fetches",
     .buffered = true,
     .reset = reset_queued,
     .threads = {MONITOR, WORKER(sharer, 1), WORKER(picker, 0)}},
    {.name = "deep, two are woken from outside",
     .reset = reset_idle,
     .threads = {MONITOR, {.name = "waker", .run = waker}, SLEEPER(0), SLEEPER(1)}},
    {.name = "deep, a worker yields to its run-next thread",
     .buffered = true,
     .reset = reset_next,
     .threads = {MONITOR, WORKER(yielder, 0)}},
    {.name = "deep, the poller leaves",
     .buffered = true,
     .reset = reset_polling,
     .threads = {{.name = "monitor", .run = watch_beside_nobody, .self = &monitor}, WORKER(leave, 0)}},
    {.name = "deep, the poller leaves to run who waits",
     .buffered = true,
     .reset = reset_polling,
     .threads = {{.name = "monitor", .run = watch_beside_waiting, .self = &monitor}, WORKER(leave, 0)}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
