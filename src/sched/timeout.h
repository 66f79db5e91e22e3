/* Deadlines of waits: one timing wheel a shard, the shard chosen by the worker that starts the wait. And reminders, which
 * wake nobody: something is looked at when its time has come. */
#ifndef THRUMI_TIMEOUT_H
#define THRUMI_TIMEOUT_H

#include <core/wheel.h>
#include <sched/sched.h>

/* Each thread has one, for its present wait, if that has a deadline: in the table of records, but in blocks of their own. Two
 * are a line of the cache. */
struct thrumi_timeout {
  struct thrumi_timer timer;    /* first: expiry casts back */
  struct thrumi_thread *thread; /* NULL: a reminder's */
};

/* Deadlines of waits and alarms both: a new earliest one was stored. Who watches the time hears of it. */
void thrumi_watch_ring(int64_t when);

/* Lies in an object that threads wait for; all-zero: not set. `ring` is called under the shard's lock, on any kernel
 * thread, inside; it returns when to ring again, or INT64_MAX. It may take sched.lock, and nothing else. */
struct thrumi_reminder {
  struct thrumi_timeout timeout; /* first; its thread is NULL */
  int64_t (*ring)(struct thrumi_reminder *reminder, int64_t now);
};

/* The deadline of t's present wait, by t itself or on its behalf, while that wait is armed. Returns the shard. */
uint32_t thrumi_timeout_start(struct thrumi_thread *t, uint32_t worker, int64_t when);
/* Before the wait is finished. Afterwards the timeout is in no wheel, and nobody is reading it. */
void thrumi_timeout_stop(struct thrumi_thread *t, uint32_t shard);

/* Sets it to ring then, unless it is set to ring sooner. */
void thrumi_reminder_set(struct thrumi_reminder *reminder, int64_t when);
/* Afterwards it does not ring, nor is it ringing. */
void thrumi_reminder_stop(struct thrumi_reminder *reminder);

#endif
