/* Promise 11: time is what the table of operations says. With a clock that jumps to whatever is waited for,
 * days of sleep pass at once and in the right order. */
#include "../support.h"

#include "os/os.h"

enum { SLEEPERS = 24 };

#define HOUR THRUM_S(3600)

static _Atomic int64_t fake = 1000;

static int64_t fake_now(void) { return atomic_load(&fake); }

static void jump_to(int64_t deadline) {
  int64_t now = atomic_load(&fake);
  while (now < deadline && !atomic_compare_exchange_weak(&fake, &now, deadline)) continue;
}

/* Looks whether there is something to do now; if not, the time waited for has come. */
static int fake_futex_wait(thrumi_futex *word, uint32_t expected, int64_t deadline) {
  if (deadline == INT64_MAX) return thrumi_os_linux.futex_wait(word, expected, INT64_MAX);
  int result = thrumi_os_linux.futex_wait(word, expected, 0);
  if (result == -ETIMEDOUT) jump_to(deadline);
  return result;
}

static int fake_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout) {
  if (timeout < 0) return thrumi_os_linux.epoll_wait(epoll, events, max, -1);
  int64_t deadline = fake_now() + timeout;
  int count = thrumi_os_linux.epoll_wait(epoll, events, max, 0);
  if (count == 0) jump_to(deadline);
  return count;
}

static thrum_time base;
static bool go;
static int woken[SLEEPERS], woken_count;

/* All are ready before the first sleeps: an idle worker would let the clock jump. */
static intptr_t sleep_for_hours(void *arg) {
  int hours = (int)(intptr_t)arg;
  while (!LOAD(go)) thrum_yield();
  CHECK_EQ(thrum_sleep_until(base + hours * HOUR), 0);
  CHECK(thrum_now() >= base + hours * HOUR);
  woken[ADD(woken_count, 1) - 1] = hours;
  return 0;
}

static intptr_t stay(void *arg) {
  while (!LOAD(*(bool *)arg)) CHECK_EQ(thrum_sleep(HOUR), 0);
  return 4;
}

/* With one worker the next jump comes only when the one who was woken has done his part. */
static void days_pass(bool in_order) {
  thrum_thread threads[SLEEPERS];
  base = thrum_now();
  woken_count = 0;
  STORE(go, false);
  for (int i = 0; i < SLEEPERS; i++)
    threads[i] = must_spawn(sleep_for_hours, (void *)(intptr_t)(i * 7 % SLEEPERS));
  STORE(go, true);
  for (int i = 0; i < SLEEPERS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(woken_count, SLEEPERS);
  for (int i = 0; in_order && i < SLEEPERS; i++) CHECK_EQ(woken[i], i);
}

static void timed_waits_time_out(void) {
  bool stop = false;
  thrum_thread t = must_spawn(stay, &stop);
  thrum_time start = thrum_now();
  CHECK_EQ(thrum_join_for(t, NULL, 100 * HOUR), -ETIMEDOUT);
  CHECK(thrum_now() - start >= 100 * HOUR);
  STORE(stop, true);
  CHECK_EQ(must_join(t), 4);
}

int main(void) {
  thrumi_os.now = fake_now;
  thrumi_os.futex_wait = fake_futex_wait;
  thrumi_os.epoll_wait = fake_epoll_wait;
  int64_t start = wall_now();
  days_pass(thrum_workers() == 1);
  timed_waits_time_out();
  CHECK_EQ(thrum_sleep(1000 * HOUR), 0);
  CHECK(thrum_now() > 1000 * HOUR);
  CHECK(wall_now() - start < HOUR / 10);
  return 0;
}
