/* Dozing: kernel threads sleep on their `go` word or in the poll and are roused, and workers without work go to
 * sleep as the poller or beside it and are called, in the functions of sched/idle.c. No rouse is lost, and who
 * leaves the polling tells a monitor that sleeps. */
#include "explore.h"

#include <sched/self.h>
#include <sched/timeout.h>
#include <string.h>

enum { WORKERS = 2, PATIENCE = 80 };

static struct thrumi_worker workers[WORKERS];
static struct thrumi_kthread kthreads[WORKERS], monitor;
static struct thrumi_thread records[WORKERS];
static uint32_t runs[WORKERS];
static _Atomic uint32_t work, interrupted, monitor_roused, monitor_minds;

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

void thrumi_lease_barrier(void) { explore_barrier(); }
void thrumi_monitor_rouse(void) { thrumi_add(&monitor_roused, 1u); }
void thrumi_monitor_mind(void) { thrumi_add(&monitor_minds, 1u); }
void thrumi_monitor_take_over(void) {
  thrumi_load(&thrumi_sched.bell) & THRUMI_BELL_MONITOR ? thrumi_monitor_rouse() : thrumi_monitor_mind();
}
int64_t thrumi_timeouts_next(void) { return INT64_MAX; }
void thrumi_watch_ring(int64_t when) { EXPECT(when == INT64_MAX); }
int64_t thrumi_timeouts_expire(int64_t now) { return (void)now, INT64_MAX; }
size_t thrumi_timeouts_pending(void) { return 0; }

/* The poll: a word that interrupts write, as the event descriptor is. */
static int poll_descriptors(int64_t timeout) {
  if (timeout != 0) explore_await(&interrupted);
  thrumi_swap(&interrupted, 0);
  return 0;
}
static void interrupt_poll(void) { thrumi_swap(&interrupted, 1); }
static size_t nothing_pending(void) { return 0; }

/* ---- One sleeper --------------------------------------------------------------------------------------- */

static bool in_poll = true, on_futex = false;

/* As the monitor and the breeder do: the word first, then the look. */
static void sleeper(void *poll) {
  uint32_t done = 0;
  while (done < 2) {
    thrumi_store(&kthreads[0].go, THRUMI_ASLEEP_FUTEX);
    done += thrumi_swap(&work, 0);
#ifdef MUTATE_ORDER /* the look first */
    thrumi_store(&kthreads[0].go, THRUMI_ASLEEP_FUTEX);
#endif
    if (done < 2) thrumi_doze(&kthreads[0], INT64_MAX, *(bool *)poll);
  }
}

static void rouser(void *unused) {
  (void)unused;
  thrumi_add(&work, 1u);
  thrumi_rouse(&kthreads[0]);
}

/* ---- Two workers without work -------------------------------------------------------------------------- */

static void idler(void *unused) {
  (void)unused;
  struct thrumi_kthread *k = thrumi_self();
  struct thrumi_thread *t = thrumi_find_work(k);
  EXPECT(t);
  runs[t - records]++;
}

static void waker(void *unused) {
  (void)unused;
  thrumi_make_ready(&records[0]);
}

static void waker_and_rouser(void *unused) {
  waker(unused);
  thrumi_rouse(&monitor); /* whether or not the idler did */
}

/* As the monitor's leave_poll: gives the polling back to a worker that sleeps. */
static void polling_monitor(void *unused) {
  (void)unused;
  thrumi_doze(&monitor, INT64_MAX, true);
  thrumi_store(&thrumi_sched.poller, NULL);
  thrumi_spin_lock(&thrumi_sched.lock);
  struct thrumi_kthread *idle = thrumi_sched.idle;
  thrumi_spin_unlock(&thrumi_sched.lock);
  if (idle) thrumi_rouse(idle);
}

static void reset(void) {
  memset(workers, 0, sizeof workers);
  memset(kthreads, 0, sizeof kthreads);
  memset(records, 0, sizeof records);
  memset(runs, 0, sizeof runs);
  memset(&thrumi_sched, 0, sizeof thrumi_sched);
  thrumi_sched.monitor = &monitor;
  thrumi_hooks.poll = poll_descriptors;
  thrumi_hooks.poll_interrupt = interrupt_poll;
  thrumi_hooks.poll_pending = nothing_pending;
  atomic_store(&thrumi_sched.workers, 1); /* so that nobody looks around before he sleeps: bell.c does that */
  atomic_store(&thrumi_sched.bell, THRUMI_BELL_MONITOR);
  for (uint32_t i = 0; i < WORKERS; i++) {
    workers[i].id = i;
    atomic_store(&workers[i].kthread, &kthreads[i]);
    atomic_store(&thrumi_sched.worker[i], &workers[i]);
    kthreads[i].worker = &workers[i];
    atomic_store(&kthreads[i].lease.inside, 1);
  }
  atomic_store(&work, 0);
  atomic_store(&interrupted, 0);
  atomic_store(&monitor_roused, 0);
}

static void reset_beside_poller(void) {
  reset();
  atomic_store(&thrumi_sched.poller, &kthreads[1]);
}

static void reset_monitor_polls(void) {
  reset();
  atomic_store(&thrumi_sched.poller, &monitor);
  atomic_store(&monitor.go, THRUMI_ASLEEP_FUTEX);
}

static void check_workers(void) {
  EXPECT(runs[0] == 1);
  bool was_poller = atomic_load(&thrumi_sched.poller_watch) == INT64_MAX; /* and is no more */
  if (was_poller) EXPECT(atomic_load(&monitor_roused));
  EXPECT(atomic_load(&thrumi_sched.bell) == THRUMI_BELL_MONITOR);
  EXPECT(!thrumi_sched.idle);
}

#define IDLER \
  { .name = "idler", .run = idler, .self = &kthreads[0] }
#define SLEEPER(where) \
  { .name = "sleeper", .run = sleeper, .arg = &where, .self = &kthreads[0] }

static const struct explore_model models[] = {
    {.name = "doze on a futex",
     .reset = reset,
     .threads = {SLEEPER(on_futex), {.name = "one", .run = rouser}, {.name = "other", .run = rouser}}},
    {.name = "doze in the poll",
     .reset = reset,
     .threads = {SLEEPER(in_poll), {.name = "one", .run = rouser}, {.name = "other", .run = rouser}}},
    {.name = "doze, a worker becomes the poller",
     .reset = reset,
     .check = check_workers,
     .threads = {IDLER, {.name = "waker", .run = waker}}},
    {.name = "doze, a worker sleeps beside the poller",
     .reset = reset_beside_poller,
     .check = check_workers,
     .threads = {IDLER, {.name = "waker", .run = waker}}},
    {.name = "doze, the monitor hands the poll over",
     .patience = PATIENCE,
     .reset = reset_monitor_polls,
     .check = check_workers,
     .threads = {IDLER,
                 {.name = "monitor", .run = polling_monitor},
                 {.name = "waker", .run = waker_and_rouser}}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
