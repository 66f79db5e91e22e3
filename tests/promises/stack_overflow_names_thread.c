/* Promise 7: a thread that overflows its stack is named, whatever its kind and however far it jumps; of other
 * faults thread and address are told, if they end the program. Nothing is looked up for it, as the thread may hold libc's locks. */
#include "../child.h"
#include "../support.h"

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>

/* ---- Look-ups, by the kernel thread whose thread is about to overflow its stack -------------------------------- */

static pid_t diver;

static void note(const char *what) {
  if (gettid() != LOAD(diver)) return;
  CHECK(write(2, "looked up by ", 13) == 13);
  CHECK(write(2, what, strlen(what)) > 0);
}

int __real_dladdr(const void *address, Dl_info *info);
int __wrap_dladdr(const void *address, Dl_info *info);
int __wrap_dladdr(const void *address, Dl_info *info) {
  note("dladdr");
  return __real_dladdr(address, info);
}

typedef int visit_fn(struct dl_phdr_info *, size_t, void *);
int __real_dl_iterate_phdr(visit_fn *visit, void *arg);
int __wrap_dl_iterate_phdr(visit_fn *visit, void *arg);
int __wrap_dl_iterate_phdr(visit_fn *visit, void *arg) {
  note("dl_iterate_phdr");
  return __real_dl_iterate_phdr(visit, arg);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
  note("open");
  va_list args;
  va_start(args, flags);
  int fd = __real_open(path, flags, va_arg(args, int));
  va_end(args);
  return fd;
}

int __wrap_snprintf(char *buffer, size_t size, const char *format, ...) THRUM_PRINTF(3, 4);
int __wrap_snprintf(char *buffer, size_t size, const char *format, ...) {
  note("snprintf");
  va_list args;
  va_start(args, format);
  int length = vsnprintf(buffer, size, format, args);
  va_end(args);
  return length;
}

/* ---- Overflows -------------------------------------------------------------------------------------------- */

/* Not a tail call, and each level is used afterwards. */
__attribute__((noinline)) static intptr_t dig(volatile char *above, int depth) {
  volatile char here[512];
  here[0] = above ? above[0] : 1;
  intptr_t below = depth == 0 ? 0 : dig(here, depth - 1);
  return below + here[0];
}

static intptr_t recurse(void *arg) {
  (void)arg;
  STORE(diver, gettid());
  return dig(NULL, 100000000);
}

/* A level takes less than malloc does, so that it is in there that the stack ends; with the arena's lock held, as blocks of this size
 * are not kept by threads. */
__attribute__((noinline)) static intptr_t dig_and_allocate(int depth) {
  void *volatile block = malloc(3000);
  intptr_t below = depth == 0 ? 0 : dig_and_allocate(depth - 1);
  free(block);
  return below + 1;
}

static intptr_t allocate(void *arg) {
  (void)arg;
  STORE(diver, gettid());
  return dig_and_allocate(100000000);
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

/* Says where the function is, which the message has to. */
static int unnamed_one(thrum_fn *fn) {
  printf("Thread-1 (function at 0x%jx) overflowed", (uintmax_t)(uintptr_t)fn);
  fflush(stdout);
  return thrum_join(must_spawn(fn, NULL), NULL);
}

static int unnamed(void) { return unnamed_one(recurse); }
static int in_malloc(void) { return unnamed_one(allocate); }

/* With one worker it runs on its joiner's stack. */
static intptr_t join_one(void *arg) {
  (void)arg;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_named(&t, recurse, NULL, "deep-diver"), 0);
  return thrum_join(t, NULL);
}

static int guest(void) { return (int)thrum_run(join_one, NULL); }

static intptr_t touch_null(void *arg) {
  *(volatile int *)arg = 1;
  return 0;
}

static volatile uintptr_t nowhere = 0x18;

static int other_fault(void) { return overflow(touch_null, false); }

static intptr_t touch_constant(void *arg) {
  static const int constant = 1;
  touch_null((void *)(uintptr_t)&constant);
  return (intptr_t)arg;
}

static int forbidden(void) { return (int)thrum_run(touch_constant, NULL); }

#if defined(__x86_64__)
static volatile uintptr_t no_place = UINT64_C(1) << 63;

static int no_address(void) { return (int)thrum_run(touch_null, (void *)no_place); }
#endif

static int in_main(void) {
  thrum_yield();
  return (int)touch_null((void *)nowhere);
}

static intptr_t enter_and_touch(void *arg) {
  thrum_yield();
  return touch_null(arg);
}

static int foreign(void) { return (int)run_outside(enter_and_touch, NULL); }

static int was_sent(void) {
  thrum_yield();
  return raise(SIGSEGV);
}

/* Its program's handler, which thrum leaves alone. */
static void handle(int signo) { _exit(signo); }

static int handled(void) {
  signal(SIGSEGV, handle);
  return other_fault();
}

static int handled_later(void) {
  thrum_yield();
  return handled();
}

static void say_message(const char *message) {
  CHECK(write(2, "hook: ", 6) == 6);
  CHECK(write(2, message, strlen(message)) > 0);
}

static int hook(void) {
  thrum_on_fatal(say_message);
  return light();
}

static const struct child_case cases[] = {{"light", light},
                                          {"bound", bound},
                                          {"far", far},
                                          {"other-fault", other_fault},
                                          {"forbidden", forbidden},
#if defined(__x86_64__)
                                          {"no address", no_address},
#endif
                                          {"in main", in_main},
                                          {"foreign", foreign},
                                          {"was sent", was_sent},
                                          {"handled", handled},
                                          {"handled later", handled_later},
                                          {"hook", hook},
                                          {"unnamed", unnamed},
                                          {"in-malloc", in_malloc},
                                          {"guest", guest},
                                          {0}};

static void is_named(const char *name) {
  struct child child = child_run(name);
  CHECK(child.status == CHILD_SIGNALLED + SIGSEGV || child.status == CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "deep-diver");
  CHECK_HAS(child.err_text, "overflowed its stack");
  CHECK(!strstr(child.err_text, "looked up"));
  child_free(&child);
}

static void is_told_by_function(const char *name) {
  struct child child = child_run(name);
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK(child.out_size > 0);
  CHECK_HAS(child.err_text, child.out_text);
  CHECK(!strstr(child.err_text, "looked up"));
  child_free(&child);
}

/* NULL: nothing. */
static void is_told(const char *name, int status, const char *said) {
  struct child child = child_run(name);
  CHECK_STATUS(child, status);
  CHECK(!strstr(child.err_text, "overf") && !strstr(child.err_text, "looked up"));
  if (said)
    CHECK_HAS(child.err_text, said);
  else
    CHECK_EQ(child.err_size, 0);
  child_free(&child);
}

static void other_faults(void) {
  is_told("other-fault", CHILD_SIGNALLED + SIGSEGV,
          "thrum: thread deep-diver got SIGSEGV at address 0x0, where there is no memory\n");
  is_told("forbidden", CHILD_SIGNALLED + SIGSEGV, ", whose memory may not be used so\n");
#if defined(__x86_64__)
  is_told("no address", CHILD_SIGNALLED + SIGSEGV,
          "got SIGSEGV at address 0x0, or another one, which the kernel does not tell\n");
#endif
  is_told("in main", CHILD_SIGNALLED + SIGSEGV, "thrum: thread MainThread got SIGSEGV at address 0x18");
  is_told("foreign", CHILD_SIGNALLED + SIGSEGV, NULL); /* outside of its calls it is none of thrum's */
  is_told("was sent", CHILD_SIGNALLED + SIGSEGV, NULL);
  is_told("handled", SIGSEGV, NULL);
  is_told("handled later", SIGSEGV, NULL);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  if (TESTS_SANITIZED) CHECK_SKIP("the sanitizers handle SIGSEGV themselves");
  is_named("light");
  is_named("bound");
  is_named("far");
  is_named("hook");
  is_named("guest");
  is_told_by_function("unnamed");
  is_told_by_function("in-malloc");
  struct child child = child_run("hook");
  CHECK_HAS(child.err_text, "hook: ");
  child_free(&child);
  other_faults();
  return 0;
}
