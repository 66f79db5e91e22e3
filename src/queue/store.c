/* Where the items of a FIFO or LIFO lie: chunks of about a page, linked from the oldest to the newest.
 *
 * The newest chunk is filled at put_at. A FIFO takes from the oldest one at get_at, a LIFO from the newest one at put_at. A
 * chunk that runs empty becomes a spare, and the next one wanted is a spare if there is one; so a bounded queue asks for no
 * memory in the long run (items of a full one may begin in the midst of a chunk: one more). Chunks are
 * made outside, with no lock held; a spare is what is handed in.
 *
 * How many spares stay. Of a bounded queue all: its chunks are the ring that others would have. Of an unbounded one a
 * few; the rest goes back at once.
 *
 * One spare, if the newest chunk is full, is enough for as long as a get lets the first waiting putter in for each item that it
 * takes: until the spare is full the oldest chunk has run empty. So a putter provides one before it waits.
 *
 * Rejected: one ring that doubles. Its copying would be under the lock, a million items at once; and a bounded one would have
 * to be of full size from the start, also for the many queues that are never full. */
#include <queue/channel.h>

enum { CHUNK_BYTES = 4000, SPARES_UNBOUNDED = 2 };

static size_t cells_per_chunk(const struct thrumi_channel *c) {
  size_t most = (CHUNK_BYTES - sizeof(struct thrumi_chunk)) / thrumi_cell_size(c);
  size_t limit = __atomic_load_n(&c->limit, __ATOMIC_RELAXED); /* once: it may be changed meanwhile */
  return limit < most ? (limit ? limit : 1) : most;
}

bool thrumi_store_has_room(const struct thrumi_channel *c) { return c->put_at != c->put_end || c->spares; }

int thrumi_store_grow(struct thrumi_channel *c) {
  size_t bytes = cells_per_chunk(c) * thrumi_cell_size(c);
  struct thrumi_chunk *chunk = thrumi_os.allocate(sizeof *chunk + bytes);
  if (!chunk) return -ENOMEM;
  chunk->end = chunk->cells + bytes;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_channel_lock(c);
  chunk->next = c->spares;
  c->spares = chunk;
  c->spare_count++;
  thrumi_channel_unlock(c);
  thrumi_leave(k);
  return 0;
}

void thrumi_chunks_free(struct thrumi_chunk *list) {
  for (struct thrumi_chunk *next; list; list = next) {
    next = list->next;
    thrumi_os.free(list);
  }
}

/* The newest chunk is full, or there is none: a spare becomes the newest. */
static void next_chunk(struct thrumi_channel *c) {
  struct thrumi_chunk *chunk = c->spares;
  c->spares = chunk->next;
  c->spare_count--;
  chunk->next = NULL;
  chunk->prev = c->newest;
  if (c->newest) {
    c->newest->next = chunk;
  } else {
    c->oldest = chunk;
    c->get_at = chunk->cells;
    c->get_end = chunk->end;
  }
  c->newest = chunk;
  c->put_at = chunk->cells;
  c->put_end = chunk->end;
}

/* A chunk out of the list has run empty. */
static void retire(struct thrumi_channel *c, struct thrumi_chunk *chunk, struct thrumi_chunk **idle) {
  if (c->limit == SIZE_MAX && c->spare_count >= SPARES_UNBOUNDED) {
    chunk->next = *idle;
    *idle = chunk;
    return;
  }
  chunk->next = c->spares;
  c->spares = chunk;
  c->spare_count++;
}

void thrumi_store_push(struct thrumi_channel *c, const void *item) {
  uint32_t size = thrumi_cell_size(c);
  if (thrumi_unlikely(c->put_at == c->put_end)) next_chunk(c);
  thrumi_copy_cell(c->put_at, item, size);
  thrumi_announce(c->put_at);
  c->put_at += size;
}

static void pop_newest(struct thrumi_channel *c, void *item, struct thrumi_chunk **idle) {
  uint32_t size = thrumi_cell_size(c);
  if (c->put_at == c->newest->cells) { /* a newer chunk that was emptied before */
    struct thrumi_chunk *empty = c->newest;
    c->newest = empty->prev;
    c->newest->next = NULL;
    c->put_at = c->put_end = c->newest->end;
    retire(c, empty, idle);
  }
  c->put_at -= size;
  thrumi_copy_cell(item, c->put_at, size);
  thrumi_rely_on(c->put_at);
}

static void leave_oldest(struct thrumi_channel *c, struct thrumi_chunk **idle) {
  struct thrumi_chunk *empty = c->oldest;
  c->oldest = empty->next;
  c->oldest->prev = NULL;
  c->get_at = c->oldest->cells;
  c->get_end = c->oldest->end;
  retire(c, empty, idle);
}

static void pop_oldest(struct thrumi_channel *c, void *item, struct thrumi_chunk **idle) {
  uint32_t size = thrumi_cell_size(c);
  if (thrumi_unlikely(c->get_at == c->get_end)) leave_oldest(c, idle);
  thrumi_copy_cell(item, c->get_at, size);
  thrumi_rely_on(c->get_at);
  c->get_at += size;
  if (c->get_at == c->put_at)
    c->get_at = c->put_at = c->newest->cells; /* empty: the same cells again, still in the cache */
}

/* There is an item. Chunks that nobody needs are added to *idle; the caller frees them outside. */
void thrumi_store_pop(struct thrumi_channel *c, void *item, struct thrumi_chunk **idle) {
  if (thrumi_likely(c->order == THRUM_FIFO))
    pop_oldest(c, item, idle);
  else
    pop_newest(c, item, idle);
}
