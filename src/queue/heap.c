/* The items of a PRIORITY channel: a binary heap, whose user holds the gate.
 *
 * A comparator is the user's code: it may be preempted, may wait, and may last. So it runs outside of the runtime, and what
 * excludes others meanwhile is a lock that they wait for as they wait for any (thrum_lock), not the channel's small one.
 * The count of the channel changes under the small lock, before a push and before the pop; so whoever has the gate finds
 * heap.count to be the channel's count, or one of them ahead by what it is itself about to do.
 *
 * A comparator that is no order makes some heap: every node stays in it once, whatever the comparator says, and there are
 * at most as many comparisons as the heap is deep, twice that for a pop. */
#include <core/fatal.h>
#include <queue/channel.h>

enum { FIRST_ROOM = 16 };

static size_t node_size(const struct thrumi_channel *c) {
  return sizeof(uint64_t) + ((size_t)thrumi_cell_size(c) + 7) / 8 * 8;
}

static char *node(const struct thrumi_channel *c, size_t i) { return c->heap.nodes + i * node_size(c); }

static const void *item_in(const struct thrumi_channel *c, const char *n) {
  const void *item = n + sizeof(uint64_t);
  return thrumi_is_boxed(c) ? *(const char *const *)item + sizeof(void *) : item;
}

void thrumi_gate_acquire(struct thrumi_channel *c) {
  uint32_t mark = thrumi_mark();
  if (mark && (uint32_t)(__atomic_load_n(&c->gate.word, __ATOMIC_RELAXED) >> 32) == mark)
    thrumi_fatal("the comparator of the queue at %p uses that queue", (void *)c);
  thrum_lock_acquire(&c->gate);
  thrumi_rely_on(&c->gate);
}

void thrumi_gate_release(struct thrumi_channel *c) {
  thrumi_announce(&c->gate);
  thrum_lock_release(&c->gate);
}

int thrumi_heap_reserve(struct thrumi_channel *c) {
  struct thrumi_heap *h = &c->heap;
  if (h->count < h->room) return 0;
  size_t room = h->room ? 2 * h->room : FIRST_ROOM;
  char *nodes = thrumi_os.allocate(room * node_size(c));
  if (!nodes) return -ENOMEM;
  if (h->nodes) {
    memcpy(nodes, h->nodes, h->count * node_size(c));
    thrumi_os.free(h->nodes);
  }
  h->nodes = nodes;
  h->room = room;
  return 0;
}

static uint64_t number_of(const char *n) { return *(const uint64_t *)(const void *)n; }

static bool goes_before(const struct thrumi_channel *c, const char *a, const char *b) {
  int order = c->compare(item_in(c, a), item_in(c, b));
  return order < 0 || (order == 0 && number_of(a) < number_of(b));
}

struct held_node {
  _Alignas(uint64_t) char bytes[sizeof(uint64_t) + THRUMI_INLINE_MAX];
};

/* Puts the node where it belongs above the hole, which moves up. */
static void sift_up(struct thrumi_channel *c, size_t hole, const char *n) {
  while (hole > 0) {
    size_t parent = (hole - 1) / 2;
    if (!goes_before(c, n, node(c, parent))) break;
    memcpy(node(c, hole), node(c, parent), node_size(c));
    hole = parent;
  }
  memcpy(node(c, hole), n, node_size(c));
}

/* The same below the hole, which moves down. */
static void sift_down(struct thrumi_channel *c, size_t hole, const char *n) {
  for (size_t child; (child = 2 * hole + 1) < c->heap.count; hole = child) {
    if (child + 1 < c->heap.count && goes_before(c, node(c, child + 1), node(c, child))) child++;
    if (!goes_before(c, node(c, child), n)) break;
    memcpy(node(c, hole), node(c, child), node_size(c));
  }
  memcpy(node(c, hole), n, node_size(c));
}

void thrumi_heap_push(struct thrumi_channel *c, const void *item) {
  struct held_node n = {{0}};
  uint64_t number = c->heap.number++;
  memcpy(n.bytes, &number, sizeof number);
  memcpy(n.bytes + sizeof number, item, thrumi_cell_size(c));
  sift_up(c, c->heap.count++, n.bytes);
}

void thrumi_heap_pop(struct thrumi_channel *c, void *item) {
  memcpy(item, node(c, 0) + sizeof(uint64_t), thrumi_cell_size(c));
  if (--c->heap.count == 0) return;
  struct held_node last;
  memcpy(last.bytes, node(c, c->heap.count), node_size(c));
  sift_down(c, 0, last.bytes);
}
