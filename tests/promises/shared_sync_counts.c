/* Shared semaphores hand out as many units as there are, events free all who wait though they are cleared at once, barriers let their
 * threads go together, a thousand times, and break as they say: between processes, and threads of all kinds. */
#include "sharing.h"

enum {
  PROCESSES = TESTS_FORK ? 3 : 0,
  THREADS = 8,
  ROUNDS = TESTS_SANITIZED ? 200 : 2000,
  PASSES = TESTS_SANITIZED ? 100 : 1000
};

static struct shared {
  thrum_shared_sem sem, none, bounded;
  thrum_shared_event event;
  thrum_shared_barrier barrier, two;
  int inside, most, entered, waiting, freed, pass[PROCESSES + 1], broken;
} * s;

static intptr_t in_each(thrum_fn *fn, int threads) {
  struct crowd *crowd = (struct crowd *)calloc(1, sizeof *crowd);
  crowd_start(crowd, threads, fn);
  crowd_join(crowd);
  free(crowd);
  return 0;
}

static void in_all(thrum_fn *fn) {
  pid_t pids[PROCESSES + 1];
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_numbered(fn, i + 1);
  CHECK_EQ(fn(NULL), 0);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(pids[i]), 0);
}

/* ---- Semaphores ------------------------------------------------------------------------------------------------------------ */

static intptr_t use_units(void *arg) {
  for (int i = 0; i < ROUNDS; i++) {
    if ((intptr_t)arg % 2)
      thrum_shared_sem_acquire(&s->sem);
    else
      while (thrum_shared_sem_acquire_for(&s->sem, THRUM_US(100)) == -ETIMEDOUT) continue;
    int n = ADD(s->inside, 1);
    CHECK(n <= 3);
    if (i % 32 == 0) thrum_yield();
    ADD(s->inside, -1);
    ADD(s->entered, 1);
    CHECK_EQ(thrum_shared_sem_release(&s->sem, 1), 0);
  }
  return 0;
}

static intptr_t use_sem(void *arg) { return (void)arg, in_each(use_units, THREADS); }

static intptr_t take_one(void *arg) {
  (void)arg;
  thrum_shared_sem_acquire(&s->none);
  ADD(s->freed, 1);
  return 0;
}
static intptr_t take_ones(void *arg) { return (void)arg, in_each(take_one, THREADS); }

static intptr_t test_sem_forms(void *arg) {
  (void)arg;
  thrum_shared_sem sem;
  CHECK_EQ(thrum_shared_sem_init(&sem, -1, 0), -EINVAL);
  CHECK_EQ(thrum_shared_sem_init(&sem, 3, 2), -EINVAL);
  CHECK_EQ(thrum_shared_sem_init(&s->bounded, 1, 2), 0);
  CHECK_EQ(thrum_shared_sem_release(&s->bounded, 0), -EINVAL);
  CHECK_EQ(thrum_shared_sem_release(&s->bounded, 2), -EOVERFLOW);
  CHECK_EQ(thrum_shared_sem_value(&s->bounded), 1);
  CHECK_EQ(thrum_shared_sem_release(&s->bounded, 1), 0);
  CHECK_EQ(thrum_shared_sem_try_acquire(&s->bounded), 0);
  CHECK_EQ(thrum_shared_sem_acquire_for(&s->bounded, 0), 0);
  CHECK_EQ(thrum_shared_sem_try_acquire(&s->bounded), -EAGAIN);
  CHECK_EQ(thrum_shared_sem_acquire_for(&s->bounded, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_sem_acquire_for(&s->bounded, THRUM_MS(2)), -ETIMEDOUT);
  return 0;
}

static void test_sems(void) {
  run_in_each_kind(test_sem_forms, NULL);
  CHECK_EQ(thrum_shared_sem_init(&s->sem, 3, 3), 0);
  in_all(use_sem);
  CHECK_EQ(s->entered, (PROCESSES + 1) * THREADS * ROUNDS);
  CHECK_EQ(thrum_shared_sem_value(&s->sem), 3);
  CHECK_EQ(thrum_shared_sem_release(&s->sem, 1), -EOVERFLOW);

  if (!TESTS_FORK) return;
  s->freed = 0; /* a release of many, and of one at a time */
  pid_t pids[2] = {start_child(take_ones, NULL), start_child(take_ones, NULL)};
  CHECK_EQ(thrum_shared_sem_release(&s->none, THREADS), 0);
  AWAIT(LOAD(s->freed) == THREADS);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(thrum_shared_sem_release(&s->none, 1), 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(thrum_shared_sem_value(&s->none), 0);
}

/* ---- Events ---------------------------------------------------------------------------------------------------------------- */

static intptr_t wait_for_event(void *arg) {
  ADD(s->waiting, 1);
  if ((intptr_t)arg % 2)
    thrum_shared_event_wait(&s->event);
  else
    CHECK_EQ(thrum_shared_event_wait_for(&s->event, THRUM_S(100)), 0);
  ADD(s->freed, 1);
  return 0;
}
static intptr_t wait_for_events(void *arg) { return (void)arg, in_each(wait_for_event, THREADS); }

static intptr_t wait_cancelled(void *arg) {
  (void)arg;
  STORE(s->waiting, 1);
  return thrum_shared_event_wait_for(&s->event, THRUM_FOREVER);
}

static void test_events(void) {
  s->waiting = s->freed = 0;
  CHECK_EQ(thrum_shared_event_wait_for(&s->event, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_event_wait_for(&s->event, THRUM_MS(1)), -ETIMEDOUT);
  pid_t pids[2] = {start_child(wait_for_events, NULL), start_child(wait_for_events, NULL)};
  AWAIT(LOAD(s->waiting) == 2 * THREADS);
  while (LOAD(s->freed) < 2 * THREADS) { /* some may not have begun to wait when it was set first */
    thrum_shared_event_set(&s->event);
    thrum_shared_event_clear(&s->event);
    thrum_sleep(THRUM_MS(1));
  }
  for (int i = 0; i < 2; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK(!thrum_shared_event_is_set(&s->event));
  s->waiting = 0;
  thrum_thread t = must_spawn(wait_cancelled, NULL);
  AWAIT(LOAD(s->waiting));
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
  thrum_shared_event_set(&s->event);
  thrum_shared_event_set(&s->event);
  CHECK(thrum_shared_event_is_set(&s->event));
  CHECK_EQ(thrum_shared_event_wait_for(&s->event, 0), 0);
  thrum_shared_event_wait(&s->event);
}

/* ---- Barriers -------------------------------------------------------------------------------------------------------------- */

static intptr_t pass(void *arg) {
  int me = (int)(intptr_t)arg, last = 0;
  for (int i = 1; i <= PASSES; i++) {
    STORE(s->pass[me], i);
    int number = thrum_shared_barrier_wait(&s->barrier);
    CHECK(number >= 0 && number <= PROCESSES);
    last += number;
    for (int other = 0; other <= PROCESSES; other++)
      CHECK(LOAD(s->pass[other]) == i || LOAD(s->pass[other]) == i + 1);
  }
  ADD(s->freed, last);
  return 0;
}

static intptr_t wait_broken(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_barrier_wait(&s->two), -EPIPE);
  ADD(s->broken, 1);
  return 0;
}

static void wait_for_two(int n) { AWAIT(thrum_shared_barrier_waiting(&s->two) == n); }

static void test_barriers(void) {
  s->freed = 0;
  CHECK_EQ(thrum_shared_barrier_wait(&s->barrier), -EINVAL);
  CHECK_EQ(thrum_shared_barrier_init(&s->barrier, 0), -EINVAL);
  CHECK_EQ(thrum_shared_barrier_init(&s->barrier, 32768), -EINVAL);
  CHECK_EQ(thrum_shared_barrier_init(&s->barrier, PROCESSES + 1), 0);
  in_all(pass);
  CHECK_EQ(s->freed, PASSES * (PROCESSES * (PROCESSES + 1) / 2)); /* each number once a round */

  CHECK_EQ(thrum_shared_barrier_init(&s->two, 3), 0);
  pid_t pid = start_child(wait_broken, NULL); /* by one whose time runs out */
  wait_for_two(1);
  CHECK_EQ(thrum_shared_barrier_wait_for(&s->two, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(end_of_child(pid), 0);
  CHECK(thrum_shared_barrier_broken(&s->two));
  CHECK_EQ(thrum_shared_barrier_wait(&s->two), -EPIPE);
  thrum_shared_barrier_reset(&s->two);
  CHECK(!thrum_shared_barrier_broken(&s->two));

  pid = start_child(wait_broken, NULL); /* by a reset, and by an abort */
  wait_for_two(1);
  thrum_shared_barrier_reset(&s->two);
  CHECK_EQ(end_of_child(pid), 0);
  thrum_thread t = must_spawn(wait_broken, NULL);
  wait_for_two(1);
  thrum_shared_barrier_abort(&s->two);
  thrum_shared_barrier_reset(&s->two);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(s->broken, 3);
  CHECK_EQ(thrum_shared_barrier_init(&s->two, 1), 0);
  for (int i = 0; i < 40; i++) CHECK_EQ(thrum_shared_barrier_wait_for(&s->two, 0), 0);
}

/* A set of what is set already: who clears the event, looks at what was done before that set, and waits if it is not there, is set free. */
static struct relay {
  thrum_shared_event event;
  _Alignas(64) int done;
  _Alignas(64) int round, told;
} * relay;

static intptr_t set_what_is_set(void *unused) {
  (void)unused;
  for (int n = 1; LOAD(relay->round) >= 0; n++) {
    while (LOAD(relay->round) < n && LOAD(relay->round) >= 0) continue;
    for (volatile int i = 0; i < n % 40; i++) {
    }
    __atomic_store_n(&relay->done, n, __ATOMIC_RELAXED);
    thrum_shared_event_set(&relay->event);
    STORE(relay->told, n);
  }
  return 0;
}

static void test_relays(void) {
  enum { MS = TESTS_SANITIZED ? 200 : 1500 };
  relay = share(sizeof *relay);
  pid_t pid = start_child(set_what_is_set, NULL);
  int n = 0;
  for (int64_t end = wall_now() + MS * INT64_C(1000000); wall_now() < end;) {
    thrum_shared_event_set(&relay->event);
    STORE(relay->round, ++n);
    for (volatile int i = 0; i < n * 7 % 53; i++) {
    }
    thrum_shared_event_clear(&relay->event);
    if (__atomic_load_n(&relay->done, __ATOMIC_RELAXED) != n)
      CHECK_EQ(thrum_shared_event_wait_for(&relay->event, THRUM_S(TESTS_HANG_S)), 0);
    while (LOAD(relay->told) != n) thrum_yield();
  }
  STORE(relay->round, -1);
  CHECK_EQ(end_of_child(pid), 0);
}

int main(void) {
  s = share(sizeof *s);
  test_sems();
  if (TESTS_FORK) test_relays();
  if (TESTS_FORK) test_events();
  if (TESTS_FORK) test_barriers();
  return 0;
}
