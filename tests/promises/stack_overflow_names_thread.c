/* Promise 7: a thread that overflows its stack is named, whatever its kind and however far it jumps; other
 * faults are not called that. */
#include "../child.h"
#include "../support.h"

/* Not a tail call, and each level is used afterwards. */
__attribute__((noinline)) static intptr_t dig(volatile char *above, int depth) {
  volatile char here[512];
  here[0] = above ? above[0] : 1;
  intptr_t below = depth == 0 ? 0 : dig(here, depth - 1);
  return below + here[0];
}

static intptr_t recurse(void *arg) {
  (void)arg;
  return dig(NULL, 100000000);
}

/* One frame far beyond the stack; -fstack-clash-protection touches each page of it. */
static intptr_t jump(void *arg) {
  (void)arg;
  volatile char frame[8 << 20];
  for (size_t i = 0; i < sizeof frame; i += 4096) frame[sizeof frame - 1 - i] = 1;
  return frame[0];
}

static int overflow(thrum_fn *fn, bool bound) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = bound;
  options.name = "deep-diver";
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, fn, NULL), 0);
  return thrum_join(t, NULL);
}

static int light(void) { return overflow(recurse, false); }
static int bound(void) { return overflow(recurse, true); }
static int far(void) { return overflow(jump, false); }

static intptr_t touch_null(void *arg) {
  *(volatile int *)arg = 1;
  return 0;
}

static int other_fault(void) { return overflow(touch_null, false); }

static void say_message(const char *message) {
  CHECK(write(2, "hook: ", 6) == 6);
  CHECK(write(2, message, strlen(message)) > 0);
}

static int hook(void) {
  thrum_on_fatal(say_message);
  return light();
}

static const struct child_case cases[] = {
    {"light", light}, {"bound", bound}, {"far", far}, {"other-fault", other_fault}, {"hook", hook}, {0}};

static void is_named(const char *name) {
  struct child child = child_run(name);
  CHECK(child.status == CHILD_SIGNALLED + SIGSEGV || child.status == CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "deep-diver");
  CHECK_HAS(child.err_text, "stack");
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  if (TESTS_SANITIZED) CHECK_SKIP("the sanitizers handle SIGSEGV themselves");
  is_named("light");
  is_named("bound");
  is_named("far");
  is_named("hook");
  struct child child = child_run("hook");
  CHECK_HAS(child.err_text, "hook: ");
  child_free(&child);
  child = child_run("other-fault");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGSEGV);
  CHECK(!strstr(child.err_text, "overf"));
  child_free(&child);
  return 0;
}
