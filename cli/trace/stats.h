/* Sums for tables. */
#ifndef THRUM_TRACE_STATS_H
#define THRUM_TRACE_STATS_H

#include "build.h"
#include "views.h"

struct wait { /* all those of one thread for things of one name */
  const char *what;
  int64_t ns;
  uint32_t count;
};

struct waits { /* all-zero is empty; free(all) */
  struct wait *all;
  size_t count, room;
};

/* What that thread waited for, longest first. 0, or STATUS_FAILED after a message. */
int waits_of(const struct model *m, const struct thread *t, struct waits *w);

struct share {
  int64_t ns;
  uint32_t thread;
};

struct critical { /* free(shares) */
  int64_t all, state[STATES];
  struct share *shares; /* of threads that have one, largest first */
  size_t count;
};

/* How the critical path is made up. 0, or STATUS_FAILED after a message. */
int critical_shares(const struct model *m, struct critical *c);

#endif
