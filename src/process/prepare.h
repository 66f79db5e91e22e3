/* From the options of a start to the descriptors and names that the child gets. */
#ifndef THRUMI_PREPARE_H
#define THRUMI_PREPARE_H

#include <process/plan.h>
#include <process/record.h>

/* 0, or what is wrong with them. */
int thrumi_options_check(const thrum_process_options *o, bool command);

/* The standard descriptors of the child. Pipes and files in memory are p's, which closes its ends. */
struct thrumi_standard {
  int fd[3];
  int own[6]; /* to be closed afterwards */
  int own_count;
};
int thrumi_standard_open(struct thrumi_standard *s, struct thrum_process *p, const thrum_process_options *o,
                         bool command);
void thrumi_standard_close(struct thrumi_standard *s);

/* The next "Process-N"; the identity is what its children's names begin with. Both of THRUM_NAME_MAX bytes. */
void thrumi_process_number(char *name, char *identity);
void thrumi_prepare_fork(void);

#endif
