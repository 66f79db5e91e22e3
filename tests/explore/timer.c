/* Timers: threads start, start again, cancel and free them while time passes and callbacks run, in the functions of
 * sched/alarm.c and time/timer.c. No timer that was started is lost; a cancel and the firing never both win; cancel_wait returns
 * when no callback runs, so that all may be freed; and no thread is called for nothing to do. */
#include "explore.h"

#include <core/parking.h>
#include <errno.h>
#include <sched/alarm.h>
#include <sched/self.h>
#include <sched/timeout.h>
#include <string.h>
#include <thrum/time.h>
#include <thrum/timer.h>

enum { USERS = 3, RUNNERS = 2, THREADS = USERS + RUNNERS + 1, CLOSER = THREADS - 1, TIMERS = 2 };
enum { AT_ONCE = 0, NEXT_TICK = 1, MUCH_LATER = 1 << 20 }; /* the clock stands at 1 */

static struct thrumi_worker workers[2];
static struct thrumi_thread records[THREADS];
static struct thrumi_kthread kthreads[THREADS];
static thrum_timer timers[TIMERS];
static _Atomic uint32_t ready[RUNNERS], done[RUNNERS]; /* of the threads that run callbacks */
static _Atomic uint32_t calls, begun, ended, fired, rung, freed, users_done, all_users_done;
static _Atomic uint32_t enough[TIMERS + 1]; /* so many callbacks were called, or more */
static uint32_t users, wanted;              /* how many there are; callbacks, but for what is cancelled */
static int won;
static bool memory_ends, again;

uint32_t thrumi_forks;
struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

/* ---- The parts of the scheduler that these functions call ---------------------------------------------- */

static uint64_t handle_of(const struct thrumi_thread *t) { return (uint64_t)1 << THRUMI_LIFE_BITS | t->slot; }
thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (thrum_thread){handle_of(t)}; }

struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  struct thrumi_thread *t = &records[THRUMI_FLAGS(handle.value) - 1];
  EXPECT(handle.value == handle_of(t));
  *life = thrumi_load(&t->life);
  return t;
}

static struct thrumi_thread *runner_record(uint32_t i) { return &records[USERS + i]; }

/* Of the threads that are wanted the first one may have to do without memory. */
struct thrumi_thread *thrumi_spawn_called(thrum_fn *fn, void *arg) {
  if (memory_ends && explore_choose(2) == 1) {
    memory_ends = false;
    return NULL;
  }
  uint32_t i = thrumi_add(&calls, 1u);
  EXPECT(i < RUNNERS);
  struct thrumi_thread *t = runner_record(i);
  t->fn = fn;
  t->arg = arg;
  return t;
}

void thrumi_make_ready(struct thrumi_thread *t) { thrumi_store(&ready[t - runner_record(0)], 1); }

int thrum_wait(thrum_thread handle) {
  uint32_t i = (uint32_t)THRUMI_FLAGS(handle.value) - 1 - USERS;
#ifdef MUTATE_WAIT /* a callback's thread ends before the one that ran the callback before it */
  if (thrumi_self() != &kthreads[USERS] && thrumi_self() != &kthreads[USERS + 1]) explore_await(&done[i]);
#else
  explore_await(&done[i]);
#endif
  return 0;
}

void thrumi_watch_ring(int64_t when) {
  (void)when;
#ifndef MUTATE_RING /* whoever watches the time does not hear that a thread could not be had */
  thrumi_store(&rung, 1);
#endif
}

thrum_time thrum_after(thrum_duration span) { return 1 + span; }

/* ---- What happens at once ------------------------------------------------------------------------------ */

static intptr_t callback(void *arg) {
  thrumi_add(&begun, 1u);
  EXPECT(!thrumi_load(&freed));
  if (again && arg) {
    again = false;
    EXPECT(thrum_timer_cancel_wait(arg) == -EDEADLK);
    EXPECT(thrum_timer_restart(arg, AT_ONCE) == 0);
  }
  thrumi_add(&ended, 1u);
  EXPECT(!thrumi_load(&freed));
  thrumi_store(&enough[thrumi_add(&fired, 1u) + 1], 1);
  return 0;
}

static uint32_t numbers[THREADS] = {0, 1, 2, 3, 4, 5};

static void runner(void *number) {
  uint32_t i = *(uint32_t *)number - USERS;
  explore_await(&ready[i]);
  struct thrumi_thread *t = runner_record(i);
  if (!t->fn) return; /* never called */
  t->fn(t->arg);
  thrumi_or(&t->life, (uint64_t)THRUMI_FINISHED);
  thrumi_store(&done[i], 1);
}

static void user_ends(void) {
  if (thrumi_add(&users_done, 1u) + 1 == users) thrumi_store(&all_users_done, 1);
}

static void start(int64_t when) { EXPECT(thrum_timer_start_at(&timers[0], when, callback, &timers[0]) == 0); }

static void start_one(void *unused) {
  (void)unused;
  start(AT_ONCE);
  user_ends();
}

static void start_later(void *unused) {
  (void)unused;
  start(NEXT_TICK);
  user_ends();
}

static void start_twice(void *unused) {
  (void)unused;
  start(AT_ONCE);
  EXPECT(thrum_timer_restart_at(&timers[0], AT_ONCE) == 0);
  user_ends();
}

static void start_both(void *unused) {
  (void)unused;
  start(AT_ONCE);
  EXPECT(thrum_timer_start_at(&timers[1], AT_ONCE, callback, NULL) == 0);
  user_ends();
}

/* The worker or the monitor; it ends when it is called for the first time, or at the end. */
static void pass_time(void *unused) {
  (void)unused;
  explore_await(&rung);
  thrumi_alarms_expire(MUCH_LATER);
}

static void cancel(void *unused) {
  (void)unused;
  int result = thrum_timer_cancel(&timers[0]);
  EXPECT(result == 0 || result == 1);
  won += result;
  user_ends();
}

static void cancel_wait(void *unused) {
  (void)unused;
  int result = thrum_timer_cancel_wait(&timers[0]);
  EXPECT(result == 0 || result == 1);
  won += result;
  user_ends();
}

/* ---- The end ------------------------------------------------------------------------------------------- */

/* All users are done: nothing that was started and not cancelled is lost. Then all is taken back, the memory goes, and so do
 * the threads that were not called. */
static void close_all(void *unused) {
  (void)unused;
  explore_await(&all_users_done);
  if ((int)wanted > won) explore_await(&enough[(int)wanted - won]);
  for (int i = 0; i < TIMERS; i++) EXPECT(thrum_timer_cancel_wait(&timers[i]) >= 0);
  EXPECT(thrumi_load(&begun) == thrumi_load(&ended));
  EXPECT(thrumi_alarms_pending() == 0);
  memset(timers, 0xee, sizeof timers);
  thrumi_store(&freed, 1);
  thrumi_store(&rung, 1);
  for (int i = 0; i < RUNNERS; i++) thrumi_store(&ready[i], 1);
}

static void reset_all(uint32_t n_users, uint32_t n_wanted) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  memset(timers, 0, sizeof timers);
  for (uint32_t i = 0; i < THREADS; i++) {
    records[i].slot = i + 1;
    atomic_store(&records[i].life, (uint64_t)1 << THRUMI_LIFE_BITS);
    atomic_store(&kthreads[i].current, &records[i]);
    workers[i % 2].id = i % 2;
    kthreads[i].worker = &workers[i % 2];
  }
  for (int i = 0; i < RUNNERS; i++) {
    atomic_store(&ready[i], 0);
    atomic_store(&done[i], 0);
  }
  _Atomic uint32_t *words[] = {&calls,     &begun, &ended, &fired,      &enough[1],
                               &enough[2], &rung,  &freed, &users_done, &all_users_done};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) atomic_store(words[i], 0);
  users = n_users;
  wanted = n_wanted;
  won = 0;
  memory_ends = again = false;
  thrumi_alarms_fork();
}

static void reset_fire_and_cancel(void) { reset_all(2, 1); }
static void reset_time_and_cancel(void) { reset_all(2, 1); }
static void reset_two_starts(void) { reset_all(2, 0); }
static void reset_free(void) { reset_all(2, 0); }
static void reset_both(void) { reset_all(2, 2); }

static void reset_no_memory(void) {
  reset_all(1, 1);
  memory_ends = true;
}

static void reset_again(void) {
  reset_all(2, 0);
  again = true;
}

/* One start: it fired, or a cancel won. */
static void check_one(void) { EXPECT((int)atomic_load(&fired) + won == 1); }
static void check_both(void) { EXPECT((int)atomic_load(&fired) + won == 2); }
static void check_two(void) { EXPECT((int)atomic_load(&fired) + won <= 2); }

#define USER(i, fn) \
  { .name = #fn, .run = fn, .self = &kthreads[i] }
#define RUNNER(i) \
  { .name = "runner", .run = runner, .arg = &numbers[USERS + (i)], .self = &kthreads[USERS + (i)] }
#define MODEL(text, reset_fn, check_fn, ...) \
  { \
    .name = "timer, " text, .reset = reset_fn, .check = check_fn, .threads = { \
      RUNNER(0), \
      RUNNER(1), \
      {.name = "end", .run = close_all, .self = &kthreads[CLOSER]}, \
      __VA_ARGS__ \
    } \
  }

static const struct explore_model models[] = {
    MODEL("firing and cancel", reset_fire_and_cancel, check_one, USER(0, start_one), USER(1, cancel)),
    MODEL("firing and cancel_wait", reset_fire_and_cancel, check_one, USER(0, start_one),
          USER(1, cancel_wait)),
    MODEL("time and cancel", reset_time_and_cancel, check_one, USER(0, start_later), USER(1, cancel),
          USER(2, pass_time)),
    MODEL("two starts on two workers", reset_two_starts, check_two, USER(0, start_one), USER(1, start_one)),
    MODEL("start, start again, and free", reset_free, check_two, USER(0, start_twice), USER(1, cancel_wait)),
    MODEL("two timers and a cancel", reset_both, check_both, USER(0, start_both), USER(1, cancel)),
    MODEL("from its callback", reset_again, check_two, USER(0, start_one), USER(1, cancel_wait)),
    MODEL("no memory", reset_no_memory, check_one, USER(0, start_one), USER(1, pass_time)),
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
