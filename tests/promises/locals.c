/* thrum_local: each thread has its own value, which follows it from worker to worker; destructors run in the
 * ending thread before a join of it returns, in rounds while they set values again. */
#include "../support.h"

enum { THREADS = 40 };

static int destroyed;
static uint64_t destroyed_in;

static void destroy(void *value) {
  STORE(destroyed_in, thrum_id(thrum_current()));
  CHECK(value != NULL);
  free(value);
  ADD(destroyed, 1);
}

static thrum_local plain, owned = THRUM_LOCAL_INIT(destroy);

static intptr_t keep_own_value(void *arg) {
  CHECK(thrum_local_get(&plain) == NULL);
  CHECK(thrum_local_get(&owned) == NULL);
  int *number = malloc(sizeof *number);
  CHECK(number);
  *number = (int)(intptr_t)arg;
  CHECK_EQ(thrum_local_set(&plain, arg), 0);
  CHECK_EQ(thrum_local_set(&owned, number), 0);
  for (int i = 0; i < 20; i++) {
    if (i % 5 == 0)
      CHECK_EQ(thrum_sleep(THRUM_US(200)), 0);
    else
      thrum_yield();
    CHECK(thrum_local_get(&plain) == arg);
    CHECK(thrum_local_get(&owned) == number && *number == (int)(intptr_t)arg);
  }
  return 0;
}

static void each_its_own(void) {
  thrum_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    threads[i] = i % 10 ? must_spawn(keep_own_value, (void *)(intptr_t)(i + 1))
                        : must_spawn_bound(keep_own_value, (void *)(intptr_t)(i + 1));
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(destroyed, THREADS);
  CHECK(thrum_local_get(&owned) == NULL);
}

static void destroyed_in_the_ending_thread(void) {
  destroyed = 0;
  thrum_thread t = must_spawn(keep_own_value, (void *)1);
  uint64_t id = thrum_id(t);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(destroyed, 1);
  CHECK_EQ(destroyed_in, id);
  CHECK_EQ(run_outside(keep_own_value, (void *)2), 0);
  CHECK_EQ(destroyed, 2);
}

/* Sets a value again as long as it is asked to; after four rounds thrum gives up. */
static int rounds, rounds_wanted;
static void set_again(void *value);
static thrum_local stubborn = THRUM_LOCAL_INIT(set_again);

static void set_again(void *value) {
  CHECK(thrum_local_get(&stubborn) == NULL);
  if (++rounds < rounds_wanted) CHECK_EQ(thrum_local_set(&stubborn, value), 0);
}

static intptr_t set_stubborn(void *arg) { return thrum_local_set(&stubborn, arg); }

static void destructors_in_rounds(void) {
  static const int wanted[] = {1, 2, 4, 100}, expected[] = {1, 2, 4, 4};
  for (int i = 0; i < 4; i++) {
    rounds = 0;
    rounds_wanted = wanted[i];
    CHECK_EQ(must_join(must_spawn(set_stubborn, &rounds)), 0);
    CHECK_EQ(rounds, expected[i]);
  }
}

static intptr_t exit_with_value(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_local_set(&owned, malloc(1)), 0);
  thrum_exit(3);
}

/* A value that was replaced is the setter's own business; NULL has no destructor. */
static intptr_t replace(void *arg) {
  (void)arg;
  void *old = malloc(1);
  CHECK_EQ(thrum_local_set(&owned, old), 0);
  CHECK_EQ(thrum_local_set(&owned, NULL), 0);
  free(old);
  return 0;
}

static intptr_t use_all(void *arg) {
  thrum_local *locals = arg;
  int error = 0, n = 0;
  while ((error = thrum_local_set(&locals[n], &locals[n])) == 0) CHECK(++n <= 1024);
  CHECK_EQ(error, -EAGAIN);
  CHECK(n > 1000);
  for (int i = 0; i < n; i++) CHECK(thrum_local_get(&locals[i]) == &locals[i]);
  CHECK(thrum_local_get(&locals[n]) == NULL);
  return 0;
}

int main(void) {
  each_its_own();
  destroyed_in_the_ending_thread();
  destructors_in_rounds();
  destroyed = 0;
  CHECK_EQ(must_join(must_spawn(exit_with_value, NULL)), 3);
  CHECK_EQ(must_join(must_spawn_bound(exit_with_value, NULL)), 3);
  CHECK_EQ(destroyed, 2);
  CHECK_EQ(must_join(must_spawn(replace, NULL)), 0);
  CHECK_EQ(destroyed, 2);
  static thrum_local many[1100];
  CHECK_EQ(must_join(must_spawn(use_all, many)), 0);
  return 0;
}
