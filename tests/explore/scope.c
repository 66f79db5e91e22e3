/* Scopes: who is cancelled while threads join a scope, wait in it and end, while it and shields are opened and closed, in the
 * functions of sched/tree.c and sched/park.c. Nobody who is reached is missed, nobody is told who is not, and nobody touches a scope
 * that is closed or a record that is another thread's. And restarts, in scope/restart.c: who fails begins again, alone or with all,
 * while others fail, end, are spawned or cancelled; nobody stays stopped, nobody begins again who was cancelled before. */
#include "explore.h"

#include <core/parking.h>
#include <errno.h>
#include <scope/scope.h>
#include <sched/self.h>
#include <sched/tree.h>
#include <stdlib.h>
#include <string.h>

enum { OPENER, CHILD, OTHER, STRANGER, THREADS };

static struct thrumi_thread records[THREADS];
static struct thrumi_kthread kthreads[THREADS];
static _Atomic uint32_t ready[THREADS];
static struct thrumi_scope scope, inner, childs;
static int added, outcome, closed_as;

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

#define FIRST ((uint64_t)1 << THRUMI_LIFE_BITS)

thrum_thread thrumi_handle(const struct thrumi_thread *t) {
  return (thrum_thread){THRUMI_GENERATION(atomic_load(&t->life)) << THRUMI_LIFE_BITS | t->slot};
}

struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  struct thrumi_thread *t = &records[THRUMI_FLAGS(handle.value) - 1];
  *life = thrumi_load(&t->life);
  return THRUMI_GENERATION(*life) == THRUMI_GENERATION(handle.value) && !(THRUMI_FLAGS(*life) & THRUMI_FREE)
             ? t
             : NULL;
}

int64_t thrumi_clock(void) { return 1; }
void thrumi_make_ready(struct thrumi_thread *t) { thrumi_add(&ready[t - records], 1u); }

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready[t - records]);
  EXPECT(thrumi_swap(&ready[t - records], 0) == 1);
}

/* ---- What happens at once --------------------------------------------------------------------------------------------- */

static void spawn_child(int i) {
  records[i].life = FIRST;
  added = thrumi_scope_add(&scope, &records[i]);
}

static void spawner(void *unused) {
  (void)unused;
  spawn_child(CHILD);
}

static void canceller(void *unused) {
  (void)unused;
  thrumi_scope_cancel(&scope, THRUMI_CAUSE_ASKED);
}

static void inner_canceller(void *unused) {
  (void)unused;
  thrumi_scope_cancel(&inner, THRUMI_CAUSE_ASKED);
}

/* A cancellation point that nothing else ends. */
static void wait_in(int i) {
  thrumi_ticket ticket = thrumi_arm(&records[i], "a cancellation", NULL, THRUMI_CANCELLABLE);
  outcome = (int)thrumi_park(&records[i], ticket, INT64_MAX);
}

static void child_waits(void *unused) {
  (void)unused;
  wait_in(CHILD);
}

static void child_ends(void *unused) {
  (void)unused;
  thrumi_scope_quit(&records[CHILD], THRUMI_FINISHED);
}

/* The child itself cancels the scope, as one that fails does, and then ends. */
static void child_fails(void *unused) {
  (void)unused;
  thrumi_scope_fail(&scope, -EIO, NULL);
  thrumi_scope_quit(&records[CHILD], THRUMI_FINISHED);
}

static void other_fails(void *unused) {
  (void)unused;
  thrumi_scope_fail(&scope, -ENOENT, NULL);
  thrumi_scope_quit(&records[OTHER], THRUMI_FINISHED);
}

/* As the close does. Its memory is something else's then. */
static void closer(void *unused) {
  (void)unused;
  struct thrumi_thread *me = &records[OPENER];
  thrumi_spin_lock(&me->tree);
  while (thrumi_load_relaxed(&scope.count) || scope.visitors) thrumi_scope_await(me, &scope, INT64_MAX, 0);
  thrumi_scope_pop(me, &scope);
  closed_as = scope.failure;
  EXPECT(records[CHILD].life & THRUMI_FINISHED); /* to whom the close returns, it is not alive */
  EXPECT(!scope.told && !scope.untold);
  free(scope.restarted_at);
  memset(&scope, 0xa5, sizeof scope);
  thrumi_spin_unlock(&me->tree);
}

/* Ends, is freed, and its record begins another life. */
static void ends_and_begins(void *unused) {
  (void)unused;
  struct thrumi_thread *t = &records[CHILD];
  thrumi_or(&t->life, (uint64_t)THRUMI_FINISHED);
  thrumi_tree_settle(t);
  thrumi_store(&t->life, (2 * FIRST) | THRUMI_FREE);
  thrumi_store_relaxed(&t->cancel, 0);
  thrumi_store(&t->life, 2 * FIRST);
}

static void cancel_by_handle(void *unused) {
  (void)unused;
  int error = thrum_cancel((thrum_thread){FIRST | (CHILD + 1)});
  EXPECT(error == 0 || error == -ESRCH);
}

/* The thread that is cancelled opens a shield meanwhile, waits in it, and closes it. */
static void shielded(void *unused) {
  (void)unused;
  struct thrumi_thread *me = &records[CHILD];
  enum thrumi_wait_state ended;
  childs = (struct thrumi_scope){.shield = true};
  thrumi_scope_push(me, &childs);
  EXPECT(!thrumi_load(&me->cancel));
  thrumi_ticket ticket = thrumi_arm(me, "nothing", NULL, THRUMI_CANCELLABLE);
  EXPECT(thrumi_disarm(me, ticket, &ended)); /* nobody claims it */
  thrumi_spin_lock(&me->tree);
  thrumi_scope_pop(me, &childs);
  thrumi_spin_unlock(&me->tree);
  wait_in(CHILD);
}

/* Or an ordinary scope, with a thread in it: that is told, or refused. */
static void opens_scope(void *unused) {
  (void)unused;
  struct thrumi_thread *me = &records[CHILD];
  memset(&childs, 0, sizeof childs);
  thrumi_scope_push(me, &childs);
  records[OTHER].life = FIRST;
  added = thrumi_scope_add(&childs, &records[OTHER]);
  wait_in(CHILD);
}

/* ---- Restarts ----------------------------------------------------------------------------------------------------------- */

enum { MOST = 2, PERIOD = 10 };

static int calls[THREADS];
static bool is_cancelled_now,
    was_cancelled[THREADS]; /* the cancellation has returned; before the last call did */
static int64_t at, began_again[8];
static _Atomic uint32_t roused;

static int64_t now(void) { return at; }
static void *allocate(size_t size) { return calloc(1, size); }
void thrumi_locals_destroy(struct thrumi_thread *t) { began_again[calls[t - records] - 1] = at; }

/* What a thread does, as sched/thread.c has it. */
static void live(int i, intptr_t (*fn)(int i)) {
  struct thrumi_thread *t = &records[i];
  intptr_t result;
  do {
    EXPECT(!calls[i] || (!was_cancelled[i] && calls[i] < (int)(sizeof began_again / sizeof *began_again)));
    calls[i]++;
    result = fn(i);
    was_cancelled[i] = is_cancelled_now;
  } while (thrumi_scope_restarts(t, result));
  if (thrum_failed(result) && !(result == -ECANCELED && thrumi_load(&t->cancel)))
    thrumi_scope_fail(&scope, (int)result, NULL);
  thrumi_scope_quit(t, THRUMI_FINISHED);
}

static intptr_t fail_first(int i) { return calls[i] == 1 ? -EIO : 0; }

/* Three times. The period passes between two, or does not. */
static intptr_t fail_often(int i) {
  if (calls[i] > 3) return 0;
  at += explore_choose(2) ? PERIOD : 1;
  return -EIO;
}

/* First until it is told to stop. */
static intptr_t wait_first(int i) {
  if (calls[i] > 1) return 0;
  wait_in(i);
  EXPECT(outcome == THRUMI_CANCELLED);
  return -ECANCELED;
}

static intptr_t end_at_once(int i) { return (void)i, 0; }

/* First it fails, and then it waits for a cancellation. */
static intptr_t fail_and_wait(int i) {
  if (calls[i] == 1) return -EIO;
  wait_in(i);
  return -ECANCELED;
}

/* Until the opener has heard of the cancellation. */
static intptr_t ignore(int i) {
  (void)i;
  explore_await(&roused);
  return 0;
}

/* Spawned: if all are about to stop it is told so. */
static intptr_t wait_if_stopped(int i) {
  if (calls[i] > 1 || !records[i].cancel) return 0;
  wait_in(i);
  return 0;
}

#define LIVES(name, i, fn) \
  static void name(void *unused) { \
    (void)unused; \
    live(i, fn); \
  }
LIVES(child_fails_first, CHILD, fail_first)
LIVES(other_fails_first, OTHER, fail_first)
LIVES(child_fails_often, CHILD, fail_often)
LIVES(child_fails_and_waits, CHILD, fail_and_wait)
LIVES(other_waits_first, OTHER, wait_first)
LIVES(other_ends_at_once, OTHER, end_at_once)
LIVES(other_ignores_it, OTHER, ignore)

static void other_is_spawned(void *unused) {
  (void)unused;
  spawn_child(OTHER);
  thrumi_store(&roused, 1u);
  if (!added) live(OTHER, wait_if_stopped);
}

static void closes_behind_spawn(void *unused) {
  explore_await(&roused);
  closer(unused);
}

static void cancels(void *unused) {
  canceller(unused);
  is_cancelled_now = true;
}

static void cancels_other(void *unused) {
  (void)unused;
  int error = thrum_cancel((thrum_thread){FIRST | (OTHER + 1)});
  EXPECT(error == 0 || error == -ESRCH);
  is_cancelled_now = true;
}

/* The close looks when there is a cancellation, to say later whom it waits for. */
static void closer_looks(void *unused) {
  struct thrumi_thread *me = &records[OPENER];
  thrumi_spin_lock(&me->tree);
  while (!thrumi_causes_cancel(scope.cancelled) && thrumi_load_relaxed(&scope.count))
    thrumi_scope_await(me, &scope, INT64_MAX, 0);
  thrumi_spin_unlock(&me->tree);
  thrumi_store(&roused, 1u);
  closer(unused);
}

/* ---- Before and after ------------------------------------------------------------------------------------------------- */

static void reset(void) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  for (uint32_t i = 0; i < THREADS; i++) {
    records[i].slot = i + 1;
    records[i].life = FIRST;
    kthreads[i].current = &records[i];
    atomic_store(&ready[i], 0);
    explore_private(&records[i].state, sizeof records[i].state);
  }
  explore_private(kthreads, sizeof kthreads);
  added = outcome = closed_as = 1;
  memset(&scope, 0, sizeof scope);
  scope.opener = &records[OPENER];
  scope.depth = 1;
  records[OPENER].scopes = &scope;
  thrumi_parking_fork();
}

static void put_in(struct thrumi_scope *s, int i) {
  records[i].scope = s;
  records[i].scoped = THRUMI_MEMBER;
  records[i].elder = s->untold;
  if (s->untold) s->untold->younger = &records[i];
  s->untold = &records[i];
  s->count++;
}

static void reset_with_child(void) {
  reset();
  put_in(&scope, CHILD);
}

static void reset_with_two(void) {
  reset_with_child();
  put_in(&scope, OTHER);
}

/* The opener has a second scope within, with a child. */
static void reset_nested(void) {
  reset();
  inner = (struct thrumi_scope){.depth = 2};
  inner.opener = &records[OPENER];
  inner.outer = &scope;
  scope.inner = &inner;
  records[OPENER].scopes = &inner;
  put_in(&inner, CHILD);
}

static void reset_restarts(int rule, int threads) {
  reset();
  scope.restart = (uint8_t)rule;
  scope.restart_max = MOST;
  scope.restart_period = PERIOD;
  put_in(&scope, CHILD);
  if (threads > 1) put_in(&scope, OTHER);
  for (int i = CHILD; i <= OTHER; i++) records[i].scoped |= THRUMI_RESTARTS;
  memset(calls, 0, sizeof calls);
  memset(was_cancelled, 0, sizeof was_cancelled);
  is_cancelled_now = false;
  at = 0;
  atomic_store(&roused, 0);
  thrumi_os.now = now;
  thrumi_os.free = free;
  thrumi_os.allocate = allocate;
}

static void reset_one_alone(void) { reset_restarts(THRUM_RESTART_ONE, 1); }
static void reset_one(void) { reset_restarts(THRUM_RESTART_ONE, 2); }
static void reset_all(void) { reset_restarts(THRUM_RESTART_ALL, 2); }
static void reset_all_alone(void) { reset_restarts(THRUM_RESTART_ALL, 1); }

static bool is_told(int i) { return records[i].cancel && records[i].life & THRUMI_LIFE_TOLD; }

static void check_spawn(void) {
  EXPECT(added == 0 || added == -ECANCELED);
  EXPECT((added == 0) == is_told(CHILD));
  EXPECT(!scope.visitors && !scope.untold && records[OPENER].cancel);
}

static void check_wait(void) { EXPECT(outcome == THRUMI_CANCELLED && is_told(CHILD)); }

static void check_closed(void) {
  EXPECT(!records[OPENER].scopes && !records[OPENER].cancel);
  EXPECT(records[CHILD].life & THRUMI_FINISHED && !records[CHILD].scope);
  for (int i = 0; i < THREADS; i++) EXPECT(!ready[i]);
}

static void check_failed(void) {
  check_closed();
  EXPECT(closed_as == -EIO || closed_as == -ENOENT);
  EXPECT(records[OTHER].life & THRUMI_FINISHED);
}

static void check_reused(void) {
  EXPECT(!records[CHILD].cancel && !(records[CHILD].life & THRUMI_LIFE_CANCELLED));
}

static void check_nested(void) {
  EXPECT(is_told(CHILD) && !inner.visitors && !inner.untold && inner.told == &records[CHILD]);
  EXPECT(scope.cancelled == THRUMI_CAUSE_ASKED && inner.cancelled & THRUMI_CAUSE_OUTSIDE);
  EXPECT(records[OPENER].cancel);
}

static void check_opened(void) {
  check_wait();
  EXPECT(added == -ECANCELED || is_told(OTHER));
  EXPECT(childs.cancelled == THRUMI_CAUSE_OUTSIDE && !childs.visitors);
}

/* The third failure within a period counts. */
static void check_often(void) {
  check_closed();
  EXPECT(calls[CHILD] == (closed_as ? 3 : 4));
  EXPECT(closed_as == (at - began_again[0] < PERIOD ? -EIO : 0));
}

static void check_restarted(int child, int other) {
  check_closed();
  EXPECT(closed_as == 0 && calls[CHILD] == child && calls[OTHER] == other);
  EXPECT(records[OTHER].life & THRUMI_FINISHED);
}

static void check_one_again(void) { check_restarted(2, 1); }
static void check_both_again(void) { check_restarted(2, 2); }

/* Who ends before the other one fails does not begin again. */
static void check_again(void) { check_restarted(2, calls[OTHER] == 1 ? 1 : 2); }

static void check_cancelled(void) {
  check_closed();
  EXPECT(calls[CHILD] <= 2 && calls[OTHER] <= 2);
}

static void check_other_cancelled(void) {
  check_cancelled();
  EXPECT(closed_as == 0 && calls[CHILD] == 2 && records[OTHER].life & THRUMI_FINISHED);
}

static void check_spawned(void) {
  EXPECT(added == 0);
  check_restarted(2, calls[OTHER] == 1 ? 1 : 2);
}

#define AT(i, fn) \
  { .name = #fn, .run = fn, .self = &kthreads[i] }
#define MODEL_OF(minutes, text, before, after, ...) \
  { \
    .name = "scope, " text, .by_name = minutes, .no_kills = true, .reset = before, .check = after, \
    .threads = { \
      __VA_ARGS__ \
    } \
  }
#define MODEL(...) MODEL_OF(false, __VA_ARGS__)
#define LONG_MODEL(...) MODEL_OF(true, __VA_ARGS__)

static const struct explore_model models[] = {
    MODEL("a spawn and a cancellation", reset, check_spawn, AT(OPENER, spawner), AT(OTHER, canceller)),
    MODEL("a spawn and two cancellations", reset, check_spawn, AT(OPENER, spawner), AT(OTHER, canceller),
          AT(STRANGER, canceller)),
    {.name = "scope, a wait and a cancellation",
     .buffered = true,
     .reset = reset_with_child,
     .check = check_wait,
     .threads = {AT(CHILD, child_waits), AT(OTHER, canceller)}},
    MODEL("an end and a close", reset_with_child, check_closed, AT(OPENER, closer), AT(CHILD, child_ends)),
    MODEL("a failure and a close", reset_with_child, check_closed, AT(OPENER, closer),
          AT(CHILD, child_fails)),
    MODEL("two failures and a close", reset_with_two, check_failed, AT(OPENER, closer),
          AT(CHILD, child_fails), AT(OTHER, other_fails)),
    MODEL("a thread is cancelled as it ends", reset, check_reused, AT(CHILD, ends_and_begins),
          AT(OTHER, cancel_by_handle)),
    MODEL("a thread is cancelled twice as it ends", reset, check_reused, AT(CHILD, ends_and_begins),
          AT(OTHER, cancel_by_handle), AT(STRANGER, cancel_by_handle)),
    MODEL("a shield", reset_with_child, check_wait, AT(CHILD, shielded), AT(OTHER, canceller)),
    MODEL("a scope within", reset_with_child, check_opened, AT(CHILD, opens_scope), AT(STRANGER, canceller)),
    MODEL("two cancellations, one within", reset_nested, check_nested, AT(OTHER, canceller),
          AT(STRANGER, inner_canceller)),
    MODEL("one fails often", reset_one_alone, check_often, AT(OPENER, closer), AT(CHILD, child_fails_often)),
    MODEL("one of two fails", reset_one, check_one_again, AT(OPENER, closer), AT(CHILD, child_fails_first),
          AT(OTHER, other_ends_at_once)),
    MODEL("one fails and is cancelled", reset_one_alone, check_cancelled, AT(OPENER, closer),
          AT(CHILD, child_fails_and_waits), AT(STRANGER, cancels)),
    LONG_MODEL("one fails, and all begin again", reset_all, check_both_again, AT(OPENER, closer),
               AT(CHILD, child_fails_first), AT(OTHER, other_waits_first)),
    LONG_MODEL("two fail, and all begin again", reset_all, check_both_again, AT(OPENER, closer),
               AT(CHILD, child_fails_first), AT(OTHER, other_fails_first)),
    LONG_MODEL("one fails as the other one ends", reset_all, check_again, AT(OPENER, closer),
               AT(CHILD, child_fails_first), AT(OTHER, other_ends_at_once)),
    LONG_MODEL("one fails as the other one is spawned", reset_all_alone, check_spawned,
               AT(OPENER, closes_behind_spawn), AT(CHILD, child_fails_first), AT(OTHER, other_is_spawned)),
    LONG_MODEL("all stop, and a cancellation", reset_all, check_cancelled, AT(OPENER, closer),
               AT(CHILD, child_fails_and_waits), AT(OTHER, other_waits_first), AT(STRANGER, cancels)),
    LONG_MODEL("all stop, and the opener hears of a cancellation", reset_all, check_cancelled,
               AT(OPENER, closer_looks), AT(CHILD, child_fails_and_waits), AT(OTHER, other_ignores_it),
               AT(STRANGER, cancels)),
    LONG_MODEL("all stop, and one is cancelled for life", reset_all, check_other_cancelled,
               AT(OPENER, closer), AT(CHILD, child_fails_first), AT(OTHER, other_waits_first),
               AT(STRANGER, cancels_other)),
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
