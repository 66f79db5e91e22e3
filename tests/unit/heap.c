/* The heap against a model: the least of an array; and its shape after each step. */
#include "../check.h"

#include <core/heap.h>

enum { NODES = 500 };

static struct item {
  struct thrumi_heap_node node;
  uint64_t key;
  bool in;
} items[NODES];
static struct thrumi_heap heap;
static uint64_t seed = 1;

static uint64_t draw(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed * UINT64_C(0x2545F4914F6CDD1D) >> 20;
}

static bool before(const struct thrumi_heap_node *a, const struct thrumi_heap_node *b) {
  const struct item *x = (const struct item *)a, *y = (const struct item *)b;
  return x->key != y->key ? x->key < y->key : x < y;
}

static uintptr_t rank(const struct thrumi_heap_node *n) { return n ? n->rank : 0; }

static size_t check_shape(const struct thrumi_heap_node *n, const struct thrumi_heap_node *parent) {
  if (!n) return 0;
  CHECK(n->parent == parent);
  CHECK(!parent || before(parent, n));
  CHECK(rank(n->child[0]) >= rank(n->child[1]));
  CHECK_EQ(n->rank, rank(n->child[1]) + 1);
  return 1 + check_shape(n->child[0], n) + check_shape(n->child[1], n);
}

static size_t check_all(void) {
  const struct item *least = NULL;
  size_t count = 0, walked = 0;
  for (struct item *i = items; i < items + NODES; i++) {
    if (!i->in) continue;
    count++;
    if (!least || before(&i->node, &least->node)) least = i;
  }
  CHECK((const struct item *)heap.first == least);
  CHECK_EQ(check_shape(heap.first, NULL), count);
  for (struct thrumi_heap_node *n = NULL; (n = thrumi_heap_walk(&heap, n)); walked++)
    CHECK(((struct item *)n)->in);
  CHECK_EQ(walked, count);
  return count;
}

static void add(struct item *item, uint64_t key) {
  item->key = key;
  item->in = true;
  thrumi_heap_add(&heap, &item->node, before);
}

static void drop(struct item *item) {
  item->in = false;
  thrumi_heap_remove(&heap, &item->node, before);
}

int main(void) {
  CHECK_EQ(check_all(), 0);
  for (int round = 0; round < 40; round++) {
    size_t nodes = round % 2 ? NODES : 12;
    for (int i = 0; i < 3000; i++) {
      struct item *item = &items[draw() % nodes];
      if (!item->in)
        add(item, draw() % 64);
      else
        drop(draw() % 3 ? item : (struct item *)heap.first);
      if (nodes < NODES || i % 50 == 0) check_all();
    }
    while (heap.first) drop((struct item *)heap.first);
    CHECK_EQ(check_all(), 0);
  }
  for (int i = 0; i < NODES; i++) add(&items[i], (uint64_t)i); /* in order, and against it: no way is long */
  CHECK_EQ(check_all(), NODES);
  for (int i = NODES; i--;) drop(&items[i]);
  for (int i = NODES; i--;) add(&items[i], (uint64_t)i);
  CHECK_EQ(check_all(), NODES);
  CHECK(heap.first->rank <= 9);
  return 0;
}
