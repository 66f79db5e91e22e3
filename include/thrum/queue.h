/* A queue of items of one size, copied in and out, between any number of threads.
 *
 *     static thrum_queue jobs = THRUM_QUEUE_INIT(struct job, 100);
 *     thrum_queue_put(&jobs, &job);                       // waits while 100 are queued
 *     while (thrum_queue_get(&jobs, &job) == 0) { ... }   // until it is shut down and empty
 *
 * Capacity. n items, from 1; THRUM_UNBOUNDED: as many as there is memory for, put never waits; THRUM_RENDEZVOUS: none, a
 * put waits for the get that takes its item, so each has met the other when both return. It is a size_t: a negative int is taken
 * for a large number, -1 for THRUM_UNBOUNDED and -2 for THRUM_RENDEZVOUS.
 *
 * Order. THRUM_FIFO; THRUM_LIFO: the newest first; THRUM_PRIORITY: the least first by a comparator in the manner of qsort,
 * equal ones in the order of their puts. Threads that wait do so first come, first served, each kind for itself. But where there is
 * room and no memory for an item yet, as there may be behind a select that puts, or while the capacity is raised, all putters that
 * wait line up anew, in the order in which they happen to run.
 *
 * Ending. thrum_queue_shutdown, or the last of the writers that were announced, shuts the queue down: puts say -EPIPE, gets
 * go on until it is empty and then say -EPIPE. What waits is woken and says the same.
 *
 * Exactly once. An item whose put returned 0 is got by exactly one get, or discarded by a shutdown or destroy; one whose put
 * returned an error by none. A get or put that timed out or was cancelled has done nothing. A call that finds its item
 * or its place without waiting is not cut short by its timeout.
 *
 * Forms. x waits for ever, x_for(..., timeout) for so long, try_x not at all. Those that wait switch and are cancellation
 * points, also when they need not wait, and when they poll; the try forms are none. Light, bound and foreign threads may use all of
 * it, together; signal handlers nothing. What a putter did before its put is seen by whoever got that item.
 * One thread at a time is at the items of a PRIORITY queue, and others wait for it: all puts and gets that find room or an item,
 * also in their try and timed forms and in a select, shutdown with `now`, and set_capacity. Neither a timeout nor a cancellation
 * ends that wait. It is as long as the comparisons take.
 *
 * Errors of all puts and gets: -EINVAL: `sizeof *(p)` is not the size of the queue's items, or the queue is not initialised;
 * -EPIPE; -ECANCELED; -ETIMEDOUT; -EAGAIN; of puts also -ENOMEM: the item is not queued.
 *
 * Memory. Gets ask for none. A bounded queue and a PRIORITY one keep what they have had, so in the long run their puts ask for
 * none either. An unbounded FIFO or LIFO gives back what runs empty, all but some 8 KB, and may ask again. Items of more
 * than 256 bytes are kept in blocks of their own, and copied outside of any lock, and preemptibly; of blocks that are free a queue
 * keeps 64. The heap of a PRIORITY queue doubles, and is copied, when it is full: O(log n) is the cost of a put on average.
 *
 * After a fork nobody waits in the child. A queue that other threads were using at that moment may have lost an item, or
 * doubled it: make a new one. */
#ifndef THRUM_QUEUE_H
#define THRUM_QUEUE_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define THRUM_UNBOUNDED SIZE_MAX
#define THRUM_RENDEZVOUS (SIZE_MAX - 1)

enum thrum_order { THRUM_FIFO, THRUM_LIFO, THRUM_PRIORITY };

/* Negative if *a goes before *b, positive if after, 0 if they are equal. Runs in the thread that puts or gets, and may be
 * preempted and may wait, while others wait for it. It must return: one that leaves by thrum_exit or an exception loses the item and leaves
 * the queue locked for ever. Of its own queue it may ask what only looks (size, capacity and the like), and call nothing else: what comes
 * to the items aborts and says so; what has to wait (also join) may wait for ever; the rest, as destroy, is not found out.
 * One that is no order gives some order: nothing is lost. */
typedef int thrum_queue_compare(const void *a, const void *b);

/* Is handed each item that is discarded, in the thread that discards it. It may use the queue. */
typedef void thrum_queue_drop(void *item, void *arg);

typedef struct thrum_queue {
  uint32_t item_size; /* these are for the initialisers */
  uint32_t order;
  size_t capacity; /* 0: rendezvous */
  size_t writers;
  thrum_queue_compare *compare;
  thrum_queue_drop *drop;
  void *drop_arg;
  uint64_t thrumi[28];
} thrum_queue;

/* For a FIFO of items of a type. A capacity of 0 makes every call say -EINVAL; no other one is found out as by init. */
#define THRUM_QUEUE_INIT(type, capacity) \
  { \
    (capacity) ? (uint32_t)sizeof(type) : 0, THRUM_FIFO, (capacity) == THRUM_RENDEZVOUS ? 0 : (capacity), 0, \
        0, 0, 0, { \
      0 \
    } \
  }

typedef struct thrum_queue_options {
  size_t size; /* sizeof(thrum_queue_options) */
  enum thrum_order order;
  thrum_queue_compare *compare; /* for THRUM_PRIORITY, and only then */
  thrum_queue_drop *drop;       /* may be NULL */
  void *drop_arg;
  size_t writers; /* announced already: see thrum_queue_writers */
} thrum_queue_options;

#define THRUM_QUEUE_OPTIONS_INIT \
  { sizeof(thrum_queue_options), THRUM_FIFO, 0, 0, 0, 0 }

/* Makes *q a queue of items of that size. options == NULL: a FIFO. Allocates nothing.
 * -EINVAL: a size of 0 or of 4 GiB and more; a capacity of 0 (say THRUM_RENDEZVOUS or THRUM_UNBOUNDED), or one whose items
 * would not fit the address space; an unknown order, a comparator that is missing or has no use; options of another
 * version. */
THRUM_API int thrum_queue_init(thrum_queue *q, size_t item_size, size_t capacity,
                               const thrum_queue_options *options);

/* As thrum_lock_set_name. */
static inline int thrum_queue_set_name(thrum_queue *q, const char *name) {
  return thrumi_object_name_as(q, name, "queue");
}

/* Discards what is queued, gives the memory back and leaves *q all-zero, of which every call says -EINVAL. Its name goes. Nobody may be in a
 * call with it. -EBUSY: threads wait in it; nothing was done. */
THRUM_API int thrum_queue_destroy(thrum_queue *q);

/* ---- Putting and getting ---------------------------------------------------------------------------- */

/* thrum_queue_put(q, p) puts a copy of *p, thrum_queue_get(q, p) stores the next item in *p. 0 or an error of those above. */
#define thrum_queue_put(q, p) thrum_queue_put_sized(q, p, sizeof *(p))
#define thrum_queue_put_for(q, p, timeout) thrum_queue_put_sized_for(q, p, sizeof *(p), timeout)
#define thrum_queue_try_put(q, p) thrum_queue_try_put_sized(q, p, sizeof *(p))
#define thrum_queue_get(q, p) thrum_queue_get_sized(q, p, sizeof *(p))
#define thrum_queue_get_for(q, p, timeout) thrum_queue_get_sized_for(q, p, sizeof *(p), timeout)
#define thrum_queue_try_get(q, p) thrum_queue_try_get_sized(q, p, sizeof *(p))

/* What the macros stand for. */
THRUM_API int thrum_queue_put_sized(thrum_queue *q, const void *item, size_t size);
THRUM_API THRUM_MUST_CHECK int thrum_queue_put_sized_for(thrum_queue *q, const void *item, size_t size,
                                                         thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_queue_try_put_sized(thrum_queue *q, const void *item, size_t size);
THRUM_API int thrum_queue_get_sized(thrum_queue *q, void *item, size_t size);
THRUM_API THRUM_MUST_CHECK int thrum_queue_get_sized_for(thrum_queue *q, void *item, size_t size,
                                                         thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int thrum_queue_try_get_sized(thrum_queue *q, void *item, size_t size);

/* For queues whose items are pointers: the pointer itself is the item. `out` is the address of a pointer. */
static inline int thrum_queue_put_ptr(thrum_queue *q, const void *pointer) {
  return thrum_queue_put_sized(q, &pointer, sizeof pointer);
}
static inline THRUM_MUST_CHECK int thrum_queue_put_ptr_for(thrum_queue *q, const void *pointer,
                                                           thrum_duration timeout) {
  return thrum_queue_put_sized_for(q, &pointer, sizeof pointer, timeout);
}
static inline THRUM_MUST_CHECK int thrum_queue_try_put_ptr(thrum_queue *q, const void *pointer) {
  return thrum_queue_try_put_sized(q, &pointer, sizeof pointer);
}
static inline int thrum_queue_get_ptr(thrum_queue *q, void *out) {
  return thrum_queue_get_sized(q, out, sizeof(void *));
}
static inline THRUM_MUST_CHECK int thrum_queue_get_ptr_for(thrum_queue *q, void *out,
                                                           thrum_duration timeout) {
  return thrum_queue_get_sized_for(q, out, sizeof(void *), timeout);
}
static inline THRUM_MUST_CHECK int thrum_queue_try_get_ptr(thrum_queue *q, void *out) {
  return thrum_queue_try_get_sized(q, out, sizeof(void *));
}

/* n items from or to an array at p. Not one step: others' items may come in between, and each item counts for itself.
 * put_many waits until all are in; get_many waits for the first, and takes what else is there, up to n. The count, which
 * may be less than n if an error ended it, or the error if it is 0. n == 0 is 0. Items are moved 64 at a time; those of a PRIORITY
 * queue, and those of more than 256 bytes, one at a time. */
#define thrum_queue_put_many(q, p, n) thrum_queue_put_many_sized(q, p, sizeof *(p), n, THRUM_FOREVER)
#define thrum_queue_put_many_for(q, p, n, timeout) thrum_queue_put_many_sized(q, p, sizeof *(p), n, timeout)
#define thrum_queue_get_many(q, p, n) thrum_queue_get_many_sized(q, p, sizeof *(p), n, THRUM_FOREVER)
#define thrum_queue_get_many_for(q, p, n, timeout) thrum_queue_get_many_sized(q, p, sizeof *(p), n, timeout)
THRUM_API ssize_t thrum_queue_put_many_sized(thrum_queue *q, const void *items, size_t size, size_t n,
                                             thrum_duration timeout);
THRUM_API ssize_t thrum_queue_get_many_sized(thrum_queue *q, void *items, size_t size, size_t n,
                                             thrum_duration timeout);

/* ---- Work that is done ------------------------------------------------------------------------------ */

/* Each put counts as unfinished until somebody says task_done for it. -EOVERFLOW: said too often. Never -EPIPE. */
THRUM_API int thrum_queue_task_done(thrum_queue *q);

/* Waits until nothing is unfinished. Any number of threads may, any number of times, and also once the queue is shut down:
 * -EPIPE is none of its errors. Switches; a cancellation point. */
THRUM_API int thrum_queue_join(thrum_queue *q);
THRUM_API THRUM_MUST_CHECK int thrum_queue_join_for(thrum_queue *q, thrum_duration timeout);

/* How many are unfinished, at this moment. */
THRUM_API size_t thrum_queue_unfinished(const thrum_queue *q);

/* ---- Ending ----------------------------------------------------------------------------------------- */

/* Shuts the queue down. With `now` what is queued is discarded and counts as finished; what has been got still
 * needs its task_done. It may be repeated, and may follow one without `now`; one without `now` after one with it does nothing. */
THRUM_API int thrum_queue_shutdown(thrum_queue *q, bool now);
THRUM_API bool thrum_queue_is_shutdown(const thrum_queue *q);

/* Announces n more writers. Each says thrum_queue_writer_done once, and the last one shuts the queue down.
 * -EPIPE: it is shut down. writer_done: -EOVERFLOW: said too often. */
THRUM_API int thrum_queue_writers(thrum_queue *q, size_t n);
THRUM_API int thrum_queue_writer_done(thrum_queue *q);

/* ---- Looking ---------------------------------------------------------------------------------------- */

/* As they are at this moment; others may change it before the caller looks. A rendezvous is always empty and full. */
THRUM_API size_t thrum_queue_size(const thrum_queue *q);
THRUM_API bool thrum_queue_is_empty(const thrum_queue *q);
THRUM_API bool thrum_queue_is_full(const thrum_queue *q);
THRUM_API size_t thrum_queue_capacity(const thrum_queue *q);

/* Changes the capacity. If it grows, putters that wait go on; if it shrinks, what is queued stays, and puts wait until there
 * is room again. -EINVAL as in init. -ENOMEM: it is changed, and a put that waited may say so instead. */
THRUM_API int thrum_queue_set_capacity(thrum_queue *q, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
