/* Seeing what threads do: the dump of all of them.
 *
 *     thrum_dump(2);          // or press Ctrl-\ : SIGQUIT prints it and the program goes on */
#ifndef THRUM_TRACE_H
#define THRUM_TRACE_H

#include <thrum/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { THRUM_EXIT_DEADLOCK = 86 }; /* the exit status of a program in which nothing can ever run again */

/* Prints every thread to the descriptor: name, kind, state, what it waits for and since when, and its stack
 * with functions and lines (those where libthrum-dump is linked or installed; addresses otherwise).
 * 0 or a negative errno of write. */
THRUM_API int thrum_dump(int fd);

/* Looks for threads that wait for each other in a cycle, at this moment, and prints each such cycle to the descriptor: who waits
 * for what that whom holds. Returns how many there are, or a negative errno: of write, or -ENOMEM.
 *
 * Need not be called: a cycle is found when it closes. One that nothing can end (rlocks, an rwlock's writer, ends of threads) ends
 * the program with THRUM_EXIT_DEADLOCK; one that another thread might end by a release (locks) or a cancellation is reported
 * once, as suspected, when it has lasted for a second. */
THRUM_API int thrum_find_deadlocks(int fd);

#ifdef __cplusplus
}
#endif
#endif
