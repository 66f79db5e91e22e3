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

/* Prints every thread to the descriptor: name, kind, state, what it waits for and since when, who holds that and what that
 * thread does, what it holds itself, and its stack with functions and lines (those where libthrum-dump is linked or installed;
 * addresses otherwise). What a thread holds is known as far as others wait for it; all that it has taken, while the checker or the
 * profile below is on. 0 or a negative errno of write. */
THRUM_API int thrum_dump(int fd);

/* Looks for threads that wait for each other in a cycle, at this moment, and prints each such cycle to the descriptor: who waits
 * for what that whom holds. Returns how many there are, or a negative errno: of write, or -ENOMEM.
 *
 * Need not be called: a cycle is found when it closes. One that nothing can end (rlocks, an rwlock's writer, ends of threads) ends
 * the program with THRUM_EXIT_DEADLOCK; one that another thread might end by a release (locks) or a cancellation is reported
 * once, as suspected, when it has lasted for a second. */
THRUM_API int thrum_find_deadlocks(int fd);

/* The lock-order checker: while it is on, each acquire that may wait for ever is compared with what was seen before. An order that
 * could become a deadlock one day is reported once, on standard error, with both places and both threads. An acquire and
 * its release then take some 75 ns. Returns whether it was on. THRUM_CHECK=locks in the environment switches it on from the
 * start. What was acquired before is not known to it. Locks that are named (thrum_lock_set_name) should be before their first use;
 * a lock whose memory is used for another one should be destroyed (thrum_lock_destroy). The rules: docs/guide/deadlocks.md. */
THRUM_API bool thrum_check_locks(bool on);

/* The contention profile: while it is on, acquires and waits are counted. Returns whether it was on. THRUM_PROFILE=locks in the
 * environment switches it on from the start, and prints it when the program ends. */
THRUM_API bool thrum_profile_locks(bool on);

/* Prints the profile to the descriptor: for each lock how often it was acquired, how often threads waited for it, how long in all
 * and at most, and behind whom: the four places where it had been taken, and the four threads by their names, that were waited for
 * longest; the most waited for first, 20 locks. Returns how many locks were acquired, or
 * a negative errno: of write, or -ENOMEM. */
THRUM_API int thrum_lock_profile(int fd);

#ifdef __cplusplus
}
#endif
#endif
