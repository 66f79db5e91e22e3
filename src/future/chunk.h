/* A chunk of a map's items, as its executor sees it. */
#ifndef THRUMI_CHUNK_H
#define THRUMI_CHUNK_H

#include <thrum/executor.h>

/* What may come with a result beside its value. */
struct thrumi_more {
  char *sentence;
  void *bytes;
  size_t size;
};

/* In the `in` of its work. An executor of processes sends the items to where the task is, and stores what comes back. */
struct thrumi_chunk {
  thrum_fn *fn; /* NULL: the task */
  const thrum_task *task;
  char *items;
  size_t first; /* the index of its first item */
  size_t count, item_size;
  size_t done; /* items that have a value */
  bool keep_going;
  struct thrumi_more *more; /* of each item; NULL: of none so far */
  intptr_t values[];
};

/* Stores what comes with the value of item `done`. False: there is no memory for it, and it is gone. */
bool thrumi_chunk_keep(struct thrumi_chunk *c, struct thrumi_more more);

#endif
