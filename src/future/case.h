/* Futures as cases of a select. */
#ifndef THRUMI_CASE_H
#define THRUMI_CASE_H

#include <future/future.h>

/* Whoever makes a future calls it, so that select knows of them. */
void thrumi_case_start(void);

/* Inside: queues a waiter, whose thread and ticket are set, unless the future is done: false then. */
bool thrumi_future_enlist(thrum_future *f, struct thrumi_waiter *waiter);

#endif
