/* A cancellation that is taken back, which the public headers do not have. */
#ifndef TESTS_STRESS_CANCEL_H
#define TESTS_STRESS_CANCEL_H

#include <sched/self.h>

/* Cancels a thread, and takes that back, as if its scope had been closed. False: it is gone. */
static bool cancel_and_take_back(thrum_thread thread) {
  uint64_t life;
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *t = thrumi_lookup(thread, &life);
  if (t) {
    thrumi_cancel(t);
    thrumi_store(&t->cancel, 0);
  }
  thrumi_leave(k);
  return t;
}

#endif
