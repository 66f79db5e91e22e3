/* The keeper: a kernel thread of this process that never ends while the process lives.
 *
 * The kernel's robust list belongs to a kernel thread: when that ends, however it does, the kernel marks the futex words on the
 * list, and wakes one who waits for each. Light threads move between kernel threads, and these come and go. So what is to be
 * marked at the end of the *process* is held by one kernel thread that ends with the process only, at its exit, its death by a
 * signal, or an exec. It blocks all signals, runs nothing but what is below, and no two of its steps can
 * be interleaved: whoever wants something done to the list has it done there. (Done by another thread, a step could fall between the
 * kernel's look at the list and that thread's own death, and be missed.)
 *
 * It is started by the first who needs it. The child of a fork has none, and starts its own in the same way. */
#ifndef THRUMI_KEEPER_H
#define THRUMI_KEEPER_H

#include <linux/futex.h>

/* The list's head. The node of each entry, a struct robust_list, lies directly before its futex word. The keeper alone touches it. */
extern struct robust_list_head thrumi_keeper_list;

/* Has the keeper call fn(arg), and waits until it has. Outside; blocks the kernel thread for two switches. -EAGAIN: there is none to be
 * had. -ENOSYS: the kernel has no robust lists (qemu-user); fn was not called. */
int thrumi_keeper_do(void (*fn)(void *arg), void *arg);

void thrumi_keeper_fork(void); /* in the child of a fork */

#endif
