/* A ticker's ticks lie at first + k * period, whoever is late; each is counted once, by one of those who wait; and a stop ends
 * every wait. */
#include "../support.h"

static thrum_ticker ticker;

/* The waits are late by whatever this thread does in between; their ticks are not. */
static intptr_t counts_what_was_missed(void *arg) {
  (void)arg;
  const thrum_duration period = THRUM_US(500);
  thrum_time first = thrum_after(period);
  int64_t total = 0;
  CHECK_EQ(thrum_ticker_start_at(&ticker, first, period), 0);
  for (int i = 0; i < 60; i++) {
    int64_t ticks = thrum_ticker_wait(&ticker);
    thrum_time now = thrum_now();
    CHECK(ticks >= 1);
    total += ticks;
    CHECK(now >= first + (total - 1) * period); /* none came early */
    CHECK(thrum_ticker_try_wait(&ticker) == -EAGAIN || thrum_now() >= first + total * period);
    if (i % 5 == 0) CHECK_EQ(thrum_sleep(THRUM_US(1300)), 0);
  }
  return 0;
}

/* All that was missed counts, with no tick lost and none twice: the sum is what the clock says. */
static intptr_t none_is_lost(void *arg) {
  (void)arg;
  const thrum_duration period = THRUM_US(50);
  thrum_time first = thrum_now() - 100 * period;
  CHECK_EQ(thrum_ticker_start_at(&ticker, first, period), 0);
  int64_t total = thrum_ticker_wait(&ticker);
  CHECK(total >= 101);
  while (total < 2000) total += thrum_ticker_wait(&ticker);
  thrum_time low = thrum_now();
  int64_t rest = thrum_ticker_try_wait(&ticker);
  thrum_time high = thrum_now();
  total += rest > 0 ? rest : 0;
  CHECK(total >= (low - first) / period + 1);
  CHECK(total <= (high - first) / period + 1);
  return 0;
}

/* ---- Sharing, stopping, starting anew ---------------------------------------------------------------------- */

enum { WAITERS = 5 };
static int64_t taken;
static bool saw_stop;

static intptr_t share(void *arg) {
  (void)arg;
  int64_t ticks;
  while ((ticks = thrum_ticker_wait(&ticker)) > 0) ADD(taken, ticks);
  return (intptr_t)ticks;
}

static intptr_t shared_and_stopped(void *arg) {
  (void)arg;
  thrum_thread threads[WAITERS];
  const thrum_duration period = THRUM_US(200);
  thrum_time first = thrum_now();
  STORE(taken, 0);
  CHECK_EQ(thrum_ticker_start_at(&ticker, first, period), 0);
  for (int i = 0; i < WAITERS; i++) threads[i] = must_spawn(share, NULL);
  AWAIT(LOAD(taken) >= 100);
  thrum_ticker_stop(&ticker);
  thrum_time end = thrum_now();
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(threads[i]), -EPIPE);
  CHECK(taken <= (end - first) / period + 1); /* no tick twice */
  CHECK_EQ(thrum_ticker_wait(&ticker), -EPIPE);
  CHECK_EQ(thrum_ticker_try_wait(&ticker), -EPIPE);
  return 0;
}

static intptr_t wait_long(void *arg) {
  (void)arg;
  int64_t ticks = thrum_ticker_wait(&ticker);
  STORE(saw_stop, true);
  return (intptr_t)ticks;
}

/* Who waits for a tick that is far off hears of a nearer one, and of a stop. */
static intptr_t starts_anew(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_ticker_start(&ticker, THRUM_S(1000)), 0);
  CHECK_EQ(thrum_ticker_wait_for(&ticker, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_ticker_wait_for(&ticker, -1), -ETIMEDOUT);
  thrum_thread t = must_spawn(wait_long, NULL);
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0); /* most probably it waits now; it does not matter */
  CHECK_EQ(thrum_ticker_start(&ticker, THRUM_US(300)), 0);
  CHECK(must_join(t) >= 1);
  CHECK_EQ(thrum_ticker_start(&ticker, THRUM_FOREVER), 0);
  t = must_spawn(wait_long, NULL);
  STORE(saw_stop, false);
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  thrum_ticker_stop(&ticker);
  CHECK_EQ(must_join(t), -EPIPE);
  return 0;
}

static intptr_t ends(void *arg) {
  (void)arg;
  thrum_ticker odd = {0};
  CHECK_EQ(thrum_ticker_wait(&odd), -EPIPE); /* never started */
  CHECK_EQ(thrum_ticker_wait_for(&odd, THRUM_FOREVER), -EPIPE);
  CHECK_EQ(thrum_ticker_start(&odd, 0), -EINVAL);
  CHECK_EQ(thrum_ticker_start(&odd, -1), -EINVAL);
  CHECK_EQ(thrum_ticker_start_at(&odd, 0, INT64_MIN), -EINVAL);
  CHECK_EQ(thrum_ticker_wait(&odd), -EPIPE);
  CHECK_EQ(thrum_ticker_start_at(&odd, INT64_MIN, INT64_MAX), 0);
  CHECK_EQ(thrum_ticker_wait(&odd), 2); /* at the beginning of time, and nearly in its midst */
  CHECK_EQ(thrum_ticker_try_wait(&odd), -EAGAIN);
  CHECK_EQ(thrum_ticker_start_at(&odd, INT64_MIN, 1), 0);
  CHECK_EQ(thrum_ticker_wait(&odd), INT64_MAX); /* more than can be said */
  CHECK_EQ(thrum_ticker_start_at(&odd, THRUM_FOREVER, 5), 0);
  CHECK_EQ(thrum_ticker_wait_for(&odd, THRUM_MS(1)), -ETIMEDOUT);
  thrum_ticker_stop(&odd);
  thrum_ticker_stop(&odd);
  return 0;
}

int main(void) {
  run_in_each_kind(counts_what_was_missed, NULL);
  run_in_each_kind(none_is_lost, NULL);
  run_in_each_kind(shared_and_stopped, NULL);
  run_in_each_kind(starts_anew, NULL);
  run_in_each_kind(ends, NULL);
  return 0;
}
