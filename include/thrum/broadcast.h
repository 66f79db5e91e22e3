/* A broadcast hands each item to all who subscribe, and keeps the last n for those who are behind.
 *
 *     static struct price recent[64];
 *     static thrum_broadcast prices = THRUM_BROADCAST_INIT(recent);
 *     thrum_broadcast_put(&prices, &price);                                // in who sends
 *
 *     uint64_t next = thrum_broadcast_subscribe(&prices);                  // in each who receives
 *     while ((missed = thrum_broadcast_get(&prices, &next, &price)) >= 0) show(&price, missed);
 *
 * Who sends never waits for who receives. A subscriber is nothing but the number of the item that it gets next, in a variable
 * of its own: any number of them may come and go, and the broadcast knows of none. One that falls more than n items
 * behind goes on with the oldest that is kept, and is told how many it has missed. A number of 0 begins with the oldest that
 * is kept. All subscribers get the items in one order.
 *
 * The items lie in the caller's memory; nothing is allocated. A put or get copies one item under a lock of the broadcast's, of
 * any size, and may be preempted meanwhile: whoever comes then waits for it, try forms too.
 *
 * After thrum_broadcast_close puts say -EPIPE; gets go on until the subscriber has had all, and then say -EPIPE. What was done
 * before a put is seen by whoever gets that item. Threads of any kind may use a broadcast at once; signal handlers
 * may not. All-zero is not initialised: every call says -EINVAL. After a fork nobody waits in the child; one that other
 * threads were using at that moment may stay locked there: make a new one. */
#ifndef THRUM_BROADCAST_H
#define THRUM_BROADCAST_H

#include <thrum/sync/lock.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_broadcast {
  uint64_t word; /* bits below, how many were put above: see docs/design/queues.md */
  thrum_lock lock;
  void *items;
  size_t item_size; /* 0: not initialised */
  size_t capacity;
} thrum_broadcast;

/* With an array that holds the items. */
#define THRUM_BROADCAST_INIT(array) \
  { 0, {0}, (array), sizeof *(array), sizeof(array) / sizeof *(array) }

/* Makes *b a broadcast that keeps `capacity` items, in memory that must last as long as it is used. -EINVAL: no memory, a size
 * or capacity of 0, or both together more than the address space. Allocates nothing. */
THRUM_API int thrum_broadcast_init(thrum_broadcast *b, void *items, size_t item_size, size_t capacity);

/* Puts a copy of *p. 0; -EPIPE: it is closed; -EINVAL: `sizeof *(p)` is not the size of its items. Switches only to wait for
 * somebody who is copying; no cancellation point. */
#define thrum_broadcast_put(b, p) thrum_broadcast_put_sized(b, p, sizeof *(p))
THRUM_API int thrum_broadcast_put_sized(thrum_broadcast *b, const void *item, size_t size);

/* The number of the next item to be put: who begins with it gets all that are put from now on. */
THRUM_API uint64_t thrum_broadcast_subscribe(const thrum_broadcast *b);

/* Stores the item with the number *next in *p, waiting until it is put, and makes *next the number behind it. Returns how
 * many items were missed since *next: 0 if none. Or an error, and nothing was done: -EPIPE, -ECANCELED; -EINVAL: as above, or
 * *next is more than ever was put; of the timed form -ETIMEDOUT, of the other one -EAGAIN. An item that is there is got
 * whatever the timeout. Switches; a cancellation point, also if it need not wait; the try form is none. */
#define thrum_broadcast_get(b, next, p) thrum_broadcast_get_sized(b, next, p, sizeof *(p), THRUM_FOREVER)
#define thrum_broadcast_get_for(b, next, p, timeout) \
  thrum_broadcast_get_sized(b, next, p, sizeof *(p), timeout)
#define thrum_broadcast_try_get(b, next, p) thrum_broadcast_try_get_sized(b, next, p, sizeof *(p))
THRUM_API THRUM_MUST_CHECK int64_t thrum_broadcast_get_sized(thrum_broadcast *b, uint64_t *next, void *item,
                                                             size_t size, thrum_duration timeout);
THRUM_API THRUM_MUST_CHECK int64_t thrum_broadcast_try_get_sized(thrum_broadcast *b, uint64_t *next,
                                                                 void *item, size_t size);

/* Nothing more is put. May be repeated. 0, or -EINVAL: not initialised. */
THRUM_API int thrum_broadcast_close(thrum_broadcast *b);
THRUM_API bool thrum_broadcast_is_closed(const thrum_broadcast *b);

/* As thrum_lock_set_name. */
static inline int thrum_broadcast_set_name(thrum_broadcast *b, const char *name) {
  return thrumi_object_name(b, name);
}

/* Leaves *b all-zero. Nobody may be in a call with it. -EBUSY: threads wait for it; nothing was done. Need not be called. */
THRUM_API int thrum_broadcast_destroy(thrum_broadcast *b);

#ifdef __cplusplus
}
#endif
#endif
