/* Parallel loops that are called wrongly: the documented error, nothing is called, and the result stays as it was. */
#include "../support.h"

static int no_range(size_t begin, size_t end, void *arg) {
  (void)begin, (void)end, (void)arg;
  CHECK(false);
  return 0;
}

static int no_item(void *item, void *arg) {
  (void)item, (void)arg;
  CHECK(false);
  return 0;
}

static int no_fold(size_t begin, size_t end, void *accumulator, void *arg) {
  (void)accumulator;
  return no_range(begin, end, arg);
}

static void no_combine(void *left, void *right, void *arg) { (void)left, no_item(right, arg); }

static intptr_t loops(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_parallel_for(0, 10, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_for(0, 0, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_for(2, 1, no_range, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_for(SIZE_MAX, 0, no_range, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_for(7, 7, no_range, NULL), 0);
  CHECK_EQ(thrum_parallel_for(SIZE_MAX, SIZE_MAX, no_range, NULL), 0);

  int items[2];
  CHECK_EQ(thrum_parallel_each(items, 2, sizeof *items, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_each(items, 2, 0, no_item, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_each(NULL, 2, sizeof *items, no_item, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_each(items, SIZE_MAX / 2, 4, no_item, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_each(items, SIZE_MAX, 1, no_item, NULL), -EINVAL);
  CHECK_EQ(thrum_parallel_each(items, 0, 4, no_item, NULL), 0);
  CHECK_EQ(thrum_parallel_each(NULL, 0, 4, no_item, NULL), 0);
  return 0;
}

static int bad(const thrum_reduction *how, void *result) {
  return thrum_parallel_reduce(0, 10, how, NULL, result);
}

static intptr_t reductions(void *arg) {
  (void)arg;
  int identity = 5, result = 77;
  thrum_reduction good = {sizeof(int), &identity, no_fold, no_combine}, how = good;
  CHECK_EQ(bad(NULL, &result), -EINVAL);
  CHECK_EQ(bad(&good, NULL), -EINVAL);
  how.size = 0;
  CHECK_EQ(bad(&how, &result), -EINVAL);
  how = good;
  how.fold = NULL;
  CHECK_EQ(bad(&how, &result), -EINVAL);
  how = good;
  how.combine = NULL;
  CHECK_EQ(bad(&how, &result), -EINVAL);
  CHECK_EQ(thrum_parallel_reduce(2, 1, &good, NULL, &result), -EINVAL);
  CHECK_EQ(result, 77);
  CHECK_EQ(thrum_parallel_reduce(3, 3, &good, NULL, &result), 0);
  CHECK_EQ(result, 5);
  return 0;
}

int main(void) {
  run_in_each_kind(loops, NULL);
  run_in_each_kind(reductions, NULL);
  return 0;
}
