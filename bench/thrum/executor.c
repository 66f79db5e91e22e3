/* Tasks of a pool: n are submitted, then each result is taken; again and again. */
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

static thrum_executor *pool(void) {
  thrum_executor_options options = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x;
  options.threads = thrum_workers(); /* as the peers' pools have it, for tasks that compute */
  bench_check(thrum_executor_threads(&x, &options), "thrum_executor_threads");
  return x;
}

static void done_with(thrum_executor *x) {
  bench_check(thrum_executor_shutdown(x, true, false), "thrum_executor_shutdown");
  thrum_executor_release(x);
}

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static intptr_t compute(void *ns) {
  int64_t end = bench_now() + (intptr_t)ns;
  while (bench_now() < end) {
  }
  return 0;
}

static void submit_and_take(thrum_executor *x, thrum_future **futures, long n, thrum_fn *fn, void *arg) {
  for (long i = 0; i < n; i++) bench_check(thrum_submit(x, &futures[i], fn, arg), "thrum_submit");
  for (long i = 0; i < n; i++) {
    intptr_t result;
    bench_check(thrum_future_result(futures[i], &result), "thrum_future_result");
    thrum_future_release(futures[i]);
  }
}

static void run(const char *metric, long n, thrum_fn *fn, void *arg) {
  thrum_executor *x = pool();
  thrum_future **futures = bench_alloc((size_t)n * sizeof *futures);
  submit_and_take(x, futures, n, fn, arg);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    submit_and_take(x, futures, n, fn, arg);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print(metric, (double)took / (double)(batches * n), "ns");
  free(futures);
  done_with(x);
}

void executor_run(long n) { run("executor", n, nothing, NULL); }
void executor_1us_run(long n) { run("executor-1us", n, compute, (void *)1000); }
void executor_100us_run(long n) { run("executor-100us", n, compute, (void *)100000); }

static intptr_t item(void *number) { return *(int *)number; }

/* n is the chunk; so many items. */
void executor_map_run(long chunk) {
  enum { ITEMS = 100000 };
  static int numbers[ITEMS];
  thrum_map_options options = THRUM_MAP_OPTIONS_INIT;
  options.chunk = (size_t)chunk;
  for (int i = 0; i < ITEMS; i++) numbers[i] = i;
  thrum_executor *x = pool();
  int64_t begun = bench_now(), took;
  long rounds = 0;
  do {
    thrum_map *m;
    intptr_t result, sum = 0;
    bench_check(thrum_map_start(&m, x, item, numbers, ITEMS, sizeof *numbers, &options), "thrum_map_start");
    while (thrum_map_next(m, &result) == 0) sum += result;
    bench_check(sum != (intptr_t)ITEMS * (ITEMS - 1) / 2, "the map's sum");
    thrum_map_end(m);
    rounds++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("executor-map", (double)took / (double)(rounds * ITEMS), "ns");
  done_with(x);
}

/* ---- The same in processes ---------------------------------------------------------------------------------------------- */

THRUM_TASK(processes_nothing) {
  int number;
  memcpy(&number, in, sizeof number);
  return (void)size, (void)out, number;
}

static thrum_executor *processes(void) {
  thrum_processes_options options = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_executor *x;
  options.processes = thrum_workers();
  bench_check(thrum_executor_processes(&x, &options), "thrum_executor_processes");
  return x;
}

static void submit_and_take_tasks(thrum_executor *x, thrum_future **futures, int n) {
  for (int i = 0; i < n; i++)
    bench_check(thrum_submit_task(x, &futures[i], &processes_nothing, &i, sizeof i), "thrum_submit_task");
  for (int i = 0; i < n; i++) {
    intptr_t result = -1;
    bench_check(thrum_future_result(futures[i], &result), "thrum_future_result");
    bench_check(result != i, "the task's result");
    thrum_future_release(futures[i]);
  }
}

void processes_run(long n) {
  thrum_executor *x = processes();
  thrum_future **futures = bench_alloc((size_t)n * sizeof *futures);
  submit_and_take_tasks(x, futures, (int)n); /* the processes start */
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    submit_and_take_tasks(x, futures, (int)n);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("processes", (double)took / (double)(batches * n), "ns");
  free(futures);
  done_with(x);
}

enum { PROCESSES_ITEMS = 100000 };

static void map_once(thrum_executor *x, const int *numbers, const thrum_map_options *options) {
  thrum_map *m;
  intptr_t result, sum = 0;
  bench_check(
      thrum_map_start_task(&m, x, &processes_nothing, numbers, PROCESSES_ITEMS, sizeof *numbers, options),
      "thrum_map_start_task");
  while (thrum_map_next(m, &result) == 0) sum += result;
  bench_check(sum != (intptr_t)PROCESSES_ITEMS * (PROCESSES_ITEMS - 1) / 2, "the map's sum");
  thrum_map_end(m);
}

/* n is the chunk. */
void processes_chunked_run(long chunk) {
  static int numbers[PROCESSES_ITEMS];
  thrum_map_options options = THRUM_MAP_OPTIONS_INIT;
  options.chunk = (size_t)chunk;
  for (int i = 0; i < PROCESSES_ITEMS; i++) numbers[i] = i;
  thrum_executor *x = processes();
  map_once(x, numbers, &options);
  int64_t begun = bench_now(), took;
  long rounds = 0;
  do {
    map_once(x, numbers, &options);
    rounds++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("processes-chunked", (double)took / (double)(rounds * PROCESSES_ITEMS), "ns");
  done_with(x);
}
