/* The workload of queues with Concurrency Kit's rings, between POSIX threads. There is a kind for one putter, and for one
 * getter, which is used where there are no more.
 *
 * A ring is no queue that one can wait at. Who finds it full or empty gives up his CPU and tries again; if there is one
 * place only and a CPU for each thread, he tries for a while before. Nobody is woken, nobody is served in turn, and nothing ends it: who finds it
 * empty looks whether all putters have gone. Of several putters, one that the kernel stops in the middle of a put stops all
 * others. One place of a ring always stays free. */
#define _GNU_SOURCE
#include "posix.h"

#include <ck_ring.h>
#include <stdlib.h>

typedef struct queue {
  ck_ring_t ring;
  int one_putter, one_getter;
  int patience; /* tries before the CPU is given up */
  long putters;
  void *items;
} queue;

#define ITEMS(size) \
  struct item##size { \
    char bytes[size]; \
  }; \
  CK_RING_PROTOTYPE(size, item##size) \
  static inline bool try_put_##size(queue *q, const void *from) { \
    struct item##size *items = q->items, *item = (struct item##size *)(uintptr_t)from; \
    return q->one_putter ? CK_RING_ENQUEUE_SPMC(size, &q->ring, items, item) \
                         : CK_RING_ENQUEUE_MPMC(size, &q->ring, items, item); \
  } \
  static inline bool try_get_##size(queue *q, void *to) { \
    struct item##size *items = q->items, *item = to; \
    return q->one_getter ? CK_RING_DEQUEUE_MPSC(size, &q->ring, items, item) \
                         : CK_RING_DEQUEUE_MPMC(size, &q->ring, items, item); \
  }
ITEMS(8)
ITEMS(64)
ITEMS(1024)

static inline bool try_put(queue *q, const void *item, size_t size) {
  return size == 8 ? try_put_8(q, item) : size == 64 ? try_put_64(q, item) : try_put_1024(q, item);
}

static inline bool try_get(queue *q, void *item, size_t size) {
  return size == 8 ? try_get_8(q, item) : size == 64 ? try_get_64(q, item) : try_get_1024(q, item);
}

static int cpus;

static inline void queue_open(queue *q, const bench_shape *shape) {
  unsigned places = 2;
  while (places < shape->capacity) places *= 2;
  ck_ring_init(&q->ring, places);
  q->one_putter = shape->putters == 1;
  q->one_getter = shape->getters == 1;
  q->patience = shape->capacity == 1 && shape->putters + shape->getters <= cpus ? 2000 : 1;
  q->putters = shape->putters;
  q->items = bench_alloc(places * (size_t)shape->item);
}

static inline void try_later(const queue *q, int tries) {
  if (tries % q->patience)
    ck_pr_stall();
  else
    sched_yield();
}

static inline __attribute__((always_inline)) void queue_put(queue *q, const void *item, size_t size) {
  for (int tries = 1; !try_put(q, item, size); tries++) try_later(q, tries);
}

static inline __attribute__((always_inline)) int queue_get(queue *q, void *item, size_t size) {
  for (int tries = 1; !try_get(q, item, size); tries++) {
    if (!__atomic_load_n(&q->putters, __ATOMIC_ACQUIRE)) return try_get(q, item, size);
    try_later(q, tries);
  }
  return 1;
}

static inline void queue_done(queue *q) { __atomic_fetch_sub(&q->putters, 1, __ATOMIC_RELEASE); }

/* Two threads have one hop each way, so each is one putter's and one getter's. */
typedef queue hop;
static inline void hop_open(hop *h) {
  bench_shape one = {1, 1, sizeof(uint64_t), 1};
  queue_open(h, &one);
}
static inline void hop_put(hop *h, uint64_t ball) { queue_put(h, &ball, sizeof ball); }
static inline uint64_t hop_get(hop *h) {
  uint64_t ball = 0;
  queue_get(h, &ball, sizeof ball);
  return ball;
}

#include "queue.h"

static int setup(int workers) {
  cpus = workers;
  return posix_setup(workers);
}

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"queue", queue_run}, {"pingpong", pingpong_run}, {NULL, NULL}};
  return bench_main(argc, argv, table, setup);
}
