/* A timer's callback may block, burn time, end by thrum_exit or fail: it delays no other timer, and cancel_wait waits for it. */
#include "../support.h"

#include <stdlib.h>

static int released, blocked, fired;
static int pipe_ends[2];

static intptr_t count(void *arg) {
  (void)arg;
  ADD(fired, 1);
  return 0;
}

static intptr_t park(void *arg) {
  (void)arg;
  ADD(blocked, 1);
  while (!LOAD(released)) CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return 0;
}

static intptr_t block_in_libc(void *arg) {
  char c;
  (void)arg;
  ADD(blocked, 1);
  CHECK_EQ(read(pipe_ends[0], &c, 1), 1);
  return 0;
}

static intptr_t burn(void *arg) {
  (void)arg;
  ADD(blocked, 1);
  while (!LOAD(released)) continue;
  return 0;
}

/* Those that delay, and among them, due at the same moment, those that are not to be delayed. */
static void amid(thrum_fn *slow, int slow_count) {
  enum { MOST = 400 };
  static thrum_timer timers[MOST], late[MOST];
  STORE(released, 0);
  STORE(blocked, 0);
  STORE(fired, 0);
  thrum_time when = thrum_after(THRUM_MS(2));
  for (int i = 0; i < MOST; i++)
    CHECK_EQ(thrum_timer_start_at(&timers[i], when, i % (MOST / slow_count) == 0 ? slow : count, NULL), 0);
  AWAIT(LOAD(blocked) == slow_count && LOAD(fired) == MOST - slow_count);
  for (int i = 0; i < MOST; i++)
    CHECK_EQ(thrum_timer_start(&late[i], (thrum_duration)(i % 7) * THRUM_US(300), count, NULL), 0);
  AWAIT(LOAD(fired) == 2 * MOST - slow_count);
  STORE(released, 1);
  for (int i = 0; slow == block_in_libc && i < slow_count; i++) CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
  for (int i = 0; i < MOST; i++) CHECK_EQ(thrum_timer_cancel_wait(&timers[i]), 0);
  for (int i = 0; i < MOST; i++) CHECK_EQ(thrum_timer_cancel_wait(&late[i]), 0);
  AWAIT(thrum_active_count() == 1);
}

/* ---- cancel_wait ------------------------------------------------------------------------------------------ */

static int ended;

static intptr_t slow_end(void *arg) {
  ADD(blocked, 1);
  while (LOAD(released) < (int)(intptr_t)arg) CHECK_EQ(thrum_sleep(THRUM_US(200)), 0);
  ADD(ended, 1);
  if ((intptr_t)arg == 1) thrum_exit(0); /* the one that began last */
  return 0;
}

static intptr_t wait_for_callbacks(void *arg) {
  int pending = thrum_timer_cancel_wait((thrum_timer *)arg);
  return pending < 0 ? pending : LOAD(ended) * 10 + pending;
}

/* Three callbacks of one timer at once, which end in another order than they began: all are waited for. */
static intptr_t cancel_wait_waits(void *arg) {
  (void)arg;
  static const int order[] = {2, 3, 1};
  thrum_timer timer = {0};
  STORE(released, 0);
  STORE(blocked, 0);
  STORE(ended, 0);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(thrum_timer_start(&timer, 0, slow_end, (void *)(intptr_t)order[i]), 0);
    AWAIT(LOAD(blocked) == i + 1);
  }
  CHECK_EQ(thrum_timer_restart(&timer, THRUM_S(1000)), 0);
  thrum_thread waiters[2] = {must_spawn(wait_for_callbacks, &timer), must_spawn(wait_for_callbacks, &timer)};
  intptr_t results = 0;
  for (int i = 1; i <= 3; i++) {
    CHECK(thrum_is_alive(waiters[0]) && thrum_is_alive(waiters[1]));
    STORE(released, i);
    AWAIT(LOAD(ended) == i);
  }
  for (int i = 0; i < 2; i++) results += must_join(waiters[i]);
  CHECK_EQ(results, 61); /* each saw all three ended, and one of them took the fourth back */
  return 0;
}

static thrum_timer overlapping;
static int overlap_begun, overlap_refused;

/* Each of the two that run at once is refused, whichever began first. */
static intptr_t wait_for_itself(void *arg) {
  (void)arg;
  ADD(overlap_begun, 1);
  AWAIT(LOAD(overlap_begun) == 2);
  CHECK_EQ(thrum_timer_cancel_wait(&overlapping), -EDEADLK);
  ADD(overlap_refused, 1);
  AWAIT(LOAD(overlap_refused) == 2);
  return 0;
}

static void own_callbacks_are_refused(void) {
  CHECK_EQ(thrum_timer_start(&overlapping, 0, wait_for_itself, NULL), 0);
  AWAIT(LOAD(overlap_begun) == 1);
  CHECK_EQ(thrum_timer_restart(&overlapping, 0), 0);
  AWAIT(LOAD(overlap_refused) == 2);
  CHECK_EQ(thrum_timer_cancel_wait(&overlapping), 0);
}

/* One that starts itself again for ever is stopped by cancel_wait, whatever it is doing, and may be freed. */
static int rounds;

static intptr_t go_on_for_ever(void *arg) {
  thrum_timer *timer = (thrum_timer *)arg;
  ADD(rounds, 1);
  CHECK_EQ(thrum_timer_restart(timer, LOAD(rounds) % 2 ? 0 : THRUM_US(30)), 0);
  if (LOAD(rounds) % 3 == 0) thrum_yield();
  return 0;
}

static intptr_t self_starting_is_stopped(void *arg) {
  (void)arg;
  for (int i = 0; i < 200; i++) {
    thrum_timer *timer = (thrum_timer *)calloc(1, sizeof *timer);
    int before = LOAD(rounds);
    CHECK_EQ(thrum_timer_start(timer, 0, go_on_for_ever, timer), 0);
    while (LOAD(rounds) < before + i % 9) thrum_yield();
    CHECK(thrum_timer_cancel_wait(timer) >= 0);
    int after = LOAD(rounds);
    memset(timer, 0x5a, sizeof *timer);
    free(timer);
    thrum_yield();
    CHECK_EQ(LOAD(rounds), after);
  }
  return 0;
}

/* ---- A thread like any other -------------------------------------------------------------------------------- */

static int destroyed, uncaught;

static void destroy(void *value) {
  CHECK_EQ((intptr_t)value, 7);
  ADD(destroyed, 1);
}

static thrum_local local = THRUM_LOCAL_INIT(destroy);

static void hear(thrum_thread t, intptr_t failure, const char *sentence) {
  (void)t;
  CHECK_EQ(failure, -EIO);
  CHECK_STR(sentence, "lost");
  ADD(uncaught, 1);
}

/* What one callback leaves in its thread the next one does not find. */
static intptr_t be_untidy(void *arg) {
  char name[THRUM_NAME_MAX];
  CHECK(thrum_local_get(&local) == NULL);
  CHECK_EQ(thrum_local_set(&local, (void *)7), 0);
  CHECK(thrum_name(thrum_current(), name, sizeof name) > 0);
  CHECK_HAS(name, "Thread-");
  CHECK_EQ(thrum_set_name(thrum_current(), "untidy"), 0);
  thrum_pin();
  if (arg) thrum_exit(thrum_fail(EIO, "lost"));
  return 0;
}

static void callbacks_leave_nothing(void) {
  enum { MANY = 40 };
  static thrum_timer timers[MANY];
  thrum_uncaught_fn *former = thrum_on_uncaught(hear);
  for (int i = 0; i < MANY; i++)
    CHECK_EQ(thrum_timer_start(&timers[i], THRUM_US(i), be_untidy, i % 2 ? &timers[i] : NULL), 0);
  AWAIT(LOAD(destroyed) == MANY && LOAD(uncaught) == MANY / 2);
  for (int i = 0; i < MANY; i++) CHECK_EQ(thrum_timer_cancel_wait(&timers[i]), 0);
  thrum_on_uncaught(former);
}

int main(void) {
  CHECK_EQ(pipe(pipe_ends), 0);
  amid(park, 40);
  amid(block_in_libc, 8);
  amid(burn, 4);
  run_in_each_kind(cancel_wait_waits, NULL);
  own_callbacks_are_refused();
  run_in_each_kind(self_starting_is_stopped, NULL);
  callbacks_leave_nothing();
  return 0;
}
