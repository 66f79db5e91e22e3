/* thrum_broadcast, and thrum_watch, which is one that keeps a single item: a ring under a lock, and a word whose waiters are in the
 * parking table as an event's are (sync/round.h).
 *
 * The word:
 *
 *   bits   name      meaning                     changed by
 *   0      WAITERS   threads may be queued       who queues sets it; cleared before the last one is let go, and by who leaves
 *                                                by itself and finds none; all in the bucket
 *   1      CLOSED    nothing more is put         close; under the lock
 *   2-63   count     how many items were put     put; under the lock, after the item was copied
 *
 *  - The item with number n lies in the cell n % capacity, while n < count <= n + capacity. Cells change under the lock.
 *  - A round ends with each put, and with the close: it is the whole word but for WAITERS. Who waits for item n queues only if
 *    count == n and it is not closed, in one step with setting WAITERS. So the put or close that comes next sees WAITERS, and
 *    settles after it has let go of the lock.
 *  - count only grows and CLOSED stays: what is ready for a subscriber stays ready, until that takes it itself. So nothing is
 *    handed over, and there is no claim to be lost.
 *
 * Freed by who has got the last item, or -EPIPE: whoever put or closed is done with the object when it lets go of the lock, but for
 * its address (round.h). So whoever may be the last takes the lock before it returns, also to say -EPIPE.
 *
 * Rejected: subscribers that the broadcast knows, each with a queue: a put would cost as many steps as there are, and memory.
 * Cells that are read without the lock and read again if the count has moved (a sequence lock): the copy would race, which C has no word
 * for, and readers of a busy ring would never end. A readers-writer lock, to let long copies go on side by side: dearer for short ones, and
 * who puts would wait for all of them. */
#include <queue/broadcast.h>

#include <sched/self.h>
#include <string.h>
#include <thrum/time.h>
#include <thrum/watch.h>

enum { WAITERS = 1, CLOSED = 2, ITEM = 4 };

typedef _Atomic uint64_t broadcast_word;

static broadcast_word *word_of(const thrum_broadcast *b) { return (broadcast_word *)(uintptr_t)&b->word; }

static uint64_t count_in(uint64_t word) { return word / ITEM; }

static bool settle(struct thrumi_bucket *bucket, const void *address);

static const struct thrumi_rounds kind = {"a broadcast", WAITERS, ~(uint64_t)WAITERS, settle, 0};

static bool settle(struct thrumi_bucket *bucket, const void *address) {
  return thrumi_round_settle(&kind, bucket, address);
}

/* ---- The lock, and what lies under it ------------------------------------------------------------------------------- */

static void acquire(thrum_broadcast *b) {
  thrum_lock_acquire(&b->lock);
  thrumi_rely_on(b);
}

static void release(thrum_broadcast *b) {
  thrumi_announce(b);
  thrum_lock_release(&b->lock);
}

static char *cell(const thrum_broadcast *b, uint64_t number) {
  return (char *)b->items + number % b->capacity * b->item_size;
}

static bool takes(const thrum_broadcast *b, size_t size) { return size && b->item_size == size; }

/* With an item to put, or NULL to close. */
static int change(thrum_broadcast *b, const void *item) {
  acquire(b);
  uint64_t seen = thrumi_load(word_of(b));
  bool closed = seen & CLOSED;
  if (!closed && item) memcpy(cell(b, count_in(seen)), item, b->item_size);
  if (!closed) seen = thrumi_add(word_of(b), (uint64_t)(item ? ITEM : CLOSED));
  release(b);
  if (!closed && seen & WAITERS) thrumi_settle(b, settle);
  return closed ? -EPIPE : 0;
}

int thrum_broadcast_put_sized(thrum_broadcast *b, const void *item, size_t size) {
  return takes(b, size) ? change(b, item) : -EINVAL;
}

int thrum_broadcast_close(thrum_broadcast *b) {
  if (!b->item_size) return -EINVAL;
  change(b, NULL);
  return 0;
}

/* What `look` says with this word. */
static int look_at(uint64_t word, uint64_t next) {
  if (next < count_in(word)) return 0;
  if (next > count_in(word)) return -EINVAL;
  return word & CLOSED ? -EPIPE : -EAGAIN;
}

int thrumi_broadcast_look(const thrum_broadcast *b, uint64_t next) {
  return look_at(thrumi_load(word_of(b)), next);
}

void thrumi_broadcast_pass(thrum_broadcast *b) {
  acquire(b);
  release(b);
}

/* The number of items missed, or an error. */
static int64_t take(thrum_broadcast *b, uint64_t *next, void *item) {
  int error = thrumi_broadcast_look(b, *next);
  if (error == -EAGAIN || error == -EINVAL) return error;
  acquire(b);
  uint64_t word = thrumi_load(word_of(b)), count = count_in(word), number = *next;
  error = look_at(word, number);
  if (!error) {
    if (count - number > b->capacity) number = count - b->capacity;
    memcpy(item, cell(b, number), b->item_size);
  }
  release(b);
  if (error) return error;
  int64_t missed = (int64_t)(number - *next);
  *next = number + 1;
  return missed;
}

int thrum_watch_get_sized(thrum_watch *w, void *value, size_t size, uint64_t *seen) {
  thrum_broadcast *b = &w->thrumi;
  if (!takes(b, size)) return -EINVAL;
  acquire(b);
  memcpy(value, b->items, size);
  if (seen) *seen = count_in(thrumi_load(word_of(b)));
  release(b);
  return 0;
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------- */

/* In the bucket: says that the caller waits, unless it need not. False then. *seen: the word as it was. */
static bool say_waits(thrum_broadcast *b, uint64_t next, uint64_t *seen) {
  *seen = thrumi_load(word_of(b));
  bool waits;
  while ((waits = look_at(*seen, next) == -EAGAIN) && !thrumi_cas(word_of(b), seen, *seen | WAITERS)) {
  }
  return waits;
}

/* 0: it is worth a look; -ETIMEDOUT, -ECANCELED. */
static int wait_for(thrum_broadcast *b, uint64_t next, int64_t deadline) {
  uint64_t seen;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(b);
  if (say_waits(b, next, &seen))
    return thrumi_round_await(&kind, bucket, b, seen, deadline, THRUMI_CANCELLABLE);
  thrumi_bucket_unlock(bucket);
  return 0;
}

int64_t thrum_broadcast_get_sized(thrum_broadcast *b, uint64_t *next, void *item, size_t size,
                                  thrum_duration timeout) {
  if (!takes(b, size)) return -EINVAL;
  int error = thrumi_poll_failed();
  if (error == -ECANCELED) return error;
  int64_t missed = take(b, next, item);
  if (missed != -EAGAIN) return missed;
  if (timeout <= 0) return -ETIMEDOUT;
  thrumi_enter();
  error = wait_for(b, *next, thrum_after(timeout));
  thrumi_leave(thrumi_self());
  return error ? error : take(b, next, item);
}

int64_t thrum_broadcast_try_get_sized(thrum_broadcast *b, uint64_t *next, void *item, size_t size) {
  return takes(b, size) ? take(b, next, item) : -EINVAL;
}

bool thrumi_broadcast_enlist(thrum_broadcast *b, uint64_t next, struct thrumi_round_wait *wait) {
  uint64_t seen;
  struct thrumi_bucket *bucket = thrumi_bucket_lock(b);
  bool waits = say_waits(b, next, &seen);
  wait->round = seen & kind.rounds;
  if (waits) thrumi_round_enlist(&kind, bucket, b, wait);
  thrumi_bucket_unlock(bucket);
  return waits;
}

void thrumi_broadcast_withdraw(thrum_broadcast *b, struct thrumi_round_wait *wait) {
  if (!thrumi_withdraw(&wait->waiter)) thrumi_round_leave(&kind, b, wait);
}

/* ---- The rest ------------------------------------------------------------------------------------------------------- */

int thrum_broadcast_init(thrum_broadcast *b, void *items, size_t item_size, size_t capacity) {
  if (!items || item_size == 0 || capacity == 0 || capacity > PTRDIFF_MAX / item_size) return -EINVAL;
  *b = (thrum_broadcast){0, {0}, items, item_size, capacity};
  return 0;
}

uint64_t thrum_broadcast_subscribe(const thrum_broadcast *b) { return count_in(thrumi_load(word_of(b))); }

bool thrum_broadcast_is_closed(const thrum_broadcast *b) { return thrumi_load(word_of(b)) & CLOSED; }

int thrum_broadcast_destroy(thrum_broadcast *b) {
  int error = thrumi_round_destroy(b);
  if (!error) memset(b, 0, sizeof *b);
  return error;
}
