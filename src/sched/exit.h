/* How a program ends in order. */
#ifndef THRUMI_EXIT_H
#define THRUMI_EXIT_H

#include <thrum/base.h>

void thrumi_exit_start(void);
THRUM_NORETURN void thrumi_exit_main(intptr_t result); /* thrum_exit in main */

/* Whether the program's end waits for the thread, whose life word this is. */
struct thrumi_thread;
bool thrumi_is_awaited(const struct thrumi_thread *t, uint64_t life);

#endif
