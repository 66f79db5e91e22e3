/* A barrier: nobody goes on before all have come, round after round, each with a number of its own, whatever kind of thread; and
 * the action runs once a round, when all have come and before any goes on. */
#include "../support.h"

enum { LIGHT = 5, BOUND = 1, FOREIGN = 1, N = LIGHT + BOUND + FOREIGN + 1, ROUNDS = 1000, CROWD = 1000 };

static thrum_barrier barrier;
static int came[ROUNDS]; /* into each round; not atomic where a barrier lies between */
static long numbers[ROUNDS], acted;
static int rounds;

static intptr_t count_action(void *arg) {
  CHECK_EQ(LOAD(came[acted]), N);
  CHECK_EQ(LOAD(numbers[acted]), 0);
  acted++; /* the barrier orders it */
  return (intptr_t)arg;
}

static intptr_t keep_step(void *arg) {
  for (int i = 0; i < rounds; i++) {
    ADD(came[i], 1);
    int number = i % 3 == 2 ? thrum_barrier_wait_for(&barrier, THRUM_S(1000)) : thrum_barrier_wait(&barrier);
    CHECK(number >= 0 && number < N);
    CHECK_EQ(LOAD(came[i]), N);
    if (i + 1 < rounds) CHECK(LOAD(came[i + 1]) < N);
    if (barrier.action) CHECK(acted >= i + 1 && acted <= i + 2);
    ADD(numbers[i], 1L << 4 * number);
    if (i % 100 == 0) thrum_yield();
  }
  return (intptr_t)arg;
}

static void *foreign(void *arg) { return (void *)keep_step(arg); }

static void run(int n) {
  thrum_thread threads[LIGHT + BOUND];
  pthread_t others[FOREIGN];
  memset(came, 0, sizeof came);
  memset(numbers, 0, sizeof numbers);
  rounds = n;
  for (int i = 0; i < LIGHT + BOUND; i++)
    threads[i] = i < LIGHT ? must_spawn(keep_step, NULL) : must_spawn_bound(keep_step, NULL);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_create(&others[i], NULL, foreign, NULL), 0);
  CHECK_EQ(keep_step(NULL), 0);
  for (int i = 0; i < LIGHT + BOUND; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(others[i], NULL), 0);
  for (int i = 0; i < n; i++) CHECK_EQ(numbers[i], 0x11111111);
  CHECK_EQ(thrum_barrier_waiting(&barrier), 0);
  CHECK(!thrum_barrier_broken(&barrier));
  CHECK_EQ(thrum_barrier_destroy(&barrier), 0);
}

/* ---- A thousand ------------------------------------------------------------------------------------------------------ */

static thrum_barrier crowded = THRUM_BARRIER_INIT(CROWD);
static uint8_t seen[2][CROWD];

static intptr_t join_the_crowd(void *arg) {
  for (int i = 0; i < 2; i++) {
    int number = thrum_barrier_wait(&crowded);
    CHECK(number >= 0 && number < CROWD);
    CHECK_EQ(ADD(seen[i][number], 1), 1);
  }
  return (intptr_t)arg;
}

static void a_crowd(void) {
  enum { FEW = TESTS_TSAN ? 300 : CROWD };
  static thrum_thread threads[CROWD];
  CHECK_EQ(thrum_barrier_init(&crowded, FEW), 0);
  for (int i = 0; i < FEW; i++) threads[i] = must_spawn(join_the_crowd, NULL);
  for (int i = 0; i < FEW; i++) CHECK_EQ(must_join(threads[i]), 0);
  for (int i = 0; i < FEW; i++) CHECK(seen[0][i] == 1 && seen[1][i] == 1);
}

/* ---- More threads than parties, and an action that lasts -------------------------------------------------------------- */

enum { PAIRS = 12, MEETINGS = TESTS_SANITIZED ? 50 : 300 };
static int acting, meetings;

static intptr_t act_slowly(void *arg) {
  CHECK_EQ(ADD(acting, 1), 1);
  for (int i = 0; i < 5; i++) thrum_yield();
  meetings++;
  CHECK_EQ(ADD(acting, -1), 0);
  return (intptr_t)arg;
}

static thrum_barrier pair = THRUM_BARRIER_INIT_WITH(2, act_slowly, NULL);
static int pair_numbers[2];

static intptr_t meet_anybody(void *arg) {
  for (int i = 0; i < MEETINGS; i++) {
    int number = thrum_barrier_wait(&pair);
    CHECK(number == 0 || number == 1);
    ADD(pair_numbers[number], 1);
  }
  return (intptr_t)arg;
}

static void actions_never_overlap(void) {
  thrum_thread threads[2 * PAIRS];
  for (int i = 0; i < 2 * PAIRS; i++)
    threads[i] = i % 8 == 0 ? must_spawn_bound(meet_anybody, NULL) : must_spawn(meet_anybody, NULL);
  /* The last one may find nobody left to meet. */
  AWAIT(LOAD(pair_numbers[0]) + LOAD(pair_numbers[1]) >= 2 * PAIRS * MEETINGS - 2 * MEETINGS);
  for (int i = 0; i < 2 * PAIRS; i++)
    while (thrum_is_alive(threads[i])) {
      int error = thrum_wait_for(threads[i], THRUM_MS(50));
      CHECK(error == 0 || error == -ETIMEDOUT);
      if (error && thrum_barrier_waiting(&pair) == 1)
        CHECK(thrum_barrier_wait_for(&pair, THRUM_S(10)) != -EPIPE);
    }
  for (int i = 0; i < 2 * PAIRS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK(LOAD(pair_numbers[0]) <= meetings && LOAD(pair_numbers[1]) <= meetings);
}

static intptr_t alone(void *arg) {
  thrum_barrier one = THRUM_BARRIER_INIT(1);
  for (int i = 0; i < 10; i++) CHECK_EQ(thrum_barrier_wait(&one), 0);
  CHECK_EQ(thrum_barrier_wait_for(&one, 0), 0);
  CHECK_EQ(thrum_barrier_wait_for(&one, -1), 0);
  return (intptr_t)arg;
}

int main(void) {
  CHECK_EQ(thrum_barrier_init(&barrier, N), 0);
  run(10);
  run(ROUNDS);
  CHECK_EQ(thrum_barrier_init_with(&barrier, N, count_action, NULL), 0);
  run(10);
  acted = 0;
  run(ROUNDS);
  CHECK_EQ(acted, ROUNDS);
  run_in_each_kind(alone, NULL);
  a_crowd();
  actions_never_overlap();
  return 0;
}
