/* Helpers of a thread: others that work at its job while workers have nothing else to do.
 *
 * The *leader* has a job and a crew for it. Whoever works at the job may *call* another helper: a detached thread on the
 * global queue, for which a sleeping worker is woken. A helper that begins *enters* the crew, works, and *leaves*. The leader
 * *waits* for those who have entered, and closes the crew: who begins later goes at once. So the job may lie on the leader's
 * stack, and the leader never waits for a helper that is still on some queue. The crew lies in memory of its own, which
 * whoever sees it last frees.
 *
 * A helper is called when there is a worker for it and it is worth it. Before the leader has begun nobody knows whether it is: then
 * one is *offered* instead.
 *
 * The word:
 *
 *   bits    name      meaning                                       changed by
 *   0       WAITING   the leader waits, or is about to              the leader, in the bucket, while somebody is inside
 *   1       CLOSED    nobody enters any more                        the leader, when nobody is inside; or the last one inside,
 *                                                                   who finds WAITING, in the bucket
 *   2       LEFT      the leader has done with it                   the leader, when CLOSED
 *   16-31   called    threads that were called and have not begun   + who calls, - that thread when it begins (or was not to be had)
 *   32-47   inside    threads that have entered                     + and - that thread itself
 *
 *  - CLOSED: nobody is inside, now and ever after.
 *  - LEFT and nobody called: the memory is free. Nobody but threads that were called, and the leader, may touch it when CLOSED.
 *  - The job is touched by the leader and by who is inside.
 *
 * Who makes `inside` 0 beside WAITING does so in the bucket, closes it in the same step, and lets the leader go; it touches
 * the crew no more. So the leader, who looks in the bucket, sees either somebody inside who will find it queued, or CLOSED.
 *
 * Rejected: helpers that are joined: the leader would wait for one that lies on a queue behind others, for as long as those
 * run. Taking them back from there: from another worker's queue nobody can. */
#ifndef THRUMI_CREW_H
#define THRUMI_CREW_H

#include <core/atomic.h>
#include <thrum/thread.h>

struct thrumi_kthread;

#define THRUMI_CREW_WAITING UINT64_C(1)
#define THRUMI_CREW_CLOSED UINT64_C(2)
#define THRUMI_CREW_LEFT UINT64_C(4)
#define THRUMI_CREW_CALLED (UINT64_C(1) << 16)
#define THRUMI_CREW_INSIDE (UINT64_C(1) << 32)

struct thrumi_crew {
  _Atomic uint64_t word;
  uint32_t places;         /* the most helpers at once */
  void (*help)(void *job); /* what a helper does */
  void *job;
  thrum_thread offered; /* the leader's: that helper's handle; 0: none lies there */
};

/* The most helpers there can be at once for a leader on that kernel thread. */
uint32_t thrumi_crew_limit(const struct thrumi_kthread *k, uint32_t places);

/* By the leader, before it begins with what may be over before anybody could come: a helper lies on its queue as any new thread
 * does, for whoever has nothing to do then or later, and is taken back when the leader waits if nobody wanted it. */
void thrumi_crew_offer(struct thrumi_crew *crew);

/* By the leader or who is inside, for what is known to be worth it: calls one more helper, if a worker has nothing to do, there is a
 * place, and not many who were called have yet to begin (each who works brings one at a time, so that a crew doubles). */
void thrumi_crew_call(struct thrumi_crew *crew, bool leader);

/* By the leader: waits until nobody is inside, and closes the crew. */
void thrumi_crew_wait(struct thrumi_crew *crew);

/* By the leader, of a closed crew: has done with it. The last one frees it, by the runtime's allocator. */
void thrumi_crew_dismiss(struct thrumi_crew *crew);

#endif
