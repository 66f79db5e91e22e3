/* Trees of scopes made by chance, for some seconds: failures, deadlines, shields, restarts, ends by thrum_exit, cancellations of scopes
 * and of threads by whomever, on light, bound and foreign threads. What must hold: no scope is left while a thread of it runs, each close
 * returns what it must, and at the end nobody is left. */
#include "../support.h"
#include "random.h"

enum { ROOTS = 4, DEPTH = 4, WIDTH = 4, KNOWN = 64 };

static bool stop;
static uint64_t known[KNOWN]; /* handles, good or stale */
static long rounds, failed, timed_out, cancelled, refused, exits;

/* What the opener knows of its scope beside what the scope says. */
struct place {
  thrum_scope scope;
  thrum_time deadline; /* 0: none */
  long alive;          /* threads that have begun and not ended */
  int restart;
  bool failing, shield;
};

struct child {
  struct place *place;
  uint64_t seed;
  int depth;
};

static int work(uint64_t *seed, int depth);

static bool is_code(int error) { return error == -EIO || error == -EPROTO; }

/* A failure is noted before it is returned: the close must not miss it. */
static intptr_t fail(struct place *p, uint64_t *seed) {
  int code = draw(seed, 2) ? EIO : EPROTO;
  if (!p->restart) STORE(p->failing, true);
  ADD(p->alive, -1);
  if (draw(seed, 2)) return thrum_fail(code, "by chance");
  return -code;
}

static void end_in_exit(void *alive) { __atomic_sub_fetch((long *)alive, 1, __ATOMIC_ACQ_REL); }

static void exit_from_within(struct place *p, uint64_t *seed) {
  thrum_cleanup cleanup;
  thrum_cleanup_push(&cleanup, end_in_exit, &p->alive);
  thrum_scope s;
  CHECK_EQ(thrum_scope_open(&s, NULL), 0);
  ADD(exits, 1);
  thrum_exit(draw(seed, 3));
}

static intptr_t child(void *arg) {
  struct child *c = (struct child *)arg;
  struct place *p = c->place;
  uint64_t seed = c->seed;
  ADD(p->alive, 1);
  STORE(known[draw(&seed, KNOWN)], thrum_current().value);
  int error = work(&seed, c->depth);
  if (draw(&seed, 16) == 0) return fail(p, &seed);
  if (draw(&seed, 16) == 0) exit_from_within(p, &seed);
  ADD(p->alive, -1);
  return error == -ECANCELED ? -ECANCELED : 0;
}

static void cancel_somebody(uint64_t *seed) {
  int error = thrum_cancel((thrum_thread){LOAD(known[draw(seed, KNOWN)])});
  CHECK(error == 0 || error == -ESRCH);
}

static void open_by_chance(struct place *p, uint64_t *seed) {
  thrum_scope_options options = {.size = sizeof options};
  *p = (struct place){.shield = draw(seed, 6) == 0};
  if (draw(seed, 4) == 0) options.timeout = 1 + draw(seed, THRUM_US(300));
  if (draw(seed, 40) == 0) options.timeout = -1;
  if (draw(seed, 8) == 0) options.restart = 1 + draw(seed, 2);
  options.shield = p->shield;
  p->restart = options.restart;
  p->deadline = options.timeout ? thrum_after(options.timeout < 0 ? 0 : options.timeout) : 0;
  CHECK_EQ(thrum_scope_open(&p->scope, &options), 0);
}

static void spawn_by_chance(struct place *p, uint64_t *seed, int depth) {
  struct child c = {p, draw_any(seed), depth - 1};
  int error = thrum_scope_spawn_copy(&p->scope, NULL, child, &c, sizeof c);
  CHECK(error == 0 || (error == -ECANCELED && thrum_scope_cancelled(&p->scope)));
  if (error) ADD(refused, 1);
}

/* Something that may be a cancellation point. What it says must be true. */
static void do_something(struct place *p, uint64_t *seed) {
  switch (draw(seed, 9)) {
  case 0: thrum_scope_cancel(&p->scope); break;
  case 1: cancel_somebody(seed); break;
  case 2: thrum_yield(); break;
  case 3:
    if (thrum_scope_wait_for(&p->scope, THRUM_US(draw(seed, 100))) == -ECANCELED) CHECK(thrum_cancelled());
    break;
  case 4:
    if (draw(seed, 8)) break;
    STORE(p->failing, true);
    thrum_scope_fail(&p->scope, EIO, "by %s", "chance");
    break;
  case 5: THRUM_SHIELD(0) CHECK_EQ(thrum_sleep(THRUM_US(draw(seed, 20))), 0); break;
  default:
    if (thrum_sleep(THRUM_US(draw(seed, 50))) == -ECANCELED) CHECK(thrum_cancelled());
  }
}

static void check_close(struct place *p, int result) {
  CHECK_EQ(LOAD(p->alive), 0);
  if (LOAD(p->failing) || is_code(result)) {
    CHECK(is_code(result));
    CHECK(*thrum_failure());
    CHECK(LOAD(p->failing) || p->restart);
    ADD(failed, 1);
  } else if (result == -ETIMEDOUT) {
    CHECK(p->deadline && thrum_now() >= p->deadline);
    ADD(timed_out, 1);
  } else if (result == -ECANCELED) {
    CHECK(!p->shield && thrum_cancelled());
    ADD(cancelled, 1);
  } else {
    CHECK_EQ(result, 0);
  }
}

static int work(uint64_t *seed, int depth) {
  if (depth == 0) return thrum_sleep(THRUM_US(draw(seed, 30)));
  struct place p;
  open_by_chance(&p, seed);
  for (int i = draw(seed, WIDTH + 1); i; i--) {
    spawn_by_chance(&p, seed, depth);
    if (draw(seed, 3) == 0) do_something(&p, seed);
  }
  do_something(&p, seed);
  if (draw(seed, 4) == 0) work(seed, depth - 1); /* a scope of its own within */
  int result = thrum_scope_close(&p.scope);
  check_close(&p, result);
  return result == -ECANCELED ? result : 0;
}

static intptr_t root(void *number) {
  uint64_t seed = mix((uint64_t)(intptr_t)number);
  while (!LOAD(stop)) {
    int error = work(&seed, DEPTH);
    CHECK(error == 0 || thrum_cancelled());
    ADD(rounds, 1);
  }
  return 0;
}

static void *foreign_root(void *number) { return (void *)root(number); }

int main(int argc, char **argv) {
  int seconds = argc > 1 ? atoi(argv[1]) : 3;
  intptr_t seed = argc > 2 ? atoi(argv[2]) : (intptr_t)(wall_now() % 1000000);
  printf("seed %ld\n", (long)seed);
  fflush(stdout);
  thrum_on_uncaught(NULL);
  thrum_set_switch_interval(THRUM_US(100));
  thrum_thread t[ROOTS];
  pthread_t foreign;
  for (int i = 0; i < ROOTS; i++)
    t[i] = i % 4 == 1 ? must_spawn_bound(root, (void *)(seed + i)) : must_spawn(root, (void *)(seed + i));
  CHECK_EQ(pthread_create(&foreign, NULL, foreign_root, (void *)(seed + ROOTS)), 0);
  CHECK_EQ(thrum_sleep(THRUM_S(seconds)), 0);
  AWAIT(LOAD(failed) && LOAD(timed_out) && LOAD(cancelled) && LOAD(exits) && LOAD(rounds) > 20);
  STORE(stop, true);
  for (int i = 0; i < ROOTS; i++) CHECK_EQ(must_join(t[i]), 0);
  CHECK_EQ(pthread_join(foreign, NULL), 0);
  AWAIT(thrum_active_count() == 1);
  printf(
      "%ld rounds; of scopes %ld failed, %ld ran out of time, %ld were cancelled; %ld spawns refused, %ld exits\n",
      rounds, failed, timed_out, cancelled, refused, exits);
  return 0;
}
