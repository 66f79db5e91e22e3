/* What the tests of executors of every kind share. */
#ifndef TESTS_EXECUTORS_H
#define TESTS_EXECUTORS_H

#include "../support.h"

static inline thrum_executor_stats stats_of(thrum_executor *x) {
  thrum_executor_stats s;
  s.size = sizeof s;
  CHECK_EQ(thrum_executor_statistics(x, &s), 0);
  return s;
}

/* Its result; and gives the future back. */
static inline intptr_t take(thrum_future *f) {
  intptr_t result = -1;
  CHECK_EQ(thrum_future_result(f, &result), 0);
  thrum_future_release(f);
  return result;
}

#endif
