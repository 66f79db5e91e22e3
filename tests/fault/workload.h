/* What a program does with thrum, in steps that either succeed or report an error and leave nothing
 * behind. */
#ifndef TESTS_FAULT_WORKLOAD_H
#define TESTS_FAULT_WORKLOAD_H

#include <stdbool.h>

enum { STEP_ERRORS = 4 };

struct step {
  const char *name;
  int (*run)(void);        /* 0, or one of the errors */
  int errors[STEP_ERRORS]; /* that the documentation has for its calls */
  bool may_abort;          /* there is nobody to tell */
  bool again;              /* may be run any number of times, and takes next to no time */
  const char *only;        /* for this kind of failure; NULL: all */
};

/* Steps of network.c. */
int workload_connecting(void);
int workload_resolving(void);
int workload_children(void);

/* Of connections.c. */
int workload_messages(void);

/* Of memory.c. */
int workload_shared_memory(void);

/* Of queues.c, tasks.c and loops.c. */
int workload_queues(void);
int workload_tasks(void);
int workload_loops(void);

/* Of scopes.c. */
int workload_scopes(void);

/* The last one has no name. */
extern const struct step workload[];

/* How many functions that were given to thrum_at_exit have run, of how many. */
extern int workload_at_exit_ran, workload_at_exit_given;

#endif
