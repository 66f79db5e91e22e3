/* What the tests of pools and of maps share. */
#ifndef TESTS_POOLS_H
#define TESTS_POOLS_H

#include "executors.h"

static inline thrum_executor *pool_with(thrum_executor_options o) {
  thrum_executor *x;
  CHECK_EQ(thrum_executor_threads(&x, &o), 0);
  return x;
}

/* At most so many threads, and else the defaults. */
static inline thrum_executor *pool_of(int threads) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  o.threads = threads;
  return pool_with(o);
}

static inline thrum_future *must_submit(thrum_executor *x, thrum_fn *fn, void *arg) {
  thrum_future *f;
  CHECK_EQ(thrum_submit(x, &f, fn, arg), 0);
  return f;
}

static inline thrum_future *submit_number(thrum_executor *x, thrum_fn *fn, intptr_t n) {
  return must_submit(x, fn, (void *)n);
}

#endif
