/* What a queue says of itself: size, empty, full, capacity, changed while it is used; tasks that are done, and joins; many at
 * once; pointers as items; a queue that is static. */
#include "queues.h"

static thrum_queue fixed = THRUM_QUEUE_INIT(int, 3);
static thrum_queue q;
enum { MANY = 300 };

static void looks(void) {
  int n = 1;
  CHECK_EQ(thrum_queue_capacity(&fixed), 3);
  CHECK(thrum_queue_is_empty(&fixed) && !thrum_queue_is_full(&fixed));
  for (size_t i = 0; i < 3; i++) {
    CHECK_EQ(thrum_queue_size(&fixed), i);
    CHECK_EQ(thrum_queue_put(&fixed, &n), 0);
  }
  CHECK(!thrum_queue_is_empty(&fixed) && thrum_queue_is_full(&fixed));
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_get(&fixed, &n), 0);
  CHECK(thrum_queue_is_empty(&fixed) && !thrum_queue_is_full(&fixed));
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_task_done(&fixed), 0);
  CHECK_EQ(thrum_queue_init(&q, 8, THRUM_RENDEZVOUS, NULL), 0);
  CHECK(thrum_queue_is_empty(&q) && thrum_queue_is_full(&q));
  CHECK_EQ(thrum_queue_capacity(&q), THRUM_RENDEZVOUS);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
  CHECK_EQ(thrum_queue_init(&q, 8, THRUM_UNBOUNDED, NULL), 0);
  CHECK(!thrum_queue_is_full(&q));
  CHECK_EQ(thrum_queue_capacity(&q), THRUM_UNBOUNDED);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Capacity ------------------------------------------------------------------------------------------------------ */

static intptr_t put_one(void *arg) {
  int n = (int)(intptr_t)arg;
  return thrum_queue_put(&q, &n);
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Raised: as many putters go on as there is room for, the first ones. Lowered: nothing goes, and puts wait until there is room. */
static void capacity_changes(enum thrum_order order) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? ascending : NULL;
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), 1, &o), 0);
  thrum_thread threads[6];
  for (size_t i = 0; i < 6; i++) {
    threads[i] = must_spawn(put_one, (void *)i);
    AWAIT(thrum_queue_size(&q) + queue_waiters(&q, PUTTERS) == i + 1);
  }
  CHECK_EQ(thrum_queue_set_capacity(&q, 4), 0);
  CHECK_EQ(thrum_queue_size(&q), 4);
  CHECK_EQ(queue_waiters(&q, PUTTERS), 2);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_queue_set_capacity(&q, 2), 0);
  int n = -1;
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(thrum_queue_size(&q), 4 - i);
    CHECK(thrum_queue_is_full(&q));
    CHECK_EQ(thrum_queue_try_put(&q, &n), -EAGAIN);
    CHECK_EQ(thrum_queue_get(&q, &n), 0);
  }
  CHECK_EQ(queue_waiters(&q, PUTTERS), 2);
  CHECK_EQ(thrum_queue_get(&q, &n), 0);
  CHECK_EQ(thrum_queue_size(&q), 2);
  CHECK_EQ(queue_waiters(&q, PUTTERS), 1);
  CHECK_EQ(thrum_queue_set_capacity(&q, THRUM_UNBOUNDED), 0);
  CHECK_EQ(thrum_queue_size(&q), 3);
  for (int i = 4; i < 6; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_queue_set_capacity(&q, THRUM_RENDEZVOUS), 0);
  CHECK_EQ(thrum_queue_try_put(&q, &n), -EAGAIN);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_get(&q, &n), 0);
  CHECK_EQ(thrum_queue_try_get(&q, &n), -EAGAIN);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Tasks --------------------------------------------------------------------------------------------------------- */

static intptr_t join_it(void *unused) {
  (void)unused;
  return thrum_queue_join(&q);
}

static void tasks(size_t capacity) {
  int n = 1;
  CHECK_EQ(thrum_queue_init(&q, sizeof n, capacity, NULL), 0);
  CHECK_EQ(thrum_queue_join(&q), 0); /* nothing was ever put */
  CHECK_EQ(thrum_queue_task_done(&q), -EOVERFLOW);
  for (int round = 0; round < 3; round++) {
    thrum_thread putter = must_spawn(put_one, NULL), joiners[3];
    CHECK_EQ(thrum_queue_get(&q, &n), 0);
    CHECK_EQ(must_join(putter), 0);
    for (int i = 0; i < 3; i++) joiners[i] = must_spawn(join_it, NULL);
    AWAIT(queue_waiters(&q, JOINERS) == 3);
    CHECK_EQ(thrum_queue_unfinished(&q), 1);
    CHECK_EQ(thrum_queue_task_done(&q), 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(must_join(joiners[i]), 0);
    CHECK_EQ(thrum_queue_join_for(&q, 0), 0);
    CHECK_EQ(thrum_queue_task_done(&q), -EOVERFLOW);
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Many at once, pointers ---------------------------------------------------------------------------------------- */

static intptr_t put_many(void *arg) {
  int items[MANY];
  (void)arg;
  for (int i = 0; i < MANY; i++) items[i] = i;
  return thrum_queue_put_many(&q, items, MANY);
}

static void many(size_t capacity, enum thrum_order order) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? ascending : NULL;
  int items[MANY], next = 0;
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), capacity, &o), 0);
  CHECK_EQ(thrum_queue_put_many(&q, items, 0), 0);
  CHECK_EQ(thrum_queue_get_many(&q, items, 0), 0);
  thrum_thread putter = must_spawn(put_many, NULL);
  while (next < MANY) {
    ssize_t n = thrum_queue_get_many(&q, items, next % 7 * 20 + 1);
    CHECK(n > 0 && n <= next % 7 * 20 + 1);
    for (int i = 0; i < n; i++) CHECK_EQ(items[i], next++);
  }
  CHECK_EQ(must_join(putter), MANY);
  CHECK_EQ(thrum_queue_unfinished(&q), MANY);
  ssize_t room = capacity == THRUM_RENDEZVOUS ? 0 : capacity < 5 ? (ssize_t)capacity : 5;
  CHECK_EQ(thrum_queue_put_many_for(&q, items, 5, 0), room ? room : -ETIMEDOUT);
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0);
  CHECK_EQ(thrum_queue_get_many(&q, items, MANY), room ? room : -EPIPE);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* Ended by its time: as many as went in. */
static void some_of_many(void) {
  int items[9] = {0};
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), 4, NULL), 0);
  CHECK_EQ(thrum_queue_put_many_for(&q, items, 9, THRUM_MS(1)), 4);
  CHECK_EQ(thrum_queue_put_many_for(&q, items, 9, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_queue_get_many(&q, items, 9), 4);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static void pointers(void) {
  int a = 1, b = 2, *p = NULL;
  CHECK_EQ(thrum_queue_init(&q, sizeof(void *), 2, NULL), 0);
  CHECK_EQ(thrum_queue_put_ptr(&q, &a), 0);
  CHECK_EQ(thrum_queue_put_ptr_for(&q, &b, 0), 0);
  CHECK_EQ(thrum_queue_try_put_ptr(&q, NULL), -EAGAIN);
  CHECK_EQ(thrum_queue_get_ptr(&q, &p), 0);
  CHECK(p == &a);
  CHECK_EQ(thrum_queue_get_ptr_for(&q, &p, 0), 0);
  CHECK(p == &b);
  CHECK_EQ(thrum_queue_try_get_ptr(&q, &p), -EAGAIN);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static intptr_t all(void *unused) {
  (void)unused;
  looks();
  for (int order = THRUM_FIFO; order <= THRUM_PRIORITY; order++) capacity_changes(order);
  tasks(2);
  tasks(THRUM_RENDEZVOUS);
  many(7, THRUM_FIFO);
  many(1, THRUM_PRIORITY);
  many(THRUM_UNBOUNDED, THRUM_FIFO);
  many(THRUM_RENDEZVOUS, THRUM_FIFO);
  some_of_many();
  pointers();
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  return 0;
}
