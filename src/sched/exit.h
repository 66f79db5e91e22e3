/* How a program ends in order. */
#ifndef THRUMI_EXIT_H
#define THRUMI_EXIT_H

#include <thrum/thread.h>

void thrumi_exit_start(void);
THRUM_NORETURN void thrumi_exit_main(intptr_t result); /* thrum_exit in main */

/* thrum_wait until the deadline; not a cancellation point. */
int thrumi_end_await(thrum_thread t, int64_t deadline);

/* Whether the program's end waits for the thread, whose life word this is. */
struct thrumi_thread;
bool thrumi_is_awaited(const struct thrumi_thread *t, uint64_t life);

#endif
