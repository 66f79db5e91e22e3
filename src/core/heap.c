#include <core/heap.h>

#include <stddef.h>

static uintptr_t rank_of(const struct thrumi_heap_node *node) { return node ? node->rank : 0; }

/* Puts the children in order. False: the rank is what it was. */
static bool settle(struct thrumi_heap_node *node) {
  struct thrumi_heap_node *first = node->child[0], *second = node->child[1];
  if (rank_of(first) < rank_of(second)) {
    node->child[0] = second;
    node->child[1] = first;
  }
  uintptr_t rank = rank_of(node->child[1]) + 1;
  bool changed = rank != node->rank;
  node->rank = rank;
  return changed;
}

/* As deep as the two ways along second children are long, together. */
static struct thrumi_heap_node *merge(struct thrumi_heap_node *a, struct thrumi_heap_node *b,
                                      thrumi_heap_before *before) {
  if (!a) return b;
  if (!b) return a;
  if (before(b, a)) {
    struct thrumi_heap_node *other = a;
    a = b;
    b = other;
  }
  a->child[1] = merge(a->child[1], b, before);
  a->child[1]->parent = a;
  settle(a);
  return a;
}

void thrumi_heap_add(struct thrumi_heap *heap, struct thrumi_heap_node *node, thrumi_heap_before *before) {
  *node = (struct thrumi_heap_node){.rank = 1};
  heap->first = merge(heap->first, node, before);
  heap->first->parent = NULL;
}

void thrumi_heap_remove(struct thrumi_heap *heap, struct thrumi_heap_node *node, thrumi_heap_before *before) {
  struct thrumi_heap_node *parent = node->parent, *rest = merge(node->child[0], node->child[1], before);
  if (rest) rest->parent = parent;
  if (parent)
    parent->child[parent->child[1] == node] = rest;
  else
    heap->first = rest;
  while (parent && settle(parent)) parent = parent->parent;
}

struct thrumi_heap_node *thrumi_heap_walk(const struct thrumi_heap *heap,
                                          const struct thrumi_heap_node *last) {
  if (!last) return heap->first;
  if (last->child[0]) return last->child[0];
  if (last->child[1]) return last->child[1];
  for (; last->parent; last = last->parent) {
    struct thrumi_heap_node *sister = last->parent->child[1];
    if (sister && sister != last) return sister;
  }
  return NULL;
}
