/* Promise 5: each timed form ends, not before its time and with the error for that, for every kind of caller;
 * 0 and negative times only ask. */
#include "../support.h"

#include <fcntl.h>

static thrum_thread target;
static int empty[2], full[2];
static bool stop;

static intptr_t stay(void *arg) {
  (void)arg;
  while (!LOAD(stop)) CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return 3;
}

static ssize_t timed_join(thrum_duration d) { return thrum_join_for(target, NULL, d); }
static ssize_t timed_wait(thrum_duration d) { return thrum_wait_for(target, d); }
static ssize_t timed_read(thrum_duration d) { return thrum_read_for(empty[0], &(char){0}, 1, d); }
static ssize_t timed_write(thrum_duration d) { return thrum_write_for(full[1], "x", 1, d); }

static intptr_t all_time_out(void *arg) {
  (void)arg;
  static ssize_t (*const forms[])(thrum_duration) = {timed_join, timed_wait, timed_read, timed_write};
  static const thrum_duration spans[] = {0, -1, INT64_MIN, 1, THRUM_US(100), THRUM_MS(3), THRUM_MS(40)};
  for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
    for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
      thrum_time start = thrum_now();
      CHECK_EQ(forms[f](spans[s]), -ETIMEDOUT);
      CHECK(thrum_now() - start >= spans[s]);
    }
  CHECK(thrum_is_alive(target));
  return 0;
}

/* Sleeping is no error; a time that has passed yields. */
static intptr_t sleeps_end(void *arg) {
  (void)arg;
  static const thrum_duration spans[] = {0, -1, INT64_MIN, 1, THRUM_US(50), THRUM_MS(7)};
  for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
    thrum_time start = thrum_now();
    CHECK_EQ(thrum_sleep(spans[s]), 0);
    CHECK(thrum_now() - start >= spans[s]);
    thrum_time when = thrum_after(spans[s]);
    CHECK_EQ(thrum_sleep_until(when), 0);
    CHECK(thrum_now() >= when);
  }
  CHECK_EQ(thrum_sleep_until(0), 0);
  CHECK_EQ(thrum_sleep_until(INT64_MIN), 0);
  return 0;
}

static void arithmetic_of_time(void) {
  CHECK_EQ(thrum_after(THRUM_FOREVER), THRUM_FOREVER);
  CHECK_EQ(thrum_after(INT64_MAX - 1), THRUM_FOREVER);
  CHECK_EQ(thrum_left(THRUM_FOREVER), THRUM_FOREVER);
  CHECK_EQ(thrum_left(thrum_now() - 1), 0);
  CHECK_EQ(thrum_left(INT64_MIN), 0);
  thrum_duration left = thrum_left(thrum_after(THRUM_S(1000)));
  CHECK(left > THRUM_S(500) && left <= THRUM_S(1000));
  CHECK_EQ(THRUM_MS(0.5), THRUM_US(500));
}

int main(void) {
  CHECK_EQ(pipe2(empty, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(full, O_CLOEXEC | O_NONBLOCK), 0);
  static char block[4096];
  while (write(full[1], block, sizeof block) > 0) continue;
  target = must_spawn(stay, NULL);
  run_in_each_kind(all_time_out, NULL);
  run_in_each_kind(sleeps_end, NULL);
  arithmetic_of_time();
  STORE(stop, true);
  CHECK_EQ(must_join(target), 3);
  return 0;
}
