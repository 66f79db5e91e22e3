/* An interpreter lock: one thread that sleeps and comes back beside threads that only compute. */
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

#include <stdlib.h>

enum { TIMES = 500, WARM_UP = 10 };

static thrum_gil gil;
static int stop;

/* Steps of about half a microsecond, as long as some instructions of an interpreter. */
static intptr_t hog(void *arg) {
  (void)arg;
  THRUM_GIL_LOCKED(&gil) {
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
      bench_work(500);
      thrum_gil_check(&gil);
    }
  }
  return 0;
}

static intptr_t come_and_go(void *arg) {
  int64_t *took = arg;
  THRUM_GIL_LOCKED(&gil) {
    for (int i = -WARM_UP; i < TIMES; i++) {
      int64_t back = 0;
      THRUM_GIL_UNLOCKED(&gil) {
        thrum_sleep(THRUM_MS(1));
        back = bench_now();
      }
      if (i >= 0) took[i] = bench_now() - back;
    }
  }
  return 0;
}

void gil_convoy_run(long hogs) {
  int64_t *took = bench_alloc(TIMES * sizeof *took);
  thrum_thread *threads = bench_alloc((size_t)(hogs + 1) * sizeof *threads), other;
  for (long i = 0; i < hogs; i++) bench_check(thrum_spawn(&threads[i], hog, NULL), "thrum_spawn");
  bench_check(thrum_spawn(&other, come_and_go, took), "thrum_spawn");
  bench_check(thrum_join(other, NULL), "thrum_join");
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (long i = 0; i < hogs; i++) bench_check(thrum_join(threads[i], NULL), "thrum_join");
  bench_print("gil-convoy-p50", (double)bench_quantile(took, TIMES, 0.5) / 1e6, "ms");
  bench_print("gil-convoy", (double)bench_quantile(took, TIMES, 0.99) / 1e6, "ms");
  free(threads);
  free(took);
}
