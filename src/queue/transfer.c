/* Putting and getting: at once if that is possible, else by an offer that waits. See channel.h for the rules.
 *
 * A PRIORITY channel has its items in a heap that is used outside, under the gate (heap.c). There a put or get first does its
 * part of the bookkeeping under the small lock, as the others do (so offers, capacity and shutdown see the same counts),
 * and then moves the item.
 *
 * A thread that is handed an item is made ready at once, before others. One whose item was let into a queue that was full has
 * put it, nobody waits for it, and the queue has items for a while: it goes in line. Otherwise each get of a thread that
 * has used up its interval would be stopped for the putter that it let in, which would put one item and wait again: two
 * switches an item, for as long as the queue stays full. */
#include <queue/channel.h>
#include <sched/await.h>
#include <sched/step.h>
#include <thrum/time.h>

/* For what the usual put and get consist of: of each there is one copy, in which it is known which of the two it is. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* ---- Under the lock ------------------------------------------------------------------------------------------------- */

static size_t count_of(const struct thrumi_channel *c) {
  return atomic_load_explicit(&c->count, memory_order_relaxed);
}

static void set_count(struct thrumi_channel *c, size_t count) {
  atomic_store_explicit(&c->count, count, memory_order_relaxed);
}

static void add_unfinished(struct thrumi_channel *c) {
  atomic_store_explicit(&c->unfinished, atomic_load_explicit(&c->unfinished, memory_order_relaxed) + 1,
                        memory_order_relaxed);
}

static bool is_shut(const struct thrumi_channel *c) {
  return atomic_load_explicit(&c->shut, memory_order_relaxed);
}

/* The caller has put or got an item. Told under the lock: as soon as it is let go of, the queue may be gone. */
static inline void tell(const struct thrumi_channel *c, enum thrumi_way way) {
  if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_TRACE_QUEUES)))
    thrumi_channel_trace(c, way, (uint32_t)count_of(c));
}

/* Who waited tells it when it goes on. */
static inline void note_length(const struct thrumi_channel *c, struct thrumi_offer *o) {
  if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_TRACE_QUEUES)))
    o->selection->length = (uint32_t)count_of(c);
}

void thrumi_channel_trace(const struct thrumi_channel *c, enum thrumi_way way, uint32_t length) {
  thrumi_trace(way == THRUMI_PUT ? THRUMI_EVENT_QUEUE_PUT : THRUMI_EVENT_QUEUE_GET,
               thrumi_id_of(thrumi_self()->current), (uintptr_t)c, length);
}

static void store(struct thrumi_channel *c, const void *item) {
  thrumi_store_push(c, item);
  set_count(c, count_of(c) + 1);
  add_unfinished(c);
}

/* Hands the item to a getter that waits, straight into its frame. */
static bool hand_over(struct thrumi_channel *c, const void *item, struct thrumi_wakes *wakes) {
  struct thrumi_offer *getter = thrumi_offer_claim(&c->getters, wakes);
  if (!getter) return false;
  thrumi_copy_cell(getter->item, item, thrumi_cell_size(c));
  add_unfinished(c);
  note_length(c, getter);
  thrumi_offer_settle(getter, 0);
  return true;
}

/* The same the other way: takes the item of a putter that waits, straight out of its frame. */
static bool take_over(struct thrumi_channel *c, void *item, struct thrumi_wakes *wakes) {
  struct thrumi_offer *putter = thrumi_offer_claim(&c->putters, wakes);
  if (!putter) return false;
  thrumi_copy_cell(item, putter->item, thrumi_cell_size(c));
  thrumi_rely_on(putter->item);
  add_unfinished(c);
  note_length(c, putter);
  thrumi_offer_settle(putter, 0);
  return true;
}

void thrumi_channel_let_in(struct thrumi_channel *c, struct thrumi_wakes *wakes) {
  while (count_of(c) < c->limit && thrumi_store_has_room(c)) {
    struct thrumi_offer *putter = thrumi_offer_claim(&c->putters, wakes);
    if (!putter) return;
    thrumi_rely_on(putter->item);
    store(c, putter->item);
    note_length(c, putter);
    thrumi_offer_settle(putter, 0);
    wakes->in_line = true;
  }
}

/* Behind a get. Where there is room and no memory, which happens only behind a select or after the capacity was
 * raised, all who wait are told to see to it themselves: the first alone may take another case of its select, or find no
 * memory, and nobody would hear of the place. */
static void let_next_in(struct thrumi_channel *c, struct thrumi_wakes *wakes) {
  thrumi_channel_let_in(c, wakes);
  if (count_of(c) >= c->limit || thrumi_store_has_room(c)) return;
  thrumi_offers_settle_all(&c->putters, THRUMI_AGAIN, wakes);
}

/* What is missing for a try to go on: beside 0, -EPIPE and -EAGAIN. */
enum { WANTS_MEMORY = 2, WANTS_GATE = 3 };

static ALWAYS_INLINE int put_locked(struct thrumi_channel *c, const void *item, struct thrumi_wakes *wakes) {
  if (thrumi_unlikely(is_shut(c))) return -EPIPE;
  if (c->getters.first && hand_over(c, item, wakes)) return 0;
  if (count_of(c) >= c->limit) return -EAGAIN;
  if (thrumi_unlikely(c->order == THRUM_PRIORITY)) return WANTS_GATE;
  if (thrumi_unlikely(!thrumi_store_has_room(c))) return WANTS_MEMORY;
  store(c, item);
  return 0;
}

static ALWAYS_INLINE int get_locked(struct thrumi_channel *c, void *item, struct thrumi_wakes *wakes,
                                    struct thrumi_chunk **idle) {
  size_t count = count_of(c);
  if (thrumi_likely(count)) {
    if (thrumi_unlikely(c->order == THRUM_PRIORITY)) return WANTS_GATE;
    set_count(c, count - 1);
    thrumi_store_pop(c, item, idle);
    if (c->putters.first) let_next_in(c, wakes);
    return 0;
  }
  if (c->putters.first && take_over(c, item, wakes)) return 0;
  return is_shut(c) ? -EPIPE : -EAGAIN;
}

static bool has_other(const struct thrumi_offers *list, const struct thrumi_selection *s) {
  const struct thrumi_offer *o = list->first;
  while (o && o->selection == s) o = o->next;
  return o;
}

bool thrumi_channel_is_ready(struct thrumi_channel *c, enum thrumi_way way,
                             const struct thrumi_selection *s) {
  if (is_shut(c)) return true;
  if (way == THRUMI_PUT) return count_of(c) < c->limit || has_other(&c->getters, s);
  return count_of(c) > 0 || has_other(&c->putters, s);
}

/* ---- With the gate -------------------------------------------------------------------------------------------------- */

/* Inside again, and locked. */
static void lock_again(struct thrumi_channel *c) {
  thrumi_enter();
  thrumi_channel_lock(c);
}

static void unlock_and_leave(struct thrumi_channel *c, struct thrumi_wakes *wakes) {
  thrumi_channel_unlock(c);
  thrumi_wakes_run(wakes);
  thrumi_leave(thrumi_self());
}

/* Outside, the gate held, room in the heap. What put_locked says by now; 0: the item is in. */
static int put_with_gate(struct thrumi_channel *c, const void *item) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  lock_again(c);
  int error = put_locked(c, item, &wakes);
  bool push = error == WANTS_GATE;
  if (push) {
    set_count(c, count_of(c) + 1);
    add_unfinished(c);
    thrumi_announce(c);
    tell(c, THRUMI_PUT);
  }
  unlock_and_leave(c, &wakes);
  if (push) thrumi_heap_push(c, item);
  return push ? 0 : error;
}

/* The same for a get. A putter that waits is let in for the item that goes; its own is not considered yet. */
static int get_with_gate(struct thrumi_channel *c, void *item) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  char let_in_item[THRUMI_INLINE_MAX];
  struct thrumi_offer *putter = NULL;
  lock_again(c);
  int error = get_locked(c, item, &wakes, NULL);
  bool pop = error == WANTS_GATE;
  if (pop) {
    size_t left = count_of(c) - 1;
    if (left < c->limit) putter = thrumi_offer_claim(&c->putters, &wakes);
    if (putter) {
      memcpy(let_in_item, putter->item, thrumi_cell_size(c));
      thrumi_rely_on(putter->item);
      add_unfinished(c);
      note_length(c, putter);
      thrumi_offer_settle(putter, 0);
    }
    set_count(c, putter ? left + 1 : left);
    tell(c, THRUMI_GET);
    thrumi_rely_on(c);
    thrumi_announce(c);
  }
  wakes.in_line = putter != NULL;
  unlock_and_leave(c, &wakes);
  if (pop) thrumi_heap_pop(c, item);
  if (putter) thrumi_heap_push(c, let_in_item);
  return pop ? 0 : error;
}

/* Outside, the gate held, room in the heap: lets the first putter in that waits, if there is room. */
static bool let_one_in(struct thrumi_channel *c) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  char item[THRUMI_INLINE_MAX];
  lock_again(c);
  struct thrumi_offer *putter = count_of(c) < c->limit ? thrumi_offer_claim(&c->putters, &wakes) : NULL;
  if (putter) {
    memcpy(item, putter->item, thrumi_cell_size(c));
    thrumi_rely_on(putter->item);
    thrumi_announce(c);
    set_count(c, count_of(c) + 1);
    add_unfinished(c);
    note_length(c, putter);
    thrumi_offer_settle(putter, 0);
  }
  unlock_and_leave(c, &wakes);
  if (putter) thrumi_heap_push(c, item);
  return putter;
}

int thrumi_channel_let_in_by_gate(struct thrumi_channel *c) {
  int error;
  thrumi_gate_acquire(c);
  do error = thrumi_heap_reserve(c);
  while (!error && let_one_in(c));
  thrumi_gate_release(c);
  return error;
}

/* Inside; leaves and comes back. */
static int try_with_gate(struct thrumi_channel *c, enum thrumi_way way, void *item) {
  thrumi_leave(thrumi_self());
  thrumi_gate_acquire(c);
  int error = way == THRUMI_PUT ? thrumi_heap_reserve(c) : 0;
  if (!error) error = way == THRUMI_PUT ? put_with_gate(c, item) : get_with_gate(c, item);
  thrumi_gate_release(c);
  thrumi_enter();
  return error;
}

static int grow(struct thrumi_channel *c) {
  thrumi_leave(thrumi_self());
  int error = thrumi_store_grow(c);
  thrumi_enter();
  return error;
}

/* ---- Trying --------------------------------------------------------------------------------------------------------- */

static void free_outside(struct thrumi_chunk *idle) {
  thrumi_leave(thrumi_self());
  thrumi_chunks_free(idle);
  thrumi_enter();
}

static ALWAYS_INLINE int do_locked(struct thrumi_channel *c, enum thrumi_way way, void *item,
                                   struct thrumi_wakes *wakes, struct thrumi_chunk **idle) {
  int error = way == THRUMI_PUT ? put_locked(c, item, wakes) : get_locked(c, item, wakes, idle);
  if (thrumi_likely(!error)) tell(c, way);
  return error;
}

/* Behind do_locked: lets go of the lock, and sees to what it left. */
static ALWAYS_INLINE void finish(struct thrumi_channel *c, struct thrumi_wakes *wakes,
                                 struct thrumi_chunk *idle) {
  thrumi_channel_unlock(c);
  if (wakes->first) thrumi_wakes_run(wakes);
  if (thrumi_unlikely(idle != NULL)) free_outside(idle);
}

/* Provides what do_locked wants. THRUMI_AGAIN: try again; else it is done, with this result. */
static int provide(struct thrumi_channel *c, enum thrumi_way way, void *item, int wants) {
  if (wants == WANTS_GATE) return try_with_gate(c, way, item);
  int error = grow(c);
  return error ? error : THRUMI_AGAIN;
}

int thrumi_channel_try(struct thrumi_channel *c, enum thrumi_way way, void *item) {
  int error;
  do {
    struct thrumi_wakes wakes = thrumi_wakes_none();
    struct thrumi_chunk *idle = NULL;
    thrumi_channel_lock(c);
    error = do_locked(c, way, item, &wakes, &idle);
    finish(c, &wakes, idle);
    if (error > 0) error = provide(c, way, item, error);
  } while (error == THRUMI_AGAIN);
  return error;
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

/* Under the lock, which it lets go. Waits with one offer for what cannot be done at once: 0, -EPIPE, -ETIMEDOUT, -ECANCELED,
 * or THRUMI_AGAIN. */
int thrumi_channel_wait(struct thrumi_channel *c, struct thrumi_offers *list, void *item, const char *what,
                        int64_t deadline) {
  struct thrumi_selection s = {.thread = thrumi_self()->current};
  struct thrumi_offer o = {.selection = &s, .item = item};
  if (item) thrumi_announce(item);
  s.ticket = thrumi_arm(s.thread, what, c, THRUMI_CANCELLABLE);
  thrumi_offer_append(list, &o);
  thrumi_channel_unlock(c);
  enum thrumi_wait_state outcome = thrumi_park(s.thread, s.ticket, deadline);
  if (outcome != THRUMI_WOKEN || thrumi_unlikely(!thrumi_load(&s.settled))) {
    thrumi_channel_lock(c);
    thrumi_offer_remove(list, &o);
    thrumi_channel_unlock(c);
  }
  if (outcome != THRUMI_WOKEN) return thrumi_wait_error(outcome);
  if (!s.status && item) thrumi_channel_served(c, list == &c->getters ? THRUMI_GET : THRUMI_PUT, &s);
  return s.status;
}

/* A putter that waits provides the memory that its item will need first. */
static bool lacks_reserve(const struct thrumi_channel *c, enum thrumi_way way) {
  return way == THRUMI_PUT && c->order != THRUM_PRIORITY && c->limit && !thrumi_store_has_room(c);
}

/* Once: tries, and waits if that is what is left to do. */
static ALWAYS_INLINE int try_and_wait(struct thrumi_channel *c, enum thrumi_way way, void *item,
                                      int64_t deadline) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  struct thrumi_chunk *idle = NULL;
  thrumi_channel_lock(c);
  int error = do_locked(c, way, item, &wakes, &idle);
  if (thrumi_unlikely(error == -EAGAIN)) {
    if (!lacks_reserve(c, way))
      return way == THRUMI_PUT ? thrumi_channel_wait(c, &c->putters, item, "room in queue", deadline)
                               : thrumi_channel_wait(c, &c->getters, item, "an item of queue", deadline);
    error = WANTS_MEMORY;
  }
  finish(c, &wakes, idle);
  if (thrumi_likely(error <= 0)) return error;
  error = provide(c, way, item, error);
  return error == -EAGAIN ? THRUMI_AGAIN : error; /* others had the gate before */
}

/* Inside. Puts or gets, waiting if need be. A timeout, no deadline. */
static ALWAYS_INLINE int transfer(struct thrumi_channel *c, enum thrumi_way way, void *item,
                                  int64_t timeout) {
  if (thrumi_is_cancelled(thrumi_self()->current)) return -ECANCELED;
  if (timeout != THRUM_FOREVER) { /* the clock is read only if it must wait */
    int error = thrumi_channel_try(c, way, item);
    if (error != -EAGAIN) return error;
    if (timeout <= 0) return -ETIMEDOUT;
  }
  int64_t deadline = timeout == THRUM_FOREVER ? INT64_MAX : thrum_after(timeout);
  int error;
  do error = try_and_wait(c, way, item, deadline);
  while (error == THRUMI_AGAIN);
  return error;
}

/* ---- The calls ------------------------------------------------------------------------------------------------------ */

static ALWAYS_INLINE int transfer_or_try(struct thrumi_channel *c, enum thrumi_way way, void *item,
                                         int64_t timeout, bool try) {
  thrumi_enter();
  int error = try ? thrumi_channel_try(c, way, item) : transfer(c, way, item, timeout);
  thrumi_leave(thrumi_self());
  return error;
}

static int put_boxed(struct thrumi_channel *c, const void *item, int64_t timeout, bool try) {
  void *box = thrumi_box_make(c, item);
  if (!box) return -ENOMEM;
  int error = transfer_or_try(c, THRUMI_PUT, &box, timeout, try);
  if (error) thrumi_box_give(c, box);
  return error;
}

static int get_boxed(struct thrumi_channel *c, void *item, int64_t timeout, bool try) {
  void *box = NULL;
  int error = transfer_or_try(c, THRUMI_GET, &box, timeout, try);
  if (error) return error;
  memcpy(item, (char *)box + sizeof(void *), c->item_size);
  thrumi_box_give(c, box);
  return 0;
}

static int put(thrum_queue *q, const void *item, size_t size, int64_t timeout, bool try) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (thrumi_unlikely(c->item_size != size || size == 0)) return -EINVAL;
  if (thrumi_unlikely(thrumi_is_boxed(c))) return put_boxed(c, item, timeout, try);
  return transfer_or_try(c, THRUMI_PUT, (void *)(uintptr_t)item, timeout, try);
}

static int get(thrum_queue *q, void *item, size_t size, int64_t timeout, bool try) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (thrumi_unlikely(c->item_size != size || size == 0)) return -EINVAL;
  if (thrumi_unlikely(thrumi_is_boxed(c))) return get_boxed(c, item, timeout, try);
  return transfer_or_try(c, THRUMI_GET, item, timeout, try);
}

int thrum_queue_put_sized(thrum_queue *q, const void *item, size_t size) {
  return put(q, item, size, THRUM_FOREVER, false);
}

int thrum_queue_put_sized_for(thrum_queue *q, const void *item, size_t size, thrum_duration timeout) {
  return put(q, item, size, timeout, false);
}

int thrum_queue_try_put_sized(thrum_queue *q, const void *item, size_t size) {
  return put(q, item, size, 0, true);
}

int thrum_queue_get_sized(thrum_queue *q, void *item, size_t size) {
  return get(q, item, size, THRUM_FOREVER, false);
}

int thrum_queue_get_sized_for(thrum_queue *q, void *item, size_t size, thrum_duration timeout) {
  return get(q, item, size, timeout, false);
}

int thrum_queue_try_get_sized(thrum_queue *q, void *item, size_t size) { return get(q, item, size, 0, true); }

/* ---- Many at once --------------------------------------------------------------------------------------------------- */

enum { BATCH = 64 }; /* under one lock */

/* As many of n as can be done at once, and without the gate. Returns how many. */
static size_t do_some(struct thrumi_channel *c, enum thrumi_way way, char *items, size_t n) {
  struct thrumi_wakes wakes = thrumi_wakes_none();
  struct thrumi_chunk *idle = NULL;
  size_t done = 0;
  if (thrumi_is_boxed(c) || n == 0) return 0;
  thrumi_enter();
  thrumi_channel_lock(c);
  while (done < n && done < BATCH && do_locked(c, way, items + done * c->item_size, &wakes, &idle) == 0)
    done++;
  finish(c, &wakes, idle);
  thrumi_leave(thrumi_self());
  return done;
}

/* A batch, and where that stops one item by a plain call, which waits if it may. Gets do not wait once they have one. */
static ssize_t transfer_many(thrum_queue *q, enum thrumi_way way, char *items, size_t size, size_t n,
                             int64_t timeout) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  if (c->item_size != size || size == 0 || n > PTRDIFF_MAX) return -EINVAL;
  int64_t deadline = thrum_after(timeout);
  size_t done = 0;
  int error = 0;
  while (done < n && !error) {
    char *next = items + done * size;
    int64_t left = done && way == THRUMI_GET ? 0 : thrum_left(deadline);
    error = way == THRUMI_PUT ? put(q, next, size, left, false) : get(q, next, size, left, false);
    if (error) break;
    done++;
    done += do_some(c, way, next + size, n - done);
  }
  return done ? (ssize_t)done : error;
}

ssize_t thrum_queue_put_many_sized(thrum_queue *q, const void *items, size_t size, size_t n,
                                   thrum_duration timeout) {
  return transfer_many(q, THRUMI_PUT, (char *)(uintptr_t)items, size, n, timeout);
}

ssize_t thrum_queue_get_many_sized(thrum_queue *q, void *items, size_t size, size_t n,
                                   thrum_duration timeout) {
  return transfer_many(q, THRUMI_GET, items, size, n, timeout);
}
