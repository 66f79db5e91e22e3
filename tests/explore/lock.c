/* The lock and the condition: threads take, wait, hand over, run out of time and are cancelled at every moment, in sync/lock.c,
 * sync/cond.c, sched/await.c, sched/park.c and core/parking.c, and in the inline paths of the header. One thread at a time
 * holds the lock; whoever waits gets it or runs out of time; no notify is lost or given to nobody; in the end the word is
 * as at the beginning. */
#include "waiting.h"

#include <sched/cycle.h>
#include <sync/lock.h>

static thrum_lock lock;
static thrum_cond cond;
static _Atomic uint32_t taken;

static struct thrumi_thread *me(void) { return thrumi_self()->current; }

/* Whether the holder runs, for who spins: it does not. Nobody who is to set FAIR asks. */
struct thrumi_thread *thrumi_record(uint32_t slot) {
  const struct thrumi_lock_wait *wait = (const struct thrumi_lock_wait *)atomic_load(&me()->waiter);
  EXPECT(!time_passes || !wait || !wait->woken || time_now - wait->since < THRUM_MS(1));
  return (void)slot, NULL;
}

/* Waiting in a circle is the model of cycle.c. */
void thrumi_cycle_moved(struct thrumi_thread *t, uint32_t mark) { (void)t, (void)mark; }

/* ---- What happens at once ------------------------------------------------------------------------------ */

static uint32_t holder(void) { return (uint32_t)(thrumi_load((_Atomic uint64_t *)&lock.word) >> 32); }

static void hold_and_release(void) {
  EXPECT(holder() == me()->mark);
  EXPECT(thrum_lock_release(&lock) == 0);
}

static void once(void *unused) {
  (void)unused;
  thrum_lock_acquire(&lock);
  hold_and_release();
}

static void twice(void *unused) {
  once(unused);
  once(unused);
}

static void timed(void *i) {
  int error = results[*(int *)i] = thrum_lock_acquire_for(&lock, 1);
  has_ended(*(int *)i);
  EXPECT(error == 0 || error == -ETIMEDOUT || error == -ECANCELED);
  if (error) EXPECT(holder() != me()->mark);
  if (!error) hold_and_release();
}

static void cancel(void *i) { thrumi_cancel(&records[*(int *)i]); }

/* Takes it and leaves it to another thread. */
static void take_only(void *unused) {
  (void)unused;
  thrum_lock_acquire(&lock);
  thrumi_store(&taken, 1u);
}

static void release_for_other(void *unused) {
  (void)unused;
  explore_await(&taken);
  EXPECT(thrum_lock_release(&lock) == 0);
}

static void release_held(void *unused) {
  (void)unused;
  hold_and_release();
}

static void release_twice(void *unused) {
  hold_and_release();
  once(unused);
}

/* The last one to have to do with the lock: its memory is something else from there on, though it is held. */
static void take_and_free(void *unused) {
  (void)unused;
  thrum_lock_acquire(&lock);
  thrumi_store((_Atomic uint64_t *)&lock.word, (uint64_t)GONE);
}

/* Conditions. Who notifies sets `phase` first, as the documentation wants it, and who waits looks at it. */
static int phase;
static bool freed;

static void wait_notified(void *i) {
  thrum_lock_acquire(&lock);
  results[*(int *)i] = phase == 0 ? thrum_cond_wait(&cond, &lock) : 0;
  EXPECT(phase > 0);
  hold_and_release();
}

/* How many notifies were spent on each caller. */
static int spent[CALLERS];

void __real_thrumi_lock_pass_on(struct thrumi_bucket *bucket, struct thrumi_lock_wait *wait);
void __wrap_thrumi_lock_pass_on(struct thrumi_bucket *bucket, struct thrumi_lock_wait *wait);
void __wrap_thrumi_lock_pass_on(struct thrumi_bucket *bucket, struct thrumi_lock_wait *wait) {
  spent[number_of(wait->waiter.thread)]++;
  __real_thrumi_lock_pass_on(bucket, wait);
}

/* 0 if and only if a notify was spent on it. */
static void wait_timed(void *i) {
  thrum_lock_acquire(&lock);
  results[*(int *)i] = thrum_cond_wait_for(&cond, &lock, 1);
  has_ended(*(int *)i);
  EXPECT(results[*(int *)i] == (spent[*(int *)i] ? 0 : -ETIMEDOUT));
  hold_and_release();
}

static void notify_one(void *unused) {
  (void)unused;
  thrum_lock_acquire(&lock);
  phase++;
  thrum_cond_notify(&cond, 1);
  hold_and_release();
}

static void notify_outside(void *unused) {
  (void)unused;
  thrum_lock_acquire(&lock);
  phase++;
  hold_and_release();
  thrum_cond_notify_all(&cond);
}

/* The notifier does not hold the lock when it notifies; who was notified, and nobody else is there, frees the condition. */
static void wait_and_free(void *unused) {
  (void)unused;
  thrum_lock_acquire(&lock);
  bool waits = phase == 0;
  if (waits) EXPECT(thrum_cond_wait(&cond, &lock) == 0);
  hold_and_release();
  freed = waits;
  if (waits) thrumi_store((_Atomic uint32_t *)&cond.waiters, (uint32_t)GONE);
}

static void reset(void) {
  reset_callers();
  memset(&lock, 0, sizeof lock);
  memset(&cond, 0, sizeof cond);
  atomic_store(&taken, 0);
  phase = 0;
  freed = false;
  memset(spent, 0, sizeof spent);
}

static void reset_held(void) {
  reset();
  lock.word = thrumi_lock_mine(records[0].mark);
}

static void reset_with_time(void) {
  reset_held();
  time_passes = true;
}

static void check(void) { EXPECT(lock.word == 0); }

static void check_gone(void) { EXPECT(lock.word == (uint64_t)GONE); }

static void check_cond(void) {
  check();
  for (int i = 0; i < CALLERS; i++)
    EXPECT(results[i] == 0 || results[i] == -ETIMEDOUT || results[i] == -ECANCELED || results[i] == NOT_RUN);
}

static void check_cond_gone(void) {
  check();
  if (freed) EXPECT(cond.waiters == (uint32_t)GONE);
}

#define MODEL(text, before, after, ...) \
  { \
    .name = "lock, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

static const struct explore_model models[] = {
    MODEL("freed by the last", reset_held, check_gone, CALLER(0, release_held), CALLER(1, take_and_free)),
    MODEL("a notify", reset, check_cond, CALLER(0, wait_notified), CALLER(1, notify_one)),
    MODEL("a notify or a deadline", reset, check_cond, CALLER(0, wait_timed), CALLER(1, notify_one),
          ACTOR(deadline, 0)),
    MODEL("notified outside or a deadline", reset, check_cond, CALLER(0, wait_timed),
          CALLER(1, notify_outside), ACTOR(deadline, 0)),
    MODEL("notified outside, freed", reset, check_cond_gone, CALLER(0, wait_and_free),
          CALLER(1, notify_outside)),
    MODEL("three", reset_held, check, CALLER(0, release_held), CALLER(1, once), CALLER(2, once)),
    MODEL("time passes", reset_with_time, check, CALLER(0, release_twice), CALLER(1, once)),
    MODEL("a deadline", reset_held, check, CALLER(0, release_twice), CALLER(1, timed), ACTOR(deadline, 1)),
    MODEL("a deadline, time passes", reset_with_time, check, CALLER(0, release_twice), CALLER(1, timed),
          ACTOR(deadline, 1)),
    MODEL("a cancellation", reset_held, check, CALLER(0, release_held), CALLER(1, timed), ACTOR(cancel, 1)),
    MODEL("released by another", reset, check, CALLER(0, take_only), CALLER(1, once),
          CALLER(2, release_for_other)),
    MODEL("two", reset, check, CALLER(0, twice), CALLER(1, once)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
