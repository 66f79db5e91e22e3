/* Signals and children of the process, as a select waits for them. */
#ifndef THRUMI_PROCESS_H
#define THRUMI_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Catches the signal from here on. 0, -EINVAL, or a negative errno. Outside. */
int thrumi_signal_start(int signo);

/* Its counter: a descriptor that is readable while a delivery is there to be taken. Takes one. Of one that was started; anywhere. */
int thrumi_signal_counter(int signo);
bool thrumi_signal_take(int signo);

/* Whether the number is one of these counters, which are not the program's to close. Anywhere. */
bool thrumi_is_signal_counter(int fd);

/* Reaps the child if it has ended: its pid; 0: it has not; -ECHILD. Anywhere. */
pid_t thrumi_child_reap(pid_t child, int *status);

#endif
