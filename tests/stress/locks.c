/* Locks and conditions in the hands of many, for some seconds: timed and untimed acquires, waits that run out of time, threads
 * cancelled at any moment, threads stopped by a slice of 100 us in the midst of it, light, bound and foreign. What must
 * hold: one holder at a time, tokens neither lost nor doubled, and everybody gets through. */
#include "../support.h"
#include "cancel.h"

#include <sched/self.h>

enum { LOCKS = 3, LIGHT = 24, BOUND = 2, FOREIGN = 2, ALL = LIGHT + BOUND + FOREIGN };

static struct place {
  thrum_lock lock;
  thrum_cond filled;
  long inside, tokens, put, got;
} places[LOCKS];

static thrum_thread light[LIGHT];
static bool stop;
static long waited, timed_out, cancelled, rounds_of[ALL];

static uint64_t draw(uint64_t *seed, uint64_t below) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return (*seed * UINT64_C(0x2545F4914F6CDD1D) >> 33) % below;
}

static void enter(struct place *p) { CHECK_EQ(++p->inside, 1); }
static void leave(struct place *p) { CHECK_EQ(p->inside--, 1); }

static void note(int error) {
  if (error == -ETIMEDOUT) ADD(timed_out, 1);
  if (error == -ECANCELED) ADD(cancelled, 1);
  CHECK(error == 0 || error == -ETIMEDOUT || error == -ECANCELED);
}

static bool take(struct place *p, uint64_t *seed) {
  int error = 0;
  if (draw(seed, 2))
    thrum_lock_acquire(&p->lock);
  else
    error = thrum_lock_acquire_for(&p->lock, THRUM_US(draw(seed, 300)));
  note(error);
  if (!error) enter(p);
  return error == 0;
}

static void put(struct place *p, uint64_t *seed) {
  p->tokens++;
  p->put++;
  thrum_cond_notify(&p->filled, (int)draw(seed, 3));
}

static void get(struct place *p, uint64_t *seed) {
  leave(p);
  int error = thrum_cond_wait_for(&p->filled, &p->lock, THRUM_US(draw(seed, 500)));
  enter(p);
  note(error);
  ADD(waited, 1);
  if (p->tokens == 0) return;
  p->tokens--;
  p->got++;
}

static void once(uint64_t *seed) {
  struct place *p = &places[draw(seed, LOCKS)];
  if (!take(p, seed)) return;
  unsigned what = (unsigned)draw(seed, 8);
  if (what < 4) put(p, seed);
  if (what >= 6) get(p, seed);
  if (what == 5) thrum_yield();
  leave(p);
  CHECK_EQ(thrum_lock_release(&p->lock), 0);
  if (what == 4) thrum_cond_notify_all(&p->filled);
}

static intptr_t run(void *number) {
  uint64_t seed = (uint64_t)(intptr_t)number * 2654435761u + 1;
  while (!LOAD(stop)) {
    once(&seed);
    ADD(rounds_of[(intptr_t)number - 1], 1);
  }
  return 0;
}

static void *run_foreign(void *number) { return (void *)run(number); }

static void cancel_someone(uint64_t *seed) { CHECK(cancel_and_take_back(light[draw(seed, LIGHT)])); }

static bool everybody_moved(const long *since) {
  for (int i = 0; i < ALL; i++)
    if (LOAD(rounds_of[i]) == since[i]) return false;
  return true;
}

/* On a machine that does much else a few seconds may be too little for that. */
static bool all_has_happened(void) { return LOAD(cancelled) && LOAD(timed_out); }

int main(int argc, char **argv) {
  int seconds = argc > 1 ? atoi(argv[1]) : 3;
  uint64_t seed = 4711;
  thrum_thread bound[BOUND];
  pthread_t foreign[FOREIGN];
  thrum_set_switch_interval(THRUM_US(100));
  for (intptr_t i = 0; i < LIGHT; i++) light[i] = must_spawn(run, (void *)(i + 1));
  for (intptr_t i = 0; i < BOUND; i++) bound[i] = must_spawn_bound(run, (void *)(LIGHT + i + 1));
  for (intptr_t i = 0; i < FOREIGN; i++)
    CHECK_EQ(pthread_create(&foreign[i], NULL, run_foreign, (void *)(LIGHT + BOUND + i + 1)), 0);
  for (int64_t end = wall_now() + THRUM_S(seconds); wall_now() < end || !all_has_happened();) {
    cancel_someone(&seed);
    CHECK_EQ(thrum_sleep(THRUM_US(draw(&seed, 400))), 0);
  }
  long since[ALL];
  for (int i = 0; i < ALL; i++) since[i] = LOAD(rounds_of[i]);
  AWAIT(everybody_moved(since));
  STORE(stop, true);
  for (int i = 0; i < LIGHT; i++) CHECK_EQ(must_join(light[i]), 0);
  for (int i = 0; i < BOUND; i++) CHECK_EQ(must_join(bound[i]), 0);
  for (int i = 0; i < FOREIGN; i++) CHECK_EQ(pthread_join(foreign[i], NULL), 0);
  long rounds = 0;
  for (int i = 0; i < ALL; i++) rounds += rounds_of[i];
  for (struct place *p = places; p < places + LOCKS; p++) {
    CHECK_EQ(p->put - p->got, p->tokens);
    CHECK_EQ(p->lock.word, 0);
    CHECK_EQ(thrum_cond_destroy(&p->filled), 0);
  }
  printf("%ld rounds, %ld waits in conditions, %ld ran out of time, %ld cancelled\n", rounds, waited,
         timed_out, cancelled);
  return 0;
}
