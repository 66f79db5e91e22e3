/* A thread that fails calls its function again, alone or with all others of its scope, so many times within a period and no more; its
 * handle, name and argument stay, its thread-local values do not. */
#include "scopes.h"

static int calls, ends, destroyed;

static int with_rule(int restart, int max, thrum_duration period, thrum_fn *fn, void *arg) {
  const thrum_scope_options options = {
      .size = sizeof options, .restart = restart, .restart_max = max, .restart_period = period};
  thrum_scope s;
  calls = ends = destroyed = 0;
  CHECK_EQ(thrum_scope_open(&s, &options), 0);
  CHECK_EQ(thrum_scope_spawn_named(&s, NULL, fn, arg, "phoenix"), 0);
  return thrum_scope_close(&s);
}

static void destroy(void *value) {
  CHECK_EQ((intptr_t)value, 7);
  ADD(destroyed, 1);
}

static thrum_local local = THRUM_LOCAL_INIT(destroy);

/* Fails so many times. */
static intptr_t fail_some(void *times) {
  static thrum_thread me;
  if (ADD(calls, 1) == 1) me = thrum_current();
  CHECK(thrum_same(me, thrum_current()));
  CHECK_STR(thrum_current_name(), "phoenix");
  CHECK(!thrum_local_get(&local));
  CHECK_EQ(thrum_local_set(&local, (void *)7), 0);
  CHECK(!thrum_cancelled());
  return calls <= (intptr_t)times ? thrum_fail(EIO, "call %d", calls) : 5;
}

static intptr_t one(void *arg) {
  CHECK_EQ(with_rule(THRUM_RESTART_ONE, 0, 0, fail_some, (void *)3), 0);
  CHECK_EQ(calls, 4);
  CHECK_EQ(destroyed, 4);
  CHECK_EQ(with_rule(THRUM_RESTART_ONE, 0, 0, fail_some, (void *)100), -EIO);
  CHECK_EQ(calls, 4); /* three restarts in five seconds */
  CHECK_STR(thrum_failure(), "phoenix: call 4");
  CHECK_EQ(with_rule(THRUM_RESTART_ONE, 10, THRUM_S(3600), fail_some, (void *)100), -EIO);
  CHECK_EQ(calls, 11);
  CHECK_EQ(with_rule(THRUM_RESTART_ONE, 1, 1, fail_some, (void *)30), 0); /* a period that is over at once */
  CHECK_EQ(calls, 31);
  CHECK_EQ(with_rule(THRUM_RESTART_NEVER, 10, 0, fail_some, (void *)1), -EIO);
  CHECK_EQ(calls, 1);
  return (intptr_t)arg;
}

static intptr_t exit_some(void *times) { thrum_exit(ADD(calls, 1) <= (intptr_t)times ? -EIO : 0); }

static intptr_t exits(void *arg) {
  CHECK_EQ(with_rule(THRUM_RESTART_ONE, 0, 0, exit_some, (void *)2), 0);
  CHECK_EQ(calls, 3);
  return (intptr_t)arg;
}

/* The others go on beside one that begins again. */
static intptr_t sleep_undisturbed(void *arg) {
  CHECK_EQ(thrum_event_wait_for((thrum_event *)arg, THRUM_FOREVER), 0);
  return 0;
}

static intptr_t fail_then_set(void *event) {
  if (ADD(calls, 1) < 3) return -EIO;
  thrum_event_set((thrum_event *)event);
  return 0;
}

static intptr_t others_go_on(void *arg) {
  thrum_event event = {0};
  int error = 1;
  calls = 0;
  THRUM_SCOPE(s, .restart = THRUM_RESTART_ONE, .status = &error) {
    for (int i = 0; i < 5; i++) spawn_away(&s, sleep_undisturbed, &event);
    spawn_away(&s, fail_then_set, &event);
    CHECK_EQ(thrum_event_wait_for(&event, THRUM_FOREVER), 0);
  }
  CHECK_EQ(error, 0);
  return (intptr_t)arg;
}

/* ---- All of them ------------------------------------------------------------------------------------------------------ */

enum { CREW = 6, ROUNDS = 4 };

static struct {
  thrum_scope scope;
  int begun, failing, rounds; /* so many fail in each of so many rounds */
  thrum_event over;
} crew;
static int untold;

static void count_untold(thrum_thread t, intptr_t failure, const char *sentence) {
  (void)t, (void)sentence;
  CHECK_EQ(failure, -EIO);
  ADD(untold, 1);
}

/* Each round begins when all have come; some of them fail then, which is one restart, and the others hear of it. */
static intptr_t work(void *number) {
  CHECK(!thrum_cancelled());
  ADD(crew.begun, 1);
  bool fails = (intptr_t)number < LOAD(crew.failing);
  while (fails && LOAD(crew.begun) % CREW) thrum_yield();
  if (fails && LOAD(crew.begun) / CREW <= crew.rounds) return -EIO;
  int error = thrum_event_wait_for(&crew.over, THRUM_FOREVER);
  ADD(ends, 1);
  if (error) CHECK(thrum_cancelled());
  return (intptr_t)number % 2 ? error : 0; /* it begins again also if it took that for a success */
}

static intptr_t end_when_begun(void *arg) {
  AWAIT(LOAD(crew.begun) == CREW * (ROUNDS + 1));
  thrum_event_set(&crew.over);
  return (intptr_t)arg;
}

/* In the last round nobody fails; or, beyond the bound, as many as before. Returns what the close says. */
static int run_crew(int failing, int rounds) {
  const thrum_scope_options options = {
      .size = sizeof options, .restart = THRUM_RESTART_ALL, .restart_max = ROUNDS};
  memset(&crew, 0, sizeof crew);
  ends = 0;
  crew.failing = failing;
  crew.rounds = rounds;
  STORE(untold, 0);
  CHECK_EQ(thrum_scope_open(&crew.scope, &options), 0);
  thrum_thread ender = must_spawn(end_when_begun, NULL);
  for (intptr_t i = 0; i < CREW; i++) spawn_away(&crew.scope, work, (void *)i);
  if (rounds <= ROUNDS) CHECK_EQ(thrum_sleep(THRUM_US(10)), 0); /* the opener is not cancelled */
  if (rounds <= ROUNDS) CHECK_EQ(thrum_scope_wait_for(&crew.scope, THRUM_FOREVER), 0);
  int error = thrum_scope_close(&crew.scope);
  CHECK_EQ(must_join(ender), 0);
  CHECK_EQ(crew.begun, CREW * (ROUNDS + 1));
  return error;
}

static intptr_t all(void *arg) {
  for (int failing = 1; failing <= CREW; failing++) {
    CHECK_EQ(run_crew(failing, ROUNDS), 0);
    CHECK_EQ(ends, (CREW - failing) * (ROUNDS + 1) + failing);
    CHECK_EQ(untold, 0);
    CHECK_EQ(run_crew(failing, ROUNDS + 1), -EIO);
    CHECK_EQ(ends, (CREW - failing) * (ROUNDS + 1));
    CHECK_EQ(untold, failing - 1);
  }
  return (intptr_t)arg;
}

static intptr_t always_fail(void *arg) {
  (void)arg;
  ADD(calls, 1);
  return -EPROTO;
}

static intptr_t until_told(void *arg) {
  ADD(ends, 1);
  return thrum_sleep(THRUM_FOREVER) + (intptr_t)arg;
}

static intptr_t all_bounded(void *arg) {
  int error = 1;
  calls = ends = 0;
  THRUM_SCOPE(s, .restart = THRUM_RESTART_ALL, .restart_max = 5, .status = &error) {
    for (int i = 0; i < 4; i++) spawn_away(&s, until_told, NULL);
    spawn_away(&s, always_fail, NULL);
    CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  }
  CHECK_EQ(error, -EPROTO);
  CHECK_EQ(calls, 6);
  CHECK(ends <= 24 && ends >= 4 * 5);
  return (intptr_t)arg;
}

/* ---- Cancelled ones --------------------------------------------------------------------------------------------------- */

static intptr_t fail_when_cancelled(void *arg) {
  ADD(calls, 1);
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  return arg ? -EIO : -ECANCELED;
}

static intptr_t not_when_cancelled(void *arg) {
  for (int restart = THRUM_RESTART_ONE; restart <= THRUM_RESTART_ALL; restart++) {
    for (intptr_t fails = 0; fails < 2; fails++) {
      int error = 1;
      calls = 0;
      STORE(untold, 0);
      THRUM_SCOPE(s, .restart = restart, .status = &error) {
        for (int i = 0; i < 3; i++) spawn_away(&s, fail_when_cancelled, (void *)fails);
        AWAIT(LOAD(calls) == 3);
        thrum_scope_cancel(&s);
      }
      CHECK_EQ(error, fails ? -EIO : 0);
      CHECK_EQ(untold, fails ? 2 : 0);
      CHECK_EQ(calls, 3);
    }
  }
  return (intptr_t)arg;
}

/* A cancellation that comes while they stop, or begin again. */
static intptr_t fail_at_once(void *arg) {
  thrum_yield();
  return -(intptr_t)arg;
}

enum { MOMENTS = TESTS_TSAN ? 22 : TESTS_ASAN ? 66 : 200 };

static intptr_t cancelled_at_any_moment(void *arg) {
  for (int i = 0; i < MOMENTS; i++) {
    int error = 1;
    THRUM_SCOPE(s, .restart = THRUM_RESTART_ALL, .restart_max = 1000000, .status = &error) {
      for (int j = 0; j < 3; j++) spawn_away(&s, until_told, NULL);
      spawn_away(&s, fail_at_once, (void *)EIO);
      for (int j = 0; j < i % 11; j++) thrum_yield();
      thrum_scope_cancel(&s);
      CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
    }
    CHECK(error == 0 || error == -EIO);
  }
  return (intptr_t)arg;
}

/* Who is spawned while all stop begins with them. */
static intptr_t spawn_more(void *scope) {
  if (ADD(calls, 1) > 1) return 0;
  int error = thrum_sleep(THRUM_FOREVER);
  CHECK_EQ(error, -ECANCELED);
  CHECK_EQ(thrum_scope_spawn((thrum_scope *)scope, NULL, return_it, NULL), 0);
  return error;
}

static intptr_t fail_once(void *first) {
  AWAIT(LOAD(calls));
  return __atomic_exchange_n((int *)first, 0, __ATOMIC_ACQ_REL) ? -EIO : 0;
}

static intptr_t spawned_meanwhile(void *arg) {
  int error = 1, first = 1;
  calls = 0;
  THRUM_SCOPE(s, .restart = THRUM_RESTART_ALL, .status = &error) {
    spawn_away(&s, spawn_more, &s);
    spawn_away(&s, fail_once, &first);
  }
  CHECK_EQ(error, 0);
  CHECK_EQ(calls, 2);
  return (intptr_t)arg;
}

/* Who was cancelled for life ends, while the others begin again. */
static intptr_t once_cancelled(void *victim) {
  ADD(calls, 1);
  *(thrum_thread *)victim = thrum_current();
  CHECK_EQ(thrum_cancel(thrum_current()), 0);
  ADD(ends, 1);
  AWAIT(LOAD(ends) > 1);
  return -ECANCELED;
}

static intptr_t fail_behind(void *arg) {
  (void)arg;
  AWAIT(LOAD(ends));
  return ADD(ends, 1) == 2 ? -EIO : 0;
}

static intptr_t cancelled_for_life(void *arg) {
  int error = 1;
  thrum_thread victim;
  calls = ends = 0;
  THRUM_SCOPE(s, .restart = THRUM_RESTART_ALL, .status = &error) {
    spawn_away(&s, once_cancelled, &victim);
    spawn_away(&s, fail_behind, NULL);
  }
  CHECK_EQ(error, 0);
  CHECK_EQ(calls, 1);
  CHECK_EQ(ends, 3);
  return (intptr_t)arg;
}

int main(void) {
  thrum_fn *const tests[] = {one,
                             exits,
                             others_go_on,
                             all,
                             all_bounded,
                             not_when_cancelled,
                             cancelled_at_any_moment,
                             spawned_meanwhile,
                             cancelled_for_life};
  thrum_on_uncaught(count_untold);
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) run_in_each_kind(tests[i], NULL);
  return 0;
}
