/* However many threads sleep until about the same time, each wakes, and none early; also those that wait for something else at the
 * longest until then, of which some are woken sooner; also beside a thread that computes on. And the next sleep of each is a
 * sleep of its own. */
#include "../support.h"

#include <stdlib.h>

enum { SLEEPERS = TESTS_TSAN ? 500 : TESTS_SANITIZED ? 3000 : 70000, WAITS_EVERY = 7 };

static struct sleeper {
  thrum_thread thread;
  thrum_time until;
  bool waits;
} * sleepers;
static thrum_thread gate;
static int asleep, open, stop;

static intptr_t stay_until_opened(void *arg) {
  (void)arg;
  while (!LOAD(open)) CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return 0;
}

static intptr_t sleep_twice(void *arg) {
  struct sleeper *s = arg;
  ADD(asleep, 1);
  int status = s->waits ? thrum_wait_for(gate, thrum_left(s->until)) : thrum_sleep_until(s->until);
  CHECK(status == 0 || (s->waits && status == -ETIMEDOUT));
  bool gate_ended = s->waits && status == 0;
  CHECK(gate_ended || thrum_now() >= s->until);
  thrum_time again = thrum_after(THRUM_MS(1));
  CHECK_EQ(thrum_sleep_until(again), 0);
  CHECK(thrum_now() >= again);
  return 0;
}

static intptr_t compute(void *arg) {
  (void)arg;
  while (!LOAD(stop)) {
  }
  return 0;
}

static void sleep_all(thrum_duration ahead, thrum_duration spread, bool beside_hog) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = THRUM_STACK_MIN;
  STORE(asleep, 0);
  STORE(stop, 0);
  STORE(open, 0);
  gate = must_spawn(stay_until_opened, NULL);
  thrum_time first = thrum_after(ahead);
  for (int i = 0; i < SLEEPERS; i++) {
    uint64_t mixed = (uint64_t)i * 0x9E3779B97F4A7C15u;
    sleepers[i].until = first + (spread ? (thrum_duration)(mixed % (uint64_t)spread) : 0);
    sleepers[i].waits = i % WAITS_EVERY == 0;
    CHECK_EQ(thrum_spawn_with(&sleepers[i].thread, &options, sleep_twice, &sleepers[i]), 0);
  }
  AWAIT(LOAD(asleep) == SLEEPERS);
  thrum_thread hog = {0};
  if (beside_hog) hog = must_spawn(compute, NULL);
  STORE(open, 1);
  for (int i = 0; i < SLEEPERS; i++) CHECK_EQ(thrum_join(sleepers[i].thread, NULL), 0);
  STORE(stop, 1);
  if (beside_hog) CHECK_EQ(must_join(hog), 0);
  CHECK_EQ(must_join(gate), 0);
}

static intptr_t body(void *arg) {
  (void)arg;
  sleep_all(THRUM_MS(50), 0, false); /* some are late for it */
  sleep_all(THRUM_MS(300), THRUM_MS(200), false);
  sleep_all(THRUM_MS(600), 0, true);
  return 0;
}

int main(void) {
  sleepers = (struct sleeper *)calloc(SLEEPERS, sizeof *sleepers);
  CHECK(sleepers);
  CHECK_EQ(thrum_run(body, NULL), 0);
  free(sleepers);
  return 0;
}
