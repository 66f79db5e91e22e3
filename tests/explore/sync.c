/* Events, semaphores, wait groups and onces: threads wait, are let go, run out of time at every moment, in sync/round.c,
 * sync/event.c, sync/sem.c, sync/waitgroup.c, sync/once.c, sched/await.c, sched/park.c and core/parking.c. Whoever waits when it
 * is set, or 0, goes; a unit is taken by one thread; a limit holds; nobody touches what the last waiter has freed. What a
 * handler changes that may not take a bucket's lock is settled by the monitor: there stores wait in a buffer, since without the
 * fence in the sweep a mark would be missed. */
#include "waiting.h"

#include <sched/await.h>
#include <thrum/sync.h>

static struct thrumi_kthread monitor_kthread;
static _Atomic uint32_t left;

static thrum_event event;
static thrum_sem sem;
static thrum_waitgroup group;
static thrum_once once;

struct thrumi_thread *thrumi_record(uint32_t slot) {
  return &records[slot - 1];
}

/* ---- The monitor ----------------------------------------------------------------------------------------- */

void thrumi_monitor_rouse(void) {
  if (thrumi_swap(&monitor_kthread.go, THRUMI_AWAKE) == THRUMI_ASLEEP_FUTEX)
    explore_futex_wake(&monitor_kthread.go, 1);
}

/* As monitor.c does, until all callers have ended. */
static void monitor(void *unused) {
  (void)unused;
  for (bool over = false; !over;) {
    thrumi_store(&monitor_kthread.go, THRUMI_ASLEEP_FUTEX);
    thrumi_parking_sweep();
    over = thrumi_load(&left) == 0;
    if (!over) explore_futex_wait(&monitor_kthread.go, THRUMI_ASLEEP_FUTEX, INT64_MAX);
    thrumi_swap(&monitor_kthread.go, THRUMI_AWAKE);
  }
}

static void one_has_ended(void) {
  if (thrumi_add(&left, -1u) == 1) thrumi_monitor_rouse();
}

/* ---- What happens at once ------------------------------------------------------------------------------ */

static _Atomic uint32_t *lower(uint64_t *word) { return (_Atomic uint32_t *)word; }
static _Atomic uint32_t *upper(uint64_t *word) { return (_Atomic uint32_t *)word + 1; }
static void become_gone(uint64_t *word) { thrumi_store((_Atomic uint64_t *)word, (uint64_t)GONE); }

static void wait_event(void *i) {
  thrum_event_wait(&event);
  results[*(int *)i] = 0;
  one_has_ended();
}

static void wait_event_timed(void *i) {
  results[*(int *)i] = thrum_event_wait_for(&event, 1);
  has_ended(*(int *)i);
  one_has_ended();
}

static void wait_event_and_free(void *i) {
  wait_event(i);
  become_gone(&event.word);
}

static void set(void *unused) {
  (void)unused;
  thrum_event_set(&event);
}

/* Once somebody waits. */
static void set_and_clear(void *unused) {
  (void)unused;
  explore_await(lower(&event.word));
  thrum_event_set(&event);
  thrum_event_clear(&event);
}

static void acquire(void *i) {
  thrum_sem_acquire(&sem);
  results[*(int *)i] = 0;
  one_has_ended();
}

static void acquire_timed(void *i) {
  results[*(int *)i] = thrum_sem_acquire_for(&sem, 1);
  has_ended(*(int *)i);
  if (!results[*(int *)i]) EXPECT(thrum_sem_release(&sem, 1) == 0);
  one_has_ended();
}

static void acquire_and_free(void *i) {
  acquire(i);
  become_gone(&sem.word);
}

static void acquire_and_release(void *i) {
  thrum_sem_acquire(&sem);
  EXPECT(thrum_sem_release(&sem, 1) == 0);
  results[*(int *)i] = 0;
}

static void release(void *unused) {
  (void)unused;
  EXPECT(thrum_sem_release(&sem, 1) == 0);
}

static void release_two(void *unused) {
  (void)unused;
  EXPECT(thrum_sem_release(&sem, 2) == 0);
}

static void release_and_come_again(void *i) {
  release(i);
  acquire_and_release(i);
}

/* Somebody has waited for long, and gets the unit, or will get the next one, whoever takes this one before the release has come to
 * the bucket. */
static bool stolen;

static void steal(void *unused) {
  (void)unused;
  if (thrum_sem_try_acquire(&sem) == 0) stolen = true;
}

static void release_beside_a_thief(void *unused) {
  explore_await(upper(&sem.word));
  time_now += THRUM_MS(1);
  release(unused);
  if (stolen && results[0])
    EXPECT(sem.word & (THRUMI_SEM_FAIR | THRUMI_SEM_FAIR << 1)); /* or it is woken, and has yet to try */
  release(unused);
}

static void wait_group(void *i) {
  thrum_waitgroup_wait(&group);
  results[*(int *)i] = 0;
}

static void done_and_add(void *unused) {
  (void)unused;
  explore_await(upper(&group.word));
  thrum_waitgroup_done(&group);
  thrum_waitgroup_add(&group, 1);
}

static void done_once(void *unused) {
  (void)unused;
  thrum_waitgroup_done(&group);
}

/* A unit that is there for a woken waiter is for nobody else, once that has waited for long. */
static void try_in_vain(void *unused) {
  (void)unused;
  EXPECT(thrum_sem_try_acquire(&sem) == -EAGAIN);
}

static int runs, running, failures;

static intptr_t run(void *arg) {
  EXPECT(running++ == 0);
  explore_point(EXPLORE_WRITE, &runs);
  runs++;
  EXPECT(--running == 0);
  return failures-- > 0 ? -EIO : *(int *)arg * 0;
}

static void call(void *i) {
  results[*(int *)i] = thrum_once_call(&once, run, i);
  if (!results[*(int *)i]) EXPECT(runs > 0 && failures < 0);
}

/* ---- Before and after --------------------------------------------------------------------------------------- */

static void reset(void) {
  reset_callers();
  memset(&monitor_kthread, 0, sizeof monitor_kthread);
  memset(&event, 0, sizeof event);
  sem = (thrum_sem)THRUM_SEM_INIT(0);
  memset(&group, 0, sizeof group);
  memset(&once, 0, sizeof once);
  atomic_store(&left, 1);
  runs = running = failures = 0;
  stolen = false;
}

/* Caller 1 stands for a handler that interrupted the runtime. */
static void reset_handler(void) {
  reset();
  atomic_store(&kthreads[1].lease.inside, 1);
}

static void reset_bounded(void) {
  reset();
  sem = (thrum_sem)THRUM_SEM_BOUNDED_INIT(0, 1);
}

static void reset_fair(void) {
  reset();
  sem.word = 1 | THRUMI_SEM_FAIR | THRUMI_SEM_FAIR << 1; /* one is woken */
}

/* In the child of a fork: a waiter was woken, and long waits were, in the parent. */
static void reset_forked(void) {
  reset();
  sem.word = THRUMI_SEM_WAITERS | THRUMI_SEM_FAIR | THRUMI_SEM_FAIR << 1;
  thrumi_forks = 1;
}

static void reset_with_time(void) {
  reset();
  time_passes = true;
}

static void reset_group(void) {
  reset();
  thrum_waitgroup_add(&group, 1);
}

static void reset_failure(void) {
  reset();
  failures = 1;
}

static void check_event(void) { EXPECT((event.word & THRUMI_EVENT_WAITERS) == 0); }

static void check_timed_event(void) {
  check_event();
  EXPECT(results[0] == 0 || results[0] == -ETIMEDOUT);
}

static void check_event_gone(void) { EXPECT(event.word == (uint64_t)GONE); }
static void check_sem_gone(void) { EXPECT(sem.word == (uint64_t)GONE); }

static void check_none_left(void) { EXPECT(sem.word == 0); }
static void check_one_left(void) { EXPECT(sem.word == 1); }

static void check_theft(void) { EXPECT(sem.word == (stolen ? 0 : 1)); }

static void check_no_units(void) { EXPECT(thrum_sem_value(&sem) == 0); }

static void check_fair(void) { EXPECT(sem.word == (1 | THRUMI_SEM_FAIR | THRUMI_SEM_FAIR << 1)); }

static void check_group(void) { EXPECT((uint32_t)(group.word >> 32 & 1) == 0); }

static void check_once(void) {
  EXPECT(runs == 1 && thrum_once_done(&once));
  EXPECT(once.word >> 32 == 0 && (once.word & 3) == 0);
}

/* The first failed, the second ran it. */
static void check_failed_once(void) {
  EXPECT(runs == 2 && thrum_once_done(&once));
  EXPECT((results[0] == -EIO) + (results[1] == -EIO) + (results[2] == -EIO) == 1);
  EXPECT(once.word >> 32 == 0 && (once.word & 3) == 0);
}

#define MONITOR \
  { .name = "monitor", .run = monitor, .self = &monitor_kthread }
#define MODEL(text, before, after, ...) \
  { \
    .name = text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }
#define BUFFERED(text, before, after, ...) \
  { \
    .name = text, .buffered = true, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

static const struct explore_model models[] = {
    MODEL("event, a set", reset, check_event, CALLER(0, wait_event), CALLER(1, set)),
    MODEL("event, two wait", reset, check_event, CALLER(0, wait_event), CALLER(2, wait_event),
          CALLER(1, set)),
    MODEL("event, set and cleared", reset, check_event, CALLER(0, wait_event), CALLER(1, set_and_clear)),
    MODEL("event, a deadline", reset, check_timed_event, CALLER(0, wait_event_timed), CALLER(1, set),
          ACTOR(deadline, 0)),
    MODEL("event, freed", reset, check_event_gone, CALLER(0, wait_event_and_free), CALLER(1, set)),
    BUFFERED("event, a handler", reset_handler, NULL, CALLER(0, wait_event), CALLER(1, set_and_clear),
             MONITOR),
    MODEL("semaphore, a release", reset, check_none_left, CALLER(0, acquire), CALLER(1, release)),
    MODEL("semaphore, freed", reset, check_sem_gone, CALLER(0, acquire_and_free), CALLER(1, release)),
    MODEL("semaphore, two at once", reset, check_none_left, CALLER(0, acquire), CALLER(2, acquire),
          CALLER(1, release_two)),
    MODEL("semaphore, a limit", reset_bounded, check_one_left, CALLER(0, acquire_and_release),
          CALLER(1, release_and_come_again)),
    MODEL("semaphore, a deadline", reset_bounded, check_one_left, CALLER(0, acquire_timed),
          CALLER(1, release_and_come_again), ACTOR(deadline, 0)),
    MODEL("semaphore, time passes", reset_with_time, check_one_left, CALLER(0, acquire_and_release),
          CALLER(1, release_and_come_again)),
    MODEL("semaphore, three", reset, check_one_left, CALLER(0, acquire_and_release),
          CALLER(2, acquire_and_release), CALLER(1, release)),
    MODEL("semaphore, time passes, three", reset_with_time, check_one_left, CALLER(0, acquire_and_release),
          CALLER(2, acquire_and_release), CALLER(1, release)),
    MODEL("semaphore, a thief", reset, check_theft, CALLER(0, acquire), CALLER(1, release_beside_a_thief),
          CALLER(2, steal)),
    MODEL("semaphore, not for others", reset_fair, check_fair, CALLER(0, try_in_vain)),
    MODEL("semaphore, after a fork", reset_forked, check_no_units, CALLER(0, acquire), CALLER(1, release)),
    BUFFERED("semaphore, a handler", reset_handler, check_none_left, CALLER(0, acquire), CALLER(1, release),
             MONITOR),
    MODEL("wait group", reset_group, check_group, CALLER(0, wait_group), CALLER(1, done_once)),
    MODEL("wait group, 0 and an add", reset_group, check_group, CALLER(0, wait_group),
          CALLER(1, done_and_add)),
    MODEL("once", reset, check_once, CALLER(0, call), CALLER(1, call)),
    MODEL("once, a failure", reset_failure, check_failed_once, CALLER(0, call), CALLER(1, call)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
