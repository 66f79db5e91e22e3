/* The shared lock: processes take, wait, release, run out of time and die at every moment, in process/shared_lock.c. One at a time
 * holds it; all that do not die get it; who comes after a dead holder is told; no wake is lost, without a tick as long as nobody dies. */
#include "sharing.h"

#include <process/shared_lock.h>

static thrum_shared_lock lock;
static int told, holds;

static thrumi_holder holder(void) { return (uint32_t)explore_load(&lock.word, sizeof lock.word); }

thrum_thread thrum_current(void) { return (thrum_thread){(uint64_t)caller() + 1}; }

static void hold_and_release(int error) {
  EXPECT(error == 0 || error == -EOWNERDEAD);
  EXPECT(holder() == (thrumi_holder)caller() + 1);
  if (error) {
    told++;
    EXPECT(thrum_shared_lock_recover(&lock) == 0);
  }
  EXPECT(holder() == (thrumi_holder)caller() + 1);
  holds++;
  EXPECT(thrum_shared_lock_release(&lock) == 0);
}

static void once(void *unused) {
  (void)unused;
  hold_and_release(thrum_shared_lock_acquire(&lock));
}

static void twice(void *unused) {
  once(unused);
  once(unused);
}

static void timed(void *unused) {
  (void)unused;
  int error = thrum_shared_lock_acquire_for(&lock, 1);
  if (error == -ETIMEDOUT) {
    EXPECT(holder() != (thrumi_holder)caller() + 1);
    holds++;
  } else {
    hold_and_release(error);
  }
}

/* Whoever comes behind a dead holder and does not recover. */
static void careless(void *unused) {
  (void)unused;
  int error = thrum_shared_lock_acquire(&lock);
  EXPECT(error == 0 || error == -EOWNERDEAD || error == -ENOTRECOVERABLE);
  holds++;
  if (error == -ENOTRECOVERABLE) return;
  EXPECT(thrum_shared_lock_release(&lock) == (error ? -ENOTRECOVERABLE : 0));
}

static void release_held(void *unused) {
  (void)unused;
  hold_and_release(0);
}

static void release_twice(void *unused) {
  hold_and_release(0);
  once(unused);
}

static void release_thrice(void *unused) {
  release_twice(unused);
  once(unused);
}

/* The last one to have to do with the lock: its memory is something else from there on. */
static void take_and_free(void *unused) {
  (void)unused;
  EXPECT(thrum_shared_lock_acquire(&lock) == 0);
  thrumi_store((_Atomic uint64_t *)&lock.word, (uint64_t)GONE);
}

static void reset(void) {
  reset_sharing();
  explore_upper_half((uint32_t *)&lock.word + 1);
  lock.word = 0;
  told = holds = 0;
}

static void reset_held(void) {
  reset();
  lock.word = 1; /* by the first */
}

static void reset_dead(void) {
  reset_held();
  atomic_store(&ends[VICTIM], DIED);
}

/* With it died one that had waited for long. */
static void reset_dead_and_fair(void) {
  reset_dead();
  lock.word |= UINT64_C(3) << 32; /* WAITERS, FAIR */
}

static void reset_with_time(void) {
  reset_held();
  time_passes = true;
}

static void reset_giving_up(void) {
  reset_with_time();
  gives_up = true;
}

static void check_holds(int n) {
  EXPECT((uint32_t)lock.word == 0);
  EXPECT(holds == n);
}
static void check_two(void) { check_holds(2); }
static void check_three(void) { check_holds(3); }
static void check_four(void) { check_holds(4); }

/* The victim got as far as it did, and may have been the last to take it. */
static void check_lives(int n) {
  EXPECT((uint32_t)lock.word == 0 ||
         ((uint32_t)lock.word == VICTIM + 1 && atomic_load(&ends[VICTIM]) == DIED));
  EXPECT(holds >= n && told <= 1);
}
static void check_one_lives(void) { check_lives(1); }
static void check_two_live(void) { check_lives(2); }
static void check_gone(void) { EXPECT(lock.word == (uint64_t)GONE); }

#define MODEL(text, before, after, ...) \
  { \
    .name = "shared lock, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

#define BY_NAME(text, before, after, ...) \
  { \
    .name = "shared lock, " text, .by_name = true, .reset = before, .check = after, .threads = { \
      __VA_ARGS__ \
    } \
  }

static const struct explore_model models[] = {
    MODEL("freed by the last", reset_held, check_gone, CALLER(0, release_held), CALLER(1, take_and_free)),
    MODEL("the holder dies", reset_held, check_one_lives, CALLER(0, release_held), CALLER(1, once),
          ACTOR(kill_victim, 0)),
    MODEL("who takes it dies", reset, check_one_lives, CALLER(0, once), CALLER(1, once),
          ACTOR(kill_victim, 0)),
    MODEL("the holder is dead, and who was to be next", reset_dead_and_fair, check_two, CALLER(1, once),
          CALLER(2, once)),
    MODEL("two", reset_held, check_three, CALLER(0, release_twice), CALLER(1, once)),
    MODEL("time passes", reset_with_time, check_three, CALLER(0, release_twice), CALLER(1, once)),
    BY_NAME("three", reset_held, check_three, CALLER(0, release_held), CALLER(1, once), CALLER(2, once)),
    BY_NAME("a deadline", reset_giving_up, check_four, CALLER(0, release_thrice), CALLER(1, timed)),
    BY_NAME("who waits dies", reset, check_one_lives, CALLER(0, once), CALLER(1, twice),
            ACTOR(kill_victim, 0)),
    BY_NAME("the holder is dead, nobody recovers", reset_dead, check_three, CALLER(1, careless),
            CALLER(2, careless), CALLER(3, careless)),
    BY_NAME("the holder dies, two wait", reset_held, check_two_live, CALLER(0, release_held), CALLER(1, once),
            CALLER(2, once), ACTOR(kill_victim, 0)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
