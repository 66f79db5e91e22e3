/* thrum inside a program that libuv's loop runs: callbacks in the loop's thread start light threads; these
 * wake the loop by uv_async_send; libuv's pool threads start and join light threads of their own; and the
 * loop in turn runs in a light thread too. */
#include "../support.h"

#include <uv.h>

enum { LIGHT = 100, POOL = 40 };

static uv_async_t wake;
static int finished, pool_finished, ticks;
static uv_timer_t timer;

static intptr_t work(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_US(200)), 0);
  for (int i = 0; i < 10; i++) thrum_yield();
  ADD(finished, 1);
  CHECK_EQ(uv_async_send(&wake), 0);
  return (intptr_t)arg;
}

static intptr_t twice(void *arg) {
  thrum_yield();
  return 2 * (intptr_t)arg;
}

/* In one of libuv's own threads. */
static void pool_work(uv_work_t *request) {
  intptr_t n = (intptr_t)request->data;
  CHECK_EQ(must_join(must_spawn(twice, (void *)n)), 2 * n);
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
}

static void after_pool_work(uv_work_t *request, int status) {
  (void)request;
  CHECK_EQ(status, 0);
  pool_finished++;
}

/* The loop's own thread: ends when both kinds are through. */
static void on_wake(uv_async_t *async) { (void)async; }

static void on_tick(uv_timer_t *handle) {
  ticks++;
  CHECK_EQ(must_join(must_spawn(twice, (void *)3)), 6); /* short enough for a callback */
  if (LOAD(finished) < LIGHT || pool_finished < POOL) return;
  uv_close((uv_handle_t *)&wake, NULL);
  uv_close((uv_handle_t *)handle, NULL);
}

static intptr_t run_loop(void *arg) {
  uv_loop_t loop;
  uv_work_t requests[POOL];
  thrum_thread threads[LIGHT];
  (void)arg;
  finished = pool_finished = ticks = 0;
  CHECK_EQ(uv_loop_init(&loop), 0);
  CHECK_EQ(uv_async_init(&loop, &wake, on_wake), 0);
  CHECK_EQ(uv_timer_init(&loop, &timer), 0);
  CHECK_EQ(uv_timer_start(&timer, on_tick, 1, 1), 0);
  for (intptr_t i = 0; i < LIGHT; i++) threads[i] = must_spawn(work, (void *)i);
  for (intptr_t i = 0; i < POOL; i++) {
    requests[i].data = (void *)i;
    CHECK_EQ(uv_queue_work(&loop, &requests[i], pool_work, after_pool_work), 0);
  }
  CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
  CHECK_EQ(uv_loop_close(&loop), 0);
  for (intptr_t i = 0; i < LIGHT; i++) CHECK_EQ(must_join(threads[i]), i);
  CHECK(ticks > 0);
  return 0;
}

int main(void) {
  CHECK_EQ(run_loop(NULL), 0);
  CHECK_EQ(must_join(must_spawn_bound(run_loop, NULL)), 0);
  CHECK_EQ(must_join(must_spawn(run_loop, NULL)), 0);
  CHECK_EQ(run_outside(run_loop, NULL), 0);
  return 0;
}
