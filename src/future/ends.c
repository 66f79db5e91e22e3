/* All pools: what the end of the program, and a fork, mean for them.
 *
 * The list is linked singly, and every change of it is one store: so the child of a fork, whose other threads are not there, finds
 * a whole list, whatever they were at. */
#include <future/pool.h>

#include <thrum/time.h>

static struct {
  struct thrumi_spin lock;
  _Atomic(struct thrumi_pool *) first;
  _Atomic bool end;
} pools;

bool thrumi_pools_end(void) { return thrumi_load(&pools.end); }

void thrumi_pools_add(struct thrumi_pool *p) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&pools.lock);
  thrumi_store(&p->next_pool, thrumi_load(&pools.first));
  thrumi_store(&pools.first, p);
  thrumi_spin_unlock(&pools.lock);
  thrumi_leave(k);
}

void thrumi_pools_remove(struct thrumi_pool *p) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&pools.lock);
  _Atomic(struct thrumi_pool *) *at = &pools.first;
  while (thrumi_load(at) != p) at = &thrumi_load(at)->next_pool;
  thrumi_store(at, thrumi_load(&p->next_pool));
  thrumi_spin_unlock(&pools.lock);
  thrumi_leave(k);
}

/* ---- The end of the program ---------------------------------------------------------------------------------------------- */

/* Wakes one member that is idle, of any pool. */
static bool wake_any(thrum_thread *out) {
  bool any = false;
  struct thrumi_thread *t = NULL;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&pools.lock);
  for (struct thrumi_pool *p = thrumi_load(&pools.first); p && !any; p = thrumi_load(&p->next_pool)) {
    thrumi_spin_lock(&p->lock);
    if ((any = p->idle)) {
      *out = thrumi_handle(p->idle->thread);
      t = thrumi_pool_claim_idle(p);
    }
    thrumi_spin_unlock(&p->lock);
  }
  thrumi_spin_unlock(&pools.lock);
  if (t) thrumi_make_ready(t);
  thrumi_leave(k);
  return any;
}

/* Those who are idle end at once, so that they are neither waited for nor named; those who work end when nothing is left. What is
 * submitted meanwhile is still done. */
static void end(void) {
  thrum_thread idle;
  thrumi_store(&pools.end, true);
  while (wake_any(&idle)) thrum_wait(idle);
}

/* ---- The child of a fork --------------------------------------------------------------------------------------------------- */

/* Nobody is there but the caller. What was queued is the parent's: here it counts as finished (future.h). If the lock was
 * held the queue may be in pieces, and is forgotten. */
static void forget_parent(struct thrumi_pool *p) {
  bool whole = thrumi_load(&p->lock.word) == THRUMI_SPIN_FREE;
  p->lock = (struct thrumi_spin){0};
  for (struct thrumi_work *work; whole && (work = p->first);) {
    thrumi_pool_unqueue(p, work);
    thrumi_future_look(&work->future);
    thrum_future_release(&work->future);
  }
  p->first = p->last = NULL;
  p->members = p->idle = NULL;
  p->queued = p->count = p->coming = p->woken = p->idle_count = p->waiting = 0;
  p->pins = p->held;
}

static void forked(void) {
  pools.lock = (struct thrumi_spin){0};
  thrumi_works_fork();
  for (struct thrumi_pool *p = thrumi_load(&pools.first); p; p = thrumi_load(&p->next_pool)) forget_parent(p);
}

void thrumi_pools_start(void) {
  thrumi_store(&thrumi_hooks.executor_fork, forked);
  thrumi_store(&thrumi_hooks.executor_end, end);
}
