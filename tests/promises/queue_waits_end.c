/* Every wait in a queue can end early: by its timeout or a cancellation. It has then done nothing, and who comes after it is
 * served as if it had not been there. A call that need not wait is not cut short by its timeout. */
#include "queues.h"

static thrum_queue q;

static intptr_t put_long(void *arg) {
  int n = (int)(intptr_t)arg;
  return thrum_queue_put_for(&q, &n, THRUM_S(3600));
}
static intptr_t put_ever(void *arg) {
  int n = (int)(intptr_t)arg;
  return thrum_queue_put(&q, &n);
}
static intptr_t put_short(void *arg) {
  int n = (int)(intptr_t)arg;
  return thrum_queue_put_for(&q, &n, THRUM_MS(2));
}
static intptr_t get_long(void *arg) {
  int n = -1, error = thrum_queue_get_for(&q, &n, THRUM_S(3600));
  (void)arg;
  return error ? error : n;
}
static intptr_t get_ever(void *arg) {
  int n = -1, error = thrum_queue_get(&q, &n);
  (void)arg;
  return error ? error : n;
}
static intptr_t get_short(void *arg) {
  int n = -1, error = thrum_queue_get_for(&q, &n, THRUM_MS(2));
  (void)arg;
  CHECK(error == 0 || n == -1);
  return error ? error : n;
}
static intptr_t join_long(void *arg) {
  (void)arg;
  return thrum_queue_join_for(&q, THRUM_S(3600));
}
static intptr_t join_ever(void *arg) {
  (void)arg;
  return thrum_queue_join(&q);
}
static intptr_t join_short(void *arg) {
  (void)arg;
  return thrum_queue_join_for(&q, THRUM_MS(2));
}

static void init(size_t capacity) {
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), capacity, NULL), 0);
  for (size_t i = 0; capacity != THRUM_RENDEZVOUS && i < capacity; i++) {
    int n = (int)i;
    CHECK_EQ(thrum_queue_put(&q, &n), 0);
  }
}

static intptr_t finished(thrum_fn *fn) { return must_join(must_spawn(fn, (void *)7)); }

static intptr_t cancelled(thrum_fn *fn, enum waiting which) {
  thrum_thread t = must_spawn(fn, (void *)7);
  AWAIT(queue_waiters(&q, which) == 1 && queue_parked(t));
  queue_cancel(t);
  return must_join(t);
}

static void full(size_t capacity) {
  init(capacity);
  size_t size = thrum_queue_size(&q);
  CHECK_EQ(finished(put_short), -ETIMEDOUT);
  CHECK_EQ(cancelled(put_long, PUTTERS), -ECANCELED);
  CHECK_EQ(cancelled(put_ever, PUTTERS), -ECANCELED);
  if (size) CHECK_EQ(cancelled(join_long, JOINERS), -ECANCELED);
  if (size) CHECK_EQ(cancelled(join_ever, JOINERS), -ECANCELED);
  if (size) CHECK_EQ(finished(join_short), -ETIMEDOUT);
  int n = 8;
  CHECK_EQ(thrum_queue_put_for(&q, &n, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_queue_put_for(&q, &n, -5), -ETIMEDOUT);
  CHECK_EQ(thrum_queue_try_put(&q, &n), -EAGAIN);
  CHECK_EQ(queue_waiters(&q, PUTTERS), 0);
  CHECK_EQ(thrum_queue_size(&q), size);
  CHECK_EQ(thrum_queue_unfinished(&q), size);
  thrum_thread t = must_spawn(put_ever, (void *)9); /* behind those that gave up */
  AWAIT(queue_waiters(&q, PUTTERS) == 1);
  for (size_t i = 0; i < size + 1; i++) {
    CHECK_EQ(thrum_queue_get(&q, &n), 0);
    CHECK_EQ(n, i < size ? (int)i : 9);
  }
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static void empty(size_t capacity) {
  int n = -1;
  init(capacity);
  while (thrum_queue_try_get(&q, &n) == 0) CHECK_EQ(thrum_queue_task_done(&q), 0);
  n = -1;
  CHECK_EQ(finished(get_short), -ETIMEDOUT);
  CHECK_EQ(cancelled(get_long, GETTERS), -ECANCELED);
  CHECK_EQ(cancelled(get_ever, GETTERS), -ECANCELED);
  CHECK_EQ(thrum_queue_get_for(&q, &n, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_queue_get_for(&q, &n, INT64_MIN), -ETIMEDOUT);
  CHECK_EQ(thrum_queue_try_get(&q, &n), -EAGAIN);
  CHECK_EQ(thrum_queue_get_many_for(&q, &n, 1, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(n, -1);
  CHECK_EQ(queue_waiters(&q, GETTERS), 0);
  thrum_thread t = must_spawn(get_ever, NULL);
  AWAIT(queue_waiters(&q, GETTERS) == 1);
  n = 11;
  CHECK_EQ(thrum_queue_put_for(&q, &n, 0), 0); /* need not wait */
  CHECK_EQ(must_join(t), 11);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* A cancelled thread's calls end at once, also when they need not wait; the try forms do not. */
static bool go;

static intptr_t cancelled_before(void *arg) {
  (void)arg;
  while (!LOAD(go)) thrum_yield();
  int n = 1;
  CHECK_EQ(thrum_queue_put(&q, &n), -ECANCELED);
  CHECK_EQ(thrum_queue_get(&q, &n), -ECANCELED);
  CHECK_EQ(thrum_queue_put_for(&q, &n, 0), -ECANCELED);
  CHECK_EQ(thrum_queue_join(&q), -ECANCELED);
  CHECK_EQ(thrum_queue_size(&q), 0);
  CHECK_EQ(thrum_queue_try_put(&q, &n), 0);
  CHECK_EQ(thrum_queue_try_get(&q, &n), 0);
  return 0;
}

static void cancelled_already(void) {
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), 5, NULL), 0);
  STORE(go, false);
  thrum_thread t = must_spawn(cancelled_before, NULL);
  queue_cancel(t);
  STORE(go, true);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static intptr_t all(void *unused) {
  (void)unused;
  full(1);
  full(3);
  full(THRUM_RENDEZVOUS);
  empty(1);
  empty(3);
  empty(THRUM_RENDEZVOUS);
  cancelled_already();
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  return 0;
}
