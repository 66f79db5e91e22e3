/* Who starts a thread goes on: the new one runs when the caller gives up its worker, whatever way it was started in. */
#include "../support.h"

enum { EACH = 200, WAYS = 5 };

static uint64_t began;

static intptr_t begin(void *arg) {
  (void)arg;
  ADD(began, 1u);
  return 0;
}

static int start(int way, thrum_thread *t) {
  thrum_options options = THRUM_OPTIONS_INIT;
  switch (way) {
  case 0: return thrum_spawn(t, begin, NULL);
  case 1: return thrum_spawn(NULL, begin, NULL);
  case 2: return thrum_spawn_named(t, begin, NULL, "named");
  case 3: return thrum_spawn_copy(t, begin, &way, sizeof way);
  default: options.stack_size = 64 * 1024; return thrum_spawn_with(t, &options, begin, NULL);
  }
}

static intptr_t starts_and_goes_on(void *arg) {
  static thrum_thread threads[WAYS][EACH];
  for (int way = 0; way < WAYS; way++) {
    STORE(began, 0u);
    uint64_t switches = statistics().switches;
    for (int i = 0; i < EACH; i++) {
      CHECK_EQ(start(way, &threads[way][i]), 0);
      CHECK_EQ(LOAD(began), 0);
    }
    CHECK_EQ(statistics().switches, switches);
    for (int i = 0; i < EACH && way != 1; i++) CHECK_EQ(must_join(threads[way][i]), 0);
    AWAIT(LOAD(began) == EACH);
  }
  return (intptr_t)arg;
}

int main(void) {
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0); /* nor is it preempted */
  CHECK_EQ(starts_and_goes_on(NULL), 0);
  CHECK_EQ(must_join(must_spawn(starts_and_goes_on, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(starts_and_goes_on, NULL)), 0);
  return 0;
}
