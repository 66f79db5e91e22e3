/* Deadlines of waits: one timing wheel a shard, the shard chosen by the worker that starts the wait. */
#ifndef THRUMI_TIMEOUT_H
#define THRUMI_TIMEOUT_H

#include <core/wheel.h>
#include <sched/sched.h>

/* On the stack of the thread that waits; good until thrumi_timeout_stop, which takes the shard's lock. */
struct thrumi_timeout {
  struct thrumi_timer timer; /* first: expiry casts back */
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  uint32_t shard;
};

/* Deadlines of waits and alarms both: a new earliest one was stored. Who watches the time hears of it. */
void thrumi_watch_ring(int64_t when);

void thrumi_timeout_start(struct thrumi_timeout *timeout, uint32_t worker, int64_t when);
void thrumi_timeout_stop(struct thrumi_timeout *timeout);

#endif
