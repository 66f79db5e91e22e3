/* A ring of trace events: one producer at a time, one reader at a time, and neither waits for the other.
 *
 * The producer of a worker's ring is whoever holds the worker and is inside the runtime (or has revoked its lease): the same rule as
 * for all that is private to a worker, and hand-overs of the worker order one producer behind the other. The ring of kernel threads
 * without a worker has a small lock around each put.
 *
 * Nobody puts an event in the midst of another one of the same ring. Preemption is by a signal on the same kernel thread, but its handler
 * finds that the thread is inside, notes that and returns (sched/preempt.c); a handler of the program's may not enter then either
 * (thrumi_enter_in_handler). A handler of a fatal signal reads rings, and writes none: what it interrupted has not been published.
 *
 *   word   meaning                                           written by    legal values
 *   head   events put so far; head % size is the next slot   the producer  one more each time; never goes back
 *   lost   events that found the ring full                   the producer  likewise
 *   tail   events taken so far                               the reader    at most head, at least head - size (a recorder's);
 *                                                                          or AHEAD in front of head: a flight recorder's, which is never full
 *   slots  words of events                                   the producer  those of [tail, head) are whole
 *
 * A recorder's ring. The producer stores a slot and then, with release, `head`; the reader loads that with acquire, so it sees the whole event.
 * It stores `tail` with release behind its last load from the slots, and the producer loads that with acquire before it stores to a slot:
 * so no slot changes while it is read.
 *
 * A flight recorder's ring is written over all the time, so it is read as a seqlock is: the slots first, then `head` again, and what was
 * or may have been written over meanwhile is dropped. An event at position p is written over from the moment at which head == p + size.
 * Fences: the producer has a release fence between its store of `head` (of the event before) and its stores to the slot; the reader has an
 * acquire fence between its loads of slots and its second load of `head`. So who has read a word of a later event sees that head. On x86-64
 * both are for the compiler only.
 *
 * Rejected: a pointer to a block of events in each kernel thread (blocks must be allocated where nothing may be, and threads that block in
 * calls keep theirs half full); reserving a slot by fetch-and-add and marking it when it is whole (7 ns more for every event, for a handler
 * that never puts any); a producer that waits for room (a full disk would stop the program). */
#ifndef THRUMI_TRACE_RING_H
#define THRUMI_TRACE_RING_H

#include <core/atomic.h>

#include <stddef.h>

enum { THRUMI_RING_WORDS = 4 }; /* of an event */

/* In front of head by so much, tail says that the ring is never full. */
#define THRUMI_RING_AHEAD (UINT64_C(1) << 62)

_Static_assert(THRUMI_RING_WORDS == 4, "thrumi_slot_store, thrumi_slot_load");

struct thrumi_slot {
  _Atomic uint64_t word[THRUMI_RING_WORDS];
};

struct thrumi_ring {
  _Alignas(64) _Atomic uint64_t head; /* the producer's line */
  _Atomic uint64_t lost;
  uint64_t size; /* a power of two; as the next one, never changed */
  struct thrumi_slot *slots;
  _Alignas(64) _Atomic uint64_t tail; /* the reader's */
};

/* Words that are stored one by one: the reader may look at the same time. Written out: compilers leave a loop of four as a loop. */
static inline void thrumi_slot_store(struct thrumi_slot *slot, const uint64_t *words) {
  thrumi_store_relaxed(&slot->word[0], words[0]);
  thrumi_store_relaxed(&slot->word[1], words[1]);
  thrumi_store_relaxed(&slot->word[2], words[2]);
  thrumi_store_relaxed(&slot->word[3], words[3]);
}

static inline void thrumi_slot_load(const struct thrumi_slot *slot, uint64_t *words) {
  words[0] = thrumi_load_relaxed(&slot->word[0]);
  words[1] = thrumi_load_relaxed(&slot->word[1]);
  words[2] = thrumi_load_relaxed(&slot->word[2]);
  words[3] = thrumi_load_relaxed(&slot->word[3]);
}

/* False: it was full, which was counted. By the producer. */
static inline bool thrumi_ring_put(struct thrumi_ring *ring, const uint64_t *words) {
  uint64_t head = thrumi_load_relaxed(&ring->head);
  if (thrumi_unlikely((int64_t)(head - thrumi_load(&ring->tail)) >= (int64_t)ring->size)) {
    thrumi_store_relaxed(&ring->lost, thrumi_load_relaxed(&ring->lost) + 1);
    return false;
  }
  atomic_thread_fence(memory_order_release); /* with the one in thrumi_ring_copy */
  thrumi_slot_store(&ring->slots[head & (ring->size - 1)], words);
  thrumi_store(&ring->head, head + 1);
  return true;
}

/* From here on all that is there counts as taken; `endless`: it is a flight recorder's. By the reader, while nobody reads. */
static inline void thrumi_ring_begin(struct thrumi_ring *ring, bool endless) {
  uint64_t head = thrumi_load(&ring->head);
  thrumi_store(&ring->tail, endless ? head + THRUMI_RING_AHEAD : head);
}

/* Whether it is begun as a flight recorder's. By the reader. */
static inline bool thrumi_ring_is_endless(struct thrumi_ring *ring) {
  uint64_t tail = thrumi_load_relaxed(&ring->tail);
  return thrumi_load(&ring->head) - tail > ring->size;
}

/* Takes the `max` oldest events at most; returns how many. By the reader of a recorder's ring. */
static inline size_t thrumi_ring_take(struct thrumi_ring *ring, uint64_t (*out)[THRUMI_RING_WORDS],
                                      size_t max) {
  uint64_t tail = thrumi_load_relaxed(&ring->tail), there = thrumi_load(&ring->head) - tail;
  size_t n = there < max ? (size_t)there : max;
  for (size_t i = 0; i < n; i++) thrumi_slot_load(&ring->slots[(tail + i) & (ring->size - 1)], out[i]);
  thrumi_store(&ring->tail, tail + n);
  return n;
}

/* Copies `max` events at most from position *at on, and changes nothing. Of what may have been written over it keeps nothing: *at is then
 * the position of the first event that it has. Returns how many; 0: there are none from *at on. By anybody. */
static inline size_t thrumi_ring_copy(struct thrumi_ring *ring, uint64_t *at,
                                      uint64_t (*out)[THRUMI_RING_WORDS], size_t max) {
  uint64_t head = thrumi_load(&ring->head), from = *at;
  if (head - from >= ring->size) from = head - ring->size + 1;
  size_t n = head - from < max ? (size_t)(head - from) : max;
  for (size_t i = 0; i < n; i++) thrumi_slot_load(&ring->slots[(from + i) & (ring->size - 1)], out[i]);
  atomic_thread_fence(memory_order_acquire); /* with the one in thrumi_ring_put */
  uint64_t now = thrumi_load_relaxed(&ring->head);
  uint64_t whole = now - from >= ring->size ? now - ring->size + 1 : from; /* the oldest that is */
  size_t gone = whole - from < n ? (size_t)(whole - from) : n;
  for (size_t i = gone; i < n && gone; i++)
    for (int word = 0; word < THRUMI_RING_WORDS; word++) out[i - gone][word] = out[i][word];
  *at = from + gone;
  return n - gone;
}

#endif
