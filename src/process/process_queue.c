/* thrum_process_queue: a ring of bytes behind a robust lock, and its state twice.
 *
 * Robustness. Everything that a call changes, but for bytes of the ring that nobody reads, is in `states`: two copies, of which the
 * lowest bit of `version` says which one holds. A call writes the other copy and then adds 1 to the version: one store, before which nothing
 * has happened and after which all of it has. So whoever gets the lock after one that died in here (-EOWNERDEAD) finds either the state before or
 * the state behind, whole, and has nothing to repair: it counts the death and says recover.
 *
 *   word          meaning                                            written by
 *   `lock`        shared_lock.c                                      whoever enters
 *   `version`     how often the state has changed                    who holds the lock
 *   `states`      positions and counts                               who holds the lock: the copy that does not hold
 *   `ring`        frames from head to tail; else anything            who holds the lock: behind the tail
 *   `gate[i]`     who waits for what: below                          who holds the lock
 *   `deaths`      how often the lock was found dead                  who holds the lock
 *
 * A frame is 8 bytes that say how many bytes the message has, and these, from a multiple of 8 on. Positions only grow; the ring is their
 * remainder. A message may lie across the ring's end.
 *
 * Waiting. A gate is a futex that counts wakes (shared_wait.h), of those who wait for messages, for room, for the end of all work:
 *
 *   bits   name      meaning                               changed by (all under the lock)
 *   0      WAITERS   threads may wait                      who is going to wait; who has waited and got something; who wakes clears it
 *   1      FAIR      one that has waited for long waits    such a putter, when it waits again; cleared when one that has waited has put
 *                                                          or gives up
 *   2-31   wakes     how many were woken                   who wakes
 *
 * Who goes to wait says so under the lock, having found nothing under the same hold of it; who changes the state so that one could go on finds
 * WAITERS under the lock, clears it, counts, releases the lock and wakes. One that was woken and got something sets WAITERS again, since
 * others may wait still, and wakes the next one if there is something left for it: also if what it found was not for it (-EMSGSIZE).
 * So no wake is lost but with who is killed, and then a waiter looks at a tick.
 *
 * FAIR keeps small messages from passing by a large one for ever. Of one who died with it the others learn at a tick: then they have waited, too.
 *
 * Rejected: copying outside of the lock, into frames that are reserved first: producers and consumers would copy side by side, but a frame
 * of a dead producer blocks those behind it until it is found and skipped, and what a dead consumer had taken is lost. Ring and positions
 * without a lock: a producer that is stopped between its reservation and its commit stops all as well. */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/process/queue.h>

enum { GRAIN = 8, WAITERS = 1, FAIR = 2, WAKES_SHIFT = 2, ONE_WAKE = 1 << WAKES_SHIFT, MANY = 65536 };
enum gate { MESSAGES, ROOM, END, GATES };
#define MAGIC UINT64_C(0x65756575716d7274) /* "trmqueue" */
#define FAIR_AFTER THRUM_MS(1)

struct state {
  _Atomic uint64_t head, tail;     /* positions in the ring */
  _Atomic uint64_t put, got, done; /* messages so far */
  _Atomic uint64_t shut;           /* 1: shut down */
};

struct thrum_process_queue {
  uint64_t magic, ring_size, most;
  thrum_shared_lock lock;
  _Atomic uint32_t version;
  thrumi_futex gate[GATES];
  _Atomic uint64_t deaths;
  struct state states[2];
  char ring[];
};

/* The state, as a call has it in hand. */
struct view {
  uint64_t head, tail, put, got, done, shut;
};

/* One call, which may look several times. */
struct call {
  struct thrumi_shared_wait wait; /* first: queues hold these */
  thrum_process_queue *q;
  struct view view;
  enum gate gate;        /* what it waits for */
  uint32_t wakes[GATES]; /* whom to wake when the lock is released */
  bool tries, fair;      /* it does not wait; it has set FAIR */
  int64_t since;
  const void *data; /* of a put */
  void *buffer;     /* of a get */
  size_t size;      /* of either; then, of the message that was got, or was too large */
};

typedef int step_fn(struct call *c);

/* ---- The state ------------------------------------------------------------------------------------------------------------ */

static void read_state(struct view *view, const struct state *s) {
  view->head = thrumi_load_relaxed(&s->head);
  view->tail = thrumi_load_relaxed(&s->tail);
  view->put = thrumi_load_relaxed(&s->put);
  view->got = thrumi_load_relaxed(&s->got);
  view->done = thrumi_load_relaxed(&s->done);
  view->shut = thrumi_load_relaxed(&s->shut);
}

/* Under the lock. The store of the version is what makes it so. */
static void commit(struct call *c) {
  uint32_t version = thrumi_load_relaxed(&c->q->version);
  struct state *s = &c->q->states[(version + 1) % 2];
  atomic_thread_fence(
      memory_order_release); /* with look: who sees any of what follows sees that this copy does not hold */
  thrumi_store_relaxed(&s->head, c->view.head);
  thrumi_store_relaxed(&s->tail, c->view.tail);
  thrumi_store_relaxed(&s->put, c->view.put);
  thrumi_store_relaxed(&s->got, c->view.got);
  thrumi_store_relaxed(&s->done, c->view.done);
  thrumi_store_relaxed(&s->shut, c->view.shut);
  thrumi_store(&c->q->version, version + 1);
}

/* Without the lock: a copy that holds is not written, so one whose version is the same afterwards was read whole. */
static struct view look(const thrum_process_queue *q) {
  for (;;) {
    struct view view;
    uint32_t version = thrumi_load(&q->version);
    read_state(&view, &q->states[version % 2]);
    atomic_thread_fence(memory_order_acquire);
    if (thrumi_load_relaxed(&q->version) == version) return view;
  }
}

/* ---- Under the lock -------------------------------------------------------------------------------------------------------- */

static int enter(struct call *c) {
  if (c->q->magic != MAGIC) return -EINVAL;
  int error = thrumi_shared_lock_acquire(&c->q->lock, INT64_MAX, 0);
  if (error && error != -EOWNERDEAD) return error;
  if (error) {
    thrumi_add(&c->q->deaths, UINT64_C(1));
    thrum_shared_lock_recover(&c->q->lock);
  }
  read_state(&c->view, &c->q->states[thrumi_load_relaxed(&c->q->version) % 2]);
  memset(c->wakes, 0, sizeof c->wakes);
  return 0;
}

/* The wakes are of addresses alone: the queue may be gone by then. */
static void leave(struct call *c) {
  thrum_shared_lock_release(&c->q->lock);
  for (int i = 0; i < GATES; i++)
    if (c->wakes[i])
      thrumi_shared_wake(&c->q->gate[i], c->wakes[i] == MANY ? THRUMI_SHARED_EVERYBODY : c->wakes[i]);
}

/* n of those who wait are to be woken, if there are any. */
static void wake_some(struct call *c, enum gate gate, uint32_t n) {
  uint32_t seen = thrumi_load_relaxed(&c->q->gate[gate]);
  if (!(seen & WAITERS)) return;
  thrumi_store(&c->q->gate[gate], (seen & ~(uint32_t)WAITERS) + n * ONE_WAKE);
  c->wakes[gate] = n;
}

static uint64_t taken_by(size_t size) { return GRAIN + (size + GRAIN - 1) / GRAIN * GRAIN; }

static bool has_room(const struct call *c, uint64_t bytes) {
  const struct view *v = &c->view;
  return bytes <= c->q->ring_size - (v->tail - v->head) && (!c->q->most || v->put - v->got < c->q->most);
}

static bool is_more(const struct call *c) {
  if (c->gate == MESSAGES) return c->view.put != c->view.got;
  return c->gate == ROOM && has_room(c, 2 * GRAIN);
}

/* One that has waited is done: others may wait still. */
static void pass_on(struct call *c) {
  uint32_t seen = thrumi_load_relaxed(&c->q->gate[c->gate]);
  thrumi_store(&c->q->gate[c->gate], (seen & ~(uint32_t)FAIR) | WAITERS);
  if (is_more(c)) wake_some(c, c->gate, 1);
}

/* What the gate is when the caller waits for it. */
static uint32_t say_waits(struct call *c) {
  int64_t now = thrumi_os.now();
  if (!c->since) c->since = now;
  uint32_t fair = c->gate == ROOM && c->wait.waited && now - c->since >= FAIR_AFTER ? FAIR : 0;
  uint32_t waits = thrumi_load_relaxed(&c->q->gate[c->gate]) | WAITERS | fair;
  thrumi_store(&c->q->gate[c->gate], waits);
  c->fair |= fair != 0;
  return waits;
}

/* Who came by and found FAIR may go on. */
static void give_up(struct call *c) {
  uint32_t seen = thrumi_load_relaxed(&c->q->gate[c->gate]);
  if (!c->fair || !(seen & FAIR)) return;
  thrumi_store(&c->q->gate[c->gate], seen & ~(uint32_t)FAIR);
  if (is_more(c)) wake_some(c, c->gate, 1);
}

/* ---- A call ----------------------------------------------------------------------------------------------------------------- */

/* One look. -EAGAIN: it must wait, for *gate to be another than *seen; or, with an error given, gives up. */
static int look_once(struct call *c, step_fn *step, int error, uint32_t *seen) {
  int result = enter(c);
  if (result) return result;
  result = step(c);
  if (result != -EAGAIN && c->wait.waited) pass_on(c);
  if (result == -EAGAIN && error) give_up(c);
  if (result == -EAGAIN && !error && !c->tries) *seen = say_waits(c);
  leave(c);
  return result;
}

static int until_done(struct call *c, step_fn *step, int64_t deadline) {
  uint32_t seen = 0;
  c->wait.what = "a process queue";
  c->wait.object = c->q;
  c->wait.shift = WAKES_SHIFT;
  for (int error = 0;;) {
    int result = look_once(c, step, error, &seen);
    if (result != -EAGAIN || c->tries) return result;
    if (error) return error;
    thrumi_shared_ready();
    thrumi_enter();
    error = thrumi_shared_await(&c->wait, &c->q->gate[c->gate], seen, deadline, THRUMI_CANCELLABLE);
    thrumi_leave(thrumi_self());
  }
}

/* For so long; a poll looks once. */
static int for_so_long(struct call *c, step_fn *step, thrum_duration timeout) {
  c->tries = timeout <= 0;
  int error = until_done(c, step, timeout <= 0 ? 0 : thrum_after(timeout));
  return c->tries ? thrumi_shared_poll_failed(error) : error;
}

static int once(struct call *c, step_fn *step) {
  c->tries = true;
  return until_done(c, step, 0);
}

/* ---- Putting ----------------------------------------------------------------------------------------------------------------- */

/* Between the ring, from a position on, and memory: in two pieces where it comes to the ring's end. */
static void copy_in(thrum_process_queue *q, uint64_t at, const void *from, size_t size) {
  size_t start = (size_t)(at % q->ring_size), first = (size_t)q->ring_size - start;
  if (first > size) first = size;
  if (first) memcpy(q->ring + start, from, first);
  if (size > first) memcpy(q->ring, (const char *)from + first, size - first);
}

static void copy_out(const thrum_process_queue *q, uint64_t at, void *to, size_t size) {
  size_t start = (size_t)(at % q->ring_size), first = (size_t)q->ring_size - start;
  if (first > size) first = size;
  if (first) memcpy(to, q->ring + start, first);
  if (size > first) memcpy((char *)to + first, q->ring, size - first);
}

static int put_step(struct call *c) {
  uint64_t bytes = taken_by(c->size), size = c->size;
  if (c->view.shut) return -EPIPE;
  if (c->size > c->q->ring_size || bytes > c->q->ring_size) return -EMSGSIZE;
  bool passes_by = thrumi_load_relaxed(&c->q->gate[ROOM]) & FAIR && !c->wait.waited && !c->tries;
  if (passes_by || !has_room(c, bytes)) return -EAGAIN;
  copy_in(c->q, c->view.tail, &size, sizeof size);
  copy_in(c->q, c->view.tail + GRAIN, c->data, c->size);
  c->view.tail += bytes;
  c->view.put++;
  commit(c);
  wake_some(c, MESSAGES, 1);
  return 0;
}

static struct call a_put(thrum_process_queue *q, const void *data, size_t size) {
  return (struct call){.q = q, .gate = ROOM, .data = data, .size = size};
}

int thrum_process_queue_put(thrum_process_queue *q, const void *data, size_t size) {
  struct call c = a_put(q, data, size);
  return until_done(&c, put_step, INT64_MAX);
}

int thrum_process_queue_put_for(thrum_process_queue *q, const void *data, size_t size,
                                thrum_duration timeout) {
  struct call c = a_put(q, data, size);
  return for_so_long(&c, put_step, timeout);
}

int thrum_process_queue_try_put(thrum_process_queue *q, const void *data, size_t size) {
  struct call c = a_put(q, data, size);
  return once(&c, put_step);
}

/* ---- Getting ------------------------------------------------------------------------------------------------------------------ */

/* 0: there is a message, of *size bytes. */
static int find(const struct call *c, uint64_t *size) {
  if (c->view.put == c->view.got) return c->view.shut ? -EPIPE : -EAGAIN;
  copy_out(c->q, c->view.head, size, sizeof *size);
  return *size > c->q->ring_size || taken_by((size_t)*size) > c->view.tail - c->view.head ? -EBADMSG : 0;
}

static int get_step(struct call *c) {
  uint64_t size;
  int error = find(c, &size);
  if (!error && size > c->size) error = -EMSGSIZE;
  if (error) return error;
  c->size = (size_t)size;
  copy_out(c->q, c->view.head + GRAIN, c->buffer, c->size);
  c->view.head += taken_by(c->size);
  c->view.got++;
  commit(c);
  wake_some(c, ROOM, 1);
  return 0;
}

/* Only looks how large it is. */
static int size_step(struct call *c) {
  uint64_t size = 0;
  int error = find(c, &size);
  c->size = (size_t)size;
  return error;
}

static struct call a_get(thrum_process_queue *q, void *buffer, size_t size) {
  return (struct call){.q = q, .gate = MESSAGES, .buffer = buffer, .size = size};
}

static ssize_t size_or(int error, const struct call *c) { return error ? error : (ssize_t)c->size; }

ssize_t thrum_process_queue_get(thrum_process_queue *q, void *buffer, size_t size) {
  struct call c = a_get(q, buffer, size);
  return size_or(until_done(&c, get_step, INT64_MAX), &c);
}

ssize_t thrum_process_queue_get_for(thrum_process_queue *q, void *buffer, size_t size,
                                    thrum_duration timeout) {
  struct call c = a_get(q, buffer, size);
  return size_or(for_so_long(&c, get_step, timeout), &c);
}

ssize_t thrum_process_queue_try_get(thrum_process_queue *q, void *buffer, size_t size) {
  struct call c = a_get(q, buffer, size);
  return size_or(once(&c, get_step), &c);
}

ssize_t thrum_process_queue_next_size(thrum_process_queue *q) {
  struct call c = a_get(q, NULL, 0);
  return size_or(once(&c, size_step), &c);
}

/* Memory is asked for without the lock; another one may have got the message by then, and the next one be larger. */
int thrum_process_queue_get_new_for(thrum_process_queue *q, void **data, size_t *size,
                                    thrum_duration timeout) {
  int64_t deadline = thrum_after(timeout);
  for (;;) {
    struct call c = a_get(q, NULL, 0);
    int error = for_so_long(&c, size_step, thrum_left(deadline));
    if (error) return error;
    char *room = malloc(c.size ? c.size : 1);
    if (!room) return -ENOMEM;
    ssize_t n = thrum_process_queue_try_get(q, room, c.size);
    if (n >= 0) {
      *data = room;
      *size = (size_t)n;
      return 0;
    }
    free(room);
    if (n != -EAGAIN && n != -EMSGSIZE) return (int)n;
  }
}

int thrum_process_queue_get_new(thrum_process_queue *q, void **data, size_t *size) {
  return thrum_process_queue_get_new_for(q, data, size, THRUM_FOREVER);
}

/* ---- Work that is done --------------------------------------------------------------------------------------------------------- */

static int done_step(struct call *c) {
  if (c->view.done == c->view.put) return -EOVERFLOW;
  c->view.done++;
  commit(c);
  if (c->view.done == c->view.put) wake_some(c, END, MANY);
  return 0;
}

static int join_step(struct call *c) { return c->view.done == c->view.put ? 0 : -EAGAIN; }

int thrum_process_queue_task_done(thrum_process_queue *q) {
  struct call c = {.q = q, .gate = END};
  return once(&c, done_step);
}

int thrum_process_queue_join(thrum_process_queue *q) {
  struct call c = {.q = q, .gate = END};
  return until_done(&c, join_step, INT64_MAX);
}

int thrum_process_queue_join_for(thrum_process_queue *q, thrum_duration timeout) {
  struct call c = {.q = q, .gate = END};
  return for_so_long(&c, join_step, timeout);
}

/* ---- Making, ending and looking --------------------------------------------------------------------------------------------------- */

size_t thrum_process_queue_bytes(size_t ring) {
  size_t most = SIZE_MAX / 4;
  return ring > most ? 0 : sizeof(thrum_process_queue) + (ring + GRAIN - 1) / GRAIN * GRAIN;
}

int thrum_process_queue_init(thrum_process_queue *q, size_t bytes,
                             const thrum_process_queue_options *options) {
  thrum_process_queue_options o = THRUM_PROCESS_QUEUE_OPTIONS_INIT;
  if (options && options->size != sizeof o) return -EINVAL;
  if (options) o = *options;
  if ((uintptr_t)q % GRAIN || bytes < thrum_process_queue_bytes(2 * GRAIN) || bytes > SIZE_MAX / 2)
    return -EINVAL;
  memset(q, 0, sizeof *q);
  q->ring_size = (bytes - sizeof *q) / GRAIN * GRAIN;
  q->most = o.most;
  q->magic = MAGIC;
  return 0;
}

struct shutting {
  struct call call; /* first */
  bool now;
};

static int shut_step(struct call *c) {
  struct view *v = &c->view;
  v->shut = 1;
  if (((struct shutting *)c)->now) {
    v->done += v->put - v->got;
    v->got = v->put;
    v->head = v->tail;
  }
  commit(c);
  wake_some(c, MESSAGES, MANY);
  wake_some(c, ROOM, MANY);
  if (v->done == v->put) wake_some(c, END, MANY);
  return 0;
}

int thrum_process_queue_shutdown(thrum_process_queue *q, bool now) {
  struct shutting s = {.call = {.q = q}, .now = now};
  return once(&s.call, shut_step);
}

bool thrum_process_queue_is_shutdown(const thrum_process_queue *q) { return look(q).shut; }

size_t thrum_process_queue_size(const thrum_process_queue *q) {
  struct view v = look(q);
  return (size_t)(v.put - v.got);
}

size_t thrum_process_queue_unfinished(const thrum_process_queue *q) {
  struct view v = look(q);
  return (size_t)(v.put - v.done);
}

size_t thrum_process_queue_deaths(const thrum_process_queue *q) { return (size_t)thrumi_load(&q->deaths); }
