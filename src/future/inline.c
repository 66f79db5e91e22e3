/* The inline executor: runs each task within submit, in the caller.
 *
 * Its word `runs`, 64 bits:
 *
 *   bits    name    meaning                                            written by
 *   0       SHUT    nothing is submitted from here on; stays           who shuts it down
 *   1       WAITED  threads may wait on its address for the end        who queues, in the bucket, while tasks run
 *   2-31    count   tasks that run, up to the end of their callbacks   one more: who submits, in the step in which it finds
 *                                                                    SHUT unset; one less: the same thread, behind the task
 *   32-63   forks   thrumi_forks, to which count and WAITED belong     with these
 *
 * In the child of a fork the word may be of the parent: who ran tasks is not there, but for the forker. So count and WAITED of
 * another number of forks are 0, and the forker's task, which began in the parent, is not taken off.
 *
 *  - Behind SHUT the count only falls, since who adds to it swaps a word without SHUT. So who finds it 0 then has seen the end.
 *  - Nobody is forgotten: who waits sets WAITED in the bucket, in a word whose count is not 0, and has queued before it lets go of the
 *    bucket. Who takes the last one off sees WAITED in the word that it changes, and takes the bucket behind that. */
#include <future/executor.h>

#include <sched/part.h>
#include <sched/self.h>
#include <thrum/scope.h>

#define SHUT UINT64_C(1)
#define WAITED UINT64_C(2)
#define ONE UINT64_C(4)
#define COUNT (UINT64_C(0xffffffff) & ~(SHUT | WAITED))
#define FORKS_SHIFT 32

struct inline_executor {
  struct thrum_executor executor;
  _Atomic uint64_t runs;
  _Atomic uint64_t submitted, finished;
  _Atomic uint64_t pins; /* the handle, and each submit that is under way. Who takes the last one frees it */
};

/* A task that runs, in the frame of its submit. The handler runs if the task ends the thread, and shows whose task it is. */
struct run {
  struct inline_executor *executor;
  struct thrumi_work *work;
  uint32_t forks;
  bool ended; /* what is left of it are callbacks */
  thrum_cleanup handler;
};

static struct inline_executor *inline_of(struct thrum_executor *executor) {
  return (struct inline_executor *)executor;
}

static void unpin(struct inline_executor *x) {
  if (thrumi_add(&x->pins, (uint64_t)-1) == 1) thrumi_os.free(x);
}

/* ---- The word ----------------------------------------------------------------------------------------------------------- */

/* The word as it is in this process. */
static uint64_t here(uint64_t seen) {
  uint64_t forks = (uint64_t)thrumi_forks << FORKS_SHIFT;
  return seen >> FORKS_SHIFT == thrumi_forks ? seen : forks | (seen & SHUT);
}

/* False: it is shut down. */
static bool count_one(struct inline_executor *x) {
  uint64_t seen = thrumi_load(&x->runs);
  do {
    if (seen & SHUT) return false;
  } while (!thrumi_cas(&x->runs, &seen, here(seen) + ONE));
  return true;
}

/* Inside, in the bucket. False: no task runs. */
static bool mark_waited(struct inline_executor *x) {
  uint64_t seen = thrumi_load(&x->runs);
  do {
    if (!(here(seen) & COUNT)) return false;
  } while (!thrumi_cas(&x->runs, &seen, seen | WAITED));
  return true;
}

static void tell_end(struct inline_executor *x) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&x->runs);
  for (struct thrumi_waiter *w; (w = thrumi_bucket_first(bucket, &x->runs));) thrumi_let_go(bucket, w, 0);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
}

/* ---- Running ------------------------------------------------------------------------------------------------------------- */

/* The pin keeps the executor until who waits has been told; the task may have given it back. */
static void end_run(struct run *run) {
  struct inline_executor *x = run->executor;
  if (run->forks == thrumi_forks) {
    thrumi_announce(x); /* what the task did is seen by who waits for the end */
    uint64_t before = thrumi_add(&x->runs, -ONE);
    if (before & WAITED && (before & COUNT) == ONE) tell_end(x);
  }
  unpin(x);
}

/* The task has called thrum_exit in a thread of the user's, which ends: nobody comes back to its submit. Or a callback has, in main. The
 * callbacks that are left are called within the run, too; if one of them calls thrum_exit, those behind it are, here again. */
static void abandon(void *arg) {
  struct run *run = arg;
  thrum_cleanup_push(&run->handler, abandon, run);
  bool is_heard = run->ended;
  if (!run->ended) {
    run->ended = true;
    thrumi_add(&run->executor->finished, (uint64_t)1);
    is_heard = thrumi_work_fail(run->work, -EOWNERDEAD, "the thread that ran it has ended");
  }
  if (is_heard) thrumi_work_tell(run->work);
  thrum_cleanup_pop(&run->handler, false);
  end_run(run);
}

/* The caller has the handle, or is a task, whose submit has a pin. The task may hand its future to others: who has that may want it called
 * back. */
static int inline_submit(struct thrum_executor *executor, struct thrumi_work *work) {
  struct inline_executor *x = inline_of(executor);
  if (!count_one(x)) return -EPIPE;
  struct run run = {.executor = x, .work = work, .forks = thrumi_forks};
  thrumi_add(&x->pins, (uint64_t)1);
  thrumi_add(&x->submitted, (uint64_t)1);
  thrumi_future_begin(&work->future);
  thrum_cleanup_push(&run.handler, abandon, &run);
  thrumi_work_run(work, thrumi_me());
  run.ended = true;
  thrumi_add(&x->finished, (uint64_t)1);
  if (thrumi_future_finish(&work->future)) thrumi_work_tell(work);
  thrum_cleanup_pop(&run.handler, false);
  end_run(&run);
  return 0;
}

/* Nothing is ever pending. */
static void inline_cancelled(struct thrum_executor *executor, struct thrumi_work *work) {
  (void)executor, (void)work;
}

/* ---- Ending ---------------------------------------------------------------------------------------------------------------- */

static void inline_shut(struct thrum_executor *executor, bool cancel_pending) {
  (void)cancel_pending;
  thrumi_or(&inline_of(executor)->runs, SHUT);
}

/* Whether the caller, me, is in a task of this executor. */
static bool is_within(const struct thrumi_thread *me, const struct inline_executor *x) {
  for (const thrum_cleanup *c = me->cleanups; c; c = c->next)
    if (c->fn == abandon && ((const struct run *)c->arg)->executor == x) return true;
  return false;
}

/* Inside. */
static int await_end(struct inline_executor *x, int64_t deadline, int flags) {
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&x->runs);
  if (!mark_waited(x)) {
    thrumi_bucket_unlock(bucket);
    return 0;
  }
  struct thrumi_waiter waiter;
  return thrumi_wait_error(
      thrumi_await(bucket, &waiter, &x->runs, "the end of executor", x, deadline, flags));
}

static int inline_wait(struct thrum_executor *executor, int64_t deadline, int flags) {
  struct inline_executor *x = inline_of(executor);
  if (is_within(thrumi_me(), x)) return -EDEADLK;
  thrumi_enter();
  int error = await_end(x, deadline, flags);
  thrumi_leave(thrumi_self());
  if (!error) thrumi_rely_on(x);
  return error;
}

static void inline_release(struct thrum_executor *executor) { unpin(inline_of(executor)); }

static void inline_statistics(struct thrum_executor *executor, thrum_executor_stats *out) {
  out->submitted = thrumi_load(&inline_of(executor)->submitted);
  out->finished = thrumi_load(&inline_of(executor)->finished);
}

static const struct thrumi_executor_kind inline_kind = {inline_submit, inline_cancelled, inline_shut,
                                                        inline_wait,   inline_release,   inline_statistics};

int thrum_executor_inline(thrum_executor **out) {
  if (!out) return -EINVAL;
  struct inline_executor *x = thrumi_os.allocate(sizeof *x);
  if (!x) return -ENOMEM;
  x->executor.kind = &inline_kind;
  thrumi_store(&x->pins, (uint64_t)1);
  *out = &x->executor;
  return 0;
}
