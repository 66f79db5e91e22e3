/* What threads do with queues: the workloads, written once for every library that has them. An includer defines, as static
 * inline functions, what the part below names, then includes this. */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

#include "bench.h"
#include "crew.h"
#include "queue_runs.h"

#include <limits.h>

/* Of every includer, `size` being a constant at compile time wherever it is passed:
 *   what crew.h wants
 *   queue, queue_open(queue *, const bench_shape *)
 *   queue_put(queue *, const void *, size_t size), queue_get(queue *, void *, size_t size): 0 at the end
 *   queue_done(queue *)         of each putter; the last one ends the queue
 *   hop, hop_open(hop *), hop_put(hop *, uint64_t), uint64_t hop_get(hop *): passes one number from thread to thread
 * With HAS_UNBOUNDED: queue_open with BENCH_UNBOUNDED
 * With HAS_PRIORITY:  heap, heap_open(heap *), heap_put(heap *, uint64_t), uint64_t heap_get(heap *): the least first */

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- queue: putters and getters, an item ---------------------------------------------------------------- */

static queue the_queue;
static bench_shape shape;
static long most; /* that one putter puts */

typedef struct cargo {
  uint64_t words[BENCH_LARGEST_ITEM / sizeof(uint64_t)];
} cargo;

/* The first and the last word carry the number, so that a copy cut short is noticed. */
ALWAYS_INLINE void put_items(member *m, size_t size) {
  cargo c = {{0}};
  size_t last = size / sizeof(uint64_t) - 1;
  uint64_t number = (uint64_t)m->number << 40, sum = 0;
  long done = 0;
  while (done < most && !crew_stops(m->all)) {
    for (int i = 0; i < 16; i++) {
      c.words[0] = c.words[last] = ++number;
      sum += number;
      queue_put(&the_queue, &c, size);
    }
    done += 16;
  }
  m->done = done;
  m->work = sum;
  queue_done(&the_queue);
}

ALWAYS_INLINE void get_items(member *m, size_t size) {
  cargo c;
  size_t last = size / sizeof(uint64_t) - 1;
  uint64_t sum = 0;
  long done = 0;
  for (; queue_get(&the_queue, &c, size); done++) {
    sum += c.words[0];
    if (c.words[0] != c.words[last]) bench_fail("half an item");
  }
  m->done = done;
  m->work = sum;
}

static inline void queue_loop(member *m) {
  int puts = m->number < shape.putters;
  switch (shape.item) {
  case 8: puts ? put_items(m, 8) : get_items(m, 8); break;
  case 64: puts ? put_items(m, 64) : get_items(m, 64); break;
  default: puts ? put_items(m, BENCH_LARGEST_ITEM) : get_items(m, BENCH_LARGEST_ITEM); break;
  }
}

void queue_run(long n) {
  shape = bench_shape_given();
  most = n / shape.putters;
  crew all = {shape.putters + shape.getters, 0, 0, 0, 0, 0, 0, 0};
  queue_open(&the_queue, &shape);
  member *members = crew_start(&all, queue_loop);
  crew_work(&all);
  long put = 0, got = 0;
  uint64_t sum = 0;
  for (long i = 0; i < all.n; i++) {
    thread_join(&members[i].self);
    *(i < shape.putters ? &put : &got) += members[i].done;
    sum += i < shape.putters ? members[i].work : 0 - members[i].work;
  }
  if (put != got || sum) bench_fail("put %ld items and got %ld, or not the same ones", put, got);
  bench_print("queue", (double)(all.ended - all.begun) / (double)got, "ns");
  free(members);
}

/* ---- pingpong: a number there and back ------------------------------------------------------------------ */

static hop there, back;

static inline void pingpong_loop(member *m) {
  if (m->number) {
    for (uint64_t ball; (ball = hop_get(&there));) hop_put(&back, ball + 1);
    return;
  }
  uint64_t ball = 1;
  while (!crew_stops(m->all)) {
    hop_put(&there, ball);
    ball = hop_get(&back);
  }
  hop_put(&there, 0);
  m->done = (long)ball - 1;
}

void pingpong_run(long unused) {
  (void)unused;
  crew all = {2, 0, 0, 0, 0, 0, 0, 0};
  hop_open(&there);
  hop_open(&back);
  member *members = crew_start(&all, pingpong_loop);
  crew_work(&all);
  long done = crew_end(&all, members);
  bench_print("pingpong", (double)(all.ended - all.begun) / (double)done, "ns");
}

/* ---- queue-fill: one thread puts n and gets n; an item --------------------------------------------------- */

#ifdef HAS_UNBOUNDED
static inline void fill_and_empty(long n) {
  for (uint64_t i = 0; i < (uint64_t)n; i++) queue_put(&the_queue, &i, sizeof i);
  for (uint64_t i = 0, got; i < (uint64_t)n; i++)
    if (!queue_get(&the_queue, &got, sizeof got) || got != i) bench_fail("a queue out of order");
}

void queue_fill_run(long n) {
  bench_shape one = {1, 1, sizeof(uint64_t), BENCH_UNBOUNDED};
  queue_open(&the_queue, &one);
  fill_and_empty(n < 1000 ? n : 1000);
  int64_t begun = bench_now(), took;
  long done = 0;
  do {
    for (long i = 0; i < 1000; i += n) fill_and_empty(n), done += n;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("queue-fill", (double)took / (double)done, "ns");
}
#endif

/* ---- queue-priority: n numbers are queued; the least is got, and a larger one put -------------------------- */

#ifdef HAS_PRIORITY
static heap the_heap;

void queue_priority_run(long n) {
  const uint64_t span = UINT32_MAX;
  uint64_t seed = 88172645463325252u, least = 0;
  heap_open(&the_heap);
  for (long i = 0; i < n; i++) heap_put(&the_heap, bench_random(&seed) % span);
  int64_t begun = bench_now(), took;
  long done = 0;
  do {
    for (int i = 0; i < 100; i++) {
      uint64_t got = heap_get(&the_heap);
      if (got < least) bench_fail("a heap out of order");
      least = got;
      heap_put(&the_heap, least + bench_random(&seed) % span);
    }
    done += 100;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("queue-priority", (double)took / (double)done, "ns");
}
#endif

#endif
