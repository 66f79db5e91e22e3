/* Clean-up handlers run last pushed first, at pop(true) and at thrum_exit; there, scopes are closed in between, as they lie within
 * each other. They run behind a shield. */
#include "scopes.h"

static char trail[64];
static size_t trail_length;

static void tread(char c) {
  CHECK(trail_length + 1 < sizeof trail);
  trail[trail_length++] = c;
  trail[trail_length] = 0;
}

static void begin_trail(void) { trail[trail_length = 0] = 0; }

static void handler(void *name) {
  CHECK(!thrum_cancelled());
  CHECK_EQ(thrum_sleep(THRUM_US(1)), 0);
  tread(*(const char *)name);
}

static void push(thrum_cleanup *c, const char *name) {
  thrum_cleanup_push(c, handler, (void *)(uintptr_t)name);
}

static intptr_t pops(void *arg) {
  thrum_cleanup a, b, c;
  begin_trail();
  push(&a, "a");
  push(&b, "b");
  thrum_cleanup_pop(&b, false);
  push(&c, "c");
  thrum_scope s;
  open_plainly(&s);
  thrum_scope_cancel(&s);
  push(&b, "B");
  thrum_cleanup_pop(&b, true); /* although cancelled */
  CHECK_EQ(thrum_sleep(0), -ECANCELED);
  CHECK_EQ(thrum_scope_close(&s), 0);
  thrum_cleanup_pop(&c, true);
  thrum_cleanup_pop(&a, true);
  CHECK_STR(trail, "Bca");
  return (intptr_t)arg;
}

/* Threads that tell when their scope is closed, behind it: they are cancelled and end. */
static intptr_t tread_at_end(void *name) {
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  tread(*(const char *)name);
  return 0;
}

__attribute__((noinline)) static void deepest(void) {
  thrum_cleanup c;
  push(&c, "5");
  thrum_exit(77);
}

static intptr_t exit_through_all(void *arg) {
  thrum_cleanup a, b, d;
  push(&a, "1");
  thrum_scope outer, inner;
  open_plainly(&outer);
  spawn_away(&outer, tread_at_end, (void *)(uintptr_t) "o");
  push(&b, "2");
  push(&d, "3");
  open_plainly(&inner);
  spawn_away(&inner, tread_at_end, (void *)(uintptr_t) "i");
  deepest();
  return (intptr_t)arg;
}

/* A handler that ends the thread itself does not keep the others from running. */
static void exit_again(void *arg) {
  (void)arg;
  tread('x');
  thrum_exit(78);
}

static intptr_t exit_in_handler(void *arg) {
  thrum_cleanup a, b;
  push(&a, "1");
  thrum_cleanup_push(&b, exit_again, NULL);
  THRUM_SCOPE(s) {
    spawn_away(&s, tread_at_end, (void *)(uintptr_t) "s");
    thrum_exit(77);
  }
  return (intptr_t)arg;
}

/* Nobody can be started then. */
static intptr_t cancel_and_exit(void *arg) {
  CHECK_EQ(thrum_cancel(thrum_current()), 0);
  thrum_cleanup a, b;
  push(&a, "1");
  thrum_scope s;
  open_plainly(&s);
  CHECK_EQ(thrum_scope_spawn(&s, NULL, tread_at_end, arg), -ECANCELED);
  push(&b, "2");
  deepest();
  return 0;
}

static void ends(thrum_fn *fn, intptr_t result, const char *expected) {
  for (int bound = 0; bound < 2; bound++) {
    begin_trail();
    CHECK_EQ(must_join(bound ? must_spawn_bound(fn, NULL) : must_spawn(fn, NULL)), result);
    CHECK_STR(trail, expected);
  }
}

int main(void) {
  run_in_each_kind(pops, NULL);
  ends(exit_through_all, 77, "5i32o1");
  ends(exit_in_handler, 78, "sx1");
  begin_trail();
  CHECK_EQ(must_join(must_spawn(cancel_and_exit, NULL)), 77);
  CHECK_STR(trail, "521");
  return 0;
}
