/* All that processes of thrum do, at once, in one process and those below it: what tests/stress/processes.c kills. Each activity is a
 * light thread that goes round and round; a round ends with what it has begun joined, closed and judged. */
#ifndef TESTS_STRESS_HOUSEHOLD_H
#define TESTS_STRESS_HOUSEHOLD_H

#include "../promises/processes.h"
#include "random.h"

enum activity { POOL, TASKS, COMMANDS, FAMILY, SHARING, MANAGING, ACTIVITIES };

/* Shared with whoever watches. */
struct household {
  uint32_t stop; /* by who watches: each activity ends with its round */
  uint32_t warm; /* by the household: each has gone round once */
  pid_t judge;   /* in names, so that it finds them */
  uint64_t rounds[ACTIVITIES];
  uint64_t ended, failed; /* tasks of pools; those of them that were killed */
  uint64_t talks, cut;    /* other processes; those that were killed */
  uint64_t unknown;       /* of them, those of which nobody can tell how they ended */
  uint64_t got, lost;     /* messages; those that somebody had got who was killed */
};

/* One activity's thread. */
struct actor {
  struct household *house;
  enum activity activity;
  uint64_t seed;
};

/* Until `stop`; at least one round of each, of those that are named by a bit. */
void household_live(struct household *house, uint64_t seed, unsigned activities);

/* What the process is for, where /proc says its name: "k-..." */
void be_called(const char *role);

/* Says the error if it is none of those that may be. */
#define CHECK_ERROR(error, may_be) \
  ((may_be) ? (void)0 \
            : check_failed(__FILE__, __LINE__, "%s is false: the error is %d", #may_be, (int)(error)))

/* Joins it, and releases it: true if it has ended well, else it was killed. */
bool ends_well(struct actor *a, thrum_process *p);

void pool_round(struct actor *a);
void task_round(struct actor *a);
void command_round(struct actor *a);
void family_round(struct actor *a);
void sharing_round(struct actor *a);
void managing_round(struct actor *a);

#endif
