// The workloads of queues with Boost.Fiber's channels: unbuffered_channel is a rendezvous; a buffered_channel has a power of
// two of places, of which one always stays free.
#include "bench.h"
#include "team.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>

namespace {

using thread = fiber *;
void thread_start(thread *t, void (*fn)(void *), void *arg) {
  *t = new fiber(start(launch::post, [fn, arg] { fn(arg); }));
}
void thread_join(thread *t) {
  (*t)->join();
  delete *t;
}
void nap(int64_t ns) { boost::this_fiber::sleep_for(std::chrono::nanoseconds(ns)); }

template <std::size_t size> using item = std::array<std::uint64_t, size / sizeof(std::uint64_t)>;

// One of the two kinds for each size of item; a queue uses one of the six.
template <std::size_t size> struct channels {
  fibers::buffered_channel<item<size>> *buffered;
  fibers::unbuffered_channel<item<size>> *unbuffered;

  void open(long capacity) {
    std::size_t places = 2;
    while (long(places) < capacity) places *= 2;
    if (capacity)
      buffered = new fibers::buffered_channel<item<size>>(places);
    else
      unbuffered = new fibers::unbuffered_channel<item<size>>;
  }

  void put(const void *what) {
    auto &from = *static_cast<const item<size> *>(what);
    auto status = buffered ? buffered->push(from) : unbuffered->push(from);
    if (status != fibers::channel_op_status::success) bench_fail("a closed channel");
  }

  bool get(void *what) {
    auto &to = *static_cast<item<size> *>(what);
    return (buffered ? buffered->pop(to) : unbuffered->pop(to)) == fibers::channel_op_status::success;
  }

  void close() {
    if (buffered) buffered->close();
    if (unbuffered) unbuffered->close();
  }
};

struct queue {
  channels<8> small;
  channels<64> medium;
  channels<1024> large;
  std::atomic<long> putters;
};

void queue_open(queue *q, const bench_shape *shape) {
  q->putters = shape->putters;
  if (shape->item == 8)
    q->small.open(shape->capacity);
  else if (shape->item == 64)
    q->medium.open(shape->capacity);
  else
    q->large.open(shape->capacity);
}

// The size is a constant wherever these are called.
inline __attribute__((always_inline)) void queue_put(queue *q, const void *what, std::size_t size) {
  if (size == 8) return q->small.put(what);
  if (size == 64) return q->medium.put(what);
  q->large.put(what);
}

inline __attribute__((always_inline)) bool queue_get(queue *q, void *what, std::size_t size) {
  if (size == 8) return q->small.get(what);
  if (size == 64) return q->medium.get(what);
  return q->large.get(what);
}

void queue_done(queue *q) {
  if (--q->putters) return;
  q->small.close();
  q->medium.close();
  q->large.close();
}

using hop = fibers::unbuffered_channel<std::uint64_t>;
void hop_open(hop *) {}
inline void hop_put(hop *h, std::uint64_t ball) { h->push(ball); }
inline std::uint64_t hop_get(hop *h) { return h->value_pop(); }

} // namespace

#include "queue.h"
