/* A thread that has not begun may run on the stack of whoever joins it: that must never be too small, nor add
 * up, and the thread is itself in all that it asks. */
#include "../support.h"

enum { DEPTH = TESTS_SANITIZED ? 300 : 5000 };

static thrum_thread with_stack(size_t bytes, thrum_fn *fn, void *arg) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = bytes;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, fn, arg), 0);
  return t;
}

/* Uses half a mebibyte. */
static intptr_t needs_room(void *arg) {
  volatile char room[512 * 1024];
  for (size_t i = 0; i < sizeof room; i += 1024) room[i] = (char)i;
  return room[1024] + (intptr_t)arg;
}

static intptr_t joins_the_needy(void *arg) { return must_join(with_stack(1 << 20, needs_room, arg)); }

/* Each starts the next one and joins it at once, all on the smallest of stacks. */
static intptr_t chain(void *arg) {
  intptr_t left = (intptr_t)arg;
  thrum_thread me = thrum_current();
  char name[THRUM_NAME_MAX], again[THRUM_NAME_MAX];
  CHECK(thrum_name(me, name, sizeof name) > 0);
  intptr_t sum = left == 0 ? 0 : must_join(with_stack(THRUM_STACK_MIN, chain, (void *)(left - 1)));
  CHECK(thrum_same(me, thrum_current()));
  CHECK(thrum_name(me, again, sizeof again) > 0);
  CHECK_STR(again, name);
  return sum + left;
}

static thrum_thread outer;

static intptr_t is_another(void *arg) {
  CHECK(!thrum_same(outer, thrum_current()));
  CHECK(thrum_is_alive(outer) && thrum_is_alive(thrum_current()));
  CHECK_EQ(thrum_join(thrum_current(), NULL), -EDEADLK);
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0); /* parks, and the other one below it with it */
  if (arg) thrum_exit(5);
  return 4;
}

static intptr_t joins_another(void *arg) {
  outer = thrum_current();
  CHECK_EQ(must_join(must_spawn(is_another, NULL)), 4);
  CHECK_EQ(must_join(must_spawn(is_another, arg)), 5);
  CHECK_EQ(must_join(must_spawn_bound(is_another, arg)), 5);
  return thrum_same(outer, thrum_current());
}

/* A timed join gives up though the thread would run for ever: it must not have become its runner. */
static bool stop;

static intptr_t run_until_told(void *arg) {
  (void)arg;
  while (!LOAD(stop)) continue;
  return 9;
}

static intptr_t gives_up(void *arg) {
  (void)arg;
  STORE(stop, false);
  thrum_thread t = must_spawn(run_until_told, NULL);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(20)), -ETIMEDOUT);
  STORE(stop, true);
  CHECK_EQ(must_join(t), 9);
  return 0;
}

int main(void) {
  for (int i = 0; i < 20; i++) {
    CHECK_EQ(must_join(with_stack(THRUM_STACK_MIN, joins_the_needy, (void *)7)), 7);
    CHECK_EQ(joins_the_needy((void *)8), 8);
  }
  CHECK_EQ(must_join(with_stack(THRUM_STACK_MIN, chain, (void *)(intptr_t)DEPTH)), DEPTH * (DEPTH + 1) / 2);
  CHECK_EQ(must_join(must_spawn(joins_another, (void *)1)), 1);
  CHECK_EQ(joins_another((void *)1), 1);
  run_in_each_kind(gives_up, NULL);
  return 0;
}
