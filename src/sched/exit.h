/* How a program ends: in order, or because nothing can ever run again. */
#ifndef THRUMI_EXIT_H
#define THRUMI_EXIT_H

#include <thrum/base.h>

void thrumi_exit_start(void);
THRUM_NORETURN void thrumi_exit_main(intptr_t result); /* thrum_exit in main */
void thrumi_deadlock_check(void);                      /* by the monitor, when no worker is busy */

#endif
