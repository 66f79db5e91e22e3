/* Waiting for words in memory that processes share: what every shared object is built on.
 *
 *     who waits                                            who lets go, in whatever process
 *     changes the object to say that somebody waits,       changes the object and its word, in one step, which
 *     in one step with looking at it and its word            says whether somebody waits
 *     thrumi_shared_await(&wait, word, seen, ...)          thrumi_shared_wake(word, n)
 *
 * A word is a futex, 32 bits of the object, of one of two sorts. A *counter* says, above `shift` lower bits that may mean anything, how
 * many have been woken so far: each wake adds to it, and one that was woken looks at the object again. A *state* changes when all who wait
 * are to look again. All waits for one word are of one sort. The wake itself does not touch the word: once it has been changed its
 * memory may be another object's.
 *
 * Nobody who waits blocks a worker. A light, bound or foreign thread queues in the parking table of its own process, at
 * the word's address, and parks. For all of them a kernel thread of this process, the *watcher*, sleeps in the kernel, on many
 * words at once (futex_waitv); a wake of its word becomes a wake of a thread. Past 63 words there is a second watcher.
 *
 * What may be relied upon. A thread that has queued with `seen` looks at the object again once the word is another: a wake between
 * the look and the sleep is not lost, and one that reached this process and found nobody who still waits is passed on to
 * another process. Some ends are bounded in time only, by THRUMI_SHARED_TICK: a process that is killed between changing the
 * object and waking, or between being woken and using it, takes the wake with it. So at every tick one waiter of each
 * counter looks again, unasked (of a state none need: the kernel compares it whenever it is waited for anew). Who waits for what a
 * process holds may name that process's slot (slot.h), as `end`: when the kernel marks it, one waiter looks again at once.
 *
 * A wake can be spurious, and nobody minds. */
#ifndef THRUMI_SHARED_WAIT_H
#define THRUMI_SHARED_WAIT_H

#include <sched/await.h>
#include <thrum/time.h>

#define THRUMI_SHARED_TICK THRUM_MS(100)

struct thrumi_shared_wait {
  struct thrumi_waiter waiter; /* first: queues hold these */
  const char *what;            /* for dumps: "a shared lock" */
  const void *object;
  thrumi_futex *end;     /* in the object's segment; NULL: none */
  uint32_t end_expected; /* look again when it is another */
  uint8_t shift;         /* of the counter; THRUMI_SHARED_STATE: it is none */
  bool waited;           /* has slept before: queues at the front */
};

enum { THRUMI_SHARED_STATE = 32, THRUMI_SHARED_EVERYBODY = INT32_MAX };

/* Outside; before anything that may wait. Sees to it that a watcher has room; without one who waits looks again every 10 ms. */
void thrumi_shared_ready(void);

/* Waits until the word is another than `seen`, or somebody wakes it. Inside. 0: look again; -ETIMEDOUT; with THRUMI_CANCELLABLE in
 * flags -ECANCELED. A deadline of 0 polls. */
int thrumi_shared_await(struct thrumi_shared_wait *wait, thrumi_futex *word, uint32_t seen, int64_t deadline,
                        int flags);

/* The word has been changed for n who wait, or THRUMI_SHARED_EVERYBODY. Anywhere. */
void thrumi_shared_wake(thrumi_futex *word, uint32_t n);

#endif
