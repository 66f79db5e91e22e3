/* What a program's threads did at one moment, and what is computed from two such moments: rates, and the use of CPUs. */
#ifndef THRUM_TOP_SNAPSHOT_H
#define THRUM_TOP_SNAPSHOT_H

#include "client.h"

#include <stdbool.h>

enum { THREADS_MOST = 100000 }; /* that are asked for; of more, the first ones are */

enum order { BY_CPU, BY_ID, BY_NAME, BY_STATE, BY_WAIT, ORDERS };

struct row {
  json_object *thread; /* as the program sent it; held by the page that it is in */
  const char *name, *state;
  int64_t id, cpu_ns, waits_ns;
  double cpu; /* per cent of one CPU since the snapshot before; negative: not known */
};

struct rates {
  double switches, steals, preemptions, spawned; /* a second */
  double cpu;                                    /* per cent of one CPU, of the whole program */
};

struct snapshot {
  json_object *stats, *locks, *queues;
  json_object **pages;
  size_t page_count;
  struct row *rows;
  size_t count;
  int64_t at; /* the program's clock, ns */
  bool more;  /* there are threads beyond THREADS_MOST */
  struct rates rates;
};

/* Asks for everything. `before` may be NULL: no rates. 0 or STATUS_FAILED; *why then says what happened. */
int snapshot_take(struct snapshot *out, struct client *c, const struct snapshot *before, const char **why);
void snapshot_free(struct snapshot *s);

/* The rows that contain `filter` (NULL: all) in what is shown of them, in that order. Returns how many; *shown, an array of as many as
 * there are rows, gets them. */
size_t snapshot_select(const struct snapshot *s, const char *filter, enum order order, bool reverse,
                       const struct row **shown);

#endif
