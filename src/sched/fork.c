/* fork in a program with threads.
 *
 * The child has one thread: the one that called fork. It becomes the child's main thread, bound to its kernel
 * thread, on its present stack; all others count as ended. No lock of the runtime is held across the fork (but for two under
 * AddressSanitizer: see kthread.c): libc takes
 * malloc's and stdio's there, and a preempted thread that holds one of these needs the runtime to go on. So
 * the child may find anything half done. It trusts nothing but the records of threads, forgets queues, pools, kernel
 * threads, timers and descriptors, and starts afresh. */
#include <core/backtrace.h>
#include <core/fatal.h>
#include <core/parking.h>
#include <sched/cycle.h>
#include <sched/exit.h>
#include <sched/object.h>
#include <sched/self.h>
#include <sched/tree.h>
#include <unistd.h>

/* Whoever forks is known to the runtime from here on. */
static void before(void) {
  thrumi_leave(thrumi_enter());
  thrumi_self()->forking = true;
  thrumi_kthreads_hold();
}

static void after_in_parent(void) {
  thrumi_kthreads_go_on();
  thrumi_self()->forking = false;
}

/* Everybody but the forker has ended. */
static void end_others(struct thrumi_thread *survivor) {
  for (uint32_t slot = 1; slot < thrumi_record_count(); slot++) {
    struct thrumi_thread *t = thrumi_record(slot);
    if (t != survivor) thrumi_tree_forget(t);
    if (t == survivor || THRUMI_FLAGS(thrumi_load(&t->life)) & THRUMI_FREE) continue;
    thrumi_or(&t->life, (uint64_t)THRUMI_FINISHED);
    thrumi_and(&t->life, ~(uint64_t)THRUMI_UNREAD); /* the parent's affair: here its result is 0 */
    t->kthread = NULL;
    t->result = 0;
    thrumi_wait_abandon(&t->wait); /* its record is used again */
    thrumi_store_relaxed(&t->queue, NULL);
    t->stack.low = NULL;
    thrumi_store_relaxed(&t->waits_for, NULL);
    thrumi_set_state(t, THRUMI_ENDED);
  }
}

static void reset_workers(void) {
  for (uint32_t i = 0; i < THRUM_WORKERS_MAX; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    if (!w) break;
    w->queues = (struct thrumi_queues){0};
    thrumi_store(&w->next, NULL);
    thrumi_store(&w->kthread, NULL);
    thrumi_store(&w->nudge, 0);
    thrumi_store(&w->idle, false);
    thrumi_store(&w->hog, false);
    w->records = NULL;
    w->record_count = 0;
    w->stacks = (struct thrumi_stack_cache){0};
  }
}

static void reset_sched(void) {
  struct thrumi_sched *s = &thrumi_sched;
  s->global = s->hogs_waiting = (struct thrumi_queues){0};
  thrumi_store(&s->global_woken, 0);
  s->spares = s->idle = NULL;
  s->monitor = s->breeder = NULL;
  thrumi_store(&s->spare_count, 0);
  thrumi_store(&s->schedulers, 0);
  thrumi_store(&s->captured, 0);
  thrumi_store(&s->kthreads, 0);
  thrumi_store(&s->kthreads_come, 0);
  thrumi_store(&s->kthreads_gone, 0);
  thrumi_store(&s->bell, s->no_membarrier ? (uint32_t)THRUMI_BELL_FENCE : 0);
  s->held = 0;
  thrumi_store(&s->hogs, 0);
  thrumi_store(&s->lost, 0);
  thrumi_store(&s->outside, 0);
  thrumi_store(&s->barren, false);
  thrumi_store(&s->poller, NULL);
  thrumi_store(&s->poller_watch, INT64_MAX);
  thrumi_store(&s->monitor_watch, INT64_MAX);
  thrumi_store(&s->clock, 0);
  s->pid = getpid();
  s->lock = (struct thrumi_spin){0};
}

/* The forker holds worker 0 on a kernel thread of its own. What it has pinned it will unpin. */
static void make_main(struct thrumi_thread *t) {
  thrumi_self_tls = NULL;
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_OWNED);
  if (!k) thrumi_fatal("no memory in the child of a fork");
  thrumi_kthread_adopt(k);
  struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[0]);
  t->kind = THRUMI_MAIN;
  t->kthread = k;
  t->daemon = false;
  thrumi_set_state(t, THRUMI_RUNNING);
  thrumi_become(k, t);
  k->worker = w;
  thrumi_store(&w->kthread, k);
  thrumi_sched.held = 1;
  thrumi_sched.main = t;
  /* A foreign or detached thread's was given back; main's handle is good. In the hook it had failed, too. */
  thrumi_and(&t->life, ~(uint64_t)(THRUMI_RELEASED | THRUMI_UNREAD));
}

static void after_in_child(void) {
  struct thrumi_thread *survivor = thrumi_self()->current;
  thrumi_kthread_fork(thrumi_self());
  reset_sched();
  reset_workers();
  thrumi_table_fork();
  thrumi_start_fork();
  thrumi_stack_fork();
  thrumi_local_fork();
  thrumi_exit_fork();
  thrumi_print_fork();
  thrumi_dump_fork();
  thrumi_backtrace_fork();
  thrumi_cycle_fork();
  thrumi_object_fork();
  thrumi_parking_fork();
  thrumi_timeouts_fork();
  if (thrumi_hooks.poll_fork) thrumi_hooks.poll_fork();
  if (thrumi_hooks.signal_fork) thrumi_hooks.signal_fork();
  if (thrumi_hooks.resolve_fork) thrumi_hooks.resolve_fork();
  if (thrumi_hooks.watch_fork) thrumi_hooks.watch_fork();
  if (thrumi_hooks.trace_fork) thrumi_hooks.trace_fork();
  if (thrumi_hooks.inspect_fork) thrumi_hooks.inspect_fork();
  end_others(survivor);
  thrumi_tree_survive(survivor);
  if (survivor->kind == THRUMI_LIGHT || survivor->kind == THRUMI_BOUND)
    pthread_sigmask(SIG_SETMASK, &thrumi_sched.main_mask, NULL);
  make_main(survivor);
  thrumi_leave(thrumi_self());
  if (thrumi_hooks.executor_fork) thrumi_hooks.executor_fork();
  if (thrumi_hooks.process_fork) thrumi_hooks.process_fork();
  thrumi_start_kthreads_again();
}

void thrumi_fork_start(void) {
  if (pthread_atfork(before, after_in_parent, after_in_child) != 0)
    thrumi_fatal("no memory to prepare for fork");
}
