/* Fork-join and loops: nqueens, uts, matmul, for, for-uneven, reduce. */
#include <thrum.h>

#include "work.h"

/* ---- A spawn a child, joined the last one first: what nobody else took runs there, without a switch --------- */

static long fork_queens(work_board b);

static intptr_t queens_thread(void *arg) { return fork_queens(*(work_board *)arg); }

static long fork_queens(work_board b) {
  if (b.row >= WORK_QUEENS_DEPTH) return work_queens(b);
  work_board boards[32];
  thrum_thread threads[32];
  int n = 0;
  for (uint32_t left = work_free(&b); left; left &= left - 1, n++) {
    boards[n] = work_place(&b, left & -left);
    bench_check(thrum_spawn(&threads[n], queens_thread, &boards[n]), "thrum_spawn");
  }
  long count = 0;
  while (n-- > 0) {
    intptr_t result;
    bench_check(thrum_join(threads[n], &result), "thrum_join");
    count += result;
  }
  return count;
}

struct node {
  uint64_t number;
  int depth;
};

static long fork_tree(uint64_t node, int depth);

static intptr_t tree_thread(void *arg) {
  const struct node *node = arg;
  return fork_tree(node->number, node->depth);
}

/* Out of line: most nodes have no children, and no room for them. */
static __attribute__((noinline)) long fork_children(uint64_t node, int depth, int n) {
  struct node nodes[100];
  thrum_thread threads[100];
  for (int i = 0; i < n; i++) {
    nodes[i] = (struct node){work_child(node, i), depth - 1};
    bench_check(thrum_spawn(&threads[i], tree_thread, &nodes[i]), "thrum_spawn");
  }
  long count = 1;
  for (int i = n; i-- > 0;) {
    intptr_t result;
    bench_check(thrum_join(threads[i], &result), "thrum_join");
    count += result;
  }
  return count;
}

static long fork_tree(uint64_t node, int depth) {
  int n = work_children(node, depth);
  return n ? fork_children(node, depth, n) : 1;
}

struct product {
  double *c;
  const double *a, *b;
  long n, stride;
};

static void fork_multiply(double *c, const double *a, const double *b, long n, long stride);

static intptr_t multiply_thread(void *arg) {
  const struct product *p = arg;
  fork_multiply(p->c, p->a, p->b, p->n, p->stride);
  return 0;
}

/* c += a b for the four quarters of c at once; twice, since each is a sum of two. */
static void fork_multiply(double *c, const double *a, const double *b, long n, long stride) {
  if (n <= WORK_BLOCK) {
    work_multiply(c, a, b, n, stride);
    return;
  }
  long h = n / 2, down = h * stride;
  for (int half = 0; half < 2; half++) {
    const double *x = a + (half ? h : 0), *y = b + (half ? down : 0);
    struct product parts[4] = {{c, x, y, h, stride},
                               {c + h, x, y + h, h, stride},
                               {c + down, x + down, y, h, stride},
                               {c + down + h, x + down, y + h, h, stride}};
    thrum_thread threads[4];
    for (int i = 1; i < 4; i++)
      bench_check(thrum_spawn(&threads[i], multiply_thread, &parts[i]), "thrum_spawn");
    multiply_thread(&parts[0]);
    for (int i = 3; i > 0; i--) bench_check(thrum_join(threads[i], NULL), "thrum_join");
  }
}

/* ---- Loops ------------------------------------------------------------------------------------------------ */

static int fill(size_t begin, size_t end, void *arg) {
  uint32_t *x = arg;
  for (size_t i = begin; i < end; i++) x[i] = work_cheap(i);
  return 0;
}

static void loop_fill(uint32_t *x, size_t n) {
  bench_check(thrum_parallel_for(0, n, fill, x), "thrum_parallel_for");
}

struct uneven {
  uint32_t *x;
  size_t n;
};

static int fill_unevenly(size_t begin, size_t end, void *arg) {
  const struct uneven *u = arg;
  for (size_t i = begin; i < end; i++) u->x[i] = work_uneven(i, u->n);
  return 0;
}

static void loop_uneven(uint32_t *x, size_t n) {
  struct uneven u = {x, n};
  bench_check(thrum_parallel_for(0, n, fill_unevenly, &u), "thrum_parallel_for");
}

static int add(size_t begin, size_t end, void *accumulator, void *arg) {
  (void)arg;
  uint64_t sum = *(uint64_t *)accumulator;
  for (size_t i = begin; i < end; i++) sum += work_mix(i);
  *(uint64_t *)accumulator = sum;
  return 0;
}

static void plus(void *left, void *right, void *arg) {
  (void)arg;
  *(uint64_t *)left += *(uint64_t *)right;
}

static uint64_t loop_sum(size_t n) {
  static const thrum_reduction sum = {sizeof(uint64_t), NULL, add, plus};
  uint64_t result;
  bench_check(thrum_parallel_reduce(0, n, &sum, NULL, &result), "thrum_parallel_reduce");
  return result;
}

#include "work_measure.h"
