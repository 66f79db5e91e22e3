// nqueens, uts and matmul with oneTBB's task_group; loops with parallel_for and parallel_reduce, which choose the size of pieces
// themselves (auto_partitioner, the default).
#include "work.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/task_group.h>

#include <functional>

using oneapi::tbb::blocked_range;
using oneapi::tbb::parallel_for;
using oneapi::tbb::task_group;

namespace {

long fork_queens(work_board b) {
  if (b.row >= WORK_QUEENS_DEPTH) return work_queens(b);
  long results[32], count = 0;
  int n = 0;
  task_group group;
  for (uint32_t left = work_free(&b); left; left &= left - 1, n++) {
    work_board next = work_place(&b, left & -left);
    group.run([&result = results[n], next] { result = fork_queens(next); });
  }
  group.wait();
  while (n-- > 0) count += results[n];
  return count;
}

long fork_tree(uint64_t node, int depth) {
  int n = work_children(node, depth);
  if (n == 0) return 1;
  long results[100], count = 1;
  task_group group;
  for (int i = 0; i < n; i++)
    group.run(
        [&result = results[i], child = work_child(node, i), depth] { result = fork_tree(child, depth - 1); });
  group.wait();
  for (int i = 0; i < n; i++) count += results[i];
  return count;
}

void fork_multiply(double *c, const double *a, const double *b, long n, long stride) {
  if (n <= WORK_BLOCK) {
    work_multiply(c, a, b, n, stride);
    return;
  }
  long h = n / 2, down = h * stride;
  for (int half = 0; half < 2; half++) {
    const double *x = a + (half ? h : 0), *y = b + (half ? down : 0);
    task_group group;
    group.run([=] { fork_multiply(c + h, x, y + h, h, stride); });
    group.run([=] { fork_multiply(c + down, x + down, y, h, stride); });
    group.run([=] { fork_multiply(c + down + h, x + down, y + h, h, stride); });
    fork_multiply(c, x, y, h, stride);
    group.wait();
  }
}

void loop_fill(uint32_t *x, size_t n) {
  parallel_for(blocked_range<size_t>(0, n), [x](const blocked_range<size_t> &r) {
    for (size_t i = r.begin(); i != r.end(); i++) x[i] = work_cheap(i);
  });
}

void loop_uneven(uint32_t *x, size_t n) {
  parallel_for(blocked_range<size_t>(0, n), [x, n](const blocked_range<size_t> &r) {
    for (size_t i = r.begin(); i != r.end(); i++) x[i] = work_uneven(i, n);
  });
}

uint64_t loop_sum(size_t n) {
  return oneapi::tbb::parallel_reduce(
      blocked_range<size_t>(0, n), uint64_t(0),
      [](const blocked_range<size_t> &r, uint64_t sum) {
        for (size_t i = r.begin(); i != r.end(); i++) sum += work_mix(i);
        return sum;
      },
      std::plus<uint64_t>());
}

} // namespace

#include "work_measure.h"
