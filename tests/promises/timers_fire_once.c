/* A timer calls its function once for each start, never early, unless a cancel wins; and exactly one of the two wins. */
#include "../support.h"

#include <stdlib.h>

struct probe {
  thrum_timer timer;
  thrum_time due;
  int calls;
  void *seen;
};

static intptr_t note(void *arg) {
  struct probe *p = (struct probe *)arg;
  CHECK(thrum_now() >= p->due);
  ADD(p->calls, 1);
  return 0;
}

static void start(struct probe *p, thrum_duration after) {
  STORE(p->due, after > 0 ? thrum_after(after) : 0);
  CHECK_EQ(thrum_timer_start_at(&p->timer, p->due, note, p), 0);
}

/* In main, a light, a bound and a foreign thread. */
static intptr_t basics(void *arg) {
  (void)arg;
  struct probe *p = (struct probe *)calloc(1, sizeof *p);
  CHECK_EQ(thrum_timer_cancel(&p->timer), 0); /* never started */
  CHECK_EQ(thrum_timer_cancel_wait(&p->timer), 0);
  CHECK_EQ(thrum_timer_restart(&p->timer, 0), -EINVAL);
  CHECK(!thrum_timer_pending(&p->timer));
  start(p, THRUM_MS(3));
  AWAIT(LOAD(p->calls) == 1);
  CHECK(!thrum_timer_pending(&p->timer));
  CHECK_EQ(thrum_timer_cancel(&p->timer), 0); /* has fired */
  p->due = 0;
  CHECK_EQ(thrum_timer_restart(&p->timer, THRUM_US(100)), 0); /* with the same function */
  AWAIT(LOAD(p->calls) == 2);
  start(p, THRUM_S(1000));
  CHECK(thrum_timer_pending(&p->timer));
  CHECK_EQ(thrum_timer_cancel(&p->timer), 1);
  CHECK(!thrum_timer_pending(&p->timer));
  CHECK_EQ(thrum_timer_cancel(&p->timer), 0);
  p->due = 0;
  CHECK_EQ(thrum_timer_restart_at(&p->timer, thrum_now()), 0); /* after a cancel */
  AWAIT(LOAD(p->calls) == 3);
  start(p, THRUM_S(1000)); /* pending, and moved to now */
  p->due = 0;
  CHECK_EQ(thrum_timer_restart(&p->timer, -5), 0);
  AWAIT(LOAD(p->calls) == 4);
  CHECK_EQ(thrum_timer_cancel_wait(&p->timer), 0);
  CHECK_EQ(LOAD(p->calls), 4);
  free(p);
  return 0;
}

/* Ends of time: the past fires at once, what is beyond all time never, and neither harms the others. */
static intptr_t ends_of_time(void *arg) {
  (void)arg;
  static const thrum_time past[] = {INT64_MIN, -1, 0, 1};
  static const thrum_time never[] = {THRUM_FOREVER, THRUM_FOREVER - 1};
  struct probe probes[6];
  memset(probes, 0, sizeof probes);
  for (int i = 0; i < 4; i++) CHECK_EQ(thrum_timer_start_at(&probes[i].timer, past[i], note, &probes[i]), 0);
  for (int i = 0; i < 2; i++)
    CHECK_EQ(thrum_timer_start_at(&probes[4 + i].timer, never[i], note, &probes[4 + i]), 0);
  for (int i = 0; i < 4; i++) AWAIT(LOAD(probes[i].calls) == 1);
  CHECK_EQ(thrum_timer_start(&probes[0].timer, INT64_MIN, note, &probes[0]), 0);
  CHECK_EQ(thrum_timer_start(&probes[1].timer, THRUM_FOREVER - 5, note, &probes[1]), 0);
  AWAIT(LOAD(probes[0].calls) == 2);
  for (int i = 0; i < 4; i++) CHECK_EQ(thrum_timer_cancel_wait(&probes[i].timer), i == 1);
  for (int i = 4; i < 6; i++) {
    CHECK(thrum_timer_pending(&probes[i].timer));
    CHECK_EQ(thrum_timer_cancel_wait(&probes[i].timer), 1);
    CHECK_EQ(probes[i].calls, 0);
  }
  return 0;
}

/* ---- From its own callback ------------------------------------------------------------------------------ */

struct own {
  thrum_timer timer;
  int rounds, left;
};

static int freed;

/* Starts itself again until its rounds are over, cancels what it has started last, and frees itself. */
static intptr_t go_round(void *arg) {
  struct own *own = (struct own *)arg;
  CHECK(!thrum_timer_pending(&own->timer));
  CHECK_EQ(thrum_timer_cancel(&own->timer), 0);
  CHECK_EQ(thrum_timer_cancel_wait(&own->timer), -EDEADLK);
  if (--own->left > 0) {
    CHECK_EQ(thrum_timer_restart(&own->timer, own->left % 3 ? THRUM_US(50 * own->left) : 0), 0);
    return 0;
  }
  CHECK_EQ(thrum_timer_restart(&own->timer, THRUM_S(100)), 0);
  CHECK_EQ(thrum_timer_cancel(&own->timer), 1);
  memset(own, 0x5a, sizeof *own); /* the runtime must not need it */
  free(own);
  ADD(freed, 1);
  return 0;
}

static void own_callback(void) {
  enum { OWN = 50 };
  STORE(freed, 0);
  for (int i = 0; i < OWN; i++) {
    struct own *own = (struct own *)calloc(1, sizeof *own);
    own->left = 1 + i % 7;
    CHECK_EQ(thrum_timer_start(&own->timer, THRUM_US(100 * i), go_round, own), 0);
  }
  AWAIT(LOAD(freed) == OWN);
}

/* Callbacks that are due at the same time: each runs once, and with one worker in the order of starting. With several, each worker
 * may begin the one that it took before another one does that was taken earlier. */
static int order[200], ordered;

static intptr_t take_place(void *arg) {
  order[ADD(ordered, 1) - 1] = (int)(intptr_t)arg;
  return 0;
}

/* How many do not have the place that they were started at. */
static intptr_t out_of_order(void *arg) {
  (void)arg;
  static thrum_timer timers[200];
  ordered = 0;
  thrum_time when = thrum_after(THRUM_MS(5));
  for (int i = 0; i < 200; i++)
    CHECK_EQ(thrum_timer_start_at(&timers[i], when, take_place, (void *)(intptr_t)i), 0);
  AWAIT(LOAD(ordered) == 200);
  for (int i = 0; i < 200; i++) CHECK_EQ(thrum_timer_cancel_wait(&timers[i]), 0);
  bool begun[200] = {false};
  int strays = 0;
  for (int i = 0; i < 200; i++) {
    CHECK(!begun[order[i]]);
    begun[order[i]] = true;
    strays += order[i] != i;
  }
  return strays;
}

/* With one worker each begins behind the one before; one that is preempted before it takes its place, since the machine was elsewhere
 * meanwhile, is behind others then. */
static void in_order(void) {
  for (int i = 0; thrum_run(out_of_order, NULL) > 0 && thrum_workers() == 1; i++) CHECK(i < 5);
}

/* ---- Cancel against firing ------------------------------------------------------------------------------ */

enum { RACERS = 4, ROUNDS = TESTS_SANITIZED ? 300 : 3000 };

static struct racer { int starts, won, fired; } racers[RACERS];

static intptr_t count_fired(void *arg) {
  struct racer *r = (struct racer *)arg;
  ADD(r->fired, 1);
  return 0;
}

/* Cancels when it is just about to fire. The memory is poisoned then, and freed. */
static intptr_t race(void *arg) {
  struct racer *r = (struct racer *)arg;
  uint64_t random = (uint64_t)(uintptr_t)r | 1;
  for (int i = 0; i < ROUNDS; i++) {
    thrum_timer *timer = (thrum_timer *)calloc(1, sizeof *timer);
    random = random * 6364136223846793005u + 1442695040888963407u;
    thrum_duration after = (thrum_duration)(random >> 33) % THRUM_US(80);
    CHECK_EQ(thrum_timer_start(timer, after, count_fired, r), 0);
    r->starts++;
    thrum_time until = thrum_now() + after / 2 + (thrum_duration)(random >> 40) % THRUM_US(60);
    while (thrum_now() < until) thrum_yield();
    int won = random >> 61 & 1 ? thrum_timer_cancel(timer) : thrum_timer_cancel_wait(timer);
    CHECK(won == 0 || won == 1);
    CHECK(!thrum_timer_pending(timer));
    r->won += won;
    CHECK_EQ(thrum_timer_cancel_wait(timer), 0);
    CHECK_EQ(LOAD(r->fired) + r->won, r->starts);
    memset(timer, 0x5a, sizeof *timer);
    free(timer);
  }
  return 0;
}

static void cancel_wins_or_loses(void) {
  thrum_thread threads[RACERS];
  memset(racers, 0, sizeof racers);
  for (int i = 0; i < RACERS; i++) threads[i] = must_spawn(race, &racers[i]);
  for (int i = 0; i < RACERS; i++) CHECK_EQ(must_join(threads[i]), 0);
}

/* ---- One timer, many threads ---------------------------------------------------------------------------- */

static thrum_timer shared;
static int shared_fired;

static intptr_t fire_shared(void *arg) {
  (void)arg;
  ADD(shared_fired, 1);
  return 0;
}

/* Threads of all workers start, restart and cancel the same timer: it fires at most once a start, and in the end not. */
static intptr_t play(void *arg) {
  uint64_t random = (uint64_t)(uintptr_t)arg * 0x9E3779B97F4A7C15u + 1;
  int starts = 0;
  for (int i = 0; i < ROUNDS; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    switch (random >> 33 & 3) {
    case 0:
      starts +=
          thrum_timer_start(&shared, (thrum_duration)(random >> 40) % THRUM_US(50), fire_shared, NULL) == 0;
      break;
    case 1: starts += thrum_timer_restart(&shared, (thrum_duration)(random >> 40) % THRUM_US(20)) == 0; break;
    case 2: CHECK(thrum_timer_cancel(&shared) >= 0); break;
    case 3: CHECK(thrum_timer_cancel_wait(&shared) >= 0); break;
    }
    if (i % 16 == 0) thrum_yield();
  }
  return starts;
}

static void shared_by_many(void) {
  thrum_thread threads[RACERS];
  int starts = 0;
  for (int i = 0; i < RACERS; i++)
    threads[i] = i % 2 ? must_spawn_bound(play, (void *)(intptr_t)i) : must_spawn(play, (void *)(intptr_t)i);
  for (int i = 0; i < RACERS; i++) starts += (int)must_join(threads[i]);
  CHECK(thrum_timer_cancel_wait(&shared) >= 0);
  CHECK(shared_fired <= starts);
  int fired = shared_fired;
  CHECK_EQ(thrum_timer_start(&shared, 0, fire_shared, NULL), 0);
  AWAIT(LOAD(shared_fired) == fired + 1);
}

int main(void) {
  run_in_each_kind(basics, NULL);
  run_in_each_kind(ends_of_time, NULL);
  own_callback();
  in_order();
  cancel_wins_or_loses();
  shared_by_many();
  return 0;
}
