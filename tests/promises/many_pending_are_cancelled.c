/* A shutdown that cancels very many tasks holds nobody up meanwhile: others look at the pool while it is at that. None of these tasks
 * begins, all are cancelled before the first callback is called, and who waits for the end goes on behind the last. */
#include "pools.h"

#include <future/future.h>

enum { PENDING = 1000, LATE = PENDING / 2, HANG_S = 10 };

static thrum_executor *x;
static thrum_future *pending[PENDING];
static thrum_event full;
static int ran, called, dropped;
static bool seen;

/* The shutdown comes to the middle one, and waits there until somebody has looked. */
bool __real_thrumi_future_drop(thrum_future *f);
bool __wrap_thrumi_future_drop(thrum_future *f);

bool __wrap_thrumi_future_drop(thrum_future *f) {
  int64_t end = wall_now() + HANG_S * INT64_C(1000000000);
  if (++dropped == LATE)
    while (!LOAD(seen) && wall_now() < end) continue;
  return __real_thrumi_future_drop(f);
}

static intptr_t run(void *unused) { return (void)unused, ADD(ran, 1), 0; }

/* Runs, and looks at the pool while that is shut down: whether the last one that is pending has not been cancelled by then. */
static intptr_t watch(void *unused) {
  (void)unused;
  thrum_event_wait(&full);
  while (stats_of(x).queued) continue;
  CHECK_EQ(thrum_submit(x, NULL, run, NULL), -EPIPE);
  bool early = !thrum_future_done(pending[PENDING - 1]);
  STORE(seen, true);
  return early;
}

static void check_all(void) {
  for (int i = 0; i < PENDING; i++) CHECK(thrum_future_cancelled(pending[i]));
}

static intptr_t await_end(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  return check_all(), 0;
}

static intptr_t in_order(thrum_future *f, void *number) {
  (void)f;
  CHECK_EQ(called++, (intptr_t)number);
  return check_all(), 0;
}

static intptr_t all_rules(void *unused) {
  static const int heard[] = {0, PENDING / 2, PENDING - 1};
  (void)unused;
  called = dropped = 0;
  STORE(seen, false);
  x = pool_of(1);
  thrum_event_clear(&full);
  thrum_future *watcher = must_submit(x, watch, NULL);
  AWAIT(stats_of(x).queued == 0);
  for (int i = 0; i < PENDING; i++) pending[i] = must_submit(x, run, NULL);
  for (intptr_t i = 0; i < 3; i++)
    CHECK_EQ(thrum_future_add_done_callback(pending[heard[i]], in_order, (void *)i), 0);
  thrum_thread waits = must_spawn(await_end, NULL);
  thrum_event_set(&full);
  CHECK_EQ(thrum_executor_shutdown(x, true, true), 0);
  CHECK_EQ(called, 3);
  CHECK_EQ(must_join(waits), 0);
  CHECK_EQ(take(watcher), 1);
  CHECK_EQ(ran, 0);
  CHECK_EQ(stats_of(x).cancelled, PENDING);
  for (int i = 0; i < PENDING; i++) thrum_future_release(pending[i]);
  thrum_executor_release(x);
  return 0;
}

int main(void) {
  run_in_each_kind(all_rules, NULL);
  return 0;
}
