/* A broadcast as one of several things that a thread waits for: its part in a select. All of it inside the runtime. */
#ifndef THRUMI_BROADCAST_H
#define THRUMI_BROADCAST_H

#include <sync/round.h>
#include <thrum/broadcast.h>

/* What a get of the item `next` would say, beside what it would miss: 0, -EAGAIN, -EPIPE or -EINVAL. */
int thrumi_broadcast_look(const thrum_broadcast *b, uint64_t next);

/* Waits for whoever has the lock. Outside. */
void thrumi_broadcast_pass(thrum_broadcast *b);

/* Queues the wait for that item, whose thread and ticket are set; false: a get need not wait, and it is not queued. */
bool thrumi_broadcast_enlist(thrum_broadcast *b, uint64_t next, struct thrumi_round_wait *wait);

/* Takes it out again, after the thread's wait. */
void thrumi_broadcast_withdraw(thrum_broadcast *b, struct thrumi_round_wait *wait);

#endif
