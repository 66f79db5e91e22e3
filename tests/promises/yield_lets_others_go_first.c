/* thrum_yield lets every thread that is ready on this worker go first: those that never ran too. */
#include "../support.h"

enum { THREADS = 5, ROUNDS = 50 };

static int order[THREADS * 2], count;

static intptr_t note(void *arg) {
  order[count++] = (int)(intptr_t)arg;
  return 0;
}

/* Each notes itself twice with a yield in between: all firsts come before the first second. */
static intptr_t note_twice(void *arg) {
  note(arg);
  thrum_yield();
  return note(arg);
}

static intptr_t body(void *arg) {
  thrum_thread threads[THREADS];
  for (int round = 0; round < ROUNDS; round++) {
    count = 0;
    for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(note, (void *)(intptr_t)i);
    thrum_yield();
    CHECK_EQ(count, THREADS);
    for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
    count = 0;
    for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(note_twice, (void *)(intptr_t)i);
    thrum_yield();
    thrum_yield();
    CHECK_EQ(count, 2 * THREADS);
    for (int i = 0; i < THREADS; i++) {
      CHECK(order[i] != order[(i + 1) % THREADS]);
      CHECK_EQ(must_join(threads[i]), 0);
    }
  }
  return (intptr_t)arg;
}

int main(void) {
  if (TESTS_TSAN)
    CHECK_SKIP("one worker orders these threads, but promises nothing that ThreadSanitizer knows");
  thrum_config config =
      THRUM_CONFIG_INIT; /* from the start: one that is taken away later runs on to its next switch */
  config.workers = 1;
  CHECK_EQ(thrum_configure(&config), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0);
  return (int)thrum_run(body, NULL);
}
