/* Groups of threads that end together: scope, cancel. */
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static void open_and_close(long n) {
  thrum_scope s;
  bench_check(thrum_scope_open(&s, NULL), "thrum_scope_open");
  for (long i = 0; i < n; i++) bench_check(thrum_scope_spawn(&s, NULL, nothing, NULL), "thrum_scope_spawn");
  bench_check(thrum_scope_close(&s), "thrum_scope_close");
}

/* n threads that do nothing, in a scope. */
void scope_run(long n) {
  open_and_close(n);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    open_and_close(n);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("scope", (double)took / (double)(batches * n), "ns");
}

static long asleep;

static intptr_t sleep_until_cancelled(void *arg) {
  __atomic_add_fetch(&asleep, 1, __ATOMIC_RELAXED);
  return thrum_sleep(THRUM_FOREVER) == -ECANCELED ? 0 : (intptr_t)arg - 1;
}

/* n threads sleep; from the cancellation until the last has ended. */
void cancel_run(long n) {
  thrum_scope s;
  bench_check(thrum_scope_open(&s, NULL), "thrum_scope_open");
  for (long i = 0; i < n; i++)
    bench_check(thrum_scope_spawn(&s, NULL, sleep_until_cancelled, NULL), "thrum_scope_spawn");
  while (__atomic_load_n(&asleep, __ATOMIC_RELAXED) < n) bench_check(thrum_sleep(THRUM_MS(1)), "thrum_sleep");
  bench_check(thrum_sleep(THRUM_MS(20)), "thrum_sleep"); /* the last ones are on their way */
  int64_t begun = bench_now();
  thrum_scope_cancel(&s);
  bench_check(thrum_scope_close(&s), "thrum_scope_close");
  bench_print("cancel", (double)(bench_now() - begun) / (double)n, "ns");
}
