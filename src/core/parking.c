#define _GNU_SOURCE
#include <core/parking.h>
#include <string.h>

enum { BUCKET_BITS = 8, BUCKETS = 1 << BUCKET_BITS };

static struct { _Alignas(64) struct thrumi_bucket bucket; } table[BUCKETS];

/* Each step can be undone, so different addresses have different keys. Upper bits choose the bucket, the next ones the
 * way in its tree. */
static uint64_t key_of(const void *address) {
  uint64_t key = (uintptr_t)address;
  key ^= key >> 32;
  key *= UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio */
  key ^= key >> 29;
  return key * UINT64_C(0xbf58476d1ce4e5b9);
}

static struct thrumi_bucket *bucket_of(uint64_t key) { return &table[key >> (64 - BUCKET_BITS)].bucket; }

struct thrumi_bucket *thrumi_bucket_lock(const void *address) {
  struct thrumi_bucket *bucket = bucket_of(key_of(address));
  thrumi_spin_lock(&bucket->lock);
  return bucket;
}

void thrumi_bucket_unlock(struct thrumi_bucket *bucket) { thrumi_spin_unlock(&bucket->lock); }

/* In the order of their addresses, so that two who lock the same two never wait for each other. */
struct thrumi_buckets thrumi_buckets_lock(const void *one, const void *other) {
  struct thrumi_bucket *a = bucket_of(key_of(one)), *b = bucket_of(key_of(other));
  thrumi_spin_lock(a < b ? &a->lock : &b->lock);
  if (a != b) thrumi_spin_lock(a < b ? &b->lock : &a->lock);
  return (struct thrumi_buckets){{a, b}};
}

void thrumi_buckets_unlock(struct thrumi_buckets buckets) {
  if (buckets.of[0] != buckets.of[1]) thrumi_spin_unlock(&buckets.of[1]->lock);
  thrumi_spin_unlock(&buckets.of[0]->lock);
}

/* Where the first waiter with this key is linked in, or would be. */
static struct thrumi_waiter **find(struct thrumi_bucket *bucket, uint64_t key) {
  struct thrumi_waiter **link = &bucket->root;
  for (uint64_t way = key << BUCKET_BITS; *link && (*link)->key != key; way <<= 1)
    link = &(*link)->child[way >> 63];
  return link;
}

/* The waiter becomes the node that *link holds instead of the former one. */
static void take_place(struct thrumi_waiter **link, struct thrumi_waiter *waiter) {
  waiter->child[0] = (*link)->child[0];
  waiter->child[1] = (*link)->child[1];
  *link = waiter;
}

static void begin_queue(struct thrumi_waiter **link, struct thrumi_waiter *waiter) {
  waiter->child[0] = waiter->child[1] = waiter->next = NULL;
  waiter->prev = waiter;
  *link = waiter;
}

/* Takes a node out: any leaf below it may stand in its place, since it shares the way there. */
static void remove_node(struct thrumi_waiter **link) {
  struct thrumi_waiter **leaf = link;
  while ((*leaf)->child[0] || (*leaf)->child[1]) leaf = &(*leaf)->child[(*leaf)->child[1] != NULL];
  struct thrumi_waiter *substitute = *leaf;
  *leaf = NULL;
  if (leaf != link) take_place(link, substitute);
}

static struct thrumi_waiter **prepare(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter,
                                      const void *address) {
  waiter->key = key_of(address);
  waiter->queued = true;
  thrumi_store_relaxed(&waiter->address, address);
  return find(bucket, waiter->key);
}

void thrumi_bucket_append(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address) {
  struct thrumi_waiter **link = prepare(bucket, waiter, address), *first = *link;
  if (!first) {
    begin_queue(link, waiter);
    return;
  }
  waiter->next = NULL;
  waiter->prev = first->prev;
  first->prev->next = waiter;
  first->prev = waiter;
}

void thrumi_bucket_prepend(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter, const void *address) {
  struct thrumi_waiter **link = prepare(bucket, waiter, address), *first = *link;
  if (!first) {
    begin_queue(link, waiter);
    return;
  }
  take_place(link, waiter);
  waiter->next = first;
  waiter->prev = first->prev;
  first->prev = waiter;
}

void thrumi_bucket_remove(struct thrumi_bucket *bucket, struct thrumi_waiter *waiter) {
  if (!waiter->queued) return;
  waiter->queued = false;
  struct thrumi_waiter *next = waiter->next;
  if (waiter->prev->next == waiter) { /* not the first: the last one's next is NULL */
    struct thrumi_waiter *first = next ? NULL : *find(bucket, waiter->key);
    waiter->prev->next = next;
    (next ? next : first)->prev = waiter->prev;
    return;
  }
  struct thrumi_waiter **link = find(bucket, waiter->key);
  if (!next) {
    remove_node(link);
    return;
  }
  take_place(link, next);
  next->prev = waiter->prev;
}

struct thrumi_waiter *thrumi_bucket_first(struct thrumi_bucket *bucket, const void *address) {
  return *find(bucket, key_of(address));
}

/* ---- Sweeping ------------------------------------------------------------------------------------------------------- */

enum { MARKS = 64 }; /* in a word */

static _Atomic uint64_t marked[BUCKETS / MARKS];

void thrumi_parking_mark(const void *address) {
  uint64_t i = key_of(address) >> (64 - BUCKET_BITS);
  thrumi_or(&marked[i / MARKS], UINT64_C(1) << i % MARKS);
}

bool thrumi_parking_is_marked(void) {
  uint64_t any = 0;
  for (int i = 0; i < BUCKETS / MARKS; i++) any |= thrumi_load(&marked[i]);
  return any;
}

/* Children first: what takes the place of a node that is taken out comes from below it, and has been settled. 56 levels at
 * most. True: there are more. */
static bool settle_tree(struct thrumi_bucket *bucket, const struct thrumi_waiter *first) {
  if (!first) return false;
  bool more = settle_tree(bucket, first->child[0]);
  more |= settle_tree(bucket, first->child[1]);
  return (first->settle && first->settle(bucket, thrumi_load_relaxed(&first->address))) || more;
}

static void sweep_bucket(struct thrumi_bucket *bucket) {
  bool more;
  do {
    thrumi_spin_lock(&bucket->lock);
    more = settle_tree(bucket, bucket->root);
    thrumi_spin_unlock(&bucket->lock);
  } while (more);
}

void thrumi_parking_sweep(void) {
  atomic_thread_fence(memory_order_seq_cst);
  for (int i = 0; i < BUCKETS / MARKS; i++) {
    if (!thrumi_load_relaxed(&marked[i])) continue;
    for (uint64_t left = thrumi_swap(&marked[i], 0); left; left &= left - 1)
      sweep_bucket(&table[i * MARKS + __builtin_ctzll(left)].bucket);
  }
}

uint32_t thrumi_forks;

void thrumi_parking_fork(void) {
  memset(table, 0, sizeof table);
  memset(marked, 0, sizeof marked);
  thrumi_forks++;
}
