/* The tree of scopes, and cancellation in it. docs/design/scopes.md has the whole of it.
 *
 * A scope lies on the stack of the thread that opened it, its *opener*. A thread has a list of scopes that it has open, the innermost
 * first, and may belong to one scope, of another thread, from its spawn to its end. So threads and scopes make a forest.
 *
 * Each record has a small lock, `tree`, which guards
 *
 *  - the thread's list of open scopes, and in each of these `cancelled`, the lists of its threads, and all else but what is said below;
 *  - its own state: TOLD and CANCELLED in its life (with FINISHED still unset), and the byte `cancel`.
 *
 * It lies in the record, which is never freed, so who has an opener may lock it. Order: an opener's before its threads' (membership
 * is fixed at the spawn, so there is no circle); a bucket, sched.lock and the table of records come after all of these.
 *
 * `cancel` is what everybody looks at. Invariant, whenever `tree` is free:
 *     cancel  <=>  the innermost open scope is cancelled; or, if there is none, the thread's life has CANCELLED or TOLD.
 * It is 1 in the byte before the wait that it finds armed is claimed (park.c has both sides of that race).
 *
 * `cancelled` of a scope, sums of
 *
 *   bit       set by                                                       means to the close
 *   FAILED    who notes the first failure                                  the failure is its result
 *   DEADLINE  its timer, or the opening, if it was not cancelled yet       -ETIMEDOUT
 *   OUTSIDE   who cancels a scope around it, or its opener;                -ECANCELED
 *             the opening, if the opener was cancelled and this is no shield
 *   ASKED     thrum_scope_cancel                                           0
 *   RESTART   who restarts all its threads; taken back by the last of them  nothing; the opener is not reached
 *
 * Who sets the first bit *cancels* it and tells its threads, a batch at a time: a thread goes from the list `untold` to `told` in the
 * same step in which it is marked. No thread joins a cancelled scope. Whoever is telling has left the runtime between two batches, so it
 * counts as a visitor, and a scope is not closed while it has visitors. Scopes to visit are linked through `work`, in no order that
 * matters: of all threads only the one that cancelled a scope links it. */
#ifndef THRUMI_TREE_H
#define THRUMI_TREE_H

#include <sched/sched.h>
#include <thrum/scope.h>
#include <thrum/timer.h>

enum thrumi_cause {
  THRUMI_CAUSE_FAILED = 1,
  THRUMI_CAUSE_DEADLINE = 2,
  THRUMI_CAUSE_OUTSIDE = 4,
  THRUMI_CAUSE_ASKED = 8,
  THRUMI_CAUSE_RESTART = 16,
};

/* A thrum_scope as the runtime sees it. */
struct thrumi_scope {
  _Atomic(struct thrumi_thread *) opener; /* NULL: not open */
  struct thrumi_scope *outer, *inner;     /* of the same opener: opened before, and after */
  struct thrumi_thread *untold, *told;    /* its threads, the youngest first */
  struct thrumi_scope *work;              /* the next one that the same canceller will visit */
  _Atomic uint32_t count;                 /* of threads; others read it as a hint */
  uint32_t visitors;                      /* cancellers that have still to do with it */
  thrumi_ticket ticket;                   /* of the opener's wait, if it `awaits` the threads' end */
  bool awaits;
  bool shield;
  _Atomic uint8_t cancelled; /* enum thrumi_cause */
  uint8_t restart;           /* THRUM_RESTART_x */
  uint32_t depth;            /* of open scopes of the opener, this one included */
  int failure;               /* the first one; 0: none */
  char *sentence;            /* "NAME: what"; NULL: there was no memory for it */
  int *status;
  _Atomic int64_t deadline; /* its own; INT64_MAX: none. Whoever sets it; it says nothing of the timer */
  bool timed;               /* the timer was started */
  bool told_slow;           /* it has been said whom the close waits for; the closer's */
  thrum_timer timer;

  /* Restarts (scope/restart.c). */
  int restart_max;
  uint32_t restarts; /* so far */
  int64_t restart_period;
  int64_t *restarted_at; /* the last restart_max of them */
  uint32_t stopped;      /* threads that have stopped and wait for the others */
  uint32_t round;        /* restarts of all, so far */
};

_Static_assert(sizeof(struct thrumi_scope) <= sizeof(thrum_scope), "a thrum_scope is a struct thrumi_scope");

/* Whether it is cancelled, by what its `cancelled` says: a restart alone is no cancellation. */
static inline bool thrumi_causes_cancel(uint8_t cancelled) {
  return cancelled & ~(unsigned)THRUMI_CAUSE_RESTART;
}

/* Under the opener's lock: somebody has to do with it. */
static inline bool thrumi_scope_is_busy(const struct thrumi_scope *s) {
  return thrumi_load_relaxed(&s->count) || s->visitors;
}

static inline struct thrumi_scope *thrumi_scope_of(thrum_scope *s) { return (struct thrumi_scope *)s; }

/* All of the following are called inside. */

/* At the end and at the beginning of the innermost scope of the caller. */
void thrumi_scope_push(struct thrumi_thread *me, struct thrumi_scope *s);
void thrumi_scope_pop(struct thrumi_thread *me, struct thrumi_scope *s);

/* Makes a thread that has not begun a thread of the scope. 0; -ECANCELED; -EINVAL: it is not open. */
int thrumi_scope_add(struct thrumi_scope *s, struct thrumi_thread *t);

/* Takes it out again: it never ran, or it ends. The former leaves nothing behind; the latter sets flags in its life in the same step, so
 * that a thread that has left has ended. Returns the flags before. Nothing of the scope may be touched afterwards. */
void thrumi_scope_remove(struct thrumi_thread *t);
uint64_t thrumi_scope_quit(struct thrumi_thread *t, uint64_t flags);

/* Under the opener's lock. Parks until there may be no threads (or, if there are none, no visitors), the scope was cancelled, or
 * the wait ended by itself. The lock is free in between. */
enum thrumi_wait_state thrumi_scope_await(struct thrumi_thread *me, struct thrumi_scope *s, int64_t deadline,
                                          int flags);

/* Cancels it, if it is open. Leaves the runtime in between, and comes back. */
void thrumi_scope_cancel(struct thrumi_scope *s, enum thrumi_cause why);

/* Notes the failure, if it is the first one, and cancels the scope. The sentence becomes the scope's then. False: it is not, or the scope is not
 * open, and the sentence is the caller's still. Leaves, as above. */
bool thrumi_scope_fail(struct thrumi_scope *s, int failure, char *sentence);

/* Under the opener's lock: cancels its threads, and not the opener, so that all stop; the lock is free in between. Lets those who have
 * stopped go on, not cancelled any more. */
void thrumi_scope_stop(struct thrumi_scope *s);
void thrumi_scope_resume(struct thrumi_scope *s);

/* Tells its scope that t has failed; or the hook, if that has a failure already and nobody will join t. Outside. */
void thrumi_member_failed(struct thrumi_thread *t, intptr_t result);

/* Its failure, in words, with its name; NULL: no memory. Outside. */
char *thrumi_scope_sentence(int failure, const char *name, const char *sentence);

/* Before a record is freed: nobody that has found the thread to cancel it has to do with the record any more. */
static inline void thrumi_tree_settle(struct thrumi_thread *t) {
  const uint64_t cancelled = THRUMI_LIFE_CANCELLED | THRUMI_LIFE_TOLD;
  if (thrumi_likely(!(thrumi_load_relaxed(&t->life) & cancelled))) return;
  thrumi_spin_lock(&t->tree);
  thrumi_spin_unlock(&t->tree);
}

/* In the child of a fork: t is gone; or it is the one that goes on. */
void thrumi_tree_forget(struct thrumi_thread *t);
void thrumi_tree_survive(struct thrumi_thread *t);

#endif
