/* Items come in the order that the queue promises: first in, first out; last in, first out; least first and equal ones as
 * they were put; small items, items of odd sizes and items that are kept in boxes, for a few and for many. Those that wait
 * are served in the order in which they came. */
#include "queues.h"

static int by_tens(const void *a, const void *b) {
  int x = *(const int *)a / 10, y = *(const int *)b / 10;
  return x < y ? -1 : x > y;
}

static thrum_queue_options options_of(enum thrum_order order) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? by_tens : NULL;
  return o;
}

/* Items of any size begin with their number; the rest is made of it. */
static char item[70000], got[70000];

static void make(int n, size_t size) {
  memset(item, n % 251, size);
  memcpy(item, &n, sizeof n);
}

static int put(thrum_queue *q, int n, size_t size) {
  make(n, size);
  return thrum_queue_try_put_sized(q, item, size);
}

static int get(thrum_queue *q, size_t size) {
  int n;
  CHECK_EQ(thrum_queue_try_get_sized(q, got, size), 0);
  memcpy(&n, got, sizeof n);
  make(n, size);
  CHECK(memcmp(item, got, size) == 0);
  return n;
}

static void in_and_out(enum thrum_order order, size_t size, int count) {
  thrum_queue q;
  thrum_queue_options o = options_of(order);
  CHECK_EQ(thrum_queue_init(&q, size, THRUM_UNBOUNDED, &o), 0);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < count; i++) CHECK_EQ(put(&q, i * 7 % count, size), 0);
    CHECK_EQ(thrum_queue_size(&q), count);
    int last = -1;
    for (int i = 0; i < count; i++) {
      int n = get(&q, size);
      if (order == THRUM_FIFO) CHECK_EQ(n, i * 7 % count);
      if (order == THRUM_LIFO) CHECK_EQ(n, (count - 1 - i) * 7 % count);
      if (order == THRUM_PRIORITY) CHECK(n / 10 >= last / 10);
      last = n;
    }
    CHECK_EQ(thrum_queue_try_get_sized(&q, got, size), -EAGAIN);
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* Puts and gets in turn, so that the ends of chunks are crossed at every place, against a model. */
static void in_turn(enum thrum_order order, size_t size, size_t capacity) {
  enum { MODEL = 4096 };
  static int model[MODEL];
  int first = 0, end = 0, next = 0;
  uint32_t random = 1;
  thrum_queue q;
  thrum_queue_options o = options_of(order);
  CHECK_EQ(thrum_queue_init(&q, size, capacity, &o), 0);
  for (int i = 0; i < 20000; i++) {
    random = random * 1664525 + 1013904223;
    bool putting = (random >> 16) % 1000 < (i / 2500 % 2 ? 300 : 700);
    if (putting && end - first < MODEL / 2) {
      bool full = (size_t)(end - first) == capacity;
      CHECK_EQ(put(&q, next, size), full ? -EAGAIN : 0);
      if (!full) model[end++ % MODEL] = next++;
    } else if (!putting && end > first) {
      CHECK_EQ(get(&q, size), order == THRUM_FIFO ? model[first++ % MODEL] : model[--end % MODEL]);
    }
    CHECK_EQ(thrum_queue_size(&q), end - first);
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* Equal items keep the order of their puts, among thousands. */
static void priority_is_stable(void) {
  thrum_queue q;
  thrum_queue_options o = options_of(THRUM_PRIORITY);
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), THRUM_UNBOUNDED, &o), 0);
  for (int i = 0; i < 3000; i++) {
    int n = i * 7919 % 50 * 10 + i / 50 % 10;
    CHECK_EQ(thrum_queue_put(&q, &n), 0);
  }
  int puts[50][60], counts[50] = {0}, seen[50] = {0};
  for (int i = 0; i < 3000; i++) puts[i * 7919 % 50][counts[i * 7919 % 50]++] = i / 50 % 10;
  for (int i = 0, last = 0; i < 3000; i++) {
    int n;
    CHECK_EQ(thrum_queue_get(&q, &n), 0);
    CHECK(n / 10 >= last);
    last = n / 10;
    CHECK_EQ(n % 10, puts[last][seen[last]++]);
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* Puts and gets in turn, of few different keys, against a model in which the first of the least is looked for. The heap grows
 * and shrinks through all of its shapes meanwhile. */
static void priority_in_turn(void) {
  enum { MOST = 200 };
  int model[MOST], count = 0, puts = 0;
  uint32_t random = 1;
  thrum_queue q;
  thrum_queue_options o = options_of(THRUM_PRIORITY);
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), THRUM_UNBOUNDED, &o), 0);
  for (int i = 0; i < 20000; i++) {
    random = random * 1664525 + 1013904223;
    if (count < MOST && (random >> 16) % 1000 < (i / 1000 % 2 ? 350u : 650u)) {
      model[count] = (int)(random >> 8) % 40 * 10 + puts++ % 10;
      CHECK_EQ(thrum_queue_put(&q, &model[count++]), 0);
    } else if (count) {
      int first = 0, n;
      for (int k = 1; k < count; k++)
        if (model[k] / 10 < model[first] / 10) first = k;
      CHECK_EQ(thrum_queue_get(&q, &n), 0);
      CHECK_EQ(n, model[first]);
      memmove(&model[first], &model[first + 1], (size_t)(--count - first) * sizeof *model);
    }
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Waiters ---------------------------------------------------------------------------------------------- */

enum { WAITERS = 8 };
static thrum_queue line;
static int gotten[WAITERS];

static intptr_t put_own(void *arg) {
  int n = (int)(intptr_t)arg;
  return thrum_queue_put(&line, &n);
}

static intptr_t get_one(void *arg) { return thrum_queue_get(&line, &gotten[(intptr_t)arg]); }

static void putters_in_order(size_t capacity) {
  CHECK_EQ(thrum_queue_init(&line, sizeof(int), capacity, NULL), 0);
  thrum_thread threads[WAITERS];
  size_t before = capacity == THRUM_RENDEZVOUS ? 0 : capacity;
  for (size_t i = 0; i < before; i++) {
    int n = -1;
    CHECK_EQ(thrum_queue_put(&line, &n), 0);
  }
  for (size_t i = 0; i < WAITERS; i++) {
    threads[i] = must_spawn(put_own, (void *)i);
    AWAIT(queue_waiters(&line, PUTTERS) == i + 1);
  }
  for (int i = -(int)before; i < WAITERS; i++) {
    int n = -2;
    CHECK_EQ(thrum_queue_get(&line, &n), 0);
    CHECK_EQ(n, i < 0 ? -1 : i);
  }
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_queue_destroy(&line), 0);
}

static void getters_in_order(size_t capacity) {
  CHECK_EQ(thrum_queue_init(&line, sizeof(int), capacity, NULL), 0);
  thrum_thread threads[WAITERS];
  for (size_t i = 0; i < WAITERS; i++) {
    threads[i] = must_spawn(get_one, (void *)i);
    AWAIT(queue_waiters(&line, GETTERS) == i + 1);
  }
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(thrum_queue_put(&line, &i), 0);
  for (int i = 0; i < WAITERS; i++) {
    CHECK_EQ(must_join(threads[i]), 0);
    CHECK_EQ(gotten[i], i);
  }
  CHECK_EQ(thrum_queue_destroy(&line), 0);
}

static intptr_t all(void *unused) {
  (void)unused;
  static const size_t sizes[] = {4, 8, 13, 256, 257};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int order = THRUM_FIFO; order <= THRUM_PRIORITY; order++) in_and_out(order, sizes[s], 1501);
  in_and_out(THRUM_FIFO, 64 * 1024, 101);
  static const size_t capacities[] = {1, 2, 3, 100, 600, THRUM_UNBOUNDED};
  for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
    in_turn(THRUM_FIFO, 8, capacities[c]);
    in_turn(THRUM_LIFO, 8, capacities[c]);
    in_turn(THRUM_FIFO, 60, capacities[c]);
  }
  priority_is_stable();
  priority_in_turn();
  putters_in_order(1);
  putters_in_order(3);
  putters_in_order(THRUM_RENDEZVOUS);
  getters_in_order(1);
  getters_in_order(THRUM_UNBOUNDED);
  getters_in_order(THRUM_RENDEZVOUS);
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  return 0;
}
