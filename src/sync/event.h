/* An event as one of several things that a thread waits for: its part in a select. All of it inside the runtime. */
#ifndef THRUMI_EVENT_WAIT_H
#define THRUMI_EVENT_WAIT_H

#include "round.h"

#include <thrum/sync/event.h>

/* Changes whenever the event becomes set. */
uint64_t thrumi_event_round(const thrum_event *event);

/* Queues the wait, whose thread, ticket and round are set; false: the event is set, or was since that round, and it is not
 * queued. A signal handler may claim it (THRUMI_BY_SIGNAL). */
bool thrumi_event_enlist(thrum_event *event, struct thrumi_round_wait *wait);

/* The same for who has heard of that round, and waits for the next one: also while the event is set. */
bool thrumi_event_enlist_next(thrum_event *event, struct thrumi_round_wait *wait);

/* Takes it out again, after the thread's wait. True: it was let go, or the event was set in between. */
bool thrumi_event_withdraw(thrum_event *event, struct thrumi_round_wait *wait);

#endif
