/* Pools of threads: tasks are submitted, cancelled and waited for while members come, run them, tell, go to sleep, are woken, lend their
 * places and leave, and while the pool is shut down or no thread is to be had, in every order; in future/pool.c, future/member.c and
 * future/executor.c, with sched/await.c, sched/park.c and core/parking.c. Each task gets one result, or is cancelled; nobody waits for
 * ever; no more run than the limit says; whoever has waited for the end finds that all has ended; the pool is freed once, and not
 * touched afterwards. The invariants P1 to P5 of pool.h are looked at whenever the pool's lock becomes free.
 *
 * A future is a word here that begins, is finished or cancelled in one step, in place of the real one, whose protocol is the model
 * of future.c; whoever waits for it lends its place as that does. A member is an actor that waits until it is spawned. A result is
 * waited for before the shutdown, so that this does not wake whom a submission has forgotten. */
#include "pooling.h"

enum { MEMBERS = 2, FIRST_MEMBER = CALLERS - MEMBERS, TASKS = 3, BLOCKS = 16, SEVEN = 7, POISON = 0xa5 };

/* What differs between models. */
static thrum_executor_options options;
static uint32_t threads_for;  /* so many threads can be had */
static bool enough;           /* which is as many as are ever asked for */
static uint32_t back_at_once; /* so many tasks may be back from waits at once */
static bool counts_running, is_freed;

static thrum_executor *executor;
static _Atomic uint32_t spawned, running, other_done, is_shared;
static _Atomic uint32_t come[CALLERS], ended[CALLERS];

static struct {
  int submitted, error, runs;
  bool cancelled;
  intptr_t got;
  thrum_future *future;
} tasks[TASKS];
static int numbers[TASKS] = {0, 1, 2};

/* ---- Memory: stays until the next schedule, so that what touches it is seen -------------------------------------------- */

static struct {
  unsigned char *at[BLOCKS];
  size_t size[BLOCKS];
  bool freed[BLOCKS];
  int n;
} blocks;

static void *allocate(size_t size) {
  EXPECT(blocks.n < BLOCKS);
  blocks.size[blocks.n] = size;
  return blocks.at[blocks.n++] = calloc(1, size);
}

static void free_block(void *block) {
  int i = 0;
  while (i < blocks.n && blocks.at[i] != block) i++;
  EXPECT(i < blocks.n && !blocks.freed[i]);
  if (block == pool) is_freed = true;
  blocks.freed[i] = true;
  memset(block, POISON, blocks.size[i]);
}

static void check_memory(void) {
  for (int i = 0; i < blocks.n; i++) {
    EXPECT(blocks.freed[i]);
    for (size_t at = 0; at < blocks.size[i]; at++) EXPECT(blocks.at[i][at] == POISON);
  }
}

/* ---- What these functions call ------------------------------------------------------------------------------------------ */

struct thrumi_work *thrumi_work_take(void) {
  return allocate(sizeof(struct thrumi_work));
}
void thrumi_work_give(struct thrumi_work *work) {
  if (work->future.sentence) free_block(work->future.sentence);
  free_block(work);
}
void thrumi_pools_start(void) {}
void thrumi_pools_add(struct thrumi_pool *p) { (void)p; }
void thrumi_pools_remove(struct thrumi_pool *p) { (void)p; }
bool thrumi_pools_end(void) { return false; }
thrum_thread thrum_current(void) { return thrumi_handle(thrumi_me()); }
int thrum_workers(void) { return 1; }
thrum_duration thrum_left(thrum_time deadline) { return deadline; }

int thrum_spawn_with(thrum_thread *out, const thrum_options *o, thrum_fn *fn, void *arg) {
  uint32_t n = thrumi_add(&spawned, 1u);
  EXPECT(!out && o->daemon == THRUM_NO);
  if (n >= threads_for) return -EAGAIN;
  EXPECT(n < MEMBERS);
  records[FIRST_MEMBER + n].fn = fn;
  records[FIRST_MEMBER + n].arg = arg;
  thrumi_store(&come[FIRST_MEMBER + n], 1u);
  return 0;
}

int thrum_wait(thrum_thread t) {
  if (t.value) explore_await(&ended[t.value - 1]);
  return 0;
}

/* Of who has left the pool. A model's deadline is over when that wait begins. */
int thrum_wait_for(thrum_thread t, thrum_duration timeout) {
  (void)timeout;
  return t.value && !thrumi_load(&ended[t.value - 1]) ? -ETIMEDOUT : 0;
}

/* ---- Invariants, when the lock becomes free -------------------------------------------------------------------------------- */

static uint32_t length(const struct thrumi_pool *p) {
  uint32_t n = 0;
  for (const struct thrumi_work *w = p->first; w; w = w->next) n++;
  return n;
}

void explore_unlocks(struct thrumi_spin *lock) {
  struct thrumi_pool *p = pool;
  if (!p || lock != &p->lock || is_freed) return;
  uint32_t busy = thrumi_pool_busy(p);
  bool waits = p->queued && busy < p->limit;
  EXPECT(p->queued == length(p) && p->count >= p->idle_count + p->waiting && p->woken <= p->coming);
  EXPECT(busy <= p->limit + back_at_once);                                                      /* P1 */
  if (waits && p->idle) EXPECT(p->woken > 0);                                                   /* P2 */
  if (waits && !p->idle && enough) EXPECT(p->queued <= p->coming + atomic_load(&p->finishing)); /* P3 */
  if (enough) EXPECT(!p->queued || busy > 0);                                                   /* P4 */
  EXPECT(p->pins >= p->held + p->count + p->queued);                                            /* P5 */
}

/* ---- What happens at once ----------------------------------------------------------------------------------------------------- */

static intptr_t task(void *i) {
  int n = *(int *)i;
  EXPECT(++tasks[n].runs == 1);
  if (counts_running) {
    EXPECT(thrumi_add(&running, 1u) < (uint32_t)options.threads);
    thrumi_add(&running, -1u);
  }
  return SEVEN + n;
}

static void submit(int n, thrum_fn *fn) {
  tasks[n].submitted = thrum_submit(executor, &tasks[n].future, fn, &numbers[n]);
  EXPECT((tasks[n].submitted == 0) == (tasks[n].future != NULL));
}

static void get(int n) {
  if (tasks[n].submitted) return;
  tasks[n].error = thrum_future_result(tasks[n].future, &tasks[n].got);
  thrum_future_release(tasks[n].future);
}

static void submit_and_get(int n) {
  submit(n, task);
  get(n);
}

/* Its thread is cancelled, and runs no other task. */
static intptr_t task_cancelled(void *i) {
  atomic_store(&thrumi_me()->cancel, 1);
  return task(i);
}

static intptr_t second_task(void *i) {
  thrumi_store(&second_has_run, 1u);
  return task(i);
}

/* Waits for one of its own pool. */
static intptr_t outer_task(void *i) {
  submit_and_get(1);
  return task(i);
}

/* Who was not spawned never will be. */
static void end_members(void) {
  for (int i = FIRST_MEMBER; i < CALLERS; i++) thrumi_store(&come[i], 1u);
}

/* All that was spawned has ended. */
static void end_pool(bool cancel_pending) {
  thrum_executor_stats s = {.size = sizeof s};
  EXPECT(thrum_executor_shutdown(executor, true, cancel_pending) == 0);
  uint32_t asked = atomic_load(&spawned), had = asked < threads_for ? asked : threads_for;
  for (uint32_t i = 0; i < had; i++) EXPECT(atomic_load(&ended[FIRST_MEMBER + i]));
  EXPECT(thrum_executor_statistics(executor, &s) == 0);
  EXPECT(!s.threads && !s.idle && !s.waiting && !s.queued && s.started == had);
  end_members();
}

static void end_and_release(void) {
  end_pool(false);
  thrum_executor_release(executor);
}

static void one_after_the_other(void *unused) {
  (void)unused;
  submit_and_get(0);
  submit_and_get(1);
  end_and_release();
}

static void two_at_once(void *unused) {
  (void)unused;
  submit(0, task);
  submit(1, task);
  get(0);
  get(1);
  end_and_release();
}

static void nested(void *unused) {
  (void)unused;
  submit(0, outer_task);
  get(0);
  end_and_release();
}

static void nested_and_another(void *unused) {
  (void)unused;
  submit(0, outer_task);
  submit(2, task);
  get(0);
  get(2);
  end_and_release();
}

/* The first one has a callback, which may be called at its end. */
static void called_back(void *unused) {
  (void)unused;
  submit(0, task);
  step(tasks[0].future, OVER, WATCHED);
  submit(1, second_task);
  get(0);
  get(1);
  end_and_release();
}

static void member_cancelled(void *unused) {
  (void)unused;
  submit(0, task_cancelled);
  submit(1, task);
  get(0);
  get(1);
  end_and_release();
}

/* ---- With another caller: the first one gives the pool back when that one does not need it any more --------------------------- */

static void with_other(void *unused) {
  (void)unused;
  submit_and_get(0);
  explore_await(&other_done);
  end_and_release();
}

static void shut_beside_other(void *unused) {
  (void)unused;
  end_pool(false);
  explore_await(&other_done);
  thrum_executor_release(executor);
}

static void submit_and_drop(void *unused) {
  (void)unused;
  submit(0, task);
  submit(2, task);
  end_pool(true);
  get(0);
  get(2);
  explore_await(&other_done);
  thrum_executor_release(executor);
}

static void release_at_once(void *unused) {
  (void)unused;
  submit(0, task);
  thrum_executor_release(executor);
  get(0);
  end_members();
}

static void other_submits(void *unused) {
  (void)unused;
  submit_and_get(1);
  thrumi_store(&other_done, 1u);
}

static void submit_to_cancel(void *unused) {
  (void)unused;
  submit(0, task);
  thrum_future_retain(tasks[0].future);
  thrumi_store(&is_shared, 1u);
  get(0);
  explore_await(&other_done);
  end_and_release();
}

static void other_cancels(void *unused) {
  (void)unused;
  explore_await(&is_shared);
  tasks[0].cancelled = thrum_future_cancel(tasks[0].future);
  thrum_future_release(tasks[0].future);
  thrumi_store(&other_done, 1u);
}

/* A thread leaves, and the one that is to come in its place cannot be had. */
static void submit_to_leave(void *unused) {
  (void)unused;
  submit(0, task_cancelled);
  submit(1, task);
  if (tasks[1].future) thrum_future_retain(tasks[1].future); /* it was not refused */
  thrumi_store(&is_shared, 1u);
  get(0);
  get(1);
  explore_await(&other_done);
  thrum_executor_release(executor);
}

static void other_shuts(void *unused) {
  (void)unused;
  explore_await(&is_shared);
  end_pool(false);
  if (tasks[1].future) EXPECT(atomic_load(over_of(tasks[1].future)) == IS_FINISHED);
  thrum_future_release(tasks[1].future);
  thrumi_store(&other_done, 1u);
}

/* Waits for the end while another one drops all that is queued: none is left when it says so. */
static void submit_and_wait(void *unused) {
  (void)unused;
  submit(0, task);
  submit(1, task);
  thrumi_store(&is_shared, 1u);
  EXPECT(thrum_executor_shutdown(executor, true, false) == 0);
  for (int n = 0; n < 2; n++) EXPECT(atomic_load(over_of(tasks[n].future)));
  end_members();
  get(0);
  get(1);
  explore_await(&other_done);
  thrum_executor_release(executor);
}

static void other_drops(void *unused) {
  (void)unused;
  explore_await(&is_shared);
  EXPECT(thrum_executor_shutdown(executor, false, true) == 0);
  thrumi_store(&other_done, 1u);
}

/* One of those that are dropped is cancelled meanwhile. */
static void submit_to_drop(void *unused) {
  (void)unused;
  submit(0, task);
  submit(1, task);
  thrum_future_retain(tasks[1].future);
  thrumi_store(&is_shared, 1u);
  EXPECT(thrum_executor_shutdown(executor, false, true) == 0);
  get(0);
  get(1);
  explore_await(&other_done);
  end_and_release();
}

static void other_cancels_second(void *unused) {
  (void)unused;
  explore_await(&is_shared);
  tasks[1].cancelled = thrum_future_cancel(tasks[1].future);
  thrum_future_release(tasks[1].future);
  thrumi_store(&other_done, 1u);
}

/* Comes back from a wait, and ends, while a thread is asked for that cannot be had. */
static intptr_t lending_task(void *i) {
  struct thrumi_place place;
  if (thrumi_place_lend(&place) == 0) explore_await(&is_shared), thrumi_place_take_back(&place);
  return task(i);
}

static void lend_and_submit(void *unused) {
  (void)unused;
  submit(0, lending_task);
  thrumi_store(&is_shared, 1u);
  submit(1, task);
  get(0);
  get(1);
  end_and_release();
}

/* ---- Before and after --------------------------------------------------------------------------------------------------------- */

static void hide_what_dumps_read(struct thrumi_thread *t) {
  explore_private(&t->waits_for, (size_t)((char *)&t->random - (char *)&t->waits_for));
}

static void reset(void) {
  for (int i = 0; i < blocks.n; i++) free(blocks.at[i]);
  memset(&blocks, 0, sizeof blocks);
  memset(tasks, 0, sizeof tasks);
  reset_callers();
  for (int i = 0; i < CALLERS; i++) {
    atomic_store(&come[i], 0);
    atomic_store(&ended[i], 0);
    explore_private(&records[i].cancel, sizeof records[i].cancel);
    hide_what_dumps_read(&records[i]);
  }
  atomic_store(&spawned, 0);
  atomic_store(&running, 0);
  atomic_store(&other_done, 0);
  atomic_store(&second_has_run, 0);
  atomic_store(&is_shared, 0);
  is_freed = counts_running = false;
  enough = true;
  back_at_once = 0;
  threads_for = MEMBERS;
  thrumi_os.allocate = allocate;
  thrumi_os.free = free_block;
  options = (thrum_executor_options){.size = sizeof options, .name = "p", .threads = 1};
}

static void make_pool(void) {
  pool = NULL;
  EXPECT(thrum_executor_threads(&executor, &options) == 0);
  pool = thrumi_pool_of(executor);
}

static void reset_limit(int threads, bool counts, uint32_t back) {
  reset();
  options.threads = threads;
  counts_running = counts;
  back_at_once = back;
  make_pool();
}

static void reset_two(void) { reset_limit(2, false, 0); }
static void reset_one(void) { reset_limit(1, false, 0); }
static void reset_counting(void) { reset_limit(1, true, 0); }
static void reset_back(void) { reset_limit(1, false, 1); }

static void reset_threads(uint32_t n, uint32_t back) {
  reset();
  threads_for = n;
  back_at_once = back;
  enough = false;
  make_pool();
}

static void reset_none(void) { reset_threads(0, 0); }
static void reset_single(void) { reset_threads(1, 1); }

static bool has_result(int n) { return tasks[n].runs && tasks[n].error == 0 && tasks[n].got == SEVEN + n; }

/* Each has run and told its result; or it was cancelled, or refused. */
static void check_tasks(void) {
  EXPECT(is_freed);
  check_memory();
  for (int n = 0; n < TASKS; n++)
    if (tasks[n].submitted || !tasks[n].future)
      EXPECT(!tasks[n].runs);
    else
      EXPECT(has_result(n) || (!tasks[n].runs && tasks[n].error == -ECANCELED));
}

static void check_two_run(void) {
  check_tasks();
  EXPECT(has_result(0) && has_result(1));
}

static void check_all_run(void) {
  check_two_run();
  EXPECT(has_result(2));
}

/* Who submits when the one before is done finds the thread that ran that one. */
static void check_one_thread(void) {
  check_two_run();
  EXPECT(atomic_load(&spawned) == 1);
}

static void check_cancelled(void) {
  check_tasks();
  EXPECT(tasks[0].cancelled == !has_result(0));
}

static void check_shut(void) {
  check_tasks();
  EXPECT(tasks[1].submitted == -EPIPE || has_result(1));
}

static void check_none(void) {
  check_tasks();
  EXPECT(tasks[1].submitted == -EPIPE || tasks[1].submitted == -EAGAIN);
}

/* It says so to who would have waited in vain. */
static void check_nested_alone(void) {
  EXPECT(is_freed && has_result(0) && tasks[1].runs == 1 && tasks[1].error == -EAGAIN);
  check_memory();
}

static void check_forsaken(void) {
  bool forsaken = tasks[1].error == 0 && tasks[1].got == -EAGAIN;
  EXPECT(is_freed && has_result(0) && !tasks[1].runs && (tasks[1].submitted == -EAGAIN || forsaken));
  check_memory();
}

static void member(void *i) {
  int n = *(int *)i;
  char rest[2048];
  explore_await(&come[n]);
  if (records[n].fn) EXPECT(records[n].fn(records[n].arg) == 0 && (uintptr_t)records[n].arg % 2);
  memset(rest, POISON, sizeof rest); /* where the member was */
  __asm__ volatile("" : : "r"(rest) : "memory");
  thrumi_store(&ended[n], 1u);
}

#define MODEL_OF(minutes, text, before, after, ...) \
  { \
    .name = "pool, " text, .by_name = minutes, .no_kills = true, .reset = before, .check = after, \
    .threads = { \
      __VA_ARGS__, \
      CALLER(2, member), \
      CALLER(3, member) \
    } \
  }
#define MODEL(...) MODEL_OF(false, __VA_ARGS__)
#define LONG_MODEL(...) MODEL_OF(true, __VA_ARGS__)

static const struct explore_model models[] = {
    MODEL("one task after the other, of two", reset_two, check_one_thread, CALLER(0, one_after_the_other)),
    MODEL("two tasks at once, of one", reset_counting, check_two_run, CALLER(0, two_at_once)),
    LONG_MODEL("two tasks at once, of two", reset_two, check_two_run, CALLER(0, two_at_once)),
    LONG_MODEL("a callback that waits for another task", reset_two, check_two_run, CALLER(0, called_back)),
    LONG_MODEL("a task waits for another one", reset_back, check_two_run, CALLER(0, nested)),
    LONG_MODEL("a task waits for another one, and a third", reset_back, check_all_run,
               CALLER(0, nested_and_another)),
    MODEL("a task waits for another one, and there is no thread", reset_single, check_nested_alone,
          CALLER(0, nested)),
    MODEL("a thread that cannot be had, and one that comes back", reset_single, check_tasks,
          CALLER(0, lend_and_submit)),
    MODEL("a thread is cancelled", reset_one, check_two_run, CALLER(0, member_cancelled)),
    MODEL("given back at once", reset_one, check_tasks, CALLER(0, release_at_once)),
    LONG_MODEL("two submit, of one", reset_counting, check_two_run, CALLER(0, with_other),
               CALLER(1, other_submits)),
    LONG_MODEL("two submit, of two", reset_two, check_two_run, CALLER(0, with_other),
               CALLER(1, other_submits)),
    LONG_MODEL("a cancellation", reset_one, check_cancelled, CALLER(0, submit_to_cancel),
               CALLER(1, other_cancels)),
    LONG_MODEL("a shutdown and a submission", reset_one, check_shut, CALLER(0, shut_beside_other),
               CALLER(1, other_submits)),
    LONG_MODEL("a shutdown that cancels and a submission", reset_one, check_tasks, CALLER(0, submit_and_drop),
               CALLER(1, other_submits)),
    LONG_MODEL("a shutdown that cancels and one that waits", reset_one, check_tasks,
               CALLER(0, submit_and_wait), CALLER(1, other_drops)),
    LONG_MODEL("a shutdown that cancels and a cancellation", reset_one, check_tasks,
               CALLER(0, submit_to_drop), CALLER(1, other_cancels_second)),
    MODEL("a shutdown and no thread", reset_none, check_none, CALLER(0, shut_beside_other),
          CALLER(1, other_submits)),
    LONG_MODEL("a shutdown and a thread that leaves", reset_single, check_forsaken,
               CALLER(0, submit_to_leave), CALLER(1, other_shuts)),
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
