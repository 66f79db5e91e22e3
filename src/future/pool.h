/* A pool of threads as an executor; docs/design/futures.md has the whole.
 *
 * All fields but `finishing` are under the lock, which is taken inside the runtime only; a parking bucket may be held, nothing is taken under it but
 * what a wake-up takes.
 *
 * A *member* is a thread of the pool, a record in that thread's own frame. It is one of
 *
 *   coming     started, or woken from idle, and has not looked at the queue since. Counted only
 *   running    a task, or looks for one
 *   finishing  a task has ended, its result is about to be told, and then it looks at the queue without fail
 *   waiting    runs a task that waits for a future, and has lent its place
 *   idle       in the list of idle ones, its wait armed
 *
 * busy = count - idle - waiting: those that hold a place. Invariants, whenever the lock is free:
 *
 *   P1  busy <= limit, but for tasks that have come back from waiting. Nobody begins a task, or is woken or started to, while
 *       busy > limit. All but P5 hold as far as threads can be had.
 *   P2  queued > 0 and idle > 0 and busy < limit  =>  woken > 0. (Who comes wakes the next one: one at a time.)
 *   P3  queued > 0 and idle == 0 and busy < limit  =>  queued <= coming + finishing. (For each task somebody comes.)
 *   P4  queued > 0  =>  busy > 0. Where no thread can be had whoever would break it is told so, or what is queued fails.
 *   P5  pins = the handle, if held, + count + works that are queued, or whose canceller has not been here. 0: it is freed.
 *
 * The whole queue is taken out in one step, where all of it is cancelled or fails: it may be long, and what follows is done without the lock.
 * A work of it may be cancelled meanwhile. It keeps its link then, and the executor's reference with it, until both have been there, its
 * canceller and who took it out (`passed`). */
#ifndef THRUMI_POOL_H
#define THRUMI_POOL_H

#include <sched/self.h>

#include <future/executor.h>

struct thrumi_member {
  struct thrumi_pool *pool;
  struct thrumi_member *next_idle;
  struct thrumi_thread *thread;
  thrumi_ticket ticket; /* while idle */
  bool waiting;         /* and when it has left: it has no place to lend */
  bool initialized;
  bool finishing; /* it is counted in the pool's; its own */
  uint32_t forks;
};

struct thrumi_pool {
  struct thrum_executor executor; /* first */
  struct thrumi_spin lock;
  struct thrumi_work *first, *last; /* the queue */
  uint32_t queued;
  uint32_t count, coming, idle_count, waiting;
  uint32_t woken; /* of those coming: from idle */
  uint32_t limit;
  _Atomic uint32_t
      finishing; /* a member adds itself before its task is FINISHED, and is taken off under the lock */
  struct thrumi_member *idle;
  uint64_t submitted, finished, cancelled, started;
  uint64_t number; /* of the next thread, for its name */
  uint64_t pins;
  uint32_t round; /* how often all was taken out of the queue; a work has the one in which it was queued */
  uint32_t
      dropping; /* who shut it down and are about to cancel what they have taken out; the end waits for them */
  bool shut, broken, held;
  thrum_thread last_gone; /* the member that left last; each waits for the one before it */

  /* Do not change. */
  _Atomic(struct thrumi_pool *)
      next_pool; /* of all; under their lock, and whole at any moment for the child of a fork */
  uint64_t id;   /* no other pool ever has the same */
  thrum_fn *initializer;
  void *initializer_arg;
  size_t stack_size;
  bool bound;
  char name[THRUM_NAME_MAX];
};

/* What has to be done once the lock is free. */
struct thrumi_need {
  struct thrumi_thread *wake; /* it was idle, and its wait has been claimed */
  bool start;                 /* a thread, which has been counted already, */
  uint64_t number;            /* with this one in its name */
};

static inline struct thrumi_pool *thrumi_pool_of(struct thrum_executor *executor) {
  return (struct thrumi_pool *)executor;
}

static inline uint32_t thrumi_pool_busy(const struct thrumi_pool *p) {
  return p->count - p->idle_count - p->waiting;
}

/* Under the lock: who has to come so that P2 and P3 hold. */
struct thrumi_need thrumi_pool_need(struct thrumi_pool *p);

/* Inside, without the lock: wakes. Whether to start one is the caller's to see, outside. */
static inline void thrumi_pool_wake(struct thrumi_need need) {
  if (need.wake) thrumi_make_ready(need.wake);
}

/* Outside: starts a thread that has been counted. An error: it counts as waiting, on whom nobody counts, until thrumi_pool_forsake, so that
 * who waits for the pool's end does not go before it is seen what the error means for others. */
int thrumi_pool_start(struct thrumi_pool *p, struct thrumi_need need);

/* Outside: its initializer has failed. */
void thrumi_pool_break(struct thrumi_pool *p);

/* Outside: nobody stays idle. */
void thrumi_pool_wake_all(struct thrumi_pool *p);

/* Outside: a thread was not to be had. If nobody is left to work on what is queued, that fails. */
void thrumi_pool_forsake(struct thrumi_pool *p, int error);

/* Under the lock: one pin less; true: the caller frees it once it has let go of the lock. */
bool thrumi_pool_unpin(struct thrumi_pool *p);
void thrumi_pool_free(struct thrumi_pool *p); /* outside */

/* Inside: it may be over; wakes who waits for that, to look. The caller has a pin. */
void thrumi_pool_has_ended(struct thrumi_pool *p);

/* Takes a work out of the queue. */
void thrumi_pool_unqueue(struct thrumi_pool *p, struct thrumi_work *work);

/* member.c */
intptr_t thrumi_member_main(void *pool);
struct thrumi_member *thrumi_member_current(void); /* NULL: the caller is none */
bool thrumi_member_was_of(
    const struct thrumi_pool *p); /* the caller has left it, and runs its last destructors */

/* Under the lock: claims the wait of one who is idle; there is one. For the caller to make ready, unless NULL. */
struct thrumi_thread *thrumi_pool_claim_idle(struct thrumi_pool *p);

/* ends.c */
void thrumi_pools_start(void);
void thrumi_pools_add(struct thrumi_pool *p);
void thrumi_pools_remove(struct thrumi_pool *p);
bool thrumi_pools_end(void); /* the program ends: nobody stays idle */

#endif
