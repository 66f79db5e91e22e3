/* A round that cannot be completed breaks the barrier for all of its threads: nobody is left to wait for one that gave up. A round
 * that was complete is never reported as broken, and whoever comes after a reset finds it as new. */
#include "../support.h"

#include <sched/self.h>

enum { N = 4 };

static thrum_barrier barrier = THRUM_BARRIER_INIT(N);

static intptr_t wait_plainly(void *arg) { return (void)arg, thrum_barrier_wait(&barrier); }
static intptr_t wait_long(void *arg) { return (void)arg, thrum_barrier_wait_for(&barrier, INT64_MAX - 1); }
static intptr_t wait_shortly(void *arg) { return (void)arg, thrum_barrier_wait_for(&barrier, THRUM_MS(3)); }

static void cancel(thrum_thread t) { CHECK_EQ(thrum_cancel(t), 0); }

/* n of them wait, the second one in a bound thread. */
static void start(thrum_thread *threads, int n, thrum_fn *fn) {
  for (int i = 0; i < n; i++) threads[i] = i == 1 ? must_spawn_bound(fn, NULL) : must_spawn(fn, NULL);
  AWAIT(thrum_barrier_waiting(&barrier) == n);
  CHECK_EQ(thrum_barrier_destroy(&barrier), -EBUSY);
}

static void all_get(const thrum_thread *threads, int n, intptr_t error) {
  for (int i = 0; i < n; i++) CHECK_EQ(must_join(threads[i]), error);
}

static void is_broken(void) {
  CHECK(thrum_barrier_broken(&barrier));
  CHECK_EQ(thrum_barrier_waiting(&barrier), 0);
  CHECK_EQ(thrum_barrier_wait(&barrier), -EPIPE);
  CHECK_EQ(thrum_barrier_wait_for(&barrier, 0), -EPIPE);
}

/* It works as at the beginning: N different numbers. */
static void works(void) {
  thrum_thread threads[N - 1];
  start(threads, N - 1, wait_plainly);
  int seen = 1 << thrum_barrier_wait(&barrier);
  for (int i = 0; i < N - 1; i++) seen |= 1 << must_join(threads[i]);
  CHECK_EQ(seen, (1 << N) - 1);
}

static void reset_and_works(void) {
  thrum_barrier_reset(&barrier);
  CHECK(!thrum_barrier_broken(&barrier));
  works();
}

static void aborted(void) {
  thrum_thread threads[N - 1];
  start(threads, N - 1, wait_long);
  thrum_barrier_abort(&barrier);
  all_get(threads, N - 1, -EPIPE);
  is_broken();
  thrum_barrier_abort(&barrier);
  is_broken();
  reset_and_works();
  thrum_barrier_abort(&barrier); /* with nobody there */
  is_broken();
  reset_and_works();
}

static void reset_with_waiters(void) {
  thrum_thread threads[N - 1];
  start(threads, N - 1, wait_plainly);
  thrum_barrier_reset(&barrier);
  works(); /* at once, whether or not the others have gone */
  all_get(threads, N - 1, -EPIPE);
  thrum_barrier_reset(&barrier);
  works();
}

static intptr_t polls(void *arg) {
  static const thrum_duration spans[] = {0, -1, INT64_MIN, 1, THRUM_US(100), THRUM_MS(3)};
  for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
    thrum_time begun = thrum_now();
    CHECK_EQ(thrum_barrier_wait_for(&barrier, spans[i]), -ETIMEDOUT);
    CHECK(thrum_now() - begun >= spans[i]);
    is_broken();
    thrum_barrier_reset(&barrier);
  }
  return (intptr_t)arg;
}

static void timed_out(void) {
  thrum_thread threads[N - 2];
  start(threads, N - 2, wait_long);
  thrum_thread impatient = must_spawn(wait_shortly, NULL);
  CHECK_EQ(must_join(impatient), -ETIMEDOUT);
  all_get(threads, N - 2, -EPIPE);
  is_broken();
  reset_and_works();
}

static void cancelled(void) {
  thrum_thread threads[N - 1];
  start(threads, N - 1, wait_long);
  cancel(threads[0]);
  CHECK_EQ(must_join(threads[0]), -ECANCELED);
  all_get(threads + 1, N - 2, -EPIPE);
  is_broken();
  reset_and_works();
  start(threads, N - 1, wait_plainly); /* no cancellation point */
  cancel(threads[0]);
  CHECK(thrum_barrier_wait(&barrier) >= 0);
  for (int i = 0; i < N - 1; i++) CHECK(must_join(threads[i]) >= 0);
}

/* ---- With an action -------------------------------------------------------------------------------------------------- */

static bool begun, go_on;
static int actions;

static intptr_t act(void *arg) {
  ADD(actions, 1);
  STORE(begun, true);
  AWAIT(LOAD(go_on));
  return *(intptr_t *)arg;
}

static intptr_t act_result;

static void prepare(intptr_t result) {
  act_result = result;
  STORE(begun, false);
  STORE(go_on, false);
  CHECK_EQ(thrum_barrier_init_with(&barrier, N, act, &act_result), 0);
}

static void action_fails(void) {
  thrum_thread threads[N - 1];
  prepare(-EIO);
  STORE(go_on, true);
  start(threads, N - 1, wait_plainly);
  CHECK_EQ(thrum_barrier_wait(&barrier), -EIO);
  all_get(threads, N - 1, -EPIPE);
  is_broken();
  act_result = 4711; /* no failure */
  reset_and_works();
}

enum how { BY_ABORT, BY_RESET, BY_CANCEL };

/* While the action runs the round can still break. The one that acts learns of it. */
static void broken_while_acting(enum how how) {
  thrum_thread threads[N - 1];
  prepare(0);
  start(threads, N - 1, wait_long);
  thrum_thread last = must_spawn(wait_plainly, NULL);
  AWAIT(LOAD(begun));
  CHECK_EQ(thrum_barrier_waiting(&barrier), 0);
  thrum_thread next = must_spawn(wait_plainly, NULL); /* of the next round */
  if (how == BY_ABORT) thrum_barrier_abort(&barrier);
  if (how == BY_RESET) {
    AWAIT(barrier.arrived == N + 1);
    thrum_barrier_reset(&barrier);
  }
  if (how == BY_CANCEL) cancel(threads[0]);
  CHECK_EQ(must_join(threads[0]), how == BY_CANCEL ? -ECANCELED : -EPIPE);
  all_get(threads + 1, N - 2, -EPIPE);
  CHECK_EQ(must_join(next), -EPIPE);
  CHECK_EQ(thrum_barrier_broken(&barrier), how != BY_RESET);
  CHECK_EQ(thrum_barrier_destroy(&barrier), -EBUSY); /* it has yet to return from the action */
  STORE(go_on, true);
  CHECK_EQ(must_join(last), -EPIPE);
  CHECK_EQ(thrum_barrier_destroy(&barrier), 0);
  reset_and_works();
}

/* ---- Completed or not: all agree -------------------------------------------------------------------------------------- */

enum { TIMES = TESTS_SANITIZED ? 300 : 2000, PAIR = 2 };
static thrum_barrier pair = THRUM_BARRIER_INIT(PAIR);

static intptr_t meet(void *arg) { return thrum_barrier_wait_for(&pair, THRUM_US((intptr_t)arg)); }

/* Two meet whose times run out at about the moment of their meeting: both have met, or neither. */
static void both_or_neither(void) {
  int met = 0;
  for (int i = 0; i < TIMES; i++) {
    thrum_thread one = must_spawn(meet, (void *)(intptr_t)(i % 60));
    for (volatile int delay = i % 40 * 100; delay > 0; delay--) continue;
    intptr_t mine = meet((void *)(intptr_t)(i % 7)), other = must_join(one);
    CHECK_EQ(mine >= 0, other >= 0);
    met += mine >= 0;
    if (mine >= 0) CHECK_EQ(mine + other, 1);
    if (mine < 0) CHECK(mine == -ETIMEDOUT || other == -ETIMEDOUT);
    CHECK_EQ(thrum_barrier_broken(&pair), mine < 0);
    thrum_barrier_reset(&pair);
  }
  printf("%d of %d met\n", met, TIMES);
}

enum { CROWD = 100, CROWDS = TESTS_SANITIZED ? 20 : 150 };
static thrum_barrier crowded = THRUM_BARRIER_INIT(CROWD);
static int shortest;

static intptr_t join_the_crowd(void *arg) {
  return thrum_barrier_wait_for(&crowded, THRUM_US(shortest + (intptr_t)arg % 7 * 20));
}

/* The same for so many that they are let go in parts. */
static void all_or_none(void) {
  static thrum_thread threads[CROWD];
  int met = 0;
  for (int i = 0; i < CROWDS; i++) {
    bool seen[CROWD] = {false};
    int went_on = 0;
    shortest = i % 15 * 20;
    for (intptr_t j = 0; j < CROWD; j++)
      threads[j] =
          j % 50 == 0 ? must_spawn_bound(join_the_crowd, (void *)j) : must_spawn(join_the_crowd, (void *)j);
    for (int j = 0; j < CROWD; j++) {
      intptr_t number = must_join(threads[j]);
      CHECK(number < 0 || !seen[number]);
      if (number >= 0) seen[number] = true;
      went_on += number >= 0;
    }
    CHECK(went_on == 0 || went_on == CROWD);
    CHECK_EQ(thrum_barrier_broken(&crowded), went_on == 0);
    thrum_barrier_reset(&crowded);
    met += went_on > 0;
  }
  printf("%d of %d crowds met\n", met, CROWDS);
}

int main(void) {
  works();
  aborted();
  reset_with_waiters();
  run_in_each_kind(polls, NULL);
  timed_out();
  cancelled();
  action_fails();
  broken_while_acting(BY_ABORT);
  broken_while_acting(BY_RESET);
  broken_while_acting(BY_CANCEL);
  both_or_neither();
  all_or_none();
  return 0;
}
