/* How a program ends: in order, or because nothing can ever run again. */
#ifndef THRUMI_EXIT_H
#define THRUMI_EXIT_H

#include <thrum/base.h>

void thrumi_exit_start(void);
THRUM_NORETURN void thrumi_exit_main(intptr_t result); /* thrum_exit in main */

/* By the monitor, when no worker is busy; does not return if it is a deadlock. True: it may become one (a
 * thread is about to park, or an OS thread is there that thrum does not know); ask again later. */
bool thrumi_deadlock_check(void);

#endif
