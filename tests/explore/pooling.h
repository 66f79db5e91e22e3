/* What models of pools have in place of futures: a word that begins, is finished or cancelled in one step. */
#ifndef EXPLORE_POOLING_H
#define EXPLORE_POOLING_H

#include "calling.h"
#include "waiting.h"

#include <future/place.h>
#include <future/pool.h>

static struct thrumi_pool *pool;
static _Atomic uint32_t second_has_run; /* a callback waits for this one */

enum { IS_FINISHED = 1, IS_CANCELLED = 2 };
#define OVER UINT64_C(0xffffffff) /* one of these; 0: it is not done */
#define BEGUN (UINT64_C(1) << 32)
#define WATCHED (UINT64_C(1) << 33)
#define ONE (UINT64_C(1) << 48)

static _Atomic uint32_t *over_of(thrum_future *f) { return (_Atomic uint32_t *)&f->word; }

/* One step. Returns the word before; it is changed only if it had none of these bits. */
static uint64_t step(thrum_future *f, uint64_t unless, uint64_t add) {
  explore_point(EXPLORE_UPDATE, &f->word);
  uint64_t before = atomic_load(&f->word);
  EXPECT(before >= ONE && before < 5 * ONE);
  if (!(before & unless)) atomic_store(&f->word, before + add);
  return before;
}

void thrumi_future_init(thrum_future *f, struct thrum_executor *x, uint32_t references) {
  f->executor = x;
  atomic_store(&f->word, references * ONE);
}

thrum_future *thrum_future_retain(thrum_future *f) {
  step(f, 0, ONE);
  return f;
}

void thrum_future_release(thrum_future *f) {
  if (f && step(f, 0, -ONE) < 2 * ONE) thrumi_work_give(thrumi_work_of(f));
}

bool thrumi_future_begin(thrum_future *f) {
  uint64_t before = step(f, OVER, BEGUN);
  EXPECT(!(before & BEGUN));
  return !(before & OVER);
}

/* A maker keeps its reference where somebody is to be told. */
bool thrumi_future_finish(thrum_future *f) {
  explore_point(EXPLORE_UPDATE, &f->word);
  uint64_t before = atomic_load(&f->word);
  EXPECT((before & (BEGUN | OVER)) == BEGUN);
  atomic_store(&f->word, before + IS_FINISHED - (before & WATCHED ? 0 : ONE));
  if (before < 2 * ONE && !(before & WATCHED)) thrumi_work_give(thrumi_work_of(f));
  return before & WATCHED;
}

bool thrumi_future_tell(thrum_future *f) { return f; }

/* The callback waits for the other task. */
void thrumi_future_call_back(thrum_future *f) {
  (void)f;
  explore_await(&second_has_run);
}

bool thrumi_future_drop(thrum_future *f) { return !(step(f, OVER | BEGUN, IS_CANCELLED) & (OVER | BEGUN)); }
void thrumi_future_dropped(thrum_future *f) { thrum_future_release(f); }

bool thrum_future_cancel(thrum_future *f) {
  bool dropped = thrumi_future_drop(f);
  if (dropped) f->executor->kind->cancelled(f->executor, thrumi_work_of(f));
  return dropped;
}

int thrum_future_result(thrum_future *f, intptr_t *result) {
  struct thrumi_place place;
  if (!thrumi_load(over_of(f))) {
    int error = thrumi_place_lend(&place);
    if (error) return error;
    explore_await(over_of(f));
    thrumi_place_take_back(&place);
  }
  if (atomic_load(over_of(f)) == IS_CANCELLED) return -ECANCELED;
  *result = f->result;
  return 0;
}

#endif
