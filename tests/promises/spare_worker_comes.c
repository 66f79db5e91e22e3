/* Threads that do next to nothing are kept by the worker that spawns them. One that is worth it still gets the worker
 * that has nothing to do, within milliseconds, also when its spawner computes and calls thrum no more. */
#include "../support.h"

enum { BATCH = TESTS_TSAN ? 100 : 1000, BATCHES = TESTS_TSAN ? 4 : 50, ROUNDS = TESTS_TSAN ? 3 : 20 };

static int began;

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

/* As many as it takes to learn that sharing these brings nothing. */
static void spawn_idle_ones(void) {
  static thrum_thread threads[BATCH];
  for (int i = 0; i < BATCHES; i++) {
    for (int j = 0; j < BATCH; j++) threads[j] = must_spawn(nothing, NULL);
    for (int j = 0; j < BATCH; j++) CHECK_EQ(must_join(threads[j]), 0);
  }
}

static intptr_t begin(void *arg) {
  STORE(began, 1);
  return (intptr_t)arg;
}

/* Nobody preempts the spawner before long: only the other worker can run the thread. */
static void spawn_one_and_compute(void) {
  STORE(began, 0);
  thrum_time start = thrum_now();
  thrum_thread t = must_spawn(begin, NULL);
  while (!LOAD(began) && thrum_now() - start < THRUM_S(5)) {
  }
  CHECK(LOAD(began));
  CHECK_EQ(must_join(t), 0);
}

static intptr_t body(void *arg) {
  for (int round = 0; round < ROUNDS; round++) {
    spawn_idle_ones();
    spawn_one_and_compute();
  }
  return (intptr_t)arg;
}

int main(void) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.workers = 2;
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0);
  return (int)thrum_run(body, NULL);
}
