/* Queues. A hop is a queue without a place: who puts has met who gets. */
#include "light.h"

typedef thrum_queue queue;

static inline void queue_open(queue *q, const bench_shape *shape) {
  size_t capacity = shape->capacity == BENCH_RENDEZVOUS  ? THRUM_RENDEZVOUS
                    : shape->capacity == BENCH_UNBOUNDED ? THRUM_UNBOUNDED
                                                         : (size_t)shape->capacity;
  thrum_queue_options options = THRUM_QUEUE_OPTIONS_INIT;
  options.writers = (size_t)shape->putters;
  bench_check(thrum_queue_init(q, (size_t)shape->item, capacity, &options), "thrum_queue_init");
}

static inline void queue_put(queue *q, const void *item, size_t size) {
  int status = thrum_queue_put_sized(q, item, size);
  if (status) bench_check(status, "thrum_queue_put");
}

static inline int queue_get(queue *q, void *item, size_t size) {
  return thrum_queue_get_sized(q, item, size) == 0;
}

static inline void queue_done(queue *q) { bench_check(thrum_queue_writer_done(q), "writer_done"); }
#define HAS_UNBOUNDED

typedef thrum_queue hop;
static inline void hop_open(hop *h) { *h = (hop)THRUM_QUEUE_INIT(uint64_t, THRUM_RENDEZVOUS); }
static inline void hop_put(hop *h, uint64_t ball) { queue_put(h, &ball, sizeof ball); }
static inline uint64_t hop_get(hop *h) {
  uint64_t ball = 0;
  return queue_get(h, &ball, sizeof ball) ? ball : 0;
}

#define HAS_PRIORITY
typedef thrum_queue heap;

static int order(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static inline void heap_open(heap *h) {
  thrum_queue_options options = THRUM_QUEUE_OPTIONS_INIT;
  options.order = THRUM_PRIORITY;
  options.compare = order;
  bench_check(thrum_queue_init(h, sizeof(uint64_t), THRUM_UNBOUNDED, &options), "thrum_queue_init");
}

static inline void heap_put(heap *h, uint64_t number) { hop_put(h, number); }
static inline uint64_t heap_get(heap *h) { return hop_get(h); }

#include "queue.h"
