/* Hogs go before threads that never ran once many of them hold a kernel thread: hundreds of threads that compute for
 * longer than an interval do not become hundreds of kernel threads. */
#include "../support.h"

enum {
  THREADS = 300,
  INTERVALS = 3,
  ENOUGH = 32 + 32
}; /* MANY_CAPTURED of sched/pick.c, and as many again */

/* Computes until it has had so much of a CPU: a gap between two looks is time in which it did not run. */
static intptr_t hash(void *arg) {
  (void)arg;
  for (int64_t burnt = 0, last = wall_now(); burnt < INTERVALS * THRUM_MS(1);) {
    int64_t now = wall_now();
    if (now - last < THRUM_US(100)) burnt += now - last;
    last = now;
  }
  return 0;
}

int main(void) {
  static thrum_thread threads[THREADS];
  CHECK_EQ(thrum_set_switch_interval(THRUM_MS(1)), 0);
  for (int i = 0; i < THREADS; i++) threads[i] = must_spawn(hash, NULL);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  size_t peak = statistics().kernel_threads_peak;
  if (peak > ENOUGH)
    check_failed(__FILE__, __LINE__, "%zu kernel threads, expected at most %d", peak, ENOUGH);
  return 0;
}
