/* The life of a queue: made, shut down, destroyed; what is unfinished; its capacity. Items: transfer.c. */
#include <queue/channel.h>
#include <sched/object.h>
#include <thrum/time.h>

/* ---- Making ---------------------------------------------------------------------------------------------------------- */

/* False: no capacity that can be. */
static bool limit_of(size_t capacity, size_t item_size, size_t *limit) {
  *limit = capacity == THRUM_RENDEZVOUS ? 0 : capacity;
  return capacity && (capacity >= THRUM_RENDEZVOUS || capacity <= PTRDIFF_MAX / item_size);
}

static bool good_options(const thrum_queue_options *o) {
  bool known = o->order == THRUM_FIFO || o->order == THRUM_LIFO || o->order == THRUM_PRIORITY;
  return o->size == sizeof *o && known && (o->compare != NULL) == (o->order == THRUM_PRIORITY);
}

int thrum_queue_init(thrum_queue *q, size_t item_size, size_t capacity, const thrum_queue_options *options) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  if (options) o = *options;
  size_t limit;
  if (item_size == 0 || item_size > UINT32_MAX || !good_options(&o) || !limit_of(capacity, item_size, &limit))
    return -EINVAL;
  *q = (thrum_queue){.item_size = (uint32_t)item_size,
                     .order = (uint32_t)o.order,
                     .capacity = limit,
                     .writers = o.writers,
                     .compare = o.compare,
                     .drop = o.drop,
                     .drop_arg = o.drop_arg};
  thrumi_store(&thrumi_channel_of(q)->forks, thrumi_forks);
  return 0;
}

/* ---- Discarding ------------------------------------------------------------------------------------------------------ */

/* What a channel has stored, taken out of it. */
struct stock {
  struct thrumi_chunk *oldest;
  char *get_at, *put_at; /* the first item of the oldest chunk, the end of those of the newest */
  struct thrumi_heap heap;
  size_t count;
};

/* Under the lock; the gate is the caller's if there is one. */
static struct stock take_all(struct thrumi_channel *c) {
  bool fifo = c->order == THRUM_FIFO;
  struct stock s = {.oldest = c->oldest,
                    .get_at = fifo || !c->oldest ? c->get_at : c->oldest->cells,
                    .put_at = c->put_at,
                    .heap = c->heap,
                    .count = thrumi_load_relaxed(&c->count)};
  c->oldest = c->newest = NULL;
  c->put_at = c->put_end = c->get_at = c->get_end = NULL;
  c->heap = (struct thrumi_heap){.number = s.heap.number};
  thrumi_store_relaxed(&c->count, 0);
  thrumi_rely_on(c);
  return s;
}

static void drop_one(struct thrumi_channel *c, void *cell) {
  void *box = thrumi_is_boxed(c) ? *(void **)cell : NULL;
  if (c->drop) c->drop(box ? (char *)box + sizeof(void *) : cell, c->drop_arg);
  if (box) thrumi_os.free(box);
}

static void drop_heap(struct thrumi_channel *c, struct thrumi_heap *h) {
  size_t node = sizeof(uint64_t) + ((size_t)thrumi_cell_size(c) + 7) / 8 * 8;
  for (size_t i = 0; i < h->count; i++) drop_one(c, h->nodes + i * node + sizeof(uint64_t));
  if (h->nodes) thrumi_os.free(h->nodes);
}

/* Outside, nothing held. */
static void drop_all(struct thrumi_channel *c, struct stock *s) {
  char *at = s->get_at;
  for (struct thrumi_chunk *chunk = s->oldest; chunk; chunk = chunk->next, at = chunk ? chunk->cells : NULL)
    for (char *end = chunk->next ? chunk->end : s->put_at; at != end; at += thrumi_cell_size(c)) {
      thrumi_rely_on(at);
      drop_one(c, at);
    }
  thrumi_chunks_free(s->oldest);
  drop_heap(c, &s->heap);
}

/* ---- Shutting down --------------------------------------------------------------------------------------------------- */

/* Counts n as done. Under the lock. */
static void finish_tasks(struct thrumi_channel *c, size_t n, struct thrumi_wakes *wakes) {
  size_t unfinished = thrumi_load_relaxed(&c->unfinished);
  unfinished -= n < unfinished ? n : unfinished; /* task_done may have been said for what nobody had got */
  thrumi_store_relaxed(&c->unfinished, unfinished);
  if (unfinished == 0 && c->joiners.first) thrumi_offers_settle_all(&c->joiners, 0, wakes);
}

static void shut(struct thrumi_channel *c, struct thrumi_wakes *wakes) {
  thrumi_store_relaxed(&c->shut, 1);
  thrumi_offers_settle_all(&c->putters, -EPIPE, wakes);
  if (thrumi_load_relaxed(&c->count) == 0) thrumi_offers_settle_all(&c->getters, -EPIPE, wakes);
}

static void unlock_and_wake(struct thrumi_channel *c, struct thrumi_wakes *wakes) {
  thrumi_channel_unlock(c);
  thrumi_wakes_run(wakes);
  thrumi_leave(thrumi_self());
}

static void shut_gracefully(struct thrumi_channel *c) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  thrumi_enter();
  thrumi_channel_lock(c);
  shut(c, &wakes);
  unlock_and_wake(c, &wakes);
}

static void shut_now(struct thrumi_channel *c) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  bool gate = c->order == THRUM_PRIORITY;
  if (gate) thrumi_gate_acquire(c);
  thrumi_enter();
  thrumi_channel_lock(c);
  struct stock stock = take_all(c);
  finish_tasks(c, stock.count, &wakes);
  shut(c, &wakes);
  unlock_and_wake(c, &wakes);
  if (gate) thrumi_gate_release(c);
  drop_all(c, &stock);
}

int thrum_queue_shutdown(thrum_queue *q, bool now) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (!c->item_size) return -EINVAL;
  if (now)
    shut_now(c);
  else
    shut_gracefully(c);
  return 0;
}

bool thrum_queue_is_shutdown(const thrum_queue *q) { return thrumi_load(&thrumi_channel_of(q)->shut); }

int thrum_queue_writers(thrum_queue *q, size_t n) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (!c->item_size) return -EINVAL;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_channel_lock(c);
  int error = c->shut ? -EPIPE : n > SIZE_MAX - c->writers ? -EINVAL : 0;
  if (!error) c->writers += n;
  thrumi_channel_unlock(c);
  thrumi_leave(k);
  return error;
}

int thrum_queue_writer_done(thrum_queue *q) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (!c->item_size) return -EINVAL;
  struct thrumi_wakes wakes = thrumi_wakes_none();
  thrumi_enter();
  thrumi_channel_lock(c);
  int error = c->writers == 0 ? -EOVERFLOW : 0;
  if (!error && --c->writers == 0) shut(c, &wakes);
  unlock_and_wake(c, &wakes);
  return error;
}

static int destroy(thrum_queue *q) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  thrumi_enter();
  thrumi_channel_lock(c);
  bool busy = c->putters.first || c->getters.first || c->joiners.first;
  struct stock stock = busy ? (struct stock){0} : take_all(c);
  struct thrumi_chunk *spares = busy ? NULL : c->spares;
  if (!busy) c->spares = NULL;
  thrumi_channel_unlock(c);
  thrumi_leave(thrumi_self());
  if (busy) return -EBUSY;
  drop_all(c, &stock);
  thrumi_chunks_free(spares);
  for (void *box; (box = c->boxes);) {
    c->boxes = *(void **)box;
    thrumi_os.free(box);
  }
  *q = (thrum_queue){0};
  return 0;
}

int thrum_queue_destroy(thrum_queue *q) {
  int error = thrumi_channel_of(q)->item_size ? destroy(q) : 0;
  if (!error) thrumi_object_forget(q);
  return error;
}

/* ---- Work that is done ----------------------------------------------------------------------------------------------- */

int thrum_queue_task_done(thrum_queue *q) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (!c->item_size) return -EINVAL;
  struct thrumi_wakes wakes = thrumi_wakes_none();
  thrumi_enter();
  thrumi_channel_lock(c);
  int error = thrumi_load_relaxed(&c->unfinished) ? 0 : -EOVERFLOW;
  thrumi_announce(&c->unfinished);
  if (!error) finish_tasks(c, 1, &wakes);
  unlock_and_wake(c, &wakes);
  return error;
}

static int join_until(struct thrumi_channel *c, int64_t deadline) {
  thrumi_channel_lock(c);
  if (thrumi_load_relaxed(&c->unfinished))
    return thrumi_channel_wait(c, &c->joiners, NULL, "the tasks of queue", deadline);
  thrumi_channel_unlock(c);
  return 0;
}

int thrum_queue_join_for(thrum_queue *q, thrum_duration timeout) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (!c->item_size) return -EINVAL;
  int64_t deadline = thrum_after(timeout);
  thrumi_enter();
  int error = thrumi_is_cancelled(thrumi_self()->current) ? -ECANCELED : 0;
  if (!error && timeout <= 0)
    error = thrumi_load(&c->unfinished) ? -ETIMEDOUT : 0;
  else if (!error)
    error = join_until(c, deadline);
  if (!error) thrumi_rely_on(&c->unfinished);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_queue_join(thrum_queue *q) { return thrum_queue_join_for(q, THRUM_FOREVER); }

size_t thrum_queue_unfinished(const thrum_queue *q) {
  return thrumi_load_relaxed(&thrumi_channel_of(q)->unfinished);
}

/* ---- Looking, capacity ----------------------------------------------------------------------------------------------- */

size_t thrum_queue_size(const thrum_queue *q) { return thrumi_load_relaxed(&thrumi_channel_of(q)->count); }

bool thrum_queue_is_empty(const thrum_queue *q) { return thrum_queue_size(q) == 0; }

static size_t limit_now(const thrum_queue *q) {
  return __atomic_load_n(&thrumi_channel_of(q)->limit, __ATOMIC_RELAXED);
}

bool thrum_queue_is_full(const thrum_queue *q) { return thrum_queue_size(q) >= limit_now(q); }

size_t thrum_queue_capacity(const thrum_queue *q) {
  size_t limit = limit_now(q);
  return thrumi_channel_of(q)->item_size && limit == 0 ? THRUM_RENDEZVOUS : limit;
}

/* Lets putters in that wait. True: some still wait although there is room, since memory is wanted. */
static bool let_some_in(struct thrumi_channel *c) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  thrumi_enter();
  thrumi_channel_lock(c);
  thrumi_channel_let_in(c, &wakes);
  bool more = c->putters.first && thrumi_load_relaxed(&c->count) < c->limit;
  unlock_and_wake(c, &wakes);
  return more;
}

static int let_all_in(struct thrumi_channel *c) {
  int error = 0;
  while (!error && let_some_in(c)) error = thrumi_store_grow(c);
  return error;
}

/* There was no memory for putters that wait, while there is room: they try themselves, and say so. */
static void send_back(struct thrumi_channel *c) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  thrumi_enter();
  thrumi_channel_lock(c);
  thrumi_offers_settle_all(&c->putters, THRUMI_AGAIN, &wakes);
  unlock_and_wake(c, &wakes);
}

int thrum_queue_set_capacity(thrum_queue *q, size_t capacity) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  size_t limit;
  if (!c->item_size || !limit_of(capacity, c->item_size, &limit)) return -EINVAL;
  thrumi_enter();
  thrumi_channel_lock(c);
  __atomic_store_n(&c->limit, limit, __ATOMIC_RELAXED);
  thrumi_channel_unlock(c);
  thrumi_leave(thrumi_self());
  int error = c->order == THRUM_PRIORITY ? thrumi_channel_let_in_by_gate(c) : let_all_in(c);
  if (error) send_back(c);
  return error;
}
