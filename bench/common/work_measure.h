/* The fork-join workloads, measured: a program defines what its library does, and includes this.
 *
 *     long fork_queens(work_board b);                      forks for each place in the first WORK_QUEENS_DEPTH rows
 *     long fork_tree(uint64_t node, int depth);            forks for each child
 *     void fork_multiply(c, a, b, n, stride);              by blocks of WORK_BLOCK
 *     void loop_fill(uint32_t *x, size_t n);               x[i] = work_cheap(i)
 *     void loop_uneven(uint32_t *x, size_t n);             x[i] = work_uneven(i, n)
 *     uint64_t loop_sum(size_t n);                         the sum of work_mix(i) */
#ifndef BENCH_WORK_MEASURE_H
#define BENCH_WORK_MEASURE_H

#include "work.h"
#include "work_runs.h"

#include <stdlib.h>

void nqueens_run(long n) {
  work_board all = {0, 0, 0, 0, (int)n};
  bench_check(fork_queens(all) != work_queens_of[n], "nqueens");
  int64_t begun = bench_now();
  bench_check(fork_queens(all) != work_queens_of[n], "nqueens");
  bench_print("nqueens", (double)(bench_now() - begun) / 1e6, "ms");
}

void uts_run(long n) {
  long nodes = work_tree(WORK_TREE_ROOT, (int)n);
  bench_check(fork_tree(WORK_TREE_ROOT, (int)n) != nodes, "uts");
  int64_t begun = bench_now();
  bench_check(fork_tree(WORK_TREE_ROOT, (int)n) != nodes, "uts");
  bench_print("uts", (double)(bench_now() - begun) / (double)nodes, "ns");
}

void matmul_run(long n) {
  size_t size = (size_t)(n * n) * sizeof(double);
  double *a = (double *)bench_alloc(size), *b = (double *)bench_alloc(size), *c = (double *)bench_alloc(size);
  work_matrix(a, n, 1);
  work_matrix(b, n, 1 << 30);
  int64_t took = 0;
  for (int round = 0; round < 2; round++) {
    for (long i = 0; i < n * n; i++) c[i] = 0;
    int64_t begun = bench_now();
    fork_multiply(c, a, b, n, n);
    took = bench_now() - begun;
    bench_check(!work_product_is_right(c, a, b, n), "matmul");
  }
  bench_print("matmul", (double)took / 1e6, "ms");
}

/* Repeats a loop and returns the mean time in ns. */
static inline double loop_time(void (*loop)(uint32_t *x, size_t n), uint32_t *x, size_t n) {
  loop(x, n);
  int64_t begun = bench_now(), took;
  long rounds = 0;
  do {
    loop(x, n);
    rounds++;
  } while ((took = bench_now() - begun) < bench_budget());
  return (double)took / (double)rounds;
}

void for_run(long n) {
  uint32_t *x = (uint32_t *)bench_alloc((size_t)n * sizeof *x);
  double took = loop_time(loop_fill, x, (size_t)n);
  for (long i = 0; i < n; i++) bench_check(x[i] != work_cheap((size_t)i), "for");
  bench_print("for", took / 1e6, "ms");
  free(x);
}

void for_uneven_run(long n) {
  uint32_t *x = (uint32_t *)bench_alloc((size_t)n * sizeof *x);
  double took = loop_time(loop_uneven, x, (size_t)n);
  for (long i = 0; i < n; i++) bench_check(x[i] != work_uneven((size_t)i, (size_t)n), "for-uneven");
  bench_print("for-uneven", took / 1e6, "ms");
  free(x);
}

static uint64_t loop_result;

static inline void loop_sum_into(uint32_t *x, size_t n) {
  (void)x;
  loop_result = loop_sum(n);
}

void reduce_run(long n) {
  uint64_t expected = 0;
  for (long i = 0; i < n; i++) expected += work_mix((uint64_t)i);
  double took = loop_time(loop_sum_into, NULL, (size_t)n);
  bench_check(loop_result != expected, "reduce");
  bench_print("reduce", took / 1e6, "ms");
}

#endif
