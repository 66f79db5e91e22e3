/* One copy of the library in a process. */
#ifndef THRUMI_COPIES_H
#define THRUMI_COPIES_H

/* This copy starts; aborts, and names both objects, if another one in this process has. Nothing can work then: each would think that
 * the CPUs are its own, wait for threads that the other one stops, and take its signals. */
void thrumi_copies_start(void);

#endif
