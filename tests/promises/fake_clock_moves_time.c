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

/* ---- Timers, tickers, a schedule: none early, each once, whether the clock goes from one to the next or leaps over all ----- */

enum { TIMERS = 24 };
static struct shot {
  thrum_timer timer;
  thrum_time due;
  int fired;
} shots[TIMERS];

static intptr_t fire(void *arg) {
  struct shot *shot = arg;
  CHECK(thrum_now() >= shot->due);
  ADD(shot->fired, 1);
  return 0;
}

static bool all_fired(void) {
  for (int i = 0; i < TIMERS; i++)
    if (LOAD(shots[i].fired) != (i != TIMERS / 2)) return false;
  return true;
}

/* One of them is taken back. While the others get their times an idle worker may let the clock go on. */
static void timers_fire(bool leap) {
  thrum_time start = thrum_now();
  for (int i = 0; i < TIMERS; i++) {
    shots[i].fired = 0;
    shots[i].due = start + (i * 7 % TIMERS + 1) * HOUR;
    CHECK_EQ(thrum_timer_start_at(&shots[i].timer, THRUM_FOREVER, fire, &shots[i]), 0); /* not yet */
  }
  CHECK_EQ(thrum_timer_cancel(&shots[TIMERS / 2].timer), 1);
  for (int i = 0; i < TIMERS; i++)
    if (i != TIMERS / 2) CHECK_EQ(thrum_timer_restart_at(&shots[i].timer, shots[i].due), 0);
  if (leap) jump_to(start + 2000 * HOUR);
  CHECK_EQ(thrum_sleep((TIMERS + 1) * HOUR), 0); /* from now on */
  AWAIT(all_fired());
  CHECK_EQ(thrum_sleep(3000 * HOUR), 0);
  CHECK(all_fired());
}

/* What was leapt over adds up, and the ticks after it are where they would have been. */
static void ticks_add_up(void) {
  thrum_ticker ticker = {0};
  thrum_time first = thrum_now() + HOUR;
  CHECK_EQ(thrum_ticker_start_at(&ticker, first, HOUR), 0);
  int64_t ticks = 0;
  for (int i = 0; i < 5; i++) {
    int64_t n = thrum_ticker_wait(&ticker);
    CHECK(n >= 1);
    ticks += n;
    CHECK(thrum_now() >= first + (ticks - 1) * HOUR);
  }
  thrum_time leap = first + 1000 * HOUR + HOUR / 2;
  jump_to(leap);
  ticks += thrum_ticker_wait(&ticker);
  CHECK(ticks >= 1001);
  ticks += thrum_ticker_wait(&ticker);
  CHECK(thrum_now() >= first + (ticks - 1) * HOUR);
  CHECK(ticks >= 1002);
  thrum_ticker_stop(&ticker);
}

static thrum_schedule schedule;
static struct entry {
  thrum_schedule_event event;
  thrum_time due;
} entries[SLEEPERS];
static int run_so_far;

static intptr_t run_entry(void *arg) {
  struct entry *e = arg;
  CHECK(thrum_now() >= e->due);
  CHECK_EQ(e - entries, run_so_far++); /* in the order of time */
  return 0;
}

static void schedule_runs(bool leap) {
  thrum_time start = thrum_now();
  run_so_far = 0;
  for (int i = 0; i < SLEEPERS; i++) {
    struct entry *e = &entries[i * 7 % SLEEPERS];
    e->due = start + (e - entries + 1) * HOUR;
    CHECK_EQ(thrum_schedule_enter_at(&schedule, &e->event, e->due, 1, run_entry, e), 0);
  }
  if (leap) jump_to(start + 2 * SLEEPERS * HOUR);
  CHECK_EQ(thrum_schedule_run(&schedule), 0);
  CHECK_EQ(run_so_far, SLEEPERS);
}

int main(void) {
  thrumi_os.now = fake_now;
  thrumi_os.futex_wait = fake_futex_wait;
  thrumi_os.epoll_wait = fake_epoll_wait;
  int64_t start = wall_now();
  days_pass(thrum_workers() == 1);
  timed_waits_time_out();
  for (int leap = 0; leap < 2; leap++) {
    timers_fire(leap);
    ticks_add_up();
    schedule_runs(leap);
  }
  CHECK_EQ(thrum_sleep(1000 * HOUR), 0);
  CHECK(thrum_now() > 1000 * HOUR);
  CHECK(wall_now() - start < HOUR / 10);
  return 0;
}
