/* A set frees every thread that waits at that moment, even if the event is cleared before any of them runs, and nobody else;
 * however many wait, and of whatever kind. */
#include "../support.h"

enum { CROWD = 24, ROUNDS = TESTS_SANITIZED ? 40 : 300, MANY = TESTS_SANITIZED ? 500 : 10000 };

static thrum_event event;
static thrum_sem next_round;
static int waiting, gone, woken[CROWD];

/* ---- Set and clear at once ------------------------------------------------------------------------------------------- */

/* Waits once a round; the event is clear before and after each. */
static intptr_t wait_rounds(void *number) {
  int i = (int)(intptr_t)number;
  for (int round = 0; round < ROUNDS; round++) {
    ADD(waiting, 1);
    if (round % 3)
      thrum_event_wait(&event);
    else
      CHECK_EQ(thrum_event_wait_for(&event, round % 2 ? THRUM_FOREVER : THRUM_FOREVER - 1), 0);
    STORE(woken[i], woken[i] + 1);
    ADD(gone, 1);
    thrum_sem_acquire(&next_round);
  }
  return 0;
}

static thrum_sem parked;

static intptr_t wait_once(void *number) {
  (void)number;
  thrum_event_wait(&event);
  CHECK_EQ(thrum_sem_release(&parked, 1), 0);
  return 0;
}

static void set_and_clear(void) {
  for (int round = 0; round < ROUNDS; round++) {
    thrum_thread t = round % 4 == 1 ? must_spawn_bound(wait_once, NULL) : must_spawn(wait_once, NULL);
    AWAIT(thrum_event_destroy(&event) == -EBUSY);
    thrum_event_set(&event);
    thrum_event_clear(&event);
    CHECK_EQ(must_join(t), 0);
    CHECK(!thrum_event_is_set(&event));
  }
  CHECK_EQ(thrum_sem_value(&parked), ROUNDS);
}

/* Whoever waits in a round goes in that round, since the setter waits for all before the next one. */
static void rounds(void) {
  static struct crowd crowd;
  crowd_start(&crowd, CROWD, wait_rounds);
  for (int round = 1; round <= ROUNDS; round++) {
    AWAIT(LOAD(waiting) == round * CROWD);
    do { /* some have said that they will wait and do not yet */
      thrum_event_set(&event);
      thrum_event_clear(&event);
      thrum_yield();
    } while (LOAD(gone) < round * CROWD);
    for (int i = 0; i < CROWD; i++) CHECK_EQ(LOAD(woken[i]), round);
    CHECK(!thrum_event_is_set(&event));
    CHECK_EQ(thrum_sem_release(&next_round, CROWD), 0);
  }
  crowd_join(&crowd);
  CHECK_EQ(thrum_event_destroy(&event), 0);
}

/* ---- Very many ------------------------------------------------------------------------------------------------------------ */

static intptr_t wait_in_mass(void *arg) {
  ADD(waiting, 1);
  thrum_event_wait(&event);
  ADD(gone, 1);
  return (intptr_t)arg;
}

static void a_mass(void) {
  thrum_thread *threads = calloc(MANY, sizeof *threads);
  CHECK(threads);
  waiting = gone = 0;
  for (int i = 0; i < MANY; i++) threads[i] = must_spawn(wait_in_mass, (void *)(intptr_t)i);
  AWAIT(LOAD(waiting) == MANY);
  CHECK_EQ(LOAD(gone), 0);
  thrum_event_set(&event);
  for (int i = 0; i < MANY; i++) CHECK_EQ(must_join(threads[i]), i);
  CHECK_EQ(gone, MANY);
  thrum_event_clear(&event);
  free(threads);
}

/* ---- On a waiter's stack --------------------------------------------------------------------------------------------------- */

static intptr_t set_it(void *arg) {
  thrum_event_set((thrum_event *)arg);
  return 0;
}

/* The event is gone the moment its waiter goes; what takes its place must not be touched. */
static __attribute__((noinline)) void wait_on_stack(void) {
  thrum_event local = {0};
  CHECK_EQ(thrum_spawn(NULL, set_it, &local), 0);
  thrum_event_wait(&local);
  volatile uint64_t *word = &local.word;
  *word = UINT64_C(0x5555555555555555);
  thrum_yield();
  CHECK_EQ(*word, UINT64_C(0x5555555555555555));
}

static intptr_t wait_on_stacks(void *unused) {
  (void)unused;
  for (int i = 0; i < ROUNDS; i++) wait_on_stack();
  return 0;
}

/* ---- Timeouts --------------------------------------------------------------------------------------------------------------- */

static intptr_t all_ways(void *unused) {
  (void)unused;
  thrum_event e = {0};
  CHECK(!thrum_event_is_set(&e));
  CHECK_EQ(thrum_event_wait_for(&e, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_event_wait_for(&e, -1), -ETIMEDOUT);
  int64_t before = wall_now();
  CHECK_EQ(thrum_event_wait_for(&e, THRUM_MS(3)), -ETIMEDOUT);
  CHECK(wall_now() - before >= THRUM_MS(3));
  thrum_event_set(&e);
  thrum_event_set(&e);
  CHECK(thrum_event_is_set(&e));
  thrum_event_wait(&e);
  CHECK_EQ(thrum_event_wait_for(&e, -1), 0);
  CHECK_EQ(thrum_event_wait_for(&e, 0), 0);
  CHECK_EQ(thrum_event_wait_for(&e, THRUM_FOREVER), 0);
  thrum_event_clear(&e);
  thrum_event_clear(&e);
  CHECK_EQ(thrum_event_wait_for(&e, 1), -ETIMEDOUT);
  CHECK_EQ(thrum_event_destroy(&e), 0);
  return 0;
}

/* Sets fall at every moment of short waits. What a wait says is true: it returns 0 if a set came while it waited. */
static thrum_event ping, pong;

static intptr_t answer(void *rounds_to_go) {
  for (intptr_t i = 0; i < (intptr_t)rounds_to_go; i++) {
    while (thrum_event_wait_for(&ping, THRUM_US(i % 40)) != 0) continue;
    thrum_event_clear(&ping);
    thrum_event_set(&pong);
  }
  return 0;
}

static void short_waits(void) {
  thrum_thread t = must_spawn(answer, (void *)(intptr_t)(10 * ROUNDS));
  for (int i = 0; i < 10 * ROUNDS; i++) {
    thrum_event_set(&ping);
    while (thrum_event_wait_for(&pong, THRUM_US(i % 30)) != 0) continue;
    thrum_event_clear(&pong);
  }
  CHECK_EQ(must_join(t), 0);
}

int main(void) {
  run_in_each_kind(all_ways, NULL);
  set_and_clear();
  rounds();
  a_mass();
  run_in_each_kind(wait_on_stacks, NULL);
  short_waits();
  return 0;
}
