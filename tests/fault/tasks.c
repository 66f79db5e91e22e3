/* Futures, a pool and a map, while something fails. What is submitted has one result, or was refused. */
#include "inject.h"
#include "workload.h"

#include <errno.h>
#include <thrum.h>

#include "../support.h"

enum { TASKS = 6, DEPTH = 3, PATIENCE = 1000 };

struct nest {
  thrum_executor *pool;
  int depth;
};

/* A task that has begun, while the task that it waits for lies in the queue, is waited for in vain by the last one who could run that: it is
 * told so each time, until a thread is to be had. Where all fails from a call on that would be never; so after a while it succeeds. */
static void be_patient(void) {
  static int tries;
  if (ADD(tries, 1) % PATIENCE == 0) inject_disarm();
  thrum_yield();
}

/* Waits for a task of its own pool; or says why it could not. */
static intptr_t nested(void *arg) {
  struct nest *outer = arg, inner = {outer->pool, outer->depth - 1};
  thrum_future *f;
  if (outer->depth == 0) return 1;
  int error = thrum_submit(outer->pool, &f, nested, &inner);
  if (error) return error;
  intptr_t result = 0;
  while ((error = thrum_future_result(f, &result)) == -ENOMEM) { /* `inner` is ours until it has ended */
    if (thrum_future_cancel(f)) break;
    be_patient();
  }
  thrum_future_release(f);
  return error ? error == -ECANCELED ? -ENOMEM : error : thrum_failed(result) ? result : result + 1;
}

static intptr_t count(thrum_future *f, void *n) { return (void)f, ADD(*(int *)n, 1), 0; }

/* The first error of n futures' results, each of which is `expected` otherwise. Gives them back. */
static int results_of(thrum_future **f, int n, intptr_t expected) {
  int first = 0;
  for (int i = 0; i < n; i++) {
    intptr_t result = 0;
    int error = thrum_future_result(f[i], &result);
    if (!error && thrum_failed(result)) error = (int)result;
    if (!error) CHECK_EQ(result, expected);
    if (!first) first = error;
    thrum_future_release(f[i]);
  }
  return first;
}

static int submit_some(thrum_executor *pool) {
  struct nest nest = {pool, DEPTH};
  thrum_future *f[TASKS];
  int n = 0, calls = 0, error = 0, expected = 0;
  while (n < TASKS && !(error = thrum_submit(pool, &f[n], nested, &nest))) {
    n++;
    if (thrum_future_add_done_callback(f[n - 1], count, &calls) == 0) expected++;
  }
  ssize_t done = thrum_future_wait_many(f, (size_t)n, THRUM_ALL_COMPLETED, THRUM_FOREVER);
  CHECK(done == n || done == -ENOMEM);
  int failure = results_of(f, n, DEPTH + 1);
  CHECK_EQ(thrum_executor_shutdown(pool, true, false), 0); /* callbacks have run */
  CHECK_EQ(calls, expected);
  return error ? error : done < 0 ? (int)done : expected < n ? -ENOMEM : failure;
}

static intptr_t item(void *n) { return *(int *)n; }

static int map_some(thrum_executor *pool) {
  int items[TASKS] = {0, 1, 2, 3, 4, 5}, at = 0;
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  thrum_map *map;
  intptr_t result;
  o.ahead = 2;
  int error = thrum_map_start(&map, pool, item, items, TASKS, sizeof *items, &o);
  if (error) return error;
  while (!(error = thrum_map_next(map, &result))) CHECK_EQ(result, items[at++]);
  CHECK(error != -EPIPE || at == TASKS);
  thrum_map_end(map);
  return error == -EPIPE ? 0 : error;
}

static int with_pool(int (*use)(thrum_executor *pool), bool bound) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *pool;
  o.threads = 2;
  o.bound = bound;
  int error = thrum_executor_threads(&pool, &o);
  if (error) return error;
  error = use(pool);
  CHECK_EQ(thrum_executor_shutdown(pool, true, false), 0);
  thrum_executor_release(pool);
  return error;
}

static int one_by_hand(void) {
  thrum_future *f = thrum_future_new();
  if (!f) return -ENOMEM;
  thrum_completion c;
  int error = thrum_as_completed(&c, &f, 1, 0);
  if (!error) CHECK_EQ(thrum_completion_next(&c), -ETIMEDOUT);
  if (!error) thrum_completion_end(&c);
  if (!error) error = thrum_future_set_bytes(f, "bytes", 5);
  thrum_future_release(f);
  return error;
}

int workload_tasks(void) {
  int error = one_by_hand();
  if (!error) error = with_pool(submit_some, false);
  if (!error) error = with_pool(map_some, false);
  return error ? error : with_pool(map_some, true);
}
