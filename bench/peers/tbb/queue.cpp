// The workloads of queues with oneTBB's concurrent_bounded_queue, whose push and pop wait, between POSIX threads. It has no
// end, so each getter is sent an item that is one.
#include <oneapi/tbb/concurrent_priority_queue.h>
#include <oneapi/tbb/concurrent_queue.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "posix.h"

namespace {

template <std::size_t size> using item = std::array<std::uint64_t, size / sizeof(std::uint64_t)>;
template <std::size_t size> using queue_of = oneapi::tbb::concurrent_bounded_queue<item<size>>;

constexpr std::uint64_t the_end = ~std::uint64_t(0);

struct queue {
  queue_of<8> small;
  queue_of<64> medium;
  queue_of<1024> large;
  std::atomic<long> putters;
  bench_shape shape;
};

template <std::size_t size> queue_of<size> &items_of(queue *q) {
  if constexpr (size == 8)
    return q->small;
  else if constexpr (size == 64)
    return q->medium;
  else
    return q->large;
}

template <std::size_t size> void open(queue *q) {
  if (q->shape.capacity != BENCH_UNBOUNDED) items_of<size>(q).set_capacity(q->shape.capacity);
}

template <std::size_t size> void put(queue *q, const void *what) {
  items_of<size>(q).push(*static_cast<const item<size> *>(what));
}

template <std::size_t size> bool get(queue *q, void *what) {
  auto &got = *static_cast<item<size> *>(what);
  items_of<size>(q).pop(got);
  return got[0] != the_end;
}

// The size is a constant wherever these are called.
inline __attribute__((always_inline)) void queue_put(queue *q, const void *what, std::size_t size) {
  if (size == 8) return put<8>(q, what);
  if (size == 64) return put<64>(q, what);
  put<1024>(q, what);
}

inline __attribute__((always_inline)) bool queue_get(queue *q, void *what, std::size_t size) {
  if (size == 8) return get<8>(q, what);
  if (size == 64) return get<64>(q, what);
  return get<1024>(q, what);
}

void queue_open(queue *q, const bench_shape *shape) {
  q->shape = *shape;
  q->putters = shape->putters;
  open<8>(q);
  open<64>(q);
  open<1024>(q);
}

void queue_done(queue *q) {
  if (--q->putters) return;
  item<1024> end{};
  end[0] = the_end;
  for (long i = 0; i < q->shape.getters; i++) queue_put(q, &end, std::size_t(q->shape.item));
}
#define HAS_UNBOUNDED

using hop = oneapi::tbb::concurrent_bounded_queue<std::uint64_t>;
void hop_open(hop *h) { h->set_capacity(1); }
inline void hop_put(hop *h, std::uint64_t ball) { h->push(ball); }
inline std::uint64_t hop_get(hop *h) {
  std::uint64_t ball;
  h->pop(ball);
  return ball;
}

#define HAS_PRIORITY
using heap = oneapi::tbb::concurrent_priority_queue<std::uint64_t, std::greater<std::uint64_t>>;
void heap_open(heap *) {}
inline void heap_put(heap *h, std::uint64_t number) { h->push(number); }
inline std::uint64_t heap_get(heap *h) {
  std::uint64_t number;
  if (!h->try_pop(number)) bench_fail("an empty heap");
  return number;
}

} // namespace

#include "queue.h"

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"queue", queue_run},
                                         {"queue-fill", queue_fill_run},
                                         {"queue-priority", queue_priority_run},
                                         {"pingpong", pingpong_run},
                                         {nullptr, nullptr}};
  return bench_main(argc, argv, table, posix_setup);
}
