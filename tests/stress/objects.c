/* The gil, readers-writer locks, rlocks, semaphores, events, groups, onces and barriers in the hands of many, for some seconds: timed and untimed waits,
 * threads cancelled at any moment, threads stopped by a slice of 100 us in the midst of it, light, bound and foreign. What must
 * hold: nobody inside who should not be, units neither lost nor doubled, each number of a barrier's round once, each once done once, and
 * everybody gets through. */
#include "../support.h"
#include "cancel.h"

#include <sched/self.h>

enum { ALL = 32, UNITS = 3, PARTIES = 3, KINDS = 9, ONCES = 1 << 16 };

static thrum_gil gil;
static thrum_rwlock rwlock;
static thrum_sem sem = THRUM_SEM_BOUNDED_INIT(UNITS, UNITS);
static thrum_event event;
static thrum_rlock rlock;
static thrum_waitgroup group;
static thrum_once onces[ONCES];
static thrum_barrier barrier = THRUM_BARRIER_INIT(PARTIES);
static struct crowd crowd;
static bool stop;
static long in_rlock, once_now, runs_of[ONCES], in_once[ONCES];
static long in_gil, readers, writers, units_taken, timed_out, cancelled, met[PARTIES], rounds_of[ALL];

static uint64_t draw(uint64_t *seed, uint64_t below) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return (*seed * UINT64_C(0x2545F4914F6CDD1D) >> 33) % below;
}

/* Whether the call has done what it was to do. */
static bool done(int error) {
  if (error == -ETIMEDOUT) ADD(timed_out, 1);
  if (error == -ECANCELED) ADD(cancelled, 1);
  CHECK(error == 0 || error == -ETIMEDOUT || error == -ECANCELED);
  return error == 0;
}

static thrum_duration some_time(uint64_t *seed) { return THRUM_US(draw(seed, 300)); }

/* ---- Each kind ------------------------------------------------------------------------------------------------------- */

static void be_in_gil(void) {
  CHECK(thrum_gil_owned(&gil));
  CHECK_EQ(ADD(in_gil, 1), 1);
  CHECK_EQ(ADD(in_gil, -1), 0);
}

static void use_gil(uint64_t *seed) {
  if (draw(seed, 2))
    thrum_gil_acquire(&gil);
  else if (!done(thrum_gil_acquire_for(&gil, some_time(seed))))
    return;
  for (uint64_t n = draw(seed, 30); n; n--) {
    be_in_gil();
    thrum_gil_check(&gil);
  }
  if (draw(seed, 8) == 0) THRUM_GIL_UNLOCKED(&gil) thrum_yield();
  be_in_gil();
  CHECK_EQ(thrum_gil_release(&gil), 0);
}

static void read_it(uint64_t *seed) {
  if (draw(seed, 2))
    thrum_rwlock_acquire_read(&rwlock);
  else if (!done(thrum_rwlock_acquire_read_for(&rwlock, some_time(seed))))
    return;
  ADD(readers, 1);
  CHECK_EQ(LOAD(writers), 0);
  if (draw(seed, 4) == 0) thrum_yield();
  CHECK_EQ(LOAD(writers), 0);
  ADD(readers, -1);
  CHECK_EQ(thrum_rwlock_release_read(&rwlock), 0);
}

static void write_it(uint64_t *seed) {
  if (draw(seed, 2))
    thrum_rwlock_acquire_write(&rwlock);
  else if (!done(thrum_rwlock_acquire_write_for(&rwlock, some_time(seed))))
    return;
  CHECK_EQ(ADD(writers, 1), 1);
  CHECK_EQ(LOAD(readers), 0);
  if (draw(seed, 4) == 0) thrum_yield();
  CHECK_EQ(ADD(writers, -1), 0);
  CHECK_EQ(thrum_rwlock_release_write(&rwlock), 0);
}

static void use_unit(uint64_t *seed) {
  if (draw(seed, 2))
    thrum_sem_acquire(&sem);
  else if (!done(thrum_sem_acquire_for(&sem, some_time(seed))))
    return;
  CHECK(ADD(units_taken, 1) <= UNITS);
  if (draw(seed, 4) == 0) thrum_yield();
  ADD(units_taken, -1);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
}

static void use_event(uint64_t *seed) {
  if (draw(seed, 3)) {
    done(thrum_event_wait_for(&event, some_time(seed)));
    return;
  }
  thrum_event_set(&event);
  thrum_event_clear(&event);
}

static void use_rlock(uint64_t *seed) {
  if (draw(seed, 2))
    thrum_rlock_acquire(&rlock);
  else if (!done(thrum_rlock_acquire_for(&rlock, some_time(seed))))
    return;
  CHECK_EQ(ADD(in_rlock, 1), 1);
  bool again = draw(seed, 2);
  if (again)
    CHECK(done(thrum_rlock_acquire_for(&rlock, some_time(seed)))); /* cancelled or not: it is the caller's */
  if (draw(seed, 4) == 0) thrum_yield();
  CHECK_EQ(thrum_rlock_count(&rlock), again ? 2 : 1);
  if (again) CHECK_EQ(thrum_rlock_release(&rlock), 0);
  CHECK_EQ(ADD(in_rlock, -1), 0);
  CHECK_EQ(thrum_rlock_release(&rlock), 0);
}

/* Whoever waits finds that the count was 0 at some moment; who has something to do keeps it above that. */
static void use_group(uint64_t *seed) {
  if (draw(seed, 2)) {
    int n = (int)draw(seed, 3) + 1;
    thrum_waitgroup_add(&group, n);
    if (draw(seed, 2)) thrum_yield();
    CHECK(thrum_waitgroup_count(&group) >= n);
    for (; n; n--) thrum_waitgroup_done(&group);
  } else if (draw(seed, 4)) {
    done(thrum_waitgroup_wait_for(&group, some_time(seed)));
  } else {
    thrum_waitgroup_wait(&group);
  }
}

struct run {
  long number;
  bool fails;
};

static intptr_t run_it(void *arg) {
  const struct run *run = arg;
  CHECK_EQ(ADD(in_once[run->number], 1), 1);
  CHECK_EQ(LOAD(runs_of[run->number]), 0);
  thrum_yield();
  if (!run->fails) ADD(runs_of[run->number], 1);
  CHECK_EQ(ADD(in_once[run->number], -1), 0);
  return run->fails ? -EIO : 0;
}

/* Some fail, and then the next one that comes, or waits, runs it. Once it is done all go on to the next. */
static void use_once(uint64_t *seed) {
  struct run run = {.number = LOAD(once_now), .fails = draw(seed, 4) == 0};
  thrum_once *once = &onces[run.number];
  int error = draw(seed, 2) ? thrum_once_call(once, run_it, &run)
                            : thrum_once_call_for(once, run_it, &run, some_time(seed));
  if (error == -EIO) {
    CHECK(run.fails);
  } else if (done(error)) {
    long next = (run.number + 1) % ONCES;
    CHECK_EQ(LOAD(runs_of[run.number]), 1);
    if (next)
      __atomic_compare_exchange_n(&once_now, &run.number, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  }
}

/* A number, -EPIPE: another one has given up, or the reason why the caller has. */
static void meet(uint64_t *seed) {
  int n = thrum_barrier_wait_for(&barrier, some_time(seed));
  CHECK(n < PARTIES);
  if (n >= 0) ADD(met[n], 1);
  if (n < 0 && n != -EPIPE) done(n);
  if (n < 0 && draw(seed, 2)) thrum_barrier_reset(&barrier);
}

static intptr_t run(void *number) {
  static void (*const use[KINDS])(uint64_t *) = {use_gil,   read_it,   write_it, use_unit, use_event,
                                                 use_rlock, use_group, use_once, meet};
  uint64_t seed = (uint64_t)((intptr_t)number + 1) * 2654435761u;
  while (!LOAD(stop)) {
    use[draw(&seed, KINDS)](&seed);
    ADD(rounds_of[(intptr_t)number], 1);
  }
  return 0;
}

/* ---- All together ---------------------------------------------------------------------------------------------------- */

static void cancel_someone(uint64_t *seed) {
  int i = (int)draw(seed, ALL);
  if (!crowd_is_foreign(i)) CHECK(cancel_and_take_back(crowd.threads[i]));
}

static bool everybody_moved(const long *since) {
  for (int i = 0; i < ALL; i++)
    if (LOAD(rounds_of[i]) == since[i]) return false;
  return true;
}

static void all_is_free(void) {
  CHECK_EQ(gil.word, 0);
  CHECK_EQ(rwlock.word, 0);
  CHECK_EQ(thrum_sem_value(&sem), UNITS);
  CHECK_EQ(thrum_sem_destroy(&sem), 0);
  CHECK_EQ(thrum_event_destroy(&event), 0);
  CHECK_EQ(rlock.lock.word, 0);
  CHECK_EQ(thrum_waitgroup_count(&group), 0);
  CHECK_EQ(thrum_waitgroup_destroy(&group), 0);
  CHECK_EQ(thrum_barrier_destroy(&barrier), 0);
  for (int n = 1; n < PARTIES; n++) CHECK_EQ(met[n], met[0]);
}

/* On a machine that does much else a few seconds may be too little for that. */
static bool all_has_happened(void) {
  return LOAD(cancelled) && LOAD(timed_out) && LOAD(met[0]) && LOAD(once_now);
}

int main(int argc, char **argv) {
  int seconds = argc > 1 ? atoi(argv[1]) : 3;
  uint64_t seed = 4711;
  long since[ALL], rounds = 0;
  thrum_set_switch_interval(THRUM_US(100));
  crowd_start(&crowd, ALL, run);
  for (int64_t end = wall_now() + THRUM_S(seconds); wall_now() < end || !all_has_happened();) {
    cancel_someone(&seed);
    CHECK_EQ(thrum_sleep(THRUM_US(draw(&seed, 400))), 0);
  }
  for (int i = 0; i < ALL; i++) since[i] = LOAD(rounds_of[i]);
  AWAIT(everybody_moved(since));
  STORE(stop, true);
  crowd_join(&crowd);
  for (int i = 0; i < ALL; i++) rounds += rounds_of[i];
  all_is_free();
  printf("%ld rounds, %ld met, %ld onces, %ld ran out of time, %ld cancelled\n", rounds, met[0], once_now,
         timed_out, cancelled);
  return 0;
}
