/* The gil: threads take it, check, and release it, wait with and without a deadline, while the reminder rings, in the functions of
 * sync/gil.c, sched/await.c, sched/park.c and core/parking.c. One holds it at a time; who waits gets it or runs out of time; who
 * had to hand it over has it back only when another one has had it; and once nobody waits the reminder is not set.
 *
 * Time stands still until the reminder rings, and is an interval later then. */
#include "explore.h"

#include <core/parking.h>
#include <errno.h>
#include <sched/self.h>
#include <sched/timeout.h>
#include <string.h>
#include <thrum/gil.h>

enum { CALLERS = 3, INTERVAL = 1000000 };

static struct thrumi_thread records[CALLERS];
static struct thrumi_kthread kthreads[CALLERS];
static struct thrumi_worker worker;
static _Atomic uint32_t ready[CALLERS], reminder_lock;
static _Atomic uint32_t timed; /* the deadline of a wait is known */
static struct {
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
} deadline_of;
static struct thrumi_reminder *reminder_set;
static int64_t clock_now;
static thrum_gil gil;
static int once = 1, twice = 2; /* arguments */
static int inside, turns, got, missed;

/* ---- The parts of the runtime that these functions call ------------------------------------------------ */

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

uint32_t explore_mark(void) { return atomic_load(&thrumi_self()->current)->mark; }
static int64_t now(void) { return clock_now; }

thrum_time thrum_now(void) { return clock_now; }
thrum_time thrum_after(thrum_duration span) { return clock_now + span; }
thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (void)t, (thrum_thread){0}; }
int64_t thrumi_clock(void) { return 1; }
struct thrumi_thread *thrumi_record(uint32_t slot) {
  return &records[slot - 1];
}
void thrumi_boost(struct thrumi_thread *t) { EXPECT(t >= records && t < records + CALLERS); }
void thrumi_remain_hog(struct thrumi_kthread *k) { (void)k; }

int *thrum_errno(void) {
  static int number;
  return &number;
}

void thrumi_make_ready(struct thrumi_thread *t) { thrumi_add(&ready[t - records], 1u); }

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready[t - records]);
  EXPECT(thrumi_swap(&ready[t - records], 0) == 1);
}

uint32_t thrumi_timeout_start(struct thrumi_thread *t, uint32_t w, int64_t when) {
  (void)when;
  deadline_of.thread = t;
  deadline_of.ticket = thrumi_wait_ticket(&t->wait);
  thrumi_store(&timed, 1);
  return w;
}
void thrumi_timeout_stop(struct thrumi_thread *t, uint32_t w) { (void)t, (void)w; }

void thrumi_reminder_set(struct thrumi_reminder *reminder, int64_t when) {
  (void)when; /* it looks by itself whether it is time */
  explore_lock(&reminder_lock);
  reminder_set = reminder;
  thrumi_store(&reminder_lock, 0);
}

void thrumi_reminder_stop(struct thrumi_reminder *reminder) {
  (void)reminder;
#ifndef MUTATE_REMINDER
  explore_lock(&reminder_lock);
  reminder_set = NULL;
  thrumi_store(&reminder_lock, 0);
#endif
}

/* ---- What happens at once ------------------------------------------------------------------------------ */

static void use(void) {
  EXPECT(inside++ == 0);
  turns++;
  explore_point(EXPLORE_WRITE, &inside);
  EXPECT(--inside == 0);
}

static void take_once(void *unused) {
  (void)unused;
  thrum_gil_acquire(&gil);
  use();
  EXPECT(thrum_gil_release(&gil) == 0);
  got++;
}

static void take_for(void *unused) {
  (void)unused;
  int error = thrum_gil_acquire_for(&gil, INTERVAL);
  EXPECT(error == 0 || error == -ETIMEDOUT);
  if (error == 0) use();
  if (error == 0) EXPECT(thrum_gil_release(&gil) == 0);
  *(error ? &missed : &got) += 1;
}

static void take_and_check(void *unused) {
  (void)unused;
  thrum_gil_acquire(&gil);
  use();
  thrumi_gil_check_slow(&gil);
  EXPECT(inside == 0 && thrum_gil_owned(&gil));
  use();
  EXPECT(thrum_gil_release(&gil) == 0);
  got++;
}

/* Whether the one that handed over slept is in its own wait word: its waits are counted there. */
static void check_as_holder(void *times) {
  thrum_gil_acquire(&gil);
  for (int i = 0; i < *(int *)times; i++) {
    uint64_t waits = atomic_load(&records[0].wait);
    int had = turns;
    if (thrumi_load((_Atomic uint64_t *)&gil.word) & THRUMI_GIL_ASKED) thrumi_gil_check_slow(&gil);
    EXPECT(thrum_gil_owned(&gil));
    if (atomic_load(&records[0].wait) != waits) EXPECT(turns > had);
  }
  use();
  EXPECT(thrum_gil_release(&gil) == 0);
  got++;
}

/* So often, maybe when it is not set. */
static void time_passes(void *times) {
  for (int i = 0; i < *(int *)times; i++) {
    explore_lock(&reminder_lock);
    clock_now += INTERVAL;
    struct thrumi_reminder *reminder = reminder_set;
    if (reminder && reminder->ring(reminder, clock_now) == INT64_MAX) reminder_set = NULL;
    thrumi_store(&reminder_lock, 0);
  }
}

static void deadline(void *unused) {
  (void)unused;
  if (thrumi_load(&timed)) thrumi_wake(deadline_of.thread, deadline_of.ticket, THRUMI_TIMED_OUT);
}

static void reset(void) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  for (int i = 0; i < CALLERS; i++) {
    records[i].slot = (uint32_t)i + 1;
    atomic_store(&records[i].mark, (uint32_t)i + 1);
    atomic_store(&kthreads[i].current, &records[i]);
    kthreads[i].worker = &worker;
    atomic_store(&ready[i], 0);
  }
  atomic_store(&thrumi_sched.interval, INTERVAL);
  atomic_store(&reminder_lock, 0);
  atomic_store(&timed, 0);
  reminder_set = NULL;
  clock_now = INTERVAL;
  gil = (thrum_gil){0};
  inside = turns = got = missed = 0;
  thrumi_parking_fork(); /* a schedule that was cut short leaves waiters behind */
  thrumi_forks = 0;
}

static void check(int callers) {
  EXPECT(got + missed == callers);
  EXPECT(gil.word == 0);
  EXPECT(!reminder_set);
  for (int i = 0; i < CALLERS; i++) EXPECT(atomic_load(&ready[i]) == 0);
}
static void check_two(void) { check(2); }
static void check_three(void) { check(3); }

#define CALLER(i, fn) \
  { .name = #fn, .run = fn, .self = &kthreads[i] }
#define HOLDER(times) \
  { .name = "holder", .run = check_as_holder, .arg = &(times), .self = &kthreads[0] }
#define TIME(times) \
  { .name = "time", .run = time_passes, .arg = &(times) }
#define MODEL(text, n, ...) \
  { \
    .name = "gil, " text, .reset = reset, .check = check_##n, .threads = { __VA_ARGS__ } \
  }

static const struct explore_model models[] = {
    MODEL("two take it", two, CALLER(0, take_once), CALLER(1, take_once)),
    MODEL("a holder is asked", two, HOLDER(twice), CALLER(1, take_once), TIME(twice)),
    MODEL("both check", two, CALLER(0, take_and_check), CALLER(1, take_and_check)),
    MODEL("one runs out of time", two, CALLER(0, take_once), CALLER(1, take_for),
          {.name = "deadline", .run = deadline, .self = &kthreads[2]}),
    MODEL("who is asked has nobody to hand it to", two, HOLDER(once), CALLER(1, take_for),
          {.name = "deadline", .run = deadline, .self = &kthreads[2]}, TIME(once)),
    MODEL("three take it", three, CALLER(0, take_once), CALLER(1, take_once), CALLER(2, take_once)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = now;
  return explore(models, argc, argv);
}
