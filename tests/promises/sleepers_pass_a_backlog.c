/* Who sleeps is woken in time beside tens of thousands of threads that never ran, which a foreign thread has left on the global
 * queue: a woken thread goes before those, so it must not be left asleep because they are many.
 *
 * Lateness is counted in threads that begin while somebody sleeps, and not in time: a machine that has other things to do
 * holds up both. Without the promise some six hundred begin before it (twenty thousand are fetched by 32 at a time). */
#include "../support.h"

enum {
  THREADS = TESTS_TSAN ? 3000 : 20000,
  ROUNDS = TESTS_TSAN ? 3 : 5, /* and five times as many, if others on the machine hold the sleeper up */
  FEW = TESTS_TSAN ? 60 : 250,
  LOOPS = 300000
};

static int begun, ended, spawned;
static bool stop;

/* Some 100 us or more, and no hog. */
static intptr_t work(void *arg) {
  (void)arg;
  ADD(begun, 1);
  for (volatile int i = 0; i < LOOPS && !LOAD(stop); i++) {
  }
  ADD(ended, 1);
  return 0;
}

/* Faster than they can run. */
static intptr_t spawn_many(void *arg) {
  (void)arg;
  for (int i = 0; i < THREADS; i++) {
    CHECK_EQ(thrum_spawn(NULL, work, NULL), 0);
    ADD(spawned, 1);
  }
  return 0;
}

static void *outside(void *arg) {
  spawn_many(arg);
  return NULL;
}

/* Sleeps again and again while the backlog grows: how many threads began during one sleep, at most. */
static int one_round(void) {
  pthread_t thread;
  STORE(begun, 0);
  STORE(ended, 0);
  STORE(spawned, 0);
  STORE(stop, false);
  CHECK_EQ(pthread_create(&thread, NULL, outside, NULL), 0);
  int worst = 0;
  while (LOAD(spawned) < THREADS) {
    int before = LOAD(begun);
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
    int meanwhile = LOAD(begun) - before;
    if (meanwhile > worst) worst = meanwhile;
  }
  STORE(stop, true);
  AWAIT(LOAD(ended) == THREADS);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  return worst;
}

int main(void) {
  CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0); /* main has its worker before the backlog is there */
  int few = 0;
  for (int i = 0; few <= ROUNDS / 2; i++) {
    CHECK(i < 5 * ROUNDS);
    int worst = one_round();
    printf("%d threads began during one sleep, at most\n", worst);
    fflush(stdout);
    few += worst < FEW;
  }
  return 0;
}
