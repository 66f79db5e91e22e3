/* Timers, tickers and schedules that are called wrongly: the documented error, and what was there before is as it was. */
#include "../support.h"

#include <stdlib.h>

static int called;

static intptr_t count(void *arg) {
  ADD(called, (int)(intptr_t)arg);
  return 0;
}

static intptr_t timers(void *arg) {
  (void)arg;
  thrum_timer timer = {0};
  CHECK_EQ(thrum_timer_start(&timer, 0, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_timer_start_at(&timer, 0, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_timer_restart(&timer, 0), -EINVAL);
  CHECK_EQ(thrum_timer_restart_at(&timer, INT64_MIN), -EINVAL);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(thrum_timer_cancel(&timer), 0);
    CHECK_EQ(thrum_timer_cancel_wait(&timer), 0);
    CHECK(!thrum_timer_pending(&timer));
  }
  STORE(called, 0);
  CHECK_EQ(thrum_timer_start(&timer, THRUM_MS(1), count, (void *)1), 0);
  CHECK_EQ(thrum_timer_start(&timer, THRUM_S(100), NULL, (void *)2), -EINVAL); /* the first one stands */
  AWAIT(LOAD(called) == 1);
  CHECK_EQ(thrum_timer_cancel_wait(&timer), 0);
  return 0;
}

/* Freed right after a cancel that won, thousands of times, while others fire. */
static intptr_t freed_after_cancel(void *arg) {
  (void)arg;
  STORE(called, 0);
  int fire = 0;
  static thrum_timer others[100];
  for (int i = 0; i < 3000; i++) {
    thrum_timer *timer = (thrum_timer *)calloc(1, sizeof *timer);
    CHECK_EQ(thrum_timer_start(timer, THRUM_S(1 + i % 50), count, (void *)1000000), 0);
    if (i % 30 == 0) fire += thrum_timer_start(&others[i / 30], THRUM_US(i % 7 * 100), count, (void *)1) == 0;
    CHECK_EQ(thrum_timer_cancel(timer), 1);
    memset(timer, 0x5a, sizeof *timer);
    free(timer);
  }
  AWAIT(LOAD(called) == fire);
  for (int i = 0; i < 100; i++) CHECK_EQ(thrum_timer_cancel_wait(&others[i]), 0);
  return 0;
}

static intptr_t tickers(void *arg) {
  (void)arg;
  thrum_ticker ticker = {0};
  CHECK_EQ(thrum_ticker_wait(&ticker), -EPIPE);
  CHECK_EQ(thrum_ticker_start_at(&ticker, 0, THRUM_S(1000)), 0);
  CHECK_EQ(thrum_ticker_start(&ticker, 0), -EINVAL); /* the former period stands */
  CHECK_EQ(thrum_ticker_start(&ticker, INT64_MIN), -EINVAL);
  CHECK(thrum_ticker_try_wait(&ticker) >= 1);
  CHECK_EQ(thrum_ticker_try_wait(&ticker), -EAGAIN);
  thrum_ticker_stop(&ticker);
  CHECK_EQ(thrum_ticker_try_wait(&ticker), -EPIPE);
  return 0;
}

static thrum_time half_a_clock(void *clock) { return *(thrum_time *)clock; }

static intptr_t schedules(void *arg) {
  (void)arg;
  thrum_time now = 5;
  thrum_schedule schedule = THRUM_SCHEDULE_INIT(half_a_clock, NULL, &now), other;
  thrum_schedule_event event;
  memset(&event, 0, sizeof event);
  memset(&other, 0, sizeof other);
  CHECK_EQ(thrum_schedule_enter(&schedule, &event, 0, 0, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_schedule_cancel(&schedule, &event), -ESRCH);
  CHECK_EQ(thrum_schedule_enter(&schedule, &event, INT64_MAX, 0, count, NULL),
           0); /* beyond the end of time */
  CHECK_EQ(thrum_schedule_enter(&schedule, &event, 0, 0, count, NULL), -EBUSY);
  CHECK_EQ(thrum_schedule_enter(&other, &event, 0, 0, count, NULL), -EBUSY);
  CHECK_EQ(thrum_schedule_cancel(&other, &event), -ESRCH);
  CHECK_EQ(thrum_schedule_run(&schedule), -EINVAL);
  CHECK_EQ(thrum_schedule_run_due(&schedule), -EINVAL);
  thrum_schedule_entry entry;
  CHECK_EQ(thrum_schedule_list(&schedule, NULL, 0), 1);
  CHECK_EQ(thrum_schedule_list(&schedule, &entry, 1), 1);
  CHECK_EQ(entry.time, THRUM_FOREVER);
  CHECK_EQ(thrum_schedule_cancel(&schedule, &event), 0);
  CHECK_EQ(thrum_schedule_run(&other), 0);
  CHECK_EQ(thrum_schedule_run_due(&other), THRUM_FOREVER);
  return 0;
}

/* Times that no sleep can be meant to have. */
static intptr_t sleeps(void *arg) {
  (void)arg;
  static const thrum_time past[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1};
  for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
    CHECK_EQ(thrum_sleep_until(past[i]), 0);
    CHECK_EQ(thrum_sleep(past[i] <= 0 ? past[i] : 1), 0);
  }
  CHECK(thrum_after(INT64_MIN) <= thrum_now());
  CHECK_EQ(thrum_after(THRUM_FOREVER - 1), THRUM_FOREVER);
  CHECK_EQ(thrum_left(INT64_MIN), 0);
  return 0;
}

static intptr_t sleep_nearly_for_ever(void *arg) {
  thrum_sleep_until(*(thrum_time *)arg);
  CHECK(false);
  return 0;
}

/* Until the last moments of the clock: they do not return, and do not keep a worker either. */
static void sleeps_that_do_not_end(void) {
  static thrum_time ends[] = {THRUM_FOREVER, THRUM_FOREVER - 1, THRUM_FOREVER - 100000};
  thrum_options options = THRUM_OPTIONS_INIT;
  options.daemon = THRUM_YES;
  thrum_thread threads[3];
  for (int i = 0; i < 3; i++)
    CHECK_EQ(thrum_spawn_with(&threads[i], &options, sleep_nearly_for_ever, &ends[i]), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_wait_for(threads[i], THRUM_MS(5)), -ETIMEDOUT);
}

int main(void) {
  run_in_each_kind(timers, NULL);
  run_in_each_kind(freed_after_cancel, NULL);
  run_in_each_kind(tickers, NULL);
  run_in_each_kind(schedules, NULL);
  run_in_each_kind(sleeps, NULL);
  sleeps_that_do_not_end();
  return 0;
}
