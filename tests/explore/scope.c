/* Scopes: who is cancelled while threads join a scope, wait in it and end, while it and shields are opened and closed, in the
 * functions of sched/tree.c and sched/park.c. Nobody who is reached is missed, nobody is told who is not, and nobody touches a scope
 * that is closed or a record that is another thread's. */
#include "explore.h"

#include <core/parking.h>
#include <errno.h>
#include <sched/self.h>
#include <sched/tree.h>
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

#define AT(i, fn) \
  { .name = #fn, .run = fn, .self = &kthreads[i] }
#define MODEL(text, before, after, ...) \
  { \
    .name = "scope, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

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
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
