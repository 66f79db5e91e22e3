/* A heap of nodes that lie in what is queued: a leftist tree (Crane, 1972).
 *
 * `rank` is the number of nodes on the way along second children, and no second child has a greater rank than its sister. So that
 * way is at most log2(n + 1) long, and merging two heaps along it, which is all that adding and removing do, is O(log n) in the
 * worst case: a lock may be held meanwhile. (A pairing heap is simpler, and once in a while takes n steps. An array wants
 * memory.) */
#ifndef THRUMI_HEAP_H
#define THRUMI_HEAP_H

#include <stdbool.h>
#include <stdint.h>

struct thrumi_heap_node {
  struct thrumi_heap_node *child[2], *parent;
  uintptr_t
      rank; /* 1 and more. As wide as a pointer: no padding, in which who begins with a node might keep something */
};

/* Whether a comes out before b; a strict total order. */
typedef bool thrumi_heap_before(const struct thrumi_heap_node *a, const struct thrumi_heap_node *b);

struct thrumi_heap {
  struct thrumi_heap_node *first; /* NULL: empty */
};

void thrumi_heap_add(struct thrumi_heap *heap, struct thrumi_heap_node *node, thrumi_heap_before *before);
void thrumi_heap_remove(struct thrumi_heap *heap, struct thrumi_heap_node *node, thrumi_heap_before *before);

/* All nodes, in no order: NULL begins, and ends. */
struct thrumi_heap_node *thrumi_heap_walk(const struct thrumi_heap *heap,
                                          const struct thrumi_heap_node *last);

#endif
