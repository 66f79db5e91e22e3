/* A libuv loop waits for events of thrum's by thrum_event_fd and uv_poll: light threads hand it results, and it answers them, without
 * uv_async_send. */
#include "../support.h"

#include <uv.h>

enum { ROUNDS = TESTS_SANITIZED ? 200 : 2000, PRODUCERS = 5 };

static thrum_queue results = THRUM_QUEUE_INIT(int, THRUM_UNBOUNDED);
static thrum_event arrived, all_done;
static long sum;
static int arrivals;

static intptr_t produce(void *arg) {
  for (int i = 1; i <= ROUNDS; i++) {
    CHECK_EQ(thrum_queue_put(&results, &i), 0);
    thrum_event_set(&arrived);
    if (i % 10 == 0) CHECK_EQ(thrum_sleep(THRUM_US(50)), 0);
  }
  return (intptr_t)arg;
}

/* Cleared before the queue is emptied: what comes later sets it anew. */
static void on_arrival(uv_poll_t *handle, int status, int events) {
  int fd, item;
  uint64_t count;
  CHECK(status == 0 && events == UV_READABLE);
  CHECK_EQ(uv_fileno((uv_handle_t *)handle, &fd), 0);
  CHECK_EQ(read(fd, &count, sizeof count), sizeof count);
  thrum_event_clear(&arrived);
  while (thrum_queue_try_get(&results, &item) == 0) sum += item, arrivals++;
  if (arrivals == ROUNDS * PRODUCERS) uv_poll_stop(handle);
}

static void on_end(uv_poll_t *handle, int status, int events) {
  (void)events;
  CHECK_EQ(status, 0);
  uv_poll_stop(handle);
}

static intptr_t end_when_joined(void *arg) {
  thrum_thread *producers = arg;
  for (int i = 0; i < PRODUCERS; i++) CHECK_EQ(must_join(producers[i]), i);
  thrum_event_set(&all_done);
  return 0;
}

static intptr_t run_loop(void *arg) {
  uv_loop_t loop;
  uv_poll_t arrival, end;
  thrum_thread producers[PRODUCERS];
  int fds[2] = {thrum_event_fd(&arrived), thrum_event_fd(&all_done)};
  (void)arg;
  sum = arrivals = 0;
  CHECK(fds[0] >= 0 && fds[1] >= 0);
  CHECK_EQ(uv_loop_init(&loop), 0);
  CHECK(uv_poll_init(&loop, &arrival, fds[0]) == 0 && uv_poll_init(&loop, &end, fds[1]) == 0);
  CHECK(uv_poll_start(&arrival, UV_READABLE, on_arrival) == 0 &&
        uv_poll_start(&end, UV_READABLE, on_end) == 0);
  for (intptr_t i = 0; i < PRODUCERS; i++) producers[i] = must_spawn(produce, (void *)i);
  thrum_thread joiner = must_spawn(end_when_joined, producers);
  CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0); /* until nothing is polled any more */
  uv_close((uv_handle_t *)&arrival, NULL);
  uv_close((uv_handle_t *)&end, NULL);
  CHECK_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
  CHECK_EQ(uv_loop_close(&loop), 0);
  CHECK_EQ(must_join(joiner), 0);
  CHECK_EQ(sum, (long)PRODUCERS * ROUNDS * (ROUNDS + 1) / 2);
  thrum_event_clear(&all_done);
  thrum_event_clear(&arrived);
  CHECK(thrum_close(fds[0]) == 0 && thrum_close(fds[1]) == 0);
  return 0;
}

int main(void) {
  run_in_each_kind(run_loop, NULL);
  return 0;
}
