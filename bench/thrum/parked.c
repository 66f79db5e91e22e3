/* Many threads that do not run: parked, sleepers. */
#include <thrum.h>

#include "bench.h"
#include "gate.h"
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

static long arrived;

static void await_arrivals(long n) {
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < n) thrum_yield();
  thrum_yield();
}

static thrum_thread *touched_handles(long n) {
  thrum_thread *threads = bench_alloc((size_t)n * sizeof *threads);
  memset(threads, 1, (size_t)n * sizeof *threads);
  return threads;
}

static void join_all(thrum_thread *threads, long n) {
  for (long i = 0; i < n; i++) bench_check(thrum_join(threads[i], NULL), "thrum_join");
  free(threads);
}

/* ---- parked -------------------------------------------------------------------------------------------- */

static bench_gate gate;

static intptr_t parker(void *arg) {
  (void)arg;
  __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
  bench_gate_wait(&gate);
  return 0;
}

static void parked_with(long n, size_t stack_size) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = stack_size;
  thrum_thread *threads = touched_handles(n);
  bench_gate_close(&gate);
  bench_parked begin = bench_parked_begin();
  for (long i = 0; i < n; i++)
    bench_check(thrum_spawn_with(&threads[i], &options, parker, NULL), "thrum_spawn_with");
  await_arrivals(n);
  bench_parked_print(begin, n);
  bench_gate_open(&gate);
  join_all(threads, n);
}

void parked_run(long n) { parked_with(n, THRUM_STACK_MIN); }

void parked_default_run(long n) { parked_with(n, 0); }

/* ---- sleepers ------------------------------------------------------------------------------------------ */

static int64_t common_start;

static intptr_t sleeper(void *arg) {
  bench_sleeper *s = arg;
  s->begun = bench_now();
  int status = thrum_sleep_until(common_start + s->delay);
  s->woken = bench_now();
  return status;
}

void sleepers_run(long n) {
  bench_sleeper *all = bench_sleepers(n, &common_start);
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = THRUM_STACK_MIN;
  thrum_thread *threads = touched_handles(n);
  for (long i = 0; i < n; i++)
    bench_check(thrum_spawn_with(&threads[i], &options, sleeper, &all[i]), "thrum_spawn_with");
  join_all(threads, n);
  bench_sleepers_print(all, n, common_start);
}
