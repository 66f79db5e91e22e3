/* The barrier: two and three threads come, run out of time, break it, reset it, act and destroy it, in sync/barrier.c,
 * sched/await.c, sched/park.c and core/parking.c. Nobody goes on before all have come; each of a round has a number of its own, or none
 * has one; who gave up has broken it for the others; once it may be destroyed nobody looks at it. */
#include "waiting.h"

#include <thrum/sync/barrier.h>

static thrum_barrier barrier;
static int come[2]; /* to each round */
static int parties, acts, failures;
static bool acting;

/* ---- What happens at once ------------------------------------------------------------------------------ */

static int wait_once(int round) {
  come[round]++;
  int n = thrum_barrier_wait(&barrier);
  if (n >= 0) EXPECT(come[round] == parties);
  return n;
}

static void wait(void *i) { results[*(int *)i] = wait_once(0); }

static void wait_twice(void *i) {
  EXPECT(wait_once(0) >= 0);
  results[*(int *)i] = wait_once(1);
}

static void wait_timed(void *i) {
  come[0]++;
  results[*(int *)i] = thrum_barrier_wait_for(&barrier, 1);
  has_ended(*(int *)i);
}

static void poll_it(void *i) {
  come[0]++;
  results[*(int *)i] = thrum_barrier_wait_for(&barrier, 0);
}

/* Whoever a reset has sent away comes again. */
static void wait_until_through(void *i) {
  int n;
  do n = thrum_barrier_wait(&barrier);
  while (n == -EPIPE);
  results[*(int *)i] = n;
}

static void abort_it(void *unused) {
  (void)unused;
  thrum_barrier_abort(&barrier);
}

static void reset_it(void *unused) {
  (void)unused;
  thrum_barrier_reset(&barrier);
}

/* Once somebody waits. */
static void reset_waiting(void *unused) {
  explore_await((_Atomic uint32_t *)&barrier.arrived);
  reset_it(unused);
}

/* Any two of four. */
static void wait_for_any(void *i) { results[*(int *)i] = thrum_barrier_wait(&barrier); }

static intptr_t act(void *unused) {
  (void)unused;
  EXPECT(!acting);
  acting = true;
  explore_point(EXPLORE_WRITE, &acts);
  acts++;
  acting = false;
  return failures-- > 0 ? -EIO : 0;
}

/* Helps to let go who may, and then takes the memory for another barrier, in which nobody may be let go but by who comes to it. */
static _Atomic uint32_t second_life;
enum { NOT_AGAIN = 1, AGAIN = 2 };

static void wait_and_use_again(void *i) {
  wait(i);
  thrum_barrier_waiting(&barrier);
  if (thrum_barrier_destroy(&barrier) != 0) {
    thrumi_store(&second_life, NOT_AGAIN);
    return;
  }
  thrum_barrier_init(&barrier, 2);
  come[1] = 1;
  thrumi_store(&second_life, AGAIN);
  EXPECT(thrum_barrier_wait(&barrier) >= 0);
  EXPECT(come[1] == 2);
}

static void wait_in_second_life(void *unused) {
  (void)unused;
  explore_await(&second_life);
  if (thrumi_load(&second_life) == NOT_AGAIN) return;
  come[1] = 2;
  EXPECT(thrum_barrier_wait(&barrier) >= 0);
}

/* ---- Before and after ------------------------------------------------------------------------------------- */

static void reset_with(int n, thrum_fn *action) {
  reset_callers();
  EXPECT(thrum_barrier_init_with(&barrier, n, action, NULL) == 0);
  parties = n;
  come[0] = come[1] = acts = failures = 0;
  acting = false;
  atomic_store(&second_life, 0);
}

static void reset_two(void) { reset_with(2, NULL); }
static void reset_three(void) { reset_with(3, NULL); }
static void reset_action(void) { reset_with(2, act); }

static void reset_failing(void) {
  reset_with(2, act);
  failures = 1;
}

/* One bit for each number that somebody has; -1: some have none. */
static int numbers(int n) {
  int bits = 0;
  for (int i = 0; i < n; i++) {
    if (results[i] < 0) return -1;
    bits |= 1 << results[i];
  }
  return bits;
}

static void check_idle(void) { EXPECT(barrier.arrived == 0 && !barrier.acting && barrier.actors == 0); }

static void check_all(void) {
  check_idle();
  EXPECT(numbers(parties) == (1 << parties) - 1 && !barrier.broken);
}

/* All or none; who gave up says why. */
static void check_broken_or_all(void) {
  check_idle();
  EXPECT(barrier.broken == (numbers(parties) < 0));
  if (!barrier.broken) EXPECT(numbers(parties) == (1 << parties) - 1);
  for (int i = 0; barrier.broken && i < parties; i++)
    EXPECT(results[i] == -EPIPE || (i == 0 && results[i] == -ETIMEDOUT));
}

/* An abort may have come when all was over: then it is broken for whoever comes next. */
static void check_aborted(void) {
  check_idle();
  EXPECT(barrier.broken);
  if (numbers(parties) < 0)
    for (int i = 0; i < parties; i++) EXPECT(results[i] == -EPIPE);
}

static void check_acted(void) {
  check_all();
  EXPECT(acts == 2);
}

static void check_reset(void) {
  check_idle();
  EXPECT(results[0] == -EPIPE && !barrier.broken);
}

static void check_four(void) {
  int sum = 0;
  check_idle();
  for (int i = 0; i < 4; i++) {
    EXPECT(results[i] == 0 || results[i] == 1);
    sum += results[i];
  }
  EXPECT(sum == 2 && acts == 2);
}

static void check_failed(void) {
  check_idle();
  EXPECT(acts == 1 && barrier.broken);
  EXPECT((results[0] == -EIO && results[1] == -EPIPE) || (results[1] == -EIO && results[0] == -EPIPE));
}

static void check_act_aborted(void) {
  check_aborted();
  EXPECT(acts <= 1);
}

static void check_second_life(void) { EXPECT(numbers(3) == 7); }

#define MODEL(text, before, after, ...) \
  { \
    .name = "barrier, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

static const struct explore_model models[] = {
    MODEL("two", reset_two, check_all, CALLER(0, wait), CALLER(1, wait)),
    MODEL("two rounds", reset_two, check_all, CALLER(0, wait_twice), CALLER(1, wait_twice)),
    MODEL("three", reset_three, check_all, CALLER(0, wait), CALLER(1, wait), CALLER(2, wait)),
    MODEL("a deadline", reset_two, check_broken_or_all, CALLER(0, wait_timed), CALLER(1, wait),
          ACTOR(deadline, 0)),
    MODEL("a deadline, three", reset_three, check_broken_or_all, CALLER(0, wait_timed), CALLER(1, wait),
          CALLER(2, wait), ACTOR(deadline, 0)),
    MODEL("a poll", reset_two, check_broken_or_all, CALLER(0, poll_it), CALLER(1, wait)),
    MODEL("an abort", reset_two, check_aborted, CALLER(0, wait), CALLER(1, wait), ACTOR(abort_it, 2)),
    MODEL("an abort, three", reset_three, check_aborted, CALLER(0, wait), CALLER(1, wait), CALLER(2, wait),
          ACTOR(abort_it, 2)),
    MODEL("a reset", reset_two, check_all, CALLER(0, wait_until_through), CALLER(1, wait_until_through),
          ACTOR(reset_it, 2)),
    MODEL("a reset of who waits", reset_two, check_reset, CALLER(0, wait), ACTOR(reset_waiting, 2)),
    MODEL("an action, four come", reset_action, check_four, CALLER(0, wait_for_any), CALLER(1, wait_for_any),
          CALLER(2, wait_for_any), CALLER(3, wait_for_any)),
    MODEL("an action, two rounds", reset_action, check_acted, CALLER(0, wait_twice), CALLER(1, wait_twice)),
    MODEL("an action that fails", reset_failing, check_failed, CALLER(0, wait), CALLER(1, wait)),
    MODEL("an action and an abort", reset_action, check_act_aborted, CALLER(0, wait), CALLER(1, wait),
          ACTOR(abort_it, 2)),
    MODEL("destroyed and used again", reset_three, check_second_life, CALLER(0, wait_and_use_again),
          CALLER(1, wait), CALLER(2, wait), CALLER(3, wait_in_second_life)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
