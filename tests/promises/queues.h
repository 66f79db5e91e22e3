/* What the tests of queues share: who waits in one, and cancelling, neither of which the public headers have. */
#ifndef TESTS_QUEUES_H
#define TESTS_QUEUES_H

#include "../support.h"

#include <queue/channel.h>

enum waiting { PUTTERS, GETTERS, JOINERS };

/* How many threads wait in the queue. Looks into their frames under the queue's lock, which ThreadSanitizer does not know. */
__attribute__((no_sanitize_thread)) static inline size_t queue_waiters(thrum_queue *q, enum waiting which) {
  struct thrumi_channel *c = thrumi_channel_of(q);
  const struct thrumi_offers *const lists[] = {&c->putters, &c->getters, &c->joiners};
  size_t n = 0;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_channel_lock(c);
  for (const struct thrumi_offer *o = lists[which]->first; o; o = o->next) n++;
  thrumi_channel_unlock(c);
  thrumi_leave(k);
  return n;
}

static inline void queue_cancel(thrum_thread t) { CHECK_EQ(thrum_cancel(t), 0); }

/* Whatever it is that it waits in. */
static inline bool queue_parked(thrum_thread t) {
  uint64_t life;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *record = thrumi_lookup(t, &life);
  bool parked = record && thrumi_wait_state(thrumi_load(&record->wait)) == THRUMI_WAIT_PARKED;
  thrumi_leave(k);
  return parked;
}

struct big {
  int n;
  char rest[64 * 1024 - sizeof(int)];
};

#endif
