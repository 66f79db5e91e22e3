/* The bell: a worker pushes threads to its private queue while another one looks for work and goes to sleep, in
 * the functions of sched/idle.c, sched/pick.c and core/lease.c. Stores wait in a buffer, since a pusher has no fence. No
 * thread is left on a queue while a worker sleeps, and nobody gets a thread twice.
 *
 * A worker that spins beside a pusher that does not go on could do so for ever; such a schedule is given up. */
#include "explore.h"

#include <sched/self.h>
#include <sched/timeout.h>
#include <string.h>

enum { WORKERS = 2, THREADS = 2, PATIENCE = 85 };

static struct thrumi_worker workers[WORKERS];
static struct thrumi_kthread kthreads[WORKERS], monitor;
static struct thrumi_thread records[THREADS];
static uint32_t runs[THREADS];
static _Atomic uint32_t monitor_roused, monitor_minds;

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

void thrumi_lease_barrier(void) {
#ifndef MUTATE_BARRIER
  if (thrumi_sched.no_membarrier)
    explore_fence();
  else
    explore_barrier();
#endif
}

/* As in sched/start.c, without what belongs to preemption and to lost workers. */
void thrumi_enter_slow(struct thrumi_kthread *k) {
  uint32_t seen = thrumi_lease_settle(&k->lease);
  if (!(seen & THRUMI_SHARE)) return;
  thrumi_and(&k->lease.attention, ~(uint32_t)THRUMI_SHARE);
  thrumi_share(k->worker);
}

void thrumi_monitor_rouse(void) { thrumi_add(&monitor_roused, 1u); }
void thrumi_monitor_mind(void) { thrumi_add(&monitor_minds, 1u); }
void thrumi_monitor_take_over(void) {
  thrumi_load(&thrumi_sched.bell) & THRUMI_BELL_MONITOR ? thrumi_monitor_rouse() : thrumi_monitor_mind();
}

int64_t thrumi_timeouts_next(void) { return INT64_MAX; }
void thrumi_watch_ring(int64_t when) { EXPECT(when == INT64_MAX); }
int64_t thrumi_timeouts_expire(int64_t now) { return (void)now, INT64_MAX; }
size_t thrumi_timeouts_pending(void) { return 0; }

/* Worker 0: its thread pushes another one and then runs on without end. */
static void pusher(void *number) {
  struct thrumi_kthread *k = thrumi_enter();
  for (int i = 0; i < *(int *)number; i++) {
    thrumi_push(k->worker, &records[i], THRUMI_CLASS_NEW);
    thrumi_ring_for_new(k->worker);
  }
  thrumi_leave(k);
}

/* A foreign thread, or the monitor: it has no worker. */
static void waker(void *number) {
  for (int i = 0; i < *(int *)number; i++) thrumi_make_ready(&records[i]);
}

/* Worker 1 finds as many threads. */
static void idler(void *number) {
  struct thrumi_kthread *k = thrumi_self();
  for (int i = 0; i < *(int *)number; i++) {
    struct thrumi_thread *t = thrumi_find_work(k);
    EXPECT(t);
    runs[t - records]++;
  }
}

static void reset(void) {
  memset(workers, 0, sizeof workers);
  memset(kthreads, 0, sizeof kthreads);
  memset(records, 0, sizeof records);
  memset(runs, 0, sizeof runs);
  memset(&thrumi_sched, 0, sizeof thrumi_sched);
  thrumi_sched.monitor = &monitor;
  atomic_store(&thrumi_sched.workers, WORKERS);
  atomic_store(&thrumi_sched.poller_watch, INT64_MAX);
  atomic_store(&thrumi_sched.monitor_watch, INT64_MAX);
  for (uint32_t i = 0; i < WORKERS; i++) {
    workers[i].id = i;
    atomic_store(&workers[i].kthread, &kthreads[i]);
    atomic_store(&thrumi_sched.worker[i], &workers[i]);
    kthreads[i].worker = &workers[i];
  }
  atomic_store(&kthreads[1].lease.inside, 1);
}

#ifdef MUTATE_FENCE /* pushers are not told that they need a fence */
enum { BELL = 0 };
#else
enum { BELL = THRUMI_BELL_FENCE };
#endif

static void reset_without_membarrier(void) {
  reset();
  thrumi_sched.no_membarrier = true;
  atomic_store(&thrumi_sched.bell, BELL);
  for (uint32_t i = 0; i < WORKERS; i++) atomic_store(&kthreads[i].lease.attention, THRUMI_FENCE);
}

/* Woken threads are left where they are: who sleeps looks only at what is for all, and tells the monitor to mind the rest. */
static void reset_patient(void) {
  reset();
  atomic_store(&thrumi_sched.lend_backoff, 1);
  atomic_store(&monitor_minds, 0);
}

/* A worker looks for work while the monitor finds that its thread's interval is over and the worker is taken out of service. */
static void picker(void *unused) {
  (void)unused;
  thrumi_pick(&workers[1]);
}

static void taker(void *unused) {
  (void)unused;
  atomic_store(&thrumi_sched.workers, 1);
  thrumi_or(&workers[1].nudge, (uint32_t)THRUMI_NUDGE_RETIRE);
}

static void reset_expired(void) {
  reset();
  atomic_store(&workers[1].nudge, THRUMI_NUDGE_EXPIRED);
}

static void check_retires(void) { EXPECT(atomic_load(&workers[1].nudge) & THRUMI_NUDGE_RETIRE); }

static void check_one(void) { EXPECT(runs[0] == 1); }

static int one = 1;

#define MODEL(text, reset_fn, ...) \
  { \
    .name = "bell, " text, .buffered = true, .patience = PATIENCE, .reset = reset_fn, .check = check_one, \
    .threads = { \
      {.name = "idler", .run = idler, .arg = &one, .self = &kthreads[1]}, \
      __VA_ARGS__ \
    } \
  }
#define PUSHER \
  { .name = "pusher", .run = pusher, .arg = &one, .self = &kthreads[0] }
#define WAKER \
  { .name = "waker", .run = waker, .arg = &one }

static const struct explore_model models[] = {
    MODEL("no membarrier, a worker pushes", reset_without_membarrier, PUSHER),
    MODEL("no membarrier, a foreign thread wakes", reset_without_membarrier, WAKER),
    MODEL("a worker pushes", reset, PUSHER),
    MODEL("a foreign thread wakes", reset, WAKER),
    MODEL("woken ones are left, a foreign thread wakes", reset_patient, WAKER),
    {.name = "bell, taken out of service",
     .buffered = true,
     .reset = reset_expired,
     .check = check_retires,
     .threads = {{.name = "picker", .run = picker, .self = &kthreads[1]}, {.name = "taker", .run = taker}}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
