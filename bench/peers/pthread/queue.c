/* The workloads of queues with POSIX threads: a ring, a mutex and two conditions. A hop is a word and a semaphore. A queue
 * without a place, or without a limit, takes more than that, and is not tried. */
#define _GNU_SOURCE
#include "posix.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

typedef struct queue {
  pthread_mutex_t mutex;
  pthread_cond_t room, items;
  long capacity, count, first, putters;
  char *ring;
} queue;

static inline void queue_open(queue *q, const bench_shape *shape) {
  if (shape->capacity < 1) bench_fail("a ring needs a place");
  q->capacity = shape->capacity;
  q->putters = shape->putters;
  q->ring = (char *)bench_alloc((size_t)(shape->capacity * shape->item));
}

static inline char *place(queue *q, long i, size_t size) {
  return q->ring + (size_t)(i < q->capacity ? i : i - q->capacity) * size;
}

/* Who waits is woken after the mutex is free. */
static inline void queue_put(queue *q, const void *item, size_t size) {
  pthread_mutex_lock(&q->mutex);
  while (q->count == q->capacity) pthread_cond_wait(&q->room, &q->mutex);
  memcpy(place(q, q->first + q->count, size), item, size);
  q->count++;
  pthread_mutex_unlock(&q->mutex);
  pthread_cond_signal(&q->items);
}

static inline int queue_get(queue *q, void *item, size_t size) {
  pthread_mutex_lock(&q->mutex);
  while (!q->count && q->putters) pthread_cond_wait(&q->items, &q->mutex);
  int there = q->count > 0;
  if (there) {
    memcpy(item, place(q, q->first, size), size);
    q->first = q->first + 1 < q->capacity ? q->first + 1 : 0;
    q->count--;
  }
  pthread_mutex_unlock(&q->mutex);
  if (there) pthread_cond_signal(&q->room);
  return there;
}

static inline void queue_done(queue *q) {
  pthread_mutex_lock(&q->mutex);
  q->putters--;
  pthread_mutex_unlock(&q->mutex);
  pthread_cond_broadcast(&q->items);
}

typedef struct hop {
  uint64_t ball;
  sem_t full;
} hop;

static inline void hop_open(hop *h) { bench_check(sem_init(&h->full, 0, 0), "sem_init"); }
static inline void hop_put(hop *h, uint64_t ball) {
  h->ball = ball;
  sem_post(&h->full);
}
static inline uint64_t hop_get(hop *h) {
  while (sem_wait(&h->full)) {
  }
  return h->ball;
}

#include "queue.h"
