/* The life word: a thread ends while others join it, wait for it and give its handle back, in the functions of
 * sched/thread.c, sched/park.c and core/parking.c. Its record is freed exactly once, after its result was read; who
 * waits is woken; one join at most succeeds, and none after a detach. If it has failed, either a join returns that or the hook is told,
 * once. */
#include "explore.h"

#include <core/parking.h>
#include <errno.h>
#include <sched/part.h>
#include <sched/self.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT = 1, RESULT = 4711, FAILURE = -5, POISON = 999, NOT_RUN = -9999, CALLERS = 3 };

/* The record that ends is records[0]; the others are the callers', who stand on kernel threads of their own. */
static struct thrumi_thread records[CALLERS];
static struct thrumi_kthread kthreads[CALLERS];
static _Atomic uint32_t ready[CALLERS];
static int errors[CALLERS];
static bool detached;
static intptr_t results[CALLERS];
static uint64_t frees;
static uint64_t told; /* how often the hook was */
static intptr_t outcome;

static thrum_thread handle_at_start(void) { return (thrum_thread){(uint64_t)1 << THRUMI_LIFE_BITS | SLOT}; }

/* ---- The parts of the scheduler that these functions call ---------------------------------------------- */

struct thrumi_sched thrumi_sched;
struct thrumi_hooks thrumi_hooks;
uint32_t thrumi_mode;

thrum_thread thrumi_handle(const struct thrumi_thread *t) {
  return (thrum_thread){THRUMI_GENERATION(atomic_load(&t->life)) << THRUMI_LIFE_BITS | t->slot};
}

struct thrumi_thread *thrumi_lookup(thrum_thread handle, uint64_t *life) {
  *life = thrumi_load(&records[0].life);
  bool stale =
      THRUMI_GENERATION(*life) != THRUMI_GENERATION(handle.value) || THRUMI_FLAGS(*life) & THRUMI_FREE;
  return stale ? NULL : &records[0];
}

void thrumi_record_free(struct thrumi_worker *w, struct thrumi_thread *t) {
  (void)w;
  EXPECT(t == &records[0]);
  frees++;
  t->result = POISON;
  thrumi_store(&t->life, (uint64_t)(1 + frees) << THRUMI_LIFE_BITS | THRUMI_FREE);
}

void thrumi_make_ready(struct thrumi_thread *t) { thrumi_add(&ready[t - records], 1u); }

void thrumi_suspend(struct thrumi_kthread *k, struct thrumi_thread *t, thrumi_ticket ticket) {
  (void)k;
  if (!thrumi_wait_park(&t->wait, ticket)) thrumi_make_ready(t);
  explore_await(&ready[t - records]);
  EXPECT(thrumi_swap(&ready[t - records], 0) == 1);
}

int64_t thrumi_clock(void) { return 1; }

void thrumi_locals_destroy(struct thrumi_thread *t) { EXPECT(t == &records[0]); }

/* Nobody has the handle any more, and the record is still its own. */
void thrumi_tell_uncaught(struct thrumi_thread *t, intptr_t failure, const char *sentence) {
  uint64_t life;
  EXPECT(t == &records[0] && failure == FAILURE && !sentence);
  EXPECT(thrumi_lookup(handle_at_start(), &life) && THRUMI_FLAGS(life) & THRUMI_RELEASED);
  told++;
}

/* ---- What happens at once ------------------------------------------------------------------------------ */

static int slots[CALLERS] = {0, 1, 2};
static intptr_t success = RESULT, failure = FAILURE;

static void finish(void *result) {
  outcome = *(intptr_t *)result;
  thrumi_enter();
  thrumi_thread_finish(&records[0], outcome);
  thrumi_leave(thrumi_self());
}

static void join(void *slot) {
  int i = *(int *)slot;
  errors[i] = thrum_join(handle_at_start(), &results[i]);
}

static void detach(void *slot) {
  int i = *(int *)slot;
  errors[i] = thrum_detach(handle_at_start());
  detached = detached || errors[i] == 0;
}

static void wait_only(void *unused) {
  (void)unused;
  int error = thrum_wait(handle_at_start());
  EXPECT(error == 0 || error == -ESRCH);
}

static void reset(void) {
  memset(records, 0, sizeof records);
  memset(kthreads, 0, sizeof kthreads);
  for (int i = 0; i < CALLERS; i++) {
    records[i].slot = SLOT + (uint32_t)i;
    atomic_store(&records[i].life, (uint64_t)1 << THRUMI_LIFE_BITS);
    atomic_store(&kthreads[i].current, &records[i]);
    atomic_store(&ready[i], 0);
    errors[i] = NOT_RUN;
    results[i] = 0;
  }
  frees = told = 0;
  detached = false;
  thrumi_parking_fork(); /* a schedule that was cut short leaves waiters behind */
}

/* Of joins and detaches exactly one succeeds. */
static void check(void) {
  int successes = 0;
  for (int i = 1; i < CALLERS; i++) {
    EXPECT(errors[i] == 0 || errors[i] == -ESRCH || errors[i] == NOT_RUN);
    EXPECT(results[i] == 0 || (results[i] == outcome && errors[i] == 0));
    successes += errors[i] == 0;
  }
  EXPECT(successes == 1);
  EXPECT(frees == 1);
  EXPECT(told == (outcome == FAILURE && detached));
}

#define MODEL(text, result, ...) \
  { \
    .name = "life, " text, .reset = reset, .check = check, .threads = { \
      {.name = "ending", .run = finish, .arg = &(result), .self = &kthreads[0]}, \
      __VA_ARGS__ \
    } \
  }
#define CALLER(i, fn) \
  { .name = #fn, .run = fn, .arg = &slots[i], .self = &kthreads[i] }

static const struct explore_model models[] = {
    MODEL("join and join", success, CALLER(1, join), CALLER(2, join)),
    MODEL("join and detach", success, CALLER(1, join), CALLER(2, detach)),
    MODEL("detach and detach", success, CALLER(1, detach), CALLER(2, detach)),
    MODEL("join and wait", success, CALLER(1, join), CALLER(2, wait_only)),
    MODEL("failing, detach", failure, CALLER(1, detach)),
    MODEL("failing, join and detach", failure, CALLER(1, join), CALLER(2, detach)),
    MODEL("failing, detach and detach", failure, CALLER(1, detach), CALLER(2, detach)),
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
