/* Cycles of threads that wait for each other: found when the last wait begins, looked into later, reported. */
#ifndef THRUMI_CYCLE_H
#define THRUMI_CYCLE_H

#include <sched/sched.h>

/* The wait of t, which is armed, may have closed a cycle: to be looked into. Inside; takes no lock but its own. */
void thrumi_cycle_suspect(struct thrumi_thread *t);

/* t, which waits, was moved by another thread to what the thread with this mark holds. In the bucket of that. */
void thrumi_cycle_moved(struct thrumi_thread *t, uint32_t mark);

/* By the breeder: looks into what is due, and reports it. Does not return if it is a deadlock for certain. Returns when to come
 * again. */
int64_t thrumi_cycle_examine(int64_t now);

void thrumi_cycle_fork(void);

#endif
