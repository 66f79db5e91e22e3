/* Who waits for whom.
 *
 * A thread that waits for what a thread holds, or for a thread's end, points at that thread: one arrow at most from each. So
 * what can be reached from a thread is a path, which ends at one that does not wait so, or runs into a cycle.
 *
 * An arrow is *exact* if the thread that it points at is the only one that can end the wait: the end of a thread; an rlock or
 * an rwlock held by its writer, whose holder alone may release it (THRUMI_OWNED); a joiner whose guest runs on its stack. It is
 * *suspected* otherwise: any thread may release a lock, a wait with THRUMI_CANCELLABLE may be cancelled. A wait with a
 * deadline is no arrow, since it ends by itself.
 *
 * Reading somebody else's wait. The fields of a wait are written before it is armed, behind a fence, and the wait word numbers
 * waits. So who reads the word, the fields, and the same number once more has read the fields of that one wait. A notify that
 * moves a waiter to its lock changes them during the wait: it takes `waits_for` away first and gives the new one last. The
 * object's memory may be gone as soon as the wait is over. Therefore it is read under the lock of the bucket in which the waiter
 * is queued, and only if the wait is not claimed: who lets a waiter go claims its wait under that lock, and who ran out of time
 * needs the lock to withdraw. So the waiter has not returned, and the caller of a blocking call keeps the object. */
#ifndef THRUMI_WAITS_H
#define THRUMI_WAITS_H

#include <sched/record.h>

/* A thread's wait, as it was at one moment. */
struct thrumi_look {
  struct thrumi_thread *thread;
  uint64_t handle;
  uint64_t word; /* the wait word */
  const char *what;
  const void *object;
  int64_t since;
  struct thrumi_thread *next; /* whom it points at; NULL: nobody that is known */
  uint32_t mark;              /* of the holder, who may have ended; 0: none */
  uint8_t how;                /* flags of the wait */
  bool parked;                /* or hosts a guest: its context is saved, THRUMI_TIMED is right */
};

/* False: it does not wait. Inside, no bucket locked. */
bool thrumi_look_at(struct thrumi_thread *t, struct thrumi_look *out);

static inline bool thrumi_is_exact(const struct thrumi_look *l) {
  if (l->how & (THRUMI_CANCELLABLE | THRUMI_TIMED)) return false;
  return l->how & (THRUMI_THREAD | THRUMI_OWNED);
}

/* Whether the thread, which is about to park, may close a cycle; that is then looked into later, by cycle.c. */
bool thrumi_closes_cycle(struct thrumi_thread *me);

/* The thread with this mark; NULL: it has ended, or there is none. */
struct thrumi_thread *thrumi_marked(uint32_t mark);

/* A hint, without a lock: the thread waits in such a way that it may point at another one. */
bool thrumi_may_point(struct thrumi_thread *t);

/* Threads that wait in a cycle. */
struct thrumi_cycle {
  struct thrumi_look *of;
  size_t count, room;
  bool exact, parked; /* all of them */
  int64_t youngest;   /* when the last of the waits began */
};

/* Follows t to a cycle that it is part of. False: there is none, or no memory to tell. Outside. */
bool thrumi_cycle_from(struct thrumi_thread *t, struct thrumi_cycle *out);

/* The same waits, still. If so, there was a moment between the two at which all of them waited in this cycle: see
 * docs/design/deadlocks.md. Outside. */
bool thrumi_cycle_holds(const struct thrumi_cycle *cycle);

void thrumi_cycle_free(struct thrumi_cycle *cycle);

#endif
