/* The items of a PRIORITY channel: a binary heap, whose user holds the gate.
 *
 * A comparator is the user's code: it may be preempted, may wait, and may last. So it runs outside of the runtime, and what
 * excludes others meanwhile is a lock that they wait for as they wait for any (thrum_lock), not the channel's small one.
 * The count of the channel changes under the small lock, before a push and before the pop; so whoever has the gate finds
 * heap.count to be the channel's count, or one of them ahead by what it is itself about to do.
 *
 * A pop fills the hole at the top with the last node, which most likely goes near the bottom again. So the hole first moves down all
 * the way, towards the child that goes first, with one comparison a level; from there the node climbs.
 *
 * A comparator that is no order makes some heap: every node stays in it once, whatever the comparator says, and there are
 * at most as many comparisons as the heap is deep, twice that for a pop. */
#include <core/fatal.h>
#include <queue/channel.h>
#include <sched/object.h>

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
    thrumi_fatal("thread %s uses queue %s in the comparator of that queue", thrum_current_name(),
                 THRUMI_NAME_OF(c));
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

/* Usually a node is its number and one word, and a call of memcpy would cost more than the copy. */
static inline void copy_node(const struct thrumi_channel *c, char *to, const char *from) {
  size_t size = node_size(c);
  if (thrumi_likely(size == 2 * sizeof(uint64_t)))
    __builtin_memcpy(to, from, 2 * sizeof(uint64_t));
  else
    memcpy(to, from, size);
}

struct held_node {
  _Alignas(uint64_t) char bytes[sizeof(uint64_t) + THRUMI_INLINE_MAX];
};

/* Puts the node where it belongs above the hole, which moves up. */
static void sift_up(struct thrumi_channel *c, size_t hole, const char *n) {
  while (hole > 0) {
    size_t parent = (hole - 1) / 2;
    if (!goes_before(c, n, node(c, parent))) break;
    copy_node(c, node(c, hole), node(c, parent));
    hole = parent;
  }
  copy_node(c, node(c, hole), n);
}

/* Moves the hole at the top to the bottom, and returns where it is then. The grandchildren are asked for ahead: in a large heap
 * each level is in memory that is far away. */
static size_t sink_hole(struct thrumi_channel *c) {
  size_t hole = 0;
  for (size_t child; (child = 2 * hole + 1) < c->heap.count; hole = child) {
    __builtin_prefetch(node(c, 2 * child + 1));
    if (child + 1 < c->heap.count && goes_before(c, node(c, child + 1), node(c, child))) child++;
    copy_node(c, node(c, hole), node(c, child));
  }
  return hole;
}

void thrumi_heap_push(struct thrumi_channel *c, const void *item) {
  struct held_node n;
  uint64_t number = c->heap.number++;
  memset(n.bytes + node_size(c) - sizeof number, 0,
         sizeof number); /* what the item does not fill of its last word */
  memcpy(n.bytes, &number, sizeof number);
  thrumi_copy_cell(n.bytes + sizeof number, item, thrumi_cell_size(c));
  sift_up(c, c->heap.count++, n.bytes);
}

void thrumi_heap_pop(struct thrumi_channel *c, void *item) {
  thrumi_copy_cell(item, node(c, 0) + sizeof(uint64_t), thrumi_cell_size(c));
  if (--c->heap.count == 0) return;
  struct held_node last;
  copy_node(c, last.bytes, node(c, c->heap.count));
  sift_up(c, sink_hole(c), last.bytes);
}
