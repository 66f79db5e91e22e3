/* Looking again and again, where the kernel does not say when: after 1 ms, 2, 4, ... up to 50 ms. */
#ifndef THRUMI_BACKOFF_H
#define THRUMI_BACKOFF_H

#include <thrum/thread.h>
#include <thrum/time.h>

struct thrumi_backoff {
  thrum_duration span; /* the last one; 0: none yet */
};

/* Sleeps for the next span. 0, -ECANCELED; -ETIMEDOUT: the deadline has come, or came meanwhile. */
static inline int thrumi_back_off(struct thrumi_backoff *b, thrum_time deadline) {
  thrum_duration left = thrum_left(deadline);
  if (left == 0) return -ETIMEDOUT;
  b->span = b->span == 0 ? THRUM_MS(1) : b->span < THRUM_MS(25) ? 2 * b->span : THRUM_MS(50);
  return thrum_sleep(b->span < left ? b->span : left);
}

#endif
