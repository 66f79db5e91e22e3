/* What the models of objects that threads wait for have in common: callers, the parts of the scheduler that the sources call, a
 * deadline that each caller may have, and a clock. Included by one source a program. */
#ifndef EXPLORE_WAITING_H
#define EXPLORE_WAITING_H

#include "explore.h"

#include <core/parking.h>
#include <errno.h>
#include <sched/self.h>
#include <sched/timeout.h>
#include <stdlib.h>
#include <string.h>
#include <thrum/time.h>

enum { CALLERS = 4, NOT_RUN = -9999, GONE = -1 };

static struct thrumi_thread records[CALLERS];
static struct thrumi_kthread kthreads[CALLERS];
static struct thrumi_worker worker;
static _Atomic uint32_t ready[CALLERS];
static int results[CALLERS];
static int of[CALLERS] = {0, 1, 2, 3};

/* ---- The parts of the scheduler that these functions call ---------------------------------------------- */

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

static int number_of(const struct thrumi_thread *t) { return (int)(t - records); }

uint32_t explore_mark(void) { return thrumi_self_tls->current->mark; }
thrum_thread thrumi_handle(const struct thrumi_thread *t) { return (thrum_thread){t->mark}; }
int64_t thrumi_clock(void) { return 1; }
thrum_time thrum_after(thrum_duration span) { return span; }

void thrumi_make_ready(struct thrumi_thread *t) { thrumi_add(&ready[number_of(t)], 1u); }

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  bool timed = atomic_load(&t->waits_how) & THRUMI_TIMED;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready[number_of(t)]);
  EXPECT(thrumi_swap(&ready[number_of(t)], 0) == 1);
  EXPECT(!timed || atomic_load(&t->waits_how) & THRUMI_TIMED); /* also if it was moved meanwhile */
}

/* Deadlines: each caller has one at most, and the actor `deadline` lets it come at any moment once its wait has begun, or
 * when it has ended, which the caller says by `has_ended`. */
static _Atomic uint32_t begun[CALLERS];
static bool pending[CALLERS];
static struct thrumi_spin pending_lock[CALLERS];

static void set_pending(const struct thrumi_thread *t, bool is_pending) {
  thrumi_spin_lock(&pending_lock[number_of(t)]);
  pending[number_of(t)] = is_pending;
  thrumi_spin_unlock(&pending_lock[number_of(t)]);
}

uint32_t thrumi_timeout_start(struct thrumi_thread *t, uint32_t shard, int64_t when) {
  (void)when;
  EXPECT(!pending[number_of(t)]);
  set_pending(t, true);
  thrumi_store(&begun[number_of(t)], 1u);
  return shard;
}

void thrumi_timeout_stop(struct thrumi_thread *t, uint32_t shard) {
  (void)shard;
  set_pending(t, false);
}

static inline void has_ended(int i) { thrumi_store(&begun[i], 1u); }

static inline void deadline(void *i) {
  int n = *(int *)i;
  explore_await(&begun[n]);
  thrumi_spin_lock(&pending_lock[n]);
  bool is_due = pending[n];
  thrumi_ticket ticket = thrumi_wait_ticket(&records[n].wait);
  pending[n] = false;
  thrumi_spin_unlock(&pending_lock[n]);
  if (is_due) thrumi_wake(&records[n], ticket, THRUMI_TIMED_OUT);
}

/* Each look at the clock finds it where it was, or, in models where waiters get impatient, so much later. */
static bool time_passes;
static int64_t time_now;

static inline int64_t look_at_clock(void) {
  if (time_passes && explore_choose(2)) time_now += THRUM_MS(1);
  return time_now;
}

/* ---- Before each schedule ------------------------------------------------------------------------------ */

static void reset_callers(void) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  memset(pending, 0, sizeof pending);
  for (int i = 0; i < CALLERS; i++) {
    records[i].mark = (uint32_t)i + 1;
    atomic_store(&kthreads[i].current, &records[i]);
    kthreads[i].worker = &worker;
    atomic_store(&ready[i], 0);
    atomic_store(&begun[i], 0);
    atomic_store(&pending_lock[i].word, 0);
    explore_private(&records[i].state, sizeof records[i].state);
    results[i] = NOT_RUN;
  }
  explore_private(kthreads, sizeof kthreads);
  time_passes = false;
  time_now = 1;
  thrumi_parking_fork(); /* a schedule that was cut short leaves waiters and marks behind */
  thrumi_forks = 0;
}

#define CALLER(i, fn) \
  { .name = #fn, .run = fn, .arg = &of[i], .self = &kthreads[i] }
#define ACTOR(fn, i) \
  { .name = #fn, .run = fn, .arg = &of[i], .self = &kthreads[CALLERS - 1] }

#endif
