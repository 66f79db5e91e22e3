/* All executors of processes: what the end of the program, and a fork, mean for them.
 *
 * The list is linked singly, and every change of it is one store, as that of the pools of threads: the child of a fork finds a whole
 * one. */
#include <process/pool.h>

#include <core/hooks.h>
#include <process/record.h>
#include <sched/self.h>
#include <sys/mman.h>

static struct {
  thrum_lock lock;
  _Atomic(struct thrumi_process_pool *) first;
  _Atomic bool end;
} pools;

bool thrumi_processes_end(void) { return thrumi_load(&pools.end); }

/* ---- The end of the program ----------------------------------------------------------------------------------------- */

/* Those who are idle are not named as abandoned; their processes die with this one. */
static void make_idle_daemons(struct thrumi_process_pool *p) {
  for (struct thrumi_attendant *a = p->idle; a; a = a->next_idle)
    if (a->thread) a->thread->daemon = true;
}

/* With a wait those who are idle let their processes end, and those who work do so when nothing is left. */
static void end(bool waits) {
  if (waits) thrumi_store(&pools.end, true);
  thrum_lock_acquire(&pools.lock);
  for (struct thrumi_process_pool *p = thrumi_load(&pools.first); p; p = thrumi_load(&p->next_pool)) {
    thrum_lock_acquire(&p->lock);
    if (waits)
      thrumi_processes_wake_all(p);
    else
      make_idle_daemons(p);
    thrum_lock_release(&p->lock);
  }
  thrum_lock_release(&pools.lock);
}

/* ---- The list ----------------------------------------------------------------------------------------------------------- */

void thrumi_processes_add(struct thrumi_process_pool *p) {
  thrumi_ends_start();
  thrumi_store(&thrumi_hooks.process_pool_end, end);
  thrum_lock_acquire(&pools.lock);
  thrumi_store(&p->next_pool, thrumi_load(&pools.first));
  thrumi_store(&pools.first, p);
  thrum_lock_release(&pools.lock);
}

void thrumi_processes_remove(struct thrumi_process_pool *p) {
  thrum_lock_acquire(&pools.lock);
  _Atomic(struct thrumi_process_pool *) *at = &pools.first;
  while (thrumi_load(at) != p) at = &thrumi_load(at)->next_pool;
  thrumi_store(at, thrumi_load(&p->next_pool));
  thrum_lock_release(&pools.lock);
}

/* ---- The child of a fork --------------------------------------------------------------------------------------------------- */

/* What the parent was to finish counts as finished here (future.h). */
static void forget_works(struct thrumi_works *works) {
  for (struct thrumi_work *work; (work = works->first);) {
    thrumi_works_remove(works, work);
    work->queued = false;
    thrumi_future_look(&work->future);
    thrum_future_release(&work->future);
  }
}

/* Its thread is not here: the memory of the post is all that is to be given back; descriptors are in its flight. Only the parent speaks
 * with its process. */
static void forget_attendant(struct thrumi_attendant *a) {
  forget_works(&a->outstanding);
  if (a->process && a->post.board) munmap(a->post.board, sizeof *a->post.board);
}

/* If the lock was held the lists may be in pieces, and are forgotten. */
static void forget_parent(struct thrumi_process_pool *p) {
  bool whole = !p->lock.word;
  p->lock = (thrum_lock){0};
  p->ended = (thrum_cond){0};
  if (whole) {
    forget_works(&p->queue);
    for (struct thrumi_attendant *a = p->attendants; a; a = a->next) forget_attendant(a);
  }
  p->queue = (struct thrumi_works){0};
  p->attendants = p->idle = NULL;
  p->count = p->ready = p->others = 0;
  p->last_gone = (thrum_thread){0};
  p->pins = p->held;
}

void thrumi_processes_fork(void) {
  pools.lock = (thrum_lock){0};
  thrumi_processes_forget_caller();
  for (struct thrumi_process_pool *p = thrumi_load(&pools.first); p; p = thrumi_load(&p->next_pool))
    forget_parent(p);
}
