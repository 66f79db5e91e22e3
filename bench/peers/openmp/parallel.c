/* nqueens, uts and matmul with OpenMP tasks; loops with its loop constructs. Even loops have the static schedule, uneven ones the
 * guided one. */
#include "work.h"

static long queens_task(work_board b) {
  if (b.row >= WORK_QUEENS_DEPTH) return work_queens(b);
  long results[32], count = 0;
  int n = 0;
  for (uint32_t left = work_free(&b); left; left &= left - 1, n++) {
    work_board next = work_place(&b, left & -left);
#pragma omp task shared(results) firstprivate(n, next)
    results[n] = queens_task(next);
  }
#pragma omp taskwait
  while (n-- > 0) count += results[n];
  return count;
}

static long tree_task(uint64_t node, int depth) {
  long results[100], count = 1;
  int n = work_children(node, depth);
  for (int i = 0; i < n; i++) {
#pragma omp task shared(results) firstprivate(i)
    results[i] = tree_task(work_child(node, i), depth - 1);
  }
#pragma omp taskwait
  for (int i = 0; i < n; i++) count += results[i];
  return count;
}

static void multiply_task(double *c, const double *a, const double *b, long n, long stride) {
  if (n <= WORK_BLOCK) {
    work_multiply(c, a, b, n, stride);
    return;
  }
  long h = n / 2, down = h * stride;
  for (int half = 0; half < 2; half++) {
    const double *x = a + (half ? h : 0), *y = b + (half ? down : 0);
#pragma omp task
    multiply_task(c + h, x, y + h, h, stride);
#pragma omp task
    multiply_task(c + down, x + down, y, h, stride);
#pragma omp task
    multiply_task(c + down + h, x + down, y + h, h, stride);
    multiply_task(c, x, y, h, stride);
#pragma omp taskwait
  }
}

/* Each runs in one thread of a team, whose others take tasks. */
static long fork_queens(work_board b) {
  long count;
#pragma omp parallel
#pragma omp single
  count = queens_task(b);
  return count;
}

static long fork_tree(uint64_t node, int depth) {
  long count;
#pragma omp parallel
#pragma omp single
  count = tree_task(node, depth);
  return count;
}

static void fork_multiply(double *c, const double *a, const double *b, long n, long stride) {
#pragma omp parallel
#pragma omp single
  multiply_task(c, a, b, n, stride);
}

static void loop_fill(uint32_t *x, size_t n) {
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) x[i] = work_cheap(i);
}

static void loop_uneven(uint32_t *x, size_t n) {
#pragma omp parallel for schedule(guided)
  for (size_t i = 0; i < n; i++) x[i] = work_uneven(i, n);
}

static uint64_t loop_sum(size_t n) {
  uint64_t sum = 0;
#pragma omp parallel for schedule(static) reduction(+ : sum)
  for (size_t i = 0; i < n; i++) sum += work_mix(i);
  return sum;
}

#include "work_measure.h"
