/* From the options of a start to the descriptors and names that the child gets. */
#ifndef THRUMI_PREPARE_H
#define THRUMI_PREPARE_H

#include <process/flight.h>
#include <process/plan.h>
#include <process/record.h>

/* 0, or what is wrong with them. */
int thrumi_options_check(const thrum_process_options *o, bool command);

/* The standard descriptors of the child, into fds[3]: what is opened for them is the flight's, but for our ends of pipes and files in
 * memory, which are p's. */
int thrumi_standard_open(struct thrumi_flight *f, int *fds, struct thrum_process *p,
                         const thrum_process_options *o, bool command);

/* The next "Process-N"; the identity is what its children's names begin with. Both of THRUM_NAME_MAX bytes. */
void thrumi_process_number(char *name, char *identity);
void thrumi_prepare_fork(void);

#endif
