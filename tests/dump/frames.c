/* A walk finds every caller, innermost first, and ends at the entry; each address gets its function, its file and the
 * line of the call. Built as PIE and not, and with NAMES and LINES 0 without symbols and debug information. */
#define _GNU_SOURCE 1
#include "stack.h"
#include <core/backtrace.h>
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#ifndef NAMES
#define NAMES 1
#endif
#ifndef LINES
#define LINES 1
#endif

enum { MAX = 64 };

/* A call whose line is kept, and which is no tail call. */
#define CALL_AT(line, call) \
  do { \
    (line) = __LINE__; \
    call; \
    __asm__ volatile("" ::: "memory"); \
  } while (0)

#define NOINLINE __attribute__((noinline))

struct trace {
  uintptr_t pcs[MAX];
  struct thrumi_frame frames[MAX];
  size_t count;
};

static struct stack stack;
static struct trace trace;

static void walk(const ucontext_t *context, const struct stack *s) {
  uintptr_t low = s ? (uintptr_t)s->low : 0, high = s ? (uintptr_t)s->high : 0;
  trace.count = thrumi_backtracer_get()->walk(context, low, high, trace.pcs, MAX);
}

static void describe(bool interrupted) {
  for (size_t i = 0; i < trace.count; i++) {
    thrumi_backtracer_get()->describe(trace.pcs[i], interrupted && i == 0, &trace.frames[i]);
    struct thrumi_frame *f = &trace.frames[i];
    CHECK_EQ(f->pc, trace.pcs[i]);
    printf("  %zu %#zx %s at %s:%d\n", i, (size_t)f->pc, f->function, f->file, f->line);
  }
}

static size_t find(const char *function) {
  for (size_t i = 0; i < trace.count; i++)
    if (strcmp(trace.frames[i].function, function) == 0) return i;
  check_failed(__FILE__, __LINE__, "no frame of %s", function);
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static void check_line(const struct thrumi_frame *f, int line) {
  if (LINES) {
    CHECK_EQ(f->line, line);
    CHECK(ends_with(f->file, "/dump/frames.c"));
    CHECK(!strstr(f->file, "/../"));
  } else {
    CHECK_EQ(f->line, 0);
    CHECK_HAS(f->file, "+0x");
  }
}

static void check_frame(size_t i, const char *function, int line) {
  CHECK(i < trace.count);
  CHECK_STR(trace.frames[i].function, NAMES ? function : "");
  check_line(&trace.frames[i], line);
}

/* ---- A parked stack ----------------------------------------------------------------------------------- */

static int inner_line, middle_line, outer_line;

static NOINLINE void inner(void) { CALL_AT(inner_line, stack_park(&stack)); }
static NOINLINE void middle(void) { CALL_AT(middle_line, inner()); }
static NOINLINE void outer(void) { CALL_AT(outer_line, middle()); }

/* stack_park is inlined into inner or a frame of its own, as the compiler likes. */
static size_t skip_park(void) {
  if (!NAMES) return trace.count > 4 ? 1 : 0;
  size_t i = 0;
  while (strstr(trace.frames[i].function, "stack_park")) i++;
  return i;
}

static void parked_stack_is_walked_to_its_entry(void) {
  puts("parked");
  stack_start(&stack, outer);
  walk(&stack.at, &stack);
  describe(false);
  size_t at_middle = NAMES ? find("middle") : skip_park() + 1;
  check_frame(at_middle, "middle", middle_line);
  check_frame(at_middle + 1, "outer", outer_line);
  CHECK(at_middle == 1 || at_middle == 2);
  CHECK(trace.count <= at_middle + 3); /* at most libc's entry of a context beyond */
  stack_unmap(&stack);
}

/* No more than asked for. */
static void walk_stops_at_max(void) {
  stack_start(&stack, outer);
  uintptr_t pcs[3] = {0, 0, 12345};
  const struct thrumi_backtracer *b = thrumi_backtracer_get();
  CHECK_EQ(b->walk(&stack.at, (uintptr_t)stack.low, (uintptr_t)stack.high, pcs, 2), 2);
  CHECK(pcs[0] && pcs[1]);
  CHECK_EQ(pcs[2], 12345);
  CHECK_EQ(b->walk(&stack.at, (uintptr_t)stack.low, (uintptr_t)stack.high, pcs, 0), 0);
  stack_unmap(&stack);
}

#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
static void *walk_parked(void *unused) {
  walk(&stack.at, &stack);
  return unused;
}

static int walk_in_another_thread(struct dl_phdr_info *info, size_t size, void *unused) {
  (void)info;
  (void)size;
  pthread_t other;
  CHECK_EQ(pthread_create(&other, NULL, walk_parked, unused), 0);
  CHECK_EQ(pthread_join(other, NULL), 0);
  return 1;
}

/* As when a thread is stopped to be walked while it loads an object: its lock must not be waited for. */
static void walk_needs_no_lock_of_the_loader(void) {
  stack_start(&stack, outer);
  trace.count = 0;
  CHECK_EQ(dl_iterate_phdr(walk_in_another_thread, NULL), 1);
  CHECK(trace.count >= 3);
  stack_unmap(&stack);
}
#else
static void walk_needs_no_lock_of_the_loader(void) {}
#endif

/* ---- Inlined functions ---------------------------------------------------------------------------------- */

static int flat_line;

static NOINLINE void park_here(void) { stack_park(&stack); }
static inline __attribute__((always_inline)) void flat(void) { CALL_AT(flat_line, park_here()); }
static NOINLINE void around(void) { flat(); }

static void inlined_function_is_named_with_its_host(void) {
  puts("inlined");
  stack_start(&stack, around);
  walk(&stack.at, &stack);
  describe(false);
  size_t i = NAMES ? find(LINES ? "flat, inlined in around" : "around") : 1;
  if (NAMES) check_line(&trace.frames[i], flat_line);
  stack_unmap(&stack);
}

/* ---- An interrupted stack ------------------------------------------------------------------------------ */

#if defined(__x86_64__)
#define TRAP "ud2"
#define RETURN "ret"
static void skip_trap(ucontext_t *context) { context->uc_mcontext.gregs[REG_RIP] += 2; }
static void return_at_once(ucontext_t *context) {
  greg_t *registers = context->uc_mcontext.gregs;
  registers[REG_RIP] = *(greg_t *)registers[REG_RSP];
  registers[REG_RSP] += sizeof(greg_t);
}
#else
#define TRAP "udf #0"
#define RETURN "ret"
static void skip_trap(ucontext_t *context) { context->uc_mcontext.pc += 4; }
static void return_at_once(ucontext_t *context) { context->uc_mcontext.pc = context->uc_mcontext.regs[30]; }
#endif

/* The trap is the first instruction of trap_at_once: the one before it belongs to before_trap. */
__asm__(".text\n"
        ".type before_trap, %function\n"
        "before_trap: .cfi_startproc\n" RETURN "\n.cfi_endproc\n"
        ".size before_trap, . - before_trap\n"
        ".type trap_at_once, %function\n"
        "trap_at_once: .cfi_startproc\n" TRAP "\n" RETURN "\n.cfi_endproc\n"
        ".size trap_at_once, . - trap_at_once\n");
void trap_at_once(void);

static int trap_line, trapper_line;

static NOINLINE void trapped(void) { CALL_AT(trap_line, __asm__ volatile(TRAP)); }

static NOINLINE void trapper(void) {
  CALL_AT(trapper_line, trapped());
  stack_park(&stack);
  CALL_AT(trapper_line, trap_at_once());
}

static int astray_line;
static void (*volatile nowhere)(void);

static NOINLINE void astray(void) { CALL_AT(astray_line, nowhere()); }

static void on_trap(int signo, siginfo_t *info, void *context) {
  (void)info;
  walk(context, &stack);
  signo == SIGILL ? skip_trap(context) : return_at_once(context);
}

static void handle_traps(void) {
  static char alternate[64 * 1024];
  stack_t other = {.ss_sp = alternate, .ss_size = sizeof alternate};
  CHECK_EQ(sigaltstack(&other, NULL), 0);
  struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  CHECK_EQ(sigaction(SIGILL, &action, NULL), 0);
  CHECK_EQ(sigaction(SIGSEGV, &action, NULL), 0);
}

static void interrupted_stack_is_walked_from_the_instruction(void) {
  puts("interrupted");
  handle_traps();
  stack_start(&stack, trapper);
  describe(true);
  check_frame(0, "trapped", trap_line);
  check_frame(1, "trapper", trapper_line);

  puts("interrupted at the first instruction of a function");
  stack_resume(&stack);
  describe(true);
  CHECK_STR(trace.frames[0].function, NAMES ? "trap_at_once" : "");
  check_frame(1, "trapper", trapper_line);
  stack_unmap(&stack);
}

/* The most common wild jump: there is no function at pc, but its caller is known. */
static void call_of_null_is_walked_from_its_caller(void) {
  puts("a call of NULL");
  stack_start(&stack, astray);
  describe(true);
  CHECK_EQ(trace.pcs[0], 0);
  check_frame(1, "astray", astray_line);
  stack_unmap(&stack);
}

/* ---- Through libc, and without bounds -------------------------------------------------------------------- */

static int sorter_line;

static NOINLINE int compare(const void *a, const void *b) {
  static bool walked;
  ucontext_t here;
  CHECK_EQ(getcontext(&here), 0);
  if (!walked) walk(&here, NULL);
  walked = true;
  return *(const int *)a - *(const int *)b;
}

static NOINLINE void sorter(void) {
  int numbers[] = {3, 1, 2};
  CALL_AT(sorter_line, qsort(numbers, 3, sizeof numbers[0], compare));
  CHECK_EQ(numbers[0], 1);
}

static NOINLINE void walk_passes_through_libc(void) {
  puts("through libc, bounds unknown");
  sorter();
  describe(false);
  CHECK(trace.count > 3);
  if (!NAMES) return;
  CHECK_EQ(find("compare"), 0);
  check_frame(find("sorter"), "sorter", sorter_line);
  CHECK(find("main") > find("sorter"));
}

/* ---- Objects that come later, processes that come later ------------------------------------------------ */

static void loaded_object_is_named(const char *plugin) {
  puts("a plugin");
  void *object = dlopen(plugin, RTLD_NOW);
  if (!object) check_failed(__FILE__, __LINE__, "%s", dlerror());
  void (*call)(void (*)(void)) = (void (*)(void (*)(void)))(uintptr_t)dlsym(object, "plugin_call");
  CHECK(call);
  struct thrumi_frame frame;
  thrumi_backtracer_get()->describe((uintptr_t)call, true, &frame);
  CHECK_STR(frame.function, "plugin_call");
  CHECK_HAS(frame.file, "plugin.c");
  dlclose(object);
}

static void child_of_a_fork_can_describe(void) {
  puts("a child");
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    stack_start(&stack, outer);
    walk(&stack.at, &stack);
    describe(false);
    check_frame((NAMES ? find("middle") : skip_park() + 1) + 1, "outer", outer_line);
    fflush(stdout);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

static void unknown_address_is_left_unnamed(void) {
  struct thrumi_frame frame;
  thrumi_backtracer_get()->describe(16, true, &frame);
  CHECK_EQ(frame.pc, 16);
  CHECK_STR(frame.function, "");
  CHECK_STR(frame.file, "");
  CHECK_EQ(frame.line, 0);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* a failed check ends at once */
  CHECK(thrumi_backtracer_get() != &thrumi_backtracer_fallback);
  parked_stack_is_walked_to_its_entry();
  walk_stops_at_max();
  walk_needs_no_lock_of_the_loader();
  inlined_function_is_named_with_its_host();
  interrupted_stack_is_walked_from_the_instruction();
  call_of_null_is_walked_from_its_caller();
  walk_passes_through_libc();
  if (argc > 1) loaded_object_is_named(argv[1]);
  child_of_a_fork_can_describe();
  unknown_address_is_left_unnamed();
  return 0;
}
