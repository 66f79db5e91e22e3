/* All pools: what the end of the program, and a fork, mean for them.
 *
 * The list is linked singly, and every change of it is one store: so the child of a fork, whose other threads are not there, finds
 * a whole list, whatever they were at. */
#include <future/pool.h>

#include <future/place.h>

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

/* Inside. Claims one member that is idle, of any pool. False: there is none. *parked: to be made ready, unless NULL. */
static bool claim_any(struct thrumi_thread **parked) {
  bool any = false;
  *parked = NULL;
  thrumi_spin_lock(&pools.lock);
  for (struct thrumi_pool *p = thrumi_load(&pools.first); p && !any; p = thrumi_load(&p->next_pool)) {
    thrumi_spin_lock(&p->lock);
    if ((any = p->idle)) *parked = thrumi_pool_claim_idle(p);
    thrumi_spin_unlock(&p->lock);
  }
  thrumi_spin_unlock(&pools.lock);
  return any;
}

static void wake_all(void) {
  for (bool any = true; any;) {
    struct thrumi_thread *parked;
    struct thrumi_kthread *k = thrumi_enter();
    any = claim_any(&parked);
    if (parked) thrumi_make_ready(parked);
    thrumi_leave(k);
  }
}

/* Those who are idle are not named as abandoned. They may still be woken, by who submits, until the process ends. */
static void make_idle_daemons(void) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&pools.lock);
  for (struct thrumi_pool *p = thrumi_load(&pools.first); p; p = thrumi_load(&p->next_pool)) {
    thrumi_spin_lock(&p->lock);
    for (struct thrumi_member *m = p->idle; m; m = m->next_idle) m->thread->daemon = true;
    thrumi_spin_unlock(&p->lock);
  }
  thrumi_spin_unlock(&pools.lock);
  thrumi_leave(k);
}

/* Who calls exit in a task never comes back to its pool: another does what is queued there. */
static void give_place_away(void) {
  struct thrumi_place place;
  int error = thrumi_place_lend(&place);
  (void)error; /* there is no thread to be had: what is queued stays undone */
}

/* With a wait those who are idle end at once, and those who work when nothing is left; what is submitted meanwhile is still done.
 * Without one nobody is waited for here either: a task may come to any of them at any moment. */
static void end(bool waits) {
  if (!waits) {
    make_idle_daemons();
    return;
  }
  thrumi_store(&pools.end, true);
  wake_all();
  give_place_away();
}

/* ---- The child of a fork --------------------------------------------------------------------------------------------------- */

/* Outside, and behind make_main of fork.c: it gives futures back, for which the runtime is entered, and the forker's former kernel
 * thread may have lost its worker during the fork. Nobody is there but the caller. What was queued is the parent's: here it counts as finished (future.h). If the lock was
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
  p->idle = NULL;
  p->queued = p->count = p->coming = p->woken = p->idle_count = p->waiting = p->dropping = 0;
  thrumi_store(&p->finishing, 0);
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
