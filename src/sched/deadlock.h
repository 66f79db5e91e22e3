/* The verdict on a deadlock, after which the program ends with status 86. */
#ifndef THRUMI_DEADLOCK_H
#define THRUMI_DEADLOCK_H

#include <sched/waits.h>

/* By the monitor, when no worker is busy; does not return if it is a deadlock. True: it may become one (a
 * thread is about to park, or an OS thread is there that thrum does not know); ask again later. */
bool thrumi_deadlock_check(void);

/* The cycle is exact, and was seen twice. Outside. */
THRUM_NORETURN void thrumi_deadlock_verdict(const struct thrumi_cycle *cycle);

#endif
