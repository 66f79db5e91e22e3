/* spawn, forkjoin and skynet with OpenMP tasks. Tasks have no way to wait for anything but tasks. */
#include "bench.h"
#include "work_runs.h"

#include <omp.h>

/* Runs a workload's body in one thread of a team, whose others take tasks. */
#define IN_TEAM _Pragma("omp parallel") _Pragma("omp single")

static int setup(int workers) {
  omp_set_num_threads(workers);
  return 0;
}

/* Out of line: the compiler drops a task that is seen to do nothing. */
__attribute__((noinline)) static void nothing(void) { __asm__ volatile(""); }

static void spawn_and_wait(long n) {
  for (long i = 0; i < n; i++) {
#pragma omp task
    nothing();
  }
#pragma omp taskwait
}

static void spawn_run(long n) {
  long batches = 0;
  int64_t took = 0;
  IN_TEAM {
    spawn_and_wait(n);
    int64_t begun = bench_now();
    do {
      spawn_and_wait(n);
      batches++;
    } while ((took = bench_now() - begun) < bench_budget());
  }
  bench_print("spawn", (double)took / (double)(batches * n), "ns");
}

static long fib(long n) {
  if (n < 2) return n;
  long x, y;
#pragma omp task shared(x)
  x = fib(n - 1);
  y = fib(n - 2);
#pragma omp taskwait
  return x + y;
}

static void forkjoin_run(long n) {
  int64_t took = 0;
  IN_TEAM {
    fib(n - 7);
    int64_t begun = bench_now();
    bench_check(fib(n) != bench_fib(n), "fib");
    took = bench_now() - begun;
  }
  bench_print("forkjoin", (double)took / (double)bench_fib_spawns(n), "ns");
}

static long skynet(long first, long count) {
  enum { CHILDREN = 10 };
  if (count == 1) return first;
  long results[CHILDREN], sum = 0, part = count / CHILDREN;
  for (int i = 0; i < CHILDREN; i++) {
#pragma omp task shared(results)
    results[i] = skynet(first + i * part, part);
  }
#pragma omp taskwait
  for (int i = 0; i < CHILDREN; i++) sum += results[i];
  return sum;
}

static void skynet_run(long n) {
  int64_t took = 0;
  IN_TEAM {
    skynet(0, n / 10);
    int64_t begun = bench_now();
    bench_check(skynet(0, n) != n * (n - 1) / 2, "skynet's sum");
    took = bench_now() - begun;
  }
  bench_print("skynet", (double)took / 1e6, "ms");
}

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"spawn", spawn_run},   {"forkjoin", forkjoin_run},
                                         {"skynet", skynet_run}, {"nqueens", nqueens_run},
                                         {"uts", uts_run},       {"matmul", matmul_run},
                                         {"for", for_run},       {"for-uneven", for_uneven_run},
                                         {"reduce", reduce_run}, {NULL, NULL}};
  return bench_main(argc, argv, table, setup);
}
