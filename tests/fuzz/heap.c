/* The heap beside an array in which the least is searched for. */
#include "fuzz.h"

#include <core/heap.h>

enum { NODES = 40 };

static struct node {
  struct thrumi_heap_node heap;
  uint8_t key;
  bool in;
} all[NODES];

static bool before(const struct thrumi_heap_node *a, const struct thrumi_heap_node *b) {
  const struct node *one = (const struct node *)a, *other = (const struct node *)b;
  return one->key != other->key ? one->key < other->key : one < other;
}

static struct node *least(void) {
  struct node *best = NULL;
  for (int i = 0; i < NODES; i++)
    if (all[i].in && (!best || before(&all[i].heap, &best->heap))) best = &all[i];
  return best;
}

static int count_in(void) {
  int n = 0;
  for (int i = 0; i < NODES; i++) n += all[i].in;
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct decisions d = {data, data + size};
  struct thrumi_heap heap = {NULL};
  memset(all, 0, sizeof all);
  while (any_left(&d)) {
    struct node *n = &all[decide(&d) % NODES];
    if (n->in) {
      thrumi_heap_remove(&heap, &n->heap, before);
    } else {
      n->key = decide(&d);
      thrumi_heap_add(&heap, &n->heap, before);
    }
    n->in = !n->in;
    CHECK(heap.first == (struct thrumi_heap_node *)least());
    int walked = 0;
    for (struct thrumi_heap_node *at = NULL; (at = thrumi_heap_walk(&heap, at)); walked++)
      CHECK(((struct node *)at)->in);
    CHECK_EQ(walked, count_in());
  }
  return 0;
}
