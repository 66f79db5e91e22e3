/* Parallel loops: the caller works at its range, helpers come, are offered and taken back, steal halves and leave, the caller
 * waits for them and goes while others have yet to begin, in every order; in future/parallel.c and future/crew.c, with
 * sched/await.c, sched/park.c and core/parking.c. Each index is done once, or left out for a failure or a cancellation; nobody touches the
 * loop once the caller has left, nor the crew once it was freed, which it is once.
 *
 * A helper is an actor that waits until it lies somewhere. Whether one on the caller's queue is stolen or taken back is
 * decided under `lease`, in place of the real one, whose protocol is the model of lease.c. The loop's lock is taken in one step where it is
 * free; it has a model of its own, lock.c. */
#include "waiting.h"

#include <future/crew.h>
#include <sched/part.h>
#include <sched/queue.h>
#include <thrum/parallel.h>
#include <thrum/sync/lock.h>

enum { INDICES = 5, LINE = 64, POISON = 0xa5 };

/* What differs between models. */
static size_t n, helpers; /* indices; helpers at once */
static int memory_for;    /* so many helpers */
static bool pays;         /* a step is seen to take 60 us: helpers are called */
static bool cancellable;  /* the caller is cancelled in its first step */
static int fails[INDICES];

static int visits[INDICES], spawned, returned, result;
static bool has_returned;
static int64_t at;

/* ---- Memory: one block, which is not used again ------------------------------------------------------------------- */

static char *block;
static size_t block_size;
static int allocated, frees;

/* What lies behind the places that can be in use is read at most. */
static void *allocate(size_t size) {
  size_t places = (sizeof(struct thrumi_crew) + sizeof(void *) + LINE - 1) / LINE * LINE,
         used = helpers * LINE;
  allocated++;
  block_size = (size + LINE - 1) / LINE * LINE;
  block = aligned_alloc(LINE, block_size);
  EXPECT(block && places + used < block_size);
  explore_private(block + places + used, block_size - places - used);
  return block;
}

static void free_block(void *freed) {
  EXPECT(freed == block);
  frees++;
  memset(block, POISON, block_size);
}

static int64_t now(void) { return at += pays ? 60000 : 0; }

/* ---- What these functions call -------------------------------------------------------------------------------------- */

static struct thrumi_spin lease;
static _Atomic uint32_t come[CALLERS]; /* a helper lies somewhere, or never will */
static bool lies[CALLERS];             /* on the caller's queue; under `lease` */

static struct thrumi_queue *own_queue(void) { return &worker.queues.of[THRUMI_CLASS_NEW]; }

struct thrumi_thread *thrumi_spawn_called(thrum_fn *fn, void *arg) {
  if (spawned == memory_for) return NULL;
  struct thrumi_thread *t = &records[++spawned];
  t->fn = fn;
  t->arg = arg;
  return t;
}

int thrumi_stack_take(struct thrumi_stack_cache *cache, size_t size, struct thrumi_stack *out) {
  (void)cache, (void)size;
  *out = (struct thrumi_stack){.low = block};
  return 0;
}

void thrumi_stack_give(struct thrumi_stack_cache *cache, struct thrumi_stack *stack) {
  (void)cache;
  EXPECT(stack->low == block);
}

static void lie_down(struct thrumi_thread *t) { thrumi_store(&come[number_of(t)], 1u); }

void thrumi_push_global(struct thrumi_thread *t, enum thrumi_class c) {
  EXPECT(c == THRUMI_CLASS_NEW);
  lie_down(t);
}

void thrumi_ring(struct thrumi_worker *w) { EXPECT(!w); }

void thrumi_ring_for_new(struct thrumi_worker *w) {
  struct thrumi_thread *t = w->queues.of[THRUMI_CLASS_NEW].tail;
  lies[number_of(t)] = true;
  lie_down(t);
}

/* By who would take it back: nobody steals it until it was dropped, if it is still there. */
struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  struct thrumi_thread *t = &records[handle.value - 1];
  (void)life;
  thrumi_spin_lock(&lease);
  if (!lies[number_of(t)]) thrumi_spin_unlock(&lease);
  return t;
}

void thrumi_thread_drop(struct thrumi_thread *t) {
  EXPECT(lies[number_of(t)] && !atomic_load(&t->queue));
  lies[number_of(t)] = false;
  t->fn = NULL;
  thrumi_spin_unlock(&lease);
}

struct thrumi_thread *thrumi_me(void) {
  return thrumi_self()->current;
}

static _Atomic uint32_t *half_of(thrum_lock *lock) { return (_Atomic uint32_t *)&lock->word; }

void thrumi_lock_acquire_slow(thrum_lock *lock) { explore_lock(half_of(lock)); }

int thrumi_lock_release_slow(thrum_lock *lock) {
  EXPECT(thrumi_swap(half_of(lock), 0u) == 1);
  return 0;
}

/* ---- What happens at once ------------------------------------------------------------------------------------------- */

static int visit(size_t begin, size_t end, void *arg) {
  EXPECT(arg == &n && begin < end && end <= n && !has_returned);
  if (cancellable && thrumi_self() == &kthreads[0]) atomic_store(&records[0].cancel, 1);
  for (size_t i = begin; i < end; i++) {
    visits[i]++;
    if (fails[i]) return fails[i];
  }
  return 0;
}

struct list {
  int count, of[INDICES];
};

static int fold(size_t begin, size_t end, void *accumulator, void *arg) {
  struct list *l = accumulator;
  for (size_t i = begin; i < end; i++) l->of[l->count++] = (int)i;
  return visit(begin, end, arg);
}

static void join(void *left, void *right, void *arg) {
  struct list *l = left, *r = right;
  EXPECT(arg == &n && !has_returned);
  for (int i = 0; i < r->count; i++) l->of[l->count++] = r->of[i];
}

static const thrum_reduction joined = {sizeof(struct list), NULL, fold, join};
static struct list whole;

/* Where the loop was there is nothing any more. Nobody else comes. */
static void end_caller(int error) {
  char rest[2048];
  result = error;
  returned++;
  has_returned = true;
  memset(rest, POISON, sizeof rest);
  __asm__ volatile("" : : "r"(rest) : "memory");
  for (int i = 1; i < CALLERS; i++) thrumi_store(&come[i], 1u);
}

static void loop(void *unused) {
  (void)unused;
  end_caller(thrum_parallel_for(0, n, visit, &n));
}

static void reduce(void *unused) {
  (void)unused;
  end_caller(thrum_parallel_reduce(0, n, &joined, &n, &whole));
}

/* Stolen from the caller's queue, or called. False: it was taken back, or never made. */
static bool is_to_run(struct thrumi_thread *t) {
  thrumi_spin_lock(&lease);
  if (lies[number_of(t)]) thrumi_queue_remove(&worker.queues, own_queue(), t);
  lies[number_of(t)] = false;
  bool is_there = t->fn;
  thrumi_spin_unlock(&lease);
  return is_there;
}

static void helper(void *i) {
  struct thrumi_thread *t = &records[*(int *)i];
  explore_await(&come[*(int *)i]);
  if (!is_to_run(t)) return;
  EXPECT(t->fn(t->arg) == 0);
}

/* ---- Before and after -------------------------------------------------------------------------------------------------- */

static void reset(void) {
  free(block);
  block = NULL;
  allocated = frees = spawned = returned = result = 0;
  at = 0;
  has_returned = pays = cancellable = false;
  memset(visits, 0, sizeof visits);
  memset(fails, 0, sizeof fails);
  memset(lies, 0, sizeof lies);
  memset(&worker.queues, 0, sizeof worker.queues);
  reset_callers();
  atomic_store(&lease.word, 0);
  for (int i = 0; i < CALLERS; i++) {
    atomic_store(&come[i], 0);
    explore_private(&records[i].queue, sizeof records[i].queue);
  }
  explore_private(&worker, sizeof worker);
  explore_private(&records[0].cancel, sizeof records[0].cancel);
  explore_private(&thrumi_sched, sizeof thrumi_sched);
  thrumi_sched.workers = 2;
  helpers = 1;
  memory_for = 2;
  thrumi_mode = 1u << 31; /* the lock's inline paths are not taken */
  thrumi_sched.bell = 1;  /* somebody is idle */
  thrumi_os.allocate = allocate;
  thrumi_os.free = free_block;
  thrumi_os.now = now;
}

static void reset_two(void) {
  reset();
  n = 2;
}

static void reset_three(void) {
  reset();
  n = 3;
}

static void reset_calls(void) {
  reset_two();
  pays = true;
}

static void reset_crowd(void) {
  reset_calls();
  thrumi_sched.workers = 3;
  helpers = 2;
}

static void reset_poor(void) {
  reset_calls();
  memory_for = 0;
}

static void reset_failing(void) {
  reset_three();
  fails[1] = -EDOM;
  fails[2] = -ERANGE;
}

static void reset_cancelled(void) {
  reset_three();
  cancellable = true;
}

static void reset_list(void) {
  reset();
  n = 4;
}

/* The crew was freed, and lies as it lay then. */
static void check_crew(void) {
  EXPECT(returned == 1 && allocated == 1 && frees == 1);
  for (size_t i = 0; i < block_size; i++) EXPECT((unsigned char)block[i] == POISON);
}

static void check_all(void) {
  check_crew();
  EXPECT(result == 0);
  for (size_t i = 0; i < n; i++) EXPECT(visits[i] == 1);
}

static void check_failing(void) {
  check_crew();
  EXPECT(result == -EDOM);
  EXPECT(visits[0] == 1 && visits[1] == 1 && visits[2] <= 1);
}

static void check_cancelled(void) {
  int all = 0;
  check_crew();
  for (size_t i = 0; i < n; i++) {
    EXPECT(visits[i] <= 1);
    all += visits[i];
  }
  EXPECT(result == (all == (int)n ? 0 : -ECANCELED));
}

static void check_list(void) {
  check_all();
  EXPECT(whole.count == (int)n);
  for (int i = 0; i < whole.count; i++) EXPECT(whole.of[i] == i);
}

static const struct explore_model models[] = {
    {.name = "a helper is offered, two indices",
     .reset = reset_two,
     .check = check_all,
     .threads = {CALLER(0, loop), CALLER(1, helper)}},
    {.name = "a helper is offered, three indices",
     .reset = reset_three,
     .check = check_all,
     .threads = {CALLER(0, loop), CALLER(1, helper)}},
    {.name = "helpers are called, two indices",
     .reset = reset_calls,
     .check = check_all,
     .threads = {CALLER(0, loop), CALLER(1, helper), CALLER(2, helper)}},
    {.name = "helpers are called, and there is no memory for them",
     .reset = reset_poor,
     .check = check_all,
     .threads = {CALLER(0, loop)}},
    {.name = "three indices, of which two fail",
     .reset = reset_failing,
     .check = check_failing,
     .threads = {CALLER(0, loop), CALLER(1, helper)}},
    {.name = "three indices, and the caller is cancelled",
     .reset = reset_cancelled,
     .check = check_cancelled,
     .threads = {CALLER(0, loop), CALLER(1, helper)}},
    {.name = "four indices make a list",
     .reset = reset_list,
     .check = check_list,
     .threads = {CALLER(0, reduce), CALLER(1, helper)}},
    {.name = "a helper is called while another one helps, two indices",
     .by_name = true,
     .reset = reset_crowd,
     .check = check_all,
     .threads = {CALLER(0, loop), CALLER(1, helper), CALLER(2, helper)}},
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
