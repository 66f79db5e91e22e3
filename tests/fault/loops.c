/* Parallel loops and reductions, while something fails. A loop that gets no memory, or no helper, does without: it never fails. */
#include "workload.h"

#include <errno.h>
#include <string.h>
#include <thrum.h>

#include "../check.h"

enum { INDICES = 40, STEP = 20000 }; /* some 20 us an index: worth a helper */

static void spend(void) {
  for (int i = 0; i < STEP; i++) __asm__ volatile("");
}

static int visit(size_t begin, size_t end, void *arg) {
  int *visits = arg;
  for (size_t i = begin; i < end; i++) {
    spend();
    __atomic_fetch_add(&visits[i], 1, __ATOMIC_RELAXED);
  }
  return 0;
}

static void check_each_once(void) {
  int visits[INDICES] = {0};
  CHECK_EQ(thrum_parallel_for(0, INDICES, visit, visits), 0);
  for (int i = 0; i < INDICES; i++) CHECK_EQ(visits[i], 1);
}

/* Indices in their order. */
struct list {
  int count, of[INDICES];
};

static int append(size_t begin, size_t end, void *accumulator, void *arg) {
  struct list *l = accumulator;
  (void)arg;
  for (size_t i = begin; i < end; i++) {
    spend();
    l->of[l->count++] = (int)i;
  }
  return 0;
}

static void join(void *left, void *right, void *arg) {
  struct list *l = left, *r = right;
  (void)arg;
  memcpy(&l->of[l->count], r->of, (size_t)r->count * sizeof *r->of);
  l->count += r->count;
}

static void check_order(void) {
  static const thrum_reduction joined = {sizeof(struct list), NULL, append, join};
  struct list whole;
  CHECK_EQ(thrum_parallel_reduce(0, INDICES, &joined, NULL, &whole), 0);
  CHECK_EQ(whole.count, INDICES);
  for (int i = 0; i < INDICES; i++) CHECK_EQ(whole.of[i], i);
}

static intptr_t check_loops(void *arg) {
  check_each_once();
  check_order();
  return (intptr_t)arg;
}

/* By main, and by a light thread, if there is one. */
int workload_loops(void) {
  thrum_thread t;
  intptr_t result;
  check_loops(NULL);
  int error = thrum_spawn(&t, check_loops, NULL);
  if (error) return error;
  CHECK_EQ(thrum_join(t, &result), 0);
  return (int)result;
}
