/* Saying things on standard error, and aborting by name. */
#ifndef THRUMI_FATAL_H
#define THRUMI_FATAL_H

#include <thrum/runtime.h>

/* Where messages go: the log function of thrum_configure, else descriptor 2. Set before the first thread. */
extern void (*thrumi_log_function)(const char *message, size_t length);

/* What is still done, once, when the program is about to be ended by abort, a fault or a deadlock; NULL: nothing. Async-signal-safe, unless
 * it is told that it is no handler that calls, and nothing is held. Who comes while another kernel thread does it waits until that has
 * done it, so that its own end does not cut that short; 10 s at most. */
extern void (*_Atomic thrumi_last_act)(bool in_handler);
void thrumi_act_last(bool in_handler);
void thrumi_await_last_act(void); /* the waiting alone: the program ends in another way */
void thrumi_last_act_fork(void);  /* in the child of a fork: nobody does it here */

/* Writes a message to where messages go. */
void thrumi_log_write(const char *message, size_t length);

/* One line "thrum: ..." to the log. Formats %s %d %u %x %p %l of printf's, by itself: async-signal-safe. */
void thrumi_log(const char *format, ...) THRUM_PRINTF(1, 2);

/* The same, to the fatal hook first, and then abort(). */
THRUM_NORETURN void thrumi_fatal(const char *format, ...) THRUM_PRINTF(1, 2);

#endif
