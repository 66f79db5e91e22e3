/* A scope is closed when all its threads have ended: whoever spawned them, of whatever kind, whenever; and not sooner. */
#include "scopes.h"

enum {
  THREADS = TESTS_TSAN ? 16 : 40,
  ROUNDS = TESTS_TSAN ? 30 : 200,
  FAMILIES = TESTS_TSAN ? 3 : 20,
  JOINED = TESTS_TSAN ? 20 : 100
};

static int ended;
static thrum_event gate;

static intptr_t end_at_gate(void *arg) {
  thrum_event_wait(&gate);
  thrum_yield();
  ADD(ended, 1);
  return (intptr_t)arg;
}

static intptr_t open_gate(void *threads) {
  const thrum_thread *t = (const thrum_thread *)threads;
  for (int i = 0; i < THREADS; i++) AWAIT(is_parked(t[i]));
  AWAIT(is_parked(t[THREADS])); /* the opener: it closes */
  CHECK_EQ(LOAD(ended), 0);
  thrum_event_set(&gate);
  return 0;
}

static thrum_thread spawn_kind(thrum_scope *s, int i) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = i % 8 == 3;
  options.scope = s;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, end_at_gate, (void *)(intptr_t)i), 0);
  return t;
}

static intptr_t waits_for_all(void *arg) {
  thrum_thread threads[THREADS + 1];
  thrum_event_clear(&gate);
  ended = 0;
  thrum_scope s;
  open_plainly(&s);
  for (int i = 0; i < THREADS; i++) threads[i] = spawn_kind(&s, i);
  threads[THREADS] = thrum_current();
  CHECK_EQ(thrum_scope_count(&s), THREADS);
  thrum_thread opener_of_gate = must_spawn(open_gate, threads);
  CHECK_EQ(thrum_scope_close(&s), 0);
  CHECK_EQ(ended, THREADS); /* plainly: closing orders it */
  CHECK_EQ(thrum_scope_count(&s), 0);
  for (int i = 0; i < THREADS; i++) {
    CHECK(!thrum_is_alive(threads[i]));
    CHECK_EQ(must_join(threads[i]), i);
  }
  CHECK_EQ(must_join(opener_of_gate), 0);
  return (intptr_t)arg;
}

/* Threads of the scope spawn into it, while it is being closed. */
struct family {
  thrum_scope scope;
  int left, born;
};

static intptr_t beget(void *arg) {
  struct family *family = (struct family *)arg;
  ADD(family->born, 1);
  for (int i = 0; i < 2; i++)
    if (ADD(family->left, -1) >= 0) spawn_away(&family->scope, beget, family);
  return 0;
}

static intptr_t families(void *arg) {
  for (int i = 0; i < FAMILIES; i++) {
    struct family family = {.left = 200};
    open_plainly(&family.scope);
    spawn_away(&family.scope, beget, &family);
    CHECK_EQ(thrum_scope_close(&family.scope), 0);
    CHECK_EQ(family.born, 201);
  }
  return (intptr_t)arg;
}

static intptr_t count_down(void *n) {
  int depth = *(int *)n, less = depth - 1, error = -1;
  if (!depth) return 0;
  THRUM_SCOPE(s, .status = &error) {
    for (int i = 0; i < 3; i++) CHECK_EQ(thrum_scope_spawn_copy(&s, NULL, count_down, &less, sizeof less), 0);
  }
  ADD(ended, 1);
  return error;
}

static intptr_t nested(void *arg) {
  int depth = 5;
  ended = 0;
  CHECK_EQ(count_down(&depth), 0);
  CHECK_EQ(ended, 1 + 3 + 9 + 27 + 81);
  return (intptr_t)arg;
}

/* Many in turn, of no thread up to some. */
static intptr_t in_turn(void *arg) {
  for (intptr_t i = 0; i < ROUNDS; i++) {
    thrum_scope s;
    memset(&s, 0xa5, sizeof s); /* whatever was there */
    open_plainly(&s);
    for (intptr_t j = 0; j < i % 5; j++) spawn_away(&s, return_it, (void *)j);
    if (i % 3 == 0) thrum_yield();
    CHECK_EQ(thrum_scope_close(&s), 0);
  }
  return (intptr_t)arg;
}

static intptr_t grace(void *arg) {
  thrum_scope s;
  thrum_event_clear(&gate);
  open_plainly(&s);
  CHECK_EQ(thrum_scope_wait_for(&s, THRUM_FOREVER), 0); /* nobody */
  thrum_thread t;
  CHECK_EQ(thrum_scope_spawn_named(&s, &t, end_at_gate, NULL, "late-%d", 7), 0);
  char name[THRUM_NAME_MAX];
  CHECK(thrum_name(t, name, sizeof name) > 0);
  CHECK_STR(name, "late-7");
  CHECK_EQ(thrum_scope_wait_for(&s, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_scope_wait_for(&s, THRUM_MS(2)), -ETIMEDOUT);
  thrum_event_set(&gate);
  CHECK_EQ(thrum_scope_wait_for(&s, THRUM_FOREVER), 0);
  CHECK(!thrum_is_alive(t));
  CHECK_EQ(must_join(t), 0);
  spawn_away(&s, return_it, NULL); /* it is still open */
  CHECK_EQ(thrum_scope_close(&s), 0);
  return (intptr_t)arg;
}

/* Handles that are joined, waited for and given back while the scope is being closed. */
static intptr_t join_it(void *t) { return must_join(*(thrum_thread *)t); }

static intptr_t joined_by_others(void *arg) {
  for (intptr_t i = 0; i < JOINED; i++) {
    thrum_scope s;
    open_plainly(&s);
    thrum_thread a = spawn_into(&s, return_it, (void *)11), b = spawn_into(&s, return_it, (void *)12);
    thrum_thread joiner = must_spawn(join_it, &a);
    CHECK_EQ(thrum_detach(b), 0);
    CHECK_EQ(thrum_scope_close(&s), 0);
    CHECK_EQ(must_join(joiner), 11);
    CHECK(!thrum_is_alive(b)); /* and stale, as soon as its record is free */
  }
  return (intptr_t)arg;
}

int main(void) {
  thrum_fn *const tests[] = {waits_for_all, families, nested, in_turn, grace, joined_by_others};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) run_in_each_kind(tests[i], NULL);
  return 0;
}
