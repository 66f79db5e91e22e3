/* What the fork-join workloads compute, the same for all libraries of C and C++: see bench/README.md. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "bench.h"

/* SplitMix64's finalizer. */
static inline uint64_t work_mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

/* ---- nqueens: columns and diagonals taken, as bits --------------------------------------------------- */

enum { WORK_QUEENS_DEPTH = 5 }; /* rows that fork */

typedef struct work_board {
  uint32_t columns, left, right;
  int row, size;
} work_board;

static inline uint32_t work_free(const work_board *b) {
  return ((1u << b->size) - 1) & ~(b->columns | b->left | b->right);
}

static inline work_board work_place(const work_board *b, uint32_t bit) {
  work_board next = {b->columns | bit, (b->left | bit) << 1, (b->right | bit) >> 1, b->row + 1, b->size};
  return next;
}

static inline long work_queens(work_board b) {
  if (b.row == b.size) return 1;
  long count = 0;
  for (uint32_t free = work_free(&b); free; free &= free - 1)
    count += work_queens(work_place(&b, free & -free));
  return count;
}

static const long work_queens_of[] = {1, 1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2680, 14200, 73712};

/* ---- uts: a node is a number; so many children has it ------------------------------------------------- */

enum { WORK_TREE_ROOT = 19 };

static inline int work_children(uint64_t node, int depth) {
  if (depth == 0) return 0;
  double u = (double)(work_mix(node) >> 11) * 0x1p-53, t = 0.8;
  int children = 0;
  while (u < t && children < 100) {
    children++;
    t *= 0.8;
  }
  return children;
}

static inline uint64_t work_child(uint64_t node, int i) { return work_mix(node * 128 + (uint64_t)i + 1); }

static inline long work_tree(uint64_t node, int depth) {
  long nodes = 1;
  int children = work_children(node, depth);
  for (int i = 0; i < children; i++) nodes += work_tree(work_child(node, i), depth - 1);
  return nodes;
}

/* ---- matmul: c += a b, of n x n within rows of `stride` --------------------------------------------------- */

enum { WORK_BLOCK = 64 };

static inline void work_multiply(double *c, const double *a, const double *b, long n, long stride) {
  for (long i = 0; i < n; i++)
    for (long k = 0; k < n; k++) {
      double x = a[i * stride + k];
      for (long j = 0; j < n; j++) c[i * stride + j] += x * b[k * stride + j];
    }
}

/* Whole numbers, so that every order of adding gives the same. */
static inline void work_matrix(double *m, long n, uint64_t seed) {
  for (long i = 0; i < n * n; i++) m[i] = (double)(work_mix(seed + (uint64_t)i) % 8);
}

/* c = a b on random vectors (Freivalds, 1977): c x = a (b x). */
static inline int work_product_is_right(const double *c, const double *a, const double *b, long n) {
  double *x = (double *)bench_alloc(3 * (size_t)n * sizeof *x), *y = x + n, *z = y + n;
  int right = 1;
  for (long i = 0; i < n; i++) x[i] = (double)(work_mix((uint64_t)i + 99) % 4);
  for (long i = 0; i < n; i++) {
    y[i] = 0;
    for (long j = 0; j < n; j++) y[i] += b[i * n + j] * x[j];
  }
  for (long i = 0; i < n; i++) {
    double cx = z[i] = 0;
    for (long j = 0; j < n; j++) {
      z[i] += a[i * n + j] * y[j];
      cx += c[i * n + j] * x[j];
    }
    if (cx != z[i]) right = 0;
  }
  return right;
}

/* ---- for, for-uneven, reduce ------------------------------------------------------------------------------ */

static inline uint32_t work_cheap(size_t i) { return (uint32_t)work_mix(i); }

/* The upper half of the iterations cost 1000 times as much as the lower. */
static inline uint32_t work_uneven(size_t i, size_t n) {
  uint64_t x = i, steps = i < n / 2 ? 20 : 20000;
  while (steps--) x = work_mix(x);
  return (uint32_t)x;
}

#endif
