/* What each thread holds, in the order in which it took it; kept while somebody watches.
 *
 * A stack a thread, beside the table of thread records and not in it: the record stays small. Its memory comes from the OS in
 * chunks, the first time that a thread of the chunk holds anything. A stack has its own small lock, since a lock may be
 * released by a thread that did not take it. It belongs to one thread, named by its handle, and to one period of watching: who
 * finds another thread's, or a former period's, empties it first. So what was left behind is never taken for something held.
 *
 * What does not fit is counted and not kept: who releases it finds nothing, and lowers the count. */
#ifndef THRUMI_HELD_H
#define THRUMI_HELD_H

#include <check/observe.h>
#include <sched/sched.h>

enum { THRUMI_HELD_MAX = 31 };

struct thrumi_held {
  const void *object;
  uintptr_t site;   /* where it was taken */
  int64_t since;    /* thrumi_clock */
  uint32_t klass;   /* of the order checker; 0: it has not asked yet */
  uint8_t hold;     /* enum thrumi_hold */
  uint8_t patience; /* enum thrumi_patience */
};

struct thrumi_held_stack {
  struct thrumi_spin lock;
  uint32_t period;
  uint64_t owner; /* handle */
  uint32_t count; /* of those in `of` */
  uint32_t more;  /* held, and not kept */
  struct thrumi_held of[THRUMI_HELD_MAX];
};

/* All of them inside. */
bool thrumi_held_push(struct thrumi_thread *t, const struct thrumi_held *held); /* false: it did not fit */
bool thrumi_held_pop(struct thrumi_thread *t, const void *object,
                     struct thrumi_held *out); /* the topmost of that object */
uint32_t thrumi_held_copy(struct thrumi_thread *t, struct thrumi_held out[THRUMI_HELD_MAX]); /* how many */
void thrumi_held_afresh(void); /* a new period of watching begins: nobody holds anything */
void thrumi_held_fork(void);

#endif
