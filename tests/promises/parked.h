/* Who waits, and taking a cancellation back, neither of which the public headers have. */
#ifndef TESTS_PARKED_H
#define TESTS_PARKED_H

#include "../support.h"

#include <sched/self.h>

static inline struct thrumi_thread *parked_record(thrum_thread t) {
  uint64_t life;
  return thrumi_lookup(t, &life);
}

/* Whatever it is that it waits in. */
static inline bool is_parked(thrum_thread t) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *record = parked_record(t);
  bool parked = record && thrumi_wait_state(thrumi_load(&record->wait)) == THRUMI_WAIT_PARKED;
  thrumi_leave(k);
  return parked;
}

static inline void cancel_thread(thrum_thread t) {
  int error = thrum_cancel(t);
  CHECK(error == 0 || error == -ESRCH);
}

static inline void take_back_cancel(thrum_thread t) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_thread *record = parked_record(t);
  if (record) thrumi_and(&record->life, ~(uint64_t)THRUMI_LIFE_CANCELLED);
  if (record) thrumi_store(&record->cancel, 0);
  thrumi_leave(k);
}

/* Runs it, waits until it is parked, cancels it: its result. */
static inline intptr_t cancelled_result(thrum_fn *fn, void *arg) {
  thrum_thread t = must_spawn(fn, arg);
  AWAIT(is_parked(t));
  cancel_thread(t);
  return must_join(t);
}

/* Runs it cancelled from the beginning. */
struct cancelled_run {
  thrum_fn *fn;
  void *arg;
};

static inline intptr_t run_cancelled(void *arg) {
  struct cancelled_run *run = (struct cancelled_run *)arg;
  cancel_thread(thrum_current());
  return run->fn(run->arg);
}

static inline intptr_t result_if_cancelled_before(thrum_fn *fn, void *arg) {
  struct cancelled_run run = {fn, arg};
  return must_join(must_spawn(run_cancelled, &run));
}

#endif
