#define _GNU_SOURCE
#include <core/parking.h>
#include <string.h>

enum { BUCKETS = 256 };

static struct { _Alignas(64) struct thrumi_bucket bucket; } table[BUCKETS];

struct thrumi_bucket *thrumi_bucket_lock(const void *address) {
  uint64_t mixed = ((uintptr_t)address >> 3) * UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing */
  struct thrumi_bucket *bucket = &table[mixed >> 56].bucket;
  _Static_assert(BUCKETS == 1 << (64 - 56), "the shift keeps as many bits as there are buckets");
  thrumi_spin_lock(&bucket->lock);
  return bucket;
}

void thrumi_bucket_unlock(struct thrumi_bucket *bucket) { thrumi_spin_unlock(&bucket->lock); }

void thrumi_bucket_append(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter) {
  waiter->next = NULL;
  waiter->prev = bucket->tail;
  *(bucket->tail ? &bucket->tail->next : &bucket->head) = waiter;
  bucket->tail = waiter;
  waiter->queued = true;
}

void thrumi_bucket_remove(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter) {
  if (!waiter->queued) return;
  *(waiter->prev ? &waiter->prev->next : &bucket->head) = waiter->next;
  *(waiter->next ? &waiter->next->prev : &bucket->tail) = waiter->prev;
  waiter->queued = false;
}

struct thrumi_waiter *thrumi_bucket_first(struct thrumi_bucket *bucket, const void *address) {
  struct thrumi_waiter *w = bucket->head;
  while (w && thrumi_load_relaxed(&w->address) != address) w = w->next;
  return w;
}

void thrumi_parking_fork(void) { memset(table, 0, sizeof table); }
