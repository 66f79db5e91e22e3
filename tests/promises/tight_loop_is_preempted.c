/* Promise 1: a loop without a single call loses its worker, so that another thread can end it. */
#include "../support.h"

static bool spinning, stop;

static intptr_t spin(void *arg) {
  (void)arg;
  STORE(spinning, true);
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) continue;
  return 7;
}

static intptr_t set_stop(void *arg) {
  (void)arg;
  STORE(stop, true);
  return 0;
}

/* The loop runs on `n` workers at once; whoever is to end it was started before or after. */
static void ends_by_a_light_thread(int n) {
  thrum_thread spinners[4];
  STORE(stop, false);
  for (int i = 0; i < n; i++) {
    STORE(spinning, false);
    spinners[i] = must_spawn(spin, NULL);
    AWAIT(LOAD(spinning));
  }
  CHECK_EQ(must_join(must_spawn(set_stop, NULL)), 0);
  for (int i = 0; i < n; i++) CHECK_EQ(must_join(spinners[i]), 7);
}

static intptr_t end_from_here(void *arg) {
  (void)arg;
  STORE(stop, false);
  STORE(spinning, false);
  thrum_thread spinner = must_spawn(spin, NULL);
  AWAIT(LOAD(spinning));
  STORE(stop, true);
  CHECK_EQ(must_join(spinner), 7);
  return 0;
}

/* The caller itself spins, and only a light thread behind it can end that. */
static intptr_t spin_here(void *arg) {
  STORE(stop, false);
  thrum_thread t = must_spawn(set_stop, NULL);
  CHECK_EQ(spin(arg), 7);
  CHECK_EQ(must_join(t), 0);
  return 0;
}

int main(void) {
  for (int n = 1; n <= 4; n++) ends_by_a_light_thread(n);
  run_in_each_kind(end_from_here, NULL);
  run_in_each_kind(spin_here, NULL);
  CHECK(statistics().preemptions > 0);
  return 0;
}
