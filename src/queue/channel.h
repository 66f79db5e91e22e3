/* What a thrum_queue is inside. (A thrumi_queue is a queue of ready threads; so this one is called a channel here.)
 *
 * A channel has a small lock (core/spin.h), taken inside the runtime only, and under it: the items, and three lists of
 * offers. An *offer* is one thread's wish to put, to get or to join; it lies in the frame of the thread that waits. All
 * offers of one wait belong to a *selection*; a plain put or get has one offer, a select as many as cases.
 *
 * Claiming. Whoever can serve an offer takes it out of its list and claims the wait (the compare-and-swap on the wait word,
 * core/wait.h), both under the channel's lock. If it wins it copies the item, under the same lock, and settles: notes which offer
 * it was and with which result. If it loses, the offer was dead: it goes to the next one. Nothing is copied for a
 * claim that was not won.
 *
 * Leaving. A thread leaves the frame of its offers only after it has had the lock of each channel where it had one,
 * since the wait was claimed. So whoever works on an offer under the lock finds it there, the copy included. One short
 * cut: a waiter that was claimed by a channel and finds `settled` set need not take the lock of its only channel.
 *
 * Invariants, whenever the lock is free, of offers whose wait is not claimed ("live"):
 *   I1  A live getter waits  =>  count == 0, and no live putter waits (but of the same selection).
 *   I2  A live putter waits  =>  count >= limit.
 *   I3  A live joiner waits  =>  unfinished > 0.
 *   I4  shut  =>  no putter waits, and no getter.
 *   I5  count is the number of items that no get has claimed; unfinished those put and not done.
 * Every change that could break one serves, under the same lock, the offers that would break it. So a wake-up
 * cannot be lost: who queues an offer has seen, under the lock, that it cannot be served now.
 *
 * Woken threads are made ready after the lock is let go: that may call the kernel. */
#ifndef THRUMI_CHANNEL_H
#define THRUMI_CHANNEL_H

#include <core/parking.h>
#include <sched/self.h>
#include <string.h>
#include <thrum/queue.h>
#include <thrum/sync/lock.h>

enum {
  THRUMI_INLINE_MAX = 256
}; /* bytes of an item that is copied under the lock; larger ones are in boxes */

/* What became of a selection, beside 0 and -EPIPE. */
enum { THRUMI_AGAIN = 1 };

struct thrumi_selection {
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  uint32_t fired;  /* index of the offer that was served; these two: by who claimed it, under the lock */
  int status;      /* 0, -EPIPE, or THRUMI_AGAIN: look again */
  uint32_t length; /* of the channel then; while queues are traced only */
  _Atomic uint32_t settled; /* 0, then 1 once the two above and the item are there; see Leaving */
};

struct thrumi_offer {
  struct thrumi_offer *next, *prev; /* while it is queued */
  struct thrumi_selection *selection;
  void *item;     /* where it is, or goes to; NULL for joiners */
  uint32_t index; /* in its selection */
  bool queued;    /* under the lock */
};

struct thrumi_offers {
  struct thrumi_offer *first, *last;
};

/* Threads that were claimed PARKED and are to be made ready once no lock is held. */
struct thrumi_wakes {
  struct thrumi_offer *first, **end;
  bool in_line; /* putters that were let in: see transfer.c */
};

struct thrumi_chunk {
  struct thrumi_chunk *next, *prev; /* towards the newest, the oldest */
  char *end;
  char cells[];
};

/* In a PRIORITY channel. The number makes equal items go in the order of their puts. */
struct thrumi_heap {
  char *nodes; /* each its number and then the item */
  size_t count, room;
  uint64_t number;
};

struct thrumi_channel {
  uint32_t item_size; /* 0: not initialised */
  uint32_t order;
  size_t limit; /* 0: a rendezvous; SIZE_MAX: none */
  size_t writers;
  thrum_queue_compare *compare;
  thrum_queue_drop *drop;
  void *drop_arg;
  struct thrumi_spin lock;
  _Atomic uint32_t forks; /* thrumi_forks when it was last used; THRUMI_MENDING */
  /* Under the lock. */
  _Atomic size_t count; /* these two are read outside as hints */
  _Atomic size_t unfinished;
  char *put_at, *put_end; /* the next cell to fill, and the end of its chunk; NULL: no chunk */
  char *get_at, *get_end; /* of a FIFO: the oldest item, the end of its chunk */
  struct thrumi_chunk *newest, *oldest, *spares;
  uint32_t spare_count;
  _Atomic uint32_t shut;
  struct thrumi_offers putters, getters, joiners;
  void *boxes; /* free ones, each begins with the next */
  size_t box_count;
  /* Held by who uses the heap: a lock that its holder may be preempted with. */
  thrum_lock gate;
  struct thrumi_heap heap;
};

_Static_assert(sizeof(struct thrumi_channel) <= sizeof(thrum_queue), "thrum_queue has no room for a channel");
_Static_assert(offsetof(struct thrumi_channel, drop_arg) == offsetof(thrum_queue, drop_arg), "one layout");

static inline struct thrumi_channel *thrumi_channel_of(const thrum_queue *q) {
  return (struct thrumi_channel *)(uintptr_t)q;
}

static inline bool thrumi_is_boxed(const struct thrumi_channel *c) {
  return c->item_size > THRUMI_INLINE_MAX;
}

/* Bytes of an item as it is stored. */
static inline uint32_t thrumi_cell_size(const struct thrumi_channel *c) {
  return thrumi_is_boxed(c) ? (uint32_t)sizeof(void *) : c->item_size;
}

static inline void thrumi_copy_cell(void *to, const void *from, uint32_t size) {
  if (size == 8)
    __builtin_memcpy(to, from, 8);
  else if (size == 4)
    __builtin_memcpy(to, from, 4);
  else
    memcpy(to, from, size);
}

/* ---- channel.c: the lock, offers, claims ------------------------------------------------------------ */

enum { THRUMI_MENDING = UINT32_MAX };
void thrumi_channel_mend(struct thrumi_channel *c); /* in the child of a fork */
void thrumi_channel_contend(struct thrumi_channel *c);

static inline void thrumi_channel_lock(struct thrumi_channel *c) {
  if (thrumi_unlikely(thrumi_load(&c->forks) != thrumi_forks)) thrumi_channel_mend(c);
  if (thrumi_unlikely(!thrumi_spin_try_lock(&c->lock))) thrumi_channel_contend(c);
}

static inline void thrumi_channel_unlock(struct thrumi_channel *c) { thrumi_spin_unlock(&c->lock); }

void thrumi_offer_append(struct thrumi_offers *list, struct thrumi_offer *o);
void thrumi_offer_remove(struct thrumi_offers *list, struct thrumi_offer *o); /* if it is queued */

/* Takes the first offer out that is still live, and claims it; NULL: there is none. The caller then copies, and settles. */
struct thrumi_offer *thrumi_offer_claim(struct thrumi_offers *list, struct thrumi_wakes *wakes);
void thrumi_offer_settle(struct thrumi_offer *o, int status);
void thrumi_offers_settle_all(struct thrumi_offers *list, int status, struct thrumi_wakes *wakes);

static inline struct thrumi_wakes thrumi_wakes_none(void) { return (struct thrumi_wakes){NULL, NULL, false}; }
void thrumi_wakes_run(struct thrumi_wakes *wakes); /* no lock held */

/* ---- store.c: where items lie ----------------------------------------------------------------------- */

bool thrumi_store_has_room(const struct thrumi_channel *c); /* for one more, without memory */
void thrumi_store_push(struct thrumi_channel *c, const void *item);
void thrumi_store_pop(struct thrumi_channel *c, void *item, struct thrumi_chunk **idle);
int thrumi_store_grow(struct thrumi_channel *c); /* outside, unlocked; 0 or -ENOMEM */
void thrumi_chunks_free(struct thrumi_chunk *list);

/* ---- heap.c: of a PRIORITY channel; under the gate, outside ----------------------------------------- */

void thrumi_gate_acquire(struct thrumi_channel *c);
void thrumi_gate_release(struct thrumi_channel *c);
int thrumi_heap_reserve(struct thrumi_channel *c); /* room for one more */
void thrumi_heap_push(struct thrumi_channel *c, const void *item);
void thrumi_heap_pop(struct thrumi_channel *c, void *item);

/* ---- transfer.c ------------------------------------------------------------------------------------- */

enum thrumi_way { THRUMI_PUT, THRUMI_GET };

/* Inside; items as they are stored. Puts or gets without waiting: 0, -EPIPE, -EAGAIN, -ENOMEM. May leave in between, and
 * switch to wait for the gate. */
int thrumi_channel_try(struct thrumi_channel *c, enum thrumi_way way, void *item);

/* Under the lock. Whether a try could do something other than -EAGAIN, not counting offers of this selection. */
bool thrumi_channel_is_ready(struct thrumi_channel *c, enum thrumi_way way, const struct thrumi_selection *s);

void thrumi_channel_trace(const struct thrumi_channel *c, enum thrumi_way way, uint32_t length);

/* The caller waited and was served by another thread. The channel may be gone. */
static inline void thrumi_channel_served(const struct thrumi_channel *c, enum thrumi_way way,
                                         const struct thrumi_selection *s) {
  if (thrumi_unlikely(thrumi_has_mode(THRUMI_MODE_TRACE_QUEUES))) thrumi_channel_trace(c, way, s->length);
}

/* Under the lock, which it lets go: waits with one offer in that list. */
int thrumi_channel_wait(struct thrumi_channel *c, struct thrumi_offers *list, void *item, const char *what,
                        int64_t deadline);

/* Under the lock; no PRIORITY channel. Lets putters in that wait, as far as there is room. */
void thrumi_channel_let_in(struct thrumi_channel *c, struct thrumi_wakes *wakes);

/* Outside. The same for a PRIORITY channel. */
int thrumi_channel_let_in_by_gate(struct thrumi_channel *c);

/* ---- box.c: items of more than THRUMI_INLINE_MAX bytes ---------------------------------------------- */

/* Outside. */
void *thrumi_box_make(struct thrumi_channel *c, const void *item); /* NULL: no memory */
void thrumi_box_give(struct thrumi_channel *c, void *box);

#endif
