/* Deadlines of waits: a thread waits twice, and the first wait is ended by its deadline or by a waker, in the functions of
 * sched/park.c and sched/timeout.c, while time passes. Neither ends the second wait, however late it comes; and nothing is left
 * in the wheel, nor counted as pending.
 *
 * And who looks while many threads lie on the global queue: the monitor leaves who is due while woken ones are many, but comes back
 * and takes them once these have gone; others do not matter to it, and a worker takes a batch whatever lies there. */
#include "explore.h"

#include <sched/alarm.h>
#include <sched/self.h>
#include <sched/timeout.h>
#include <string.h>

enum { SOON = 40000, LATE = 1 << 20, NEVER_HERE = 1 << 30, MANY = 5000 }; /* the clock stands at 1 */

static struct thrumi_thread record;
static struct thrumi_kthread kthreads[4];
static struct thrumi_worker worker, another;
static struct thrumi_timeout timeouts[1];
static _Atomic uint32_t ready, armed[2], rung, relief;
static thrumi_ticket tickets[2];
static enum thrumi_wait_state outcomes[2];

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
struct thrumi_table thrumi_table;
uint32_t thrumi_mode;

thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (void)t, (thrum_thread){0}; }
int64_t thrumi_clock(void) { return 1; }
int64_t thrumi_alarms_next(void) { return INT64_MAX; }
size_t thrumi_alarms_pending(void) { return 0; }
void thrumi_alarms_expire(int64_t now) { (void)now; }
void thrumi_alarms_fork(void) {}

void thrumi_make_ready(struct thrumi_thread *t) {
  (void)t;
  thrumi_add(&ready, 1u);
}

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready);
  EXPECT(thrumi_swap(&ready, 0) == 1);
}

static void wait_until(int i, int64_t deadline) {
  tickets[i] = thrumi_arm(&record, "the time", NULL, 0);
  thrumi_store(&armed[i], 1u);
  outcomes[i] = thrumi_park(&record, tickets[i], deadline);
  EXPECT(!timeouts[0].timer.prev); /* it is in no wheel */
}

static void waiter(void *unused) {
  (void)unused;
  wait_until(0, SOON);
  wait_until(1, NEVER_HERE);
}

/* Once, with nobody who wakes it: if its deadline is left for good no schedule ends. */
static void sleeper(void *unused) {
  (void)unused;
  wait_until(0, SOON);
}

static void waker(void *unused) {
  (void)unused;
  explore_await(&armed[0]);
  thrumi_wake(&record, tickets[0], THRUMI_WOKEN);
  explore_await(&armed[1]);
  EXPECT(thrumi_wake(&record, tickets[1], THRUMI_WOKEN));
}

static void time_passes(void *unused) {
  (void)unused;
  explore_await(&armed[0]);
  thrumi_timeouts_expire(LATE);
}

/* Who watches the time is told of the deadline. */
void thrumi_monitor_rouse(void) { thrumi_store(&rung, 1u); }

/* The woken ones only grow fewer: if they are too many afterwards they were before. */
static void time_passes_by_and_by(void *unused) {
  (void)unused;
  explore_await(&rung);
  while (thrumi_timeouts_expire(LATE) <= LATE) explore_await(&relief); /* it comes back */
  EXPECT(!thrumi_timeouts_wait());
}

static void time_passes_at_once(void *unused) {
  (void)unused;
  explore_await(&rung);
  EXPECT(thrumi_timeouts_expire(LATE) > LATE);
}

/* Those who were woken are taken off the global queue. */
static void others_run(void *unused) {
  (void)unused;
  thrumi_store(&thrumi_sched.global.count, 0);
  thrumi_store(&thrumi_sched.global_woken, 0);
  thrumi_store(&relief, 1u);
}

static int64_t now(void) { return 1; }

static void reset(void) {
  memset(&record, 0, sizeof record);
  memset(kthreads, 0, sizeof kthreads);
  memset(timeouts, 0, sizeof timeouts);
  atomic_store(&ready, 0);
  atomic_store(&rung, 0);
  atomic_store(&relief, 0);
  atomic_store(&thrumi_sched.global.count, 0);
  atomic_store(&thrumi_sched.global_woken, 0);
  atomic_store(&thrumi_sched.poller_watch, 0); /* it is there in time */
  atomic_store(&thrumi_sched.monitor_watch, 0);
  for (int i = 0; i < 2; i++) {
    atomic_store(&armed[i], 0);
    outcomes[i] = THRUMI_WAIT_NONE;
  }
  kthreads[0].worker = &worker;
  kthreads[3].worker = &another;
  atomic_store(&thrumi_table.timeouts[0], timeouts);
  /* What only dumps read. */
  explore_private(&record.state, sizeof record.state);
  explore_private(&record.waits_for, sizeof record.waits_for);
  explore_private(&record.waits_on, sizeof record.waits_on);
  explore_private(&record.waits_since, sizeof record.waits_since);
  explore_private(&record.waits_how, sizeof record.waits_how);
  thrumi_timeouts_fork();
  thrumi_os.now = now;
}

static void reset_beside(uint32_t count, uint32_t woken) {
  reset();
  atomic_store(&thrumi_sched.global.count, count);
  atomic_store(&thrumi_sched.global_woken, woken);
  atomic_store(&thrumi_sched.poller_watch, INT64_MAX);
  atomic_store(&thrumi_sched.monitor_watch, INT64_MAX);
}
static void reset_beside_woken(void) { reset_beside(MANY, MANY); }
static void reset_beside_others(void) { reset_beside(MANY, 0); }

/* What is left in the wheel would be counted down by the last call. */
static void check_rest(void) {
  EXPECT(atomic_load(&ready) == 0);
  thrumi_timeouts_expire(INT64_MAX / 2);
  EXPECT(thrumi_timeouts_pending() == 0);
  EXPECT(atomic_load(&ready) == 0);
}

static void check(void) {
  EXPECT(outcomes[0] == THRUMI_WOKEN || outcomes[0] == THRUMI_TIMED_OUT);
  EXPECT(outcomes[1] == THRUMI_WOKEN);
  check_rest();
}

static void check_sleeper(void) {
  EXPECT(outcomes[0] == THRUMI_TIMED_OUT);
  check_rest();
}

#define ACTOR(i, fn) \
  { .name = #fn, .run = fn, .self = &kthreads[i] }

static const struct explore_model models[] = {
    {.name = "timeout",
     .reset = reset,
     .check = check,
     .threads = {ACTOR(0, waiter), ACTOR(1, waker), ACTOR(2, time_passes)}},
    {.name = "timeout beside many woken ones",
     .reset = reset_beside_woken,
     .check = check_sleeper,
     .threads = {ACTOR(0, sleeper), ACTOR(2, time_passes_by_and_by), ACTOR(1, others_run)}},
    {.name = "timeout beside many others",
     .reset = reset_beside_others,
     .check = check_sleeper,
     .threads = {ACTOR(0, sleeper), ACTOR(2, time_passes_at_once)}},
    {.name = "timeout beside many woken ones, by a worker",
     .reset = reset_beside_woken,
     .check = check_sleeper,
     .threads = {ACTOR(0, sleeper), ACTOR(3, time_passes_at_once)}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
