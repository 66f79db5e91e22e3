/* Who waits for a group returns when, and not before, the count has been 0; all who waited then go, even if it is added to at
 * once; and the group can be used again. */
#include "../support.h"

enum { CROWD = 24, WAITERS = 8, ROUNDS = TESTS_SANITIZED ? 60 : 400, JOBS = 10 };

static thrum_waitgroup group;

/* ---- Rounds of jobs, waited for by many -------------------------------------------------------------------------------- */

static int written[JOBS]; /* not atomic: the group orders it */

static intptr_t job(void *number) {
  int i = (int)(intptr_t)number;
  if (i % 3 == 0) thrum_yield();
  written[i]++;
  thrum_waitgroup_done(&group);
  return 0;
}

static void rounds_of_jobs(void) {
  for (int round = 1; round <= ROUNDS; round++) {
    thrum_waitgroup_add(&group, JOBS);
    for (int i = 0; i < JOBS; i++) CHECK_EQ(thrum_spawn(NULL, job, (void *)(intptr_t)i), 0);
    if (round % 2)
      thrum_waitgroup_wait(&group);
    else
      CHECK_EQ(thrum_waitgroup_wait_for(&group, THRUM_FOREVER - 1), 0);
    for (int i = 0; i < JOBS; i++) CHECK_EQ(written[i], round);
    CHECK_EQ(thrum_waitgroup_count(&group), 0);
  }
}

/* ---- Zero, and an add at once ---------------------------------------------------------------------------------------------- */

static int gone;

static intptr_t wait_for_zero(void *number) {
  (void)number;
  thrum_waitgroup_wait(&group);
  ADD(gone, 1);
  return 0;
}

static void zero_and_add(void) {
  for (int round = 0; round < ROUNDS; round++) {
    thrum_waitgroup_add(&group, 1);
    thrum_thread t = round % 4 == 1 ? must_spawn_bound(wait_for_zero, NULL) : must_spawn(wait_for_zero, NULL);
    AWAIT(thrum_waitgroup_destroy(&group) == -EBUSY);
    thrum_waitgroup_done(&group);
    thrum_waitgroup_add(&group, 1);
    CHECK_EQ(must_join(t), 0);
    CHECK_EQ(thrum_waitgroup_count(&group), 1);
    thrum_waitgroup_add(&group, -1);
  }
  CHECK_EQ(gone, ROUNDS);
}

/* ---- A crowd that waits and works ---------------------------------------------------------------------------------------------- */

static int waits_done, works_done;

static intptr_t wait_or_work(void *number) {
  for (int i = 0; i < ROUNDS; i++) {
    if ((intptr_t)number < WAITERS) {
      int error = thrum_waitgroup_wait_for(&group, THRUM_US(i % 50));
      CHECK(error == 0 || error == -ETIMEDOUT);
      if (i % 4 == 0) thrum_waitgroup_wait(&group);
      ADD(waits_done, 1);
    } else {
      int n = i % 5 + 1;
      thrum_waitgroup_add(&group, n);
      if (i % 7 == 0) thrum_yield();
      for (; n; n--) thrum_waitgroup_done(&group);
      ADD(works_done, 1);
    }
  }
  return 0;
}

static void a_crowd(void) {
  static struct crowd crowd;
  crowd_start(&crowd, CROWD, wait_or_work);
  crowd_join(&crowd);
  CHECK_EQ(waits_done, WAITERS * ROUNDS);
  CHECK_EQ(works_done, (CROWD - WAITERS) * ROUNDS);
  CHECK_EQ(thrum_waitgroup_count(&group), 0);
  CHECK_EQ(thrum_waitgroup_destroy(&group), 0);
}

/* ---- On a waiter's stack --------------------------------------------------------------------------------------------------------- */

static intptr_t do_it(void *arg) {
  thrum_waitgroup_done((thrum_waitgroup *)arg);
  return 0;
}

static intptr_t wait_on_stacks(void *unused) {
  (void)unused;
  for (int i = 0; i < ROUNDS; i++) {
    thrum_waitgroup local = {0};
    thrum_waitgroup_add(&local, 3);
    for (int n = 0; n < 3; n++) CHECK_EQ(thrum_spawn(NULL, do_it, &local), 0);
    thrum_waitgroup_wait(&local);
    volatile uint64_t *word = &local.word;
    *word = UINT64_C(0x5555555555555555);
    thrum_yield();
    CHECK_EQ(*word, UINT64_C(0x5555555555555555));
  }
  return 0;
}

static intptr_t all_ways(void *unused) {
  (void)unused;
  thrum_waitgroup g = {0};
  thrum_waitgroup_wait(&g);
  CHECK_EQ(thrum_waitgroup_wait_for(&g, 0), 0);
  CHECK_EQ(thrum_waitgroup_wait_for(&g, -1), 0);
  thrum_waitgroup_add(&g, 0);
  thrum_waitgroup_add(&g, 2);
  thrum_waitgroup_done(&g);
  CHECK_EQ(thrum_waitgroup_count(&g), 1);
  CHECK_EQ(thrum_waitgroup_wait_for(&g, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_waitgroup_wait_for(&g, -5), -ETIMEDOUT);
  int64_t before = wall_now();
  CHECK_EQ(thrum_waitgroup_wait_for(&g, THRUM_MS(3)), -ETIMEDOUT);
  CHECK(wall_now() - before >= THRUM_MS(3));
  thrum_waitgroup_add(&g, THRUM_WAITGROUP_MAX - 1);
  CHECK_EQ(thrum_waitgroup_count(&g), THRUM_WAITGROUP_MAX);
  thrum_waitgroup_add(&g, -THRUM_WAITGROUP_MAX);
  CHECK_EQ(thrum_waitgroup_wait_for(&g, THRUM_FOREVER), 0);
  return 0;
}

int main(void) {
  run_in_each_kind(all_ways, NULL);
  rounds_of_jobs();
  zero_and_add();
  a_crowd();
  run_in_each_kind(wait_on_stacks, NULL);
  return 0;
}
