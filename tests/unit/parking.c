/* The parking table against a model: for each address a list in the order in which its waiters must come out. And the
 * shape of its trees with many addresses. */
#include "../check.h"

#include <core/parking.h>

enum { ADDRESSES = 40, WAITERS = 300, ROUNDS = 200000, MANY = 200000 };

static uint64_t seed = 1;

static uint64_t draw(uint64_t below) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (seed * UINT64_C(0x2545F4914F6CDD1D) >> 11) % below;
}

/* ---- Against the model ------------------------------------------------------------------------------------------------ */

static struct item {
  struct thrumi_waiter waiter;
  int place; /* on which address it waits, -1: none */
  int64_t rank;
} items[WAITERS];
static int64_t lowest, highest;
static const void *places[ADDRESSES];

static struct item *first_in_model(int place) {
  struct item *best = NULL;
  for (struct item *i = items; i < items + WAITERS; i++)
    if (i->place == place && (!best || i->rank < best->rank)) best = i;
  return best;
}

static void put(struct item *item, int place, bool front) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(places[place]);
  item->place = place;
  item->rank = front ? --lowest : ++highest;
  (front ? thrumi_bucket_prepend : thrumi_bucket_append)(bucket, &item->waiter, places[place]);
  thrumi_bucket_unlock(bucket);
}

static void take(struct item *item) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(places[item->place]);
  thrumi_bucket_remove(bucket, &item->waiter);
  CHECK(!item->waiter.queued);
  thrumi_bucket_remove(bucket, &item->waiter); /* is not queued: nothing happens */
  thrumi_bucket_unlock(bucket);
  item->place = -1;
}

/* The whole queue of a place, in order. */
static void compare(int place) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(places[place]);
  struct thrumi_waiter *w = thrumi_bucket_first(bucket, places[place]);
  struct item *expected = first_in_model(place);
  CHECK(w == (expected ? &expected->waiter : NULL));
  for (int64_t rank = INT64_MIN; w; w = w->next) {
    struct item *item = (struct item *)w;
    CHECK(item->place == place && item->rank > rank && w->queued);
    rank = item->rank;
    expected = NULL;
  }
  thrumi_bucket_unlock(bucket);
}

static int count_in_table(int place) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(places[place]);
  int n = 0;
  for (struct thrumi_waiter *w = thrumi_bucket_first(bucket, places[place]); w; w = w->next) n++;
  thrumi_bucket_unlock(bucket);
  return n;
}

static int count_in_model(int place) {
  int n = 0;
  for (struct item *i = items; i < items + WAITERS; i++) n += i->place == place;
  return n;
}

/* All in one bucket if so wanted: its tree is deep then. */
static void choose_places(bool one_bucket) {
  static char ground[1 << 20];
  const struct thrumi_bucket *wanted = NULL;
  int n = 0;
  for (size_t at = 0; n < ADDRESSES; at += one_bucket ? 1 : 1 + draw(64)) {
    CHECK(at < sizeof ground);
    struct thrumi_bucket *bucket = thrumi_bucket_lock(ground + at);
    thrumi_bucket_unlock(bucket);
    if (!wanted) wanted = bucket;
    if (!one_bucket || bucket == wanted) places[n++] = ground + at;
  }
}

static void random_operations(bool one_bucket) {
  choose_places(one_bucket);
  for (struct item *i = items; i < items + WAITERS; i++) i->place = -1;
  for (int round = 0; round < ROUNDS; round++) {
    struct item *item = &items[draw(WAITERS)];
    int place = (int)draw(ADDRESSES);
    if (item->place >= 0)
      take(item);
    else
      put(item, place, draw(3) == 0);
    if (round % 16 == 0) compare(place);
  }
  for (int place = 0; place < ADDRESSES; place++) {
    compare(place);
    CHECK_EQ(count_in_table(place), count_in_model(place));
  }
  for (struct item *i = items; i < items + WAITERS; i++)
    if (i->place >= 0) take(i);
  for (int place = 0; place < ADDRESSES; place++) CHECK_EQ(count_in_table(place), 0);
}

/* Two buckets at once, in both orders, and one twice. */
static void two_buckets(void) {
  choose_places(false);
  for (int i = 1; i < ADDRESSES; i++) {
    struct thrumi_buckets there = thrumi_buckets_lock(places[0], places[i]);
    CHECK(!thrumi_spin_try_lock(&there.of[0]->lock) && !thrumi_spin_try_lock(&there.of[1]->lock));
    thrumi_buckets_unlock(there);
    struct thrumi_buckets back = thrumi_buckets_lock(places[i], places[0]);
    CHECK(there.of[0] == back.of[1] && there.of[1] == back.of[0]);
    thrumi_buckets_unlock(back);
  }
  struct thrumi_buckets same = thrumi_buckets_lock(places[0], places[0]);
  CHECK(same.of[0] == same.of[1]);
  thrumi_buckets_unlock(same);
  CHECK(thrumi_spin_try_lock(&same.of[0]->lock));
  thrumi_spin_unlock(&same.of[0]->lock);
}

/* ---- Its trees --------------------------------------------------------------------------------------------------------- */

static int depth(const struct thrumi_waiter *node) {
  if (!node) return 0;
  int left = depth(node->child[0]), right = depth(node->child[1]);
  return 1 + (left > right ? left : right);
}

static const void *nth(uintptr_t i, uintptr_t step) { return (const void *)(0x7f0000001000 + i * step); }

/* Addresses in steps of so much: no find takes many steps more than in the best tree. */
static void many_addresses(uintptr_t step) {
  struct thrumi_waiter *waiters = calloc(MANY, sizeof *waiters);
  CHECK(waiters);
  for (uintptr_t i = 0; i < MANY; i++) {
    struct thrumi_bucket *bucket = thrumi_bucket_lock(nth(i, step));
    thrumi_bucket_append(bucket, &waiters[i], nth(i, step));
    thrumi_bucket_unlock(bucket);
  }
  int deepest = 0;
  for (uintptr_t i = 0; i < 3000; i++) { /* meets nearly every bucket */
    struct thrumi_bucket *bucket = thrumi_bucket_lock(nth(i, step));
    thrumi_bucket_unlock(bucket);
    int deep = depth(bucket->root);
    if (deep > deepest) deepest = deep;
  }
  printf("step %lu: depth %d\n", (unsigned long)step, deepest);
  CHECK(deepest <= 30); /* MANY / 256 = 781 nodes: 10 would be perfect */
  thrumi_parking_fork();
  free(waiters);
}

int main(void) {
  random_operations(false);
  random_operations(true);
  two_buckets();
  const uintptr_t steps[] = {1, 4, 8, 16, 24, 40, 64, 4096, 65536, 262144, 262144 + 4096, 1 << 24};
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) many_addresses(steps[i]);
  return 0;
}
