/* Starting, switching, joining: spawn, yield, forkjoin, skynet. */
#include <thrum.h>

#include "bench.h"
#include "gate.h"
#include "workloads.h"

#include <stdlib.h>

/* ---- spawn: n threads that do nothing, then n joins ---------------------------------------------------- */

static intptr_t nothing(void *arg) {
  (void)arg;
  return 0;
}

static void spawn_and_join(thrum_thread *threads, long n) {
  for (long i = 0; i < n; i++) bench_check(thrum_spawn(&threads[i], nothing, NULL), "thrum_spawn");
  for (long i = 0; i < n; i++) bench_check(thrum_join(threads[i], NULL), "thrum_join");
}

void spawn_run(long n) {
  thrum_thread *threads = bench_alloc((size_t)n * sizeof *threads);
  spawn_and_join(threads, n);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    spawn_and_join(threads, n);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("spawn", (double)took / (double)(batches * n), "ns");
  free(threads);
}

/* ---- yield: a ring of n threads that yield ------------------------------------------------------------- */

static bench_ring ring;
static bench_gate gate; /* so that nobody yields while the others are being started */

static intptr_t yielder(void *arg) {
  (void)arg;
  bench_gate_wait(&gate);
  bench_ring_arrive(&ring);
  while (!bench_ring_open(&ring)) thrum_yield();
  for (long i = 0; i < ring.each; i++) thrum_yield();
  bench_ring_finish(&ring);
  return 0;
}

/* Small stacks: a ring of many threads is limited by the page tables that a switch has to read. */
void yield_run(long n) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = THRUM_STACK_MIN;
  thrum_thread *threads = bench_alloc((size_t)n * sizeof *threads);
  ring = bench_ring_of(n);
  bench_gate_close(&gate);
  for (long i = 0; i < n; i++)
    bench_check(thrum_spawn_with(&threads[i], &options, yielder, NULL), "thrum_spawn_with");
  bench_gate_open(&gate);
  for (long i = 0; i < n; i++) bench_check(thrum_join(threads[i], NULL), "thrum_join");
  bench_ring_print(&ring);
  free(threads);
}

/* ---- forkjoin: fib(n), one spawn and one direct call a call -------------------------------------------- */

static intptr_t fib(void *arg) {
  intptr_t n = (intptr_t)arg, x;
  if (n < 2) return n;
  thrum_thread t;
  bench_check(thrum_spawn(&t, fib, (void *)(n - 1)), "thrum_spawn");
  intptr_t y = fib((void *)(n - 2));
  bench_check(thrum_join(t, &x), "thrum_join");
  return x + y;
}

void forkjoin_run(long n) {
  long spawns = bench_fib_spawns(n);
  bench_check(fib((void *)(n - 7)) != bench_fib(n - 7), "fib");
  int64_t begun = bench_now();
  bench_check(fib((void *)n) != bench_fib(n), "fib");
  bench_print("forkjoin", (double)(bench_now() - begun) / (double)spawns, "ns");
}

/* ---- skynet: n leaves of a tree in which each thread has ten children; the sum of their numbers -------- */

typedef struct part {
  long first, count;
} part;

static intptr_t skynet(void *arg) {
  enum { CHILDREN = 10 };
  const part *p = arg;
  if (p->count == 1) return p->first;
  part parts[CHILDREN];
  thrum_thread threads[CHILDREN];
  intptr_t sum = 0;
  for (int i = 0; i < CHILDREN; i++) {
    parts[i] = (part){p->first + i * (p->count / CHILDREN), p->count / CHILDREN};
    bench_check(thrum_spawn(&threads[i], skynet, &parts[i]), "thrum_spawn");
  }
  for (int i = 0; i < CHILDREN; i++) {
    intptr_t result;
    bench_check(thrum_join(threads[i], &result), "thrum_join");
    sum += result;
  }
  return sum;
}

void skynet_run(long n) {
  part warm_up = {0, n / 10}, whole = {0, n};
  skynet(&warm_up);
  int64_t begun = bench_now();
  bench_check(skynet(&whole) != (intptr_t)n * (n - 1) / 2, "skynet's sum");
  bench_print("skynet", (double)(bench_now() - begun) / 1e6, "ms");
}
