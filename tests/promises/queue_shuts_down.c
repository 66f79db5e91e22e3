/* Shutting down, by the rules of Python's queue: puts end, gets drain what is there, whoever waits is woken and told so; at once
 * drops what is there and counts it as done, while what was got still wants its task_done; each may be repeated. */
#include "queues.h"

enum { WAITERS = 4 };
static thrum_queue q;

static void init(size_t capacity, enum thrum_order order);

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void init(size_t capacity, enum thrum_order order) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? ascending : NULL;
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), capacity, &o), 0);
}

static void fill(int n) {
  for (int i = 0; i < n; i++) CHECK_EQ(thrum_queue_try_put(&q, &i), 0);
}

static void puts_end(void) {
  int n = 5;
  CHECK_EQ(thrum_queue_put(&q, &n), -EPIPE);
  CHECK_EQ(thrum_queue_try_put(&q, &n), -EPIPE);
  CHECK_EQ(thrum_queue_put_for(&q, &n, THRUM_S(3600)), -EPIPE);
  CHECK_EQ(thrum_queue_put_for(&q, &n, -1), -EPIPE);
  CHECK_EQ(thrum_queue_put_many(&q, &n, 1), -EPIPE);
}

static void gets_end(void) {
  int n = 5;
  CHECK_EQ(thrum_queue_get(&q, &n), -EPIPE);
  CHECK_EQ(thrum_queue_try_get(&q, &n), -EPIPE);
  CHECK_EQ(thrum_queue_get_for(&q, &n, THRUM_S(3600)), -EPIPE);
  CHECK_EQ(thrum_queue_get_for(&q, &n, 0), -EPIPE);
  CHECK_EQ(thrum_queue_get_many(&q, &n, 1), -EPIPE);
  CHECK_EQ(n, 5);
}

static void gracefully(enum thrum_order order) {
  init(3, order);
  fill(3);
  CHECK(!thrum_queue_is_shutdown(&q));
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0);
  CHECK(thrum_queue_is_shutdown(&q));
  puts_end(); /* told before that it is full */
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0);
  for (int i = 0; i < 3; i++) {
    int n = -1;
    CHECK_EQ(thrum_queue_get(&q, &n), 0);
    CHECK_EQ(n, order == THRUM_LIFO ? 2 - i : i);
  }
  gets_end();
  CHECK_EQ(thrum_queue_unfinished(&q), 3);
  CHECK_EQ(thrum_queue_join_for(&q, 0), -ETIMEDOUT);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_task_done(&q), 0);
  CHECK_EQ(thrum_queue_task_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_join(&q), 0);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* What was got before is still unfinished, and join goes on waiting for it. */
static intptr_t join_it(void *unused) {
  (void)unused;
  return thrum_queue_join(&q);
}

static void at_once(enum thrum_order order) {
  int n;
  init(THRUM_UNBOUNDED, order);
  fill(5);
  CHECK_EQ(thrum_queue_get(&q, &n), 0);
  thrum_thread joiner = must_spawn(join_it, NULL);
  AWAIT(queue_waiters(&q, JOINERS) == 1);
  CHECK_EQ(thrum_queue_shutdown(&q, true), 0);
  puts_end();
  gets_end();
  CHECK_EQ(thrum_queue_size(&q), 0);
  CHECK_EQ(thrum_queue_unfinished(&q), 1);
  CHECK_EQ(queue_waiters(&q, JOINERS), 1);
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0); /* nothing more */
  CHECK_EQ(thrum_queue_shutdown(&q, true), 0);
  CHECK_EQ(thrum_queue_unfinished(&q), 1);
  CHECK_EQ(thrum_queue_task_done(&q), 0);
  CHECK_EQ(must_join(joiner), 0);
  CHECK_EQ(thrum_queue_task_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static void at_once_after_gracefully(void) {
  init(4, THRUM_FIFO);
  fill(4);
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0);
  CHECK_EQ(thrum_queue_size(&q), 4);
  thrum_thread joiner = must_spawn(join_it, NULL);
  AWAIT(queue_waiters(&q, JOINERS) == 1);
  CHECK_EQ(thrum_queue_shutdown(&q, true), 0);
  CHECK_EQ(must_join(joiner), 0); /* nothing was in anybody's hands */
  gets_end();
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Those who wait ----------------------------------------------------------------------------------------------- */

static bool timed;

static intptr_t put_waiting(void *arg) {
  int n = (int)(intptr_t)arg;
  return timed ? thrum_queue_put_for(&q, &n, THRUM_S(3600)) : thrum_queue_put(&q, &n);
}

static intptr_t get_waiting(void *arg) {
  int n = -1;
  (void)arg;
  int error = timed ? thrum_queue_get_for(&q, &n, THRUM_S(3600)) : thrum_queue_get(&q, &n);
  CHECK(error == 0 || n == -1);
  return error;
}

static void waiters_wake(enum thrum_order order, size_t capacity, enum waiting which, bool now) {
  init(capacity, order);
  thrum_thread threads[WAITERS];
  int before = which == PUTTERS && capacity != THRUM_RENDEZVOUS ? (int)capacity : 0;
  fill(before);
  for (size_t i = 0; i < WAITERS; i++)
    threads[i] = i % 2 ? must_spawn_bound(which == PUTTERS ? put_waiting : get_waiting, NULL)
                       : must_spawn(which == PUTTERS ? put_waiting : get_waiting, NULL);
  AWAIT(queue_waiters(&q, which) == WAITERS);
  CHECK_EQ(thrum_queue_shutdown(&q, now), 0);
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(threads[i]), -EPIPE);
  CHECK_EQ(thrum_queue_size(&q), now ? 0 : before);
  CHECK_EQ(thrum_queue_unfinished(&q), now ? 0 : before);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* Two items, three getters, shut down: exactly one of them goes away empty. */
static void one_too_many(void) {
  init(2, THRUM_FIFO);
  fill(2);
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0);
  thrum_thread threads[3];
  int empty = 0;
  for (int i = 0; i < 3; i++) threads[i] = must_spawn(get_waiting, NULL);
  for (int i = 0; i < 3; i++) {
    intptr_t error = must_join(threads[i]);
    CHECK(error == 0 || error == -EPIPE);
    empty += error == -EPIPE;
  }
  CHECK_EQ(empty, 1);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Writers, and what is dropped --------------------------------------------------------------------------------- */

static void last_writer_shuts(void) {
  init(10, THRUM_FIFO);
  CHECK_EQ(thrum_queue_writer_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_writers(&q, 2), 0);
  CHECK_EQ(thrum_queue_writers(&q, 1), 0);
  CHECK_EQ(thrum_queue_writers(&q, SIZE_MAX), -EINVAL);
  fill(2);
  CHECK_EQ(thrum_queue_writer_done(&q), 0);
  CHECK_EQ(thrum_queue_writer_done(&q), 0);
  CHECK(!thrum_queue_is_shutdown(&q));
  CHECK_EQ(thrum_queue_writer_done(&q), 0);
  CHECK(thrum_queue_is_shutdown(&q));
  CHECK_EQ(thrum_queue_writers(&q, 1), -EPIPE);
  CHECK_EQ(thrum_queue_writer_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_size(&q), 2);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static int dropped, sum;

static void drop(void *item, void *arg) {
  int n;
  memcpy(&n, item, sizeof n);
  dropped++;
  sum += n;
  CHECK_EQ(thrum_queue_size(arg), 0); /* it may use the queue, which is empty already */
  if (thrum_queue_is_shutdown(arg))
    CHECK_EQ(thrum_queue_try_put_sized(arg, item, ((thrum_queue *)arg)->item_size), -EPIPE);
}

static void dropped_once(size_t size, enum thrum_order order, bool by_destroy) {
  static char item[1000];
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? ascending : NULL;
  o.drop = drop;
  o.drop_arg = &q;
  dropped = sum = 0;
  CHECK_EQ(thrum_queue_init(&q, size, THRUM_UNBOUNDED, &o), 0);
  for (int i = 0; i < 1000; i++) {
    memcpy(item, &i, sizeof i);
    CHECK_EQ(thrum_queue_put_sized(&q, item, size), 0);
  }
  for (int i = 0; i < 300; i++) {
    int n;
    CHECK_EQ(thrum_queue_get_sized(&q, item, size), 0);
    memcpy(&n, item, sizeof n);
    sum += n;
  }
  if (!by_destroy) CHECK_EQ(thrum_queue_shutdown(&q, true), 0);
  if (!by_destroy) CHECK_EQ(thrum_queue_unfinished(&q), 300);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
  CHECK_EQ(dropped, 700);
  CHECK_EQ(sum, 999 * 1000 / 2);
}

static intptr_t all(void *unused) {
  (void)unused;
  for (int order = THRUM_FIFO; order <= THRUM_PRIORITY; order++) {
    gracefully(order);
    at_once(order);
    for (int by_destroy = 0; by_destroy < 2; by_destroy++) {
      dropped_once(sizeof(int), order, by_destroy);
      dropped_once(1000, order, by_destroy);
    }
  }
  at_once_after_gracefully();
  for (int i = 0; i < 12; i++) {
    enum thrum_order order = (enum thrum_order)(i / 4);
    bool now = i % 4 / 2;
    timed = i % 2;
    waiters_wake(order, 2, PUTTERS, now);
    waiters_wake(order, THRUM_RENDEZVOUS, PUTTERS, now);
    waiters_wake(order, 2, GETTERS, now);
    waiters_wake(order, THRUM_RENDEZVOUS, GETTERS, now);
    waiters_wake(order, THRUM_UNBOUNDED, GETTERS, now);
  }
  one_too_many();
  last_writer_shuts();
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  return 0;
}
