/* What that costs: lost updates
 *
 * Four threads on one worker add 1 to the same variable. Only one of them runs at any time, and yet additions
 * get lost: who is stopped between load and store comes back with an old value, and overwrites what the
 * others have added since. So one worker, or a GIL, makes no program correct. The atomic count is exact;
 * what else helps comes with locks. */
#include <stdatomic.h>

#include <thrum.h>

enum { THREADS = 4, ADDITIONS = 5000000 };

static volatile long x; /* volatile: else the compiler makes one addition of them all */
static atomic_long y;

static intptr_t add_plainly(void *arg) {
  (void)arg;
  for (int i = 0; i < ADDITIONS; i++) x += 1;
  return 0;
}

static intptr_t add_indivisibly(void *arg) {
  (void)arg;
  for (int i = 0; i < ADDITIONS; i++) atomic_fetch_add_explicit(&y, 1, memory_order_relaxed);
  return 0;
}

static void in_threads(thrum_fn *fn) {
  thrum_thread threads[THREADS] = {0};
  for (int i = 0; i < THREADS; i++) thrum_spawn(&threads[i], fn, NULL);
  for (int i = 0; i < THREADS; i++) thrum_join(threads[i], NULL);
}

int main(void) {
  const long right = (long)THREADS * ADDITIONS;
  thrum_set_workers(1);
  thrum_set_switch_interval(THRUM_US(100));
  int rounds = 0;
  for (x = right; x == right && rounds < 100; rounds++) {
    x = 0;
    in_threads(add_plainly);
  }
  in_threads(add_indivisibly);
  thrum_print("x += 1       %10ld of %ld, %ld lost, in round %d\n", x, right, right - x, rounds);
  thrum_print("atomic add   %10ld of %ld, %ld lost\n", atomic_load(&y), right, right - atomic_load(&y));
  return 0;
}
