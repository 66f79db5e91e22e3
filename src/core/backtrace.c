/* The choice of a backtracer, and the one that needs nothing but libc. */
#define _GNU_SOURCE 1
#include <arch/arch.h>
#include <core/backtrace.h>
#include <core/sanitize.h>
#include <os/os.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/uio.h>
#include <unistd.h>

const struct thrumi_backtracer *_Atomic thrumi_backtracer;

void thrumi_set_backtracer(const struct thrumi_backtracer *backtracer) {
  atomic_store(&thrumi_backtracer, backtracer);
}

/* ---- Choosing ------------------------------------------------------------------------------------------- */

/* A program that holds libthrum statically does not show thrumi_set_backtracer to the library that it loads, so
 * the table is fetched by name. RTLD_LOCAL: libunwind's _Unwind_ functions must not replace those of the
 * program's C++. A static program came without a dynamic linker, and would load a second libc. */
static void load_dump_library(void) {
  if (getauxval(AT_BASE) == 0) return;
  void *library = dlopen("libthrum-dump.so.0", RTLD_NOW | RTLD_LOCAL);
  const struct thrumi_backtracer *found = library ? dlsym(library, "thrumi_dump_backtracer") : NULL;
  if (found) thrumi_set_backtracer(found);
}

const struct thrumi_backtracer *thrumi_backtracer_get(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (!atomic_load(&thrumi_backtracer)) pthread_once(&once, load_dump_library);
  const struct thrumi_backtracer *registered = atomic_load(&thrumi_backtracer);
  return registered ? registered : &thrumi_backtracer_fallback;
}

/* ---- A stack to describe on ---------------------------------------------------------------------------------- */

/* elfutils takes 150 KiB for the lines of a large file, and jumps over a guard page to get there; a light thread may have 32 in
 * all, and thrum's own kernel threads have 128. So there is one stack for that, made when it is first wanted, kept, and used by
 * one thread at a time. What is on it means nothing to the next one, so the child of a fork takes it as it is. */
enum { DESCRIBE_STACK = 1 << 20, DESCRIBE_GUARD = 256 << 10 };

static struct {
  pthread_mutex_t lock;
  char *low;
} stack = {.lock = PTHREAD_MUTEX_INITIALIZER};

void thrumi_backtrace_fork(void) { stack.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }

/* Its end; NULL: no memory, or a sanitizer, which wants to know of each stack and gives larger ones. */
static void *stack_top(void) {
  if (THRUMI_ASAN || THRUMI_TSAN) return NULL;
  if (!stack.low) {
    stack.low = thrumi_os.reserve(DESCRIBE_GUARD + DESCRIBE_STACK);
    if (stack.low) thrumi_os.protect(stack.low, DESCRIBE_GUARD);
  }
  return stack.low ? stack.low + DESCRIBE_GUARD + DESCRIBE_STACK : NULL;
}

struct question {
  uintptr_t pc;
  bool exact;
  struct thrumi_frame *out;
};

static intptr_t describe(void *arg) {
  const struct question *q = arg;
  thrumi_backtracer_get()->describe(q->pc, q->exact, q->out);
  return 0;
}

/* A crash in the midst of it may lead to a dump: that one shows plain addresses, for all this has locks. A thread that describes
 * stays on its kernel thread: it calls nothing that switches, and a preempted one is tied. */
static _Thread_local volatile bool describes;

void thrumi_describe(uintptr_t pc, bool exact, struct thrumi_frame *out) {
  struct question question = {pc, exact, out};
  if (describes) {
    *out = (struct thrumi_frame){.pc = pc};
    return;
  }
  pthread_mutex_lock(&stack.lock);
  describes = true;
  void *top = stack_top();
  if (top)
    thrumi_call_on(top, describe, &question);
  else
    describe(&question);
  describes = false;
  pthread_mutex_unlock(&stack.lock);
}

const char *thrumi_place(uintptr_t pc, char text[THRUMI_PLACE_MAX]) {
  struct thrumi_frame f;
  thrumi_describe(pc, false, &f);
  if (f.line)
    snprintf(text, THRUMI_PLACE_MAX, "%.100s, %.130s:%d", f.function, f.file, f.line);
  else if (f.function[0])
    snprintf(text, THRUMI_PLACE_MAX, "%.100s", f.function);
  else
    snprintf(text, THRUMI_PLACE_MAX, "%.255s", f.file[0] ? f.file : "?");
  return text;
}

/* ---- The fallback ------------------------------------------------------------------------------------ */

struct registers {
  uintptr_t pc, sp, fp;
};

static struct registers registers_of(const ucontext_t *context) {
#if defined(__x86_64__)
  const greg_t *r = context->uc_mcontext.gregs;
  return (struct registers){(uintptr_t)r[REG_RIP], (uintptr_t)r[REG_RSP], (uintptr_t)r[REG_RBP]};
#else
  const mcontext_t *m = &context->uc_mcontext;
  return (struct registers){m->pc, m->sp, m->regs[29]};
#endif
}

/* Both CPUs keep the caller's frame pointer and, above it, the return address where fp points to. */
struct link {
  uintptr_t fp, pc;
};

/* Through the kernel, so that memory that is not there is an answer and not a fault. */
static bool read_anywhere(uintptr_t address, struct link *out) {
  struct iovec to = {out, sizeof *out}, from = {(void *)address, sizeof *out};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof *out;
}

/* The sanitizers' view of a stack is not that of a frame pointer that may be any value. */
__attribute__((no_sanitize_address, no_sanitize_thread)) static struct link read_here(uintptr_t fp) {
  const volatile struct link *at = (const volatile struct link *)fp;
  return (struct link){at->fp, at->pc};
}

static bool read_link(uintptr_t fp, uintptr_t low, uintptr_t high, struct link *out) {
  if (fp % sizeof(uintptr_t) || fp < low) return false;
  if (high == 0) return read_anywhere(fp, out);
  if (fp >= high || high - fp < sizeof *out) return false;
  *out = read_here(fp);
  return true;
}

static size_t walk_frame_pointers(const ucontext_t *context, uintptr_t stack_low, uintptr_t stack_high,
                                  uintptr_t *pcs, size_t max) {
  struct registers at = registers_of(context);
  struct link link = {at.fp, at.pc};
  uintptr_t low = at.sp > stack_low ? at.sp : stack_low; /* nothing below sp is a frame */
  size_t n = 0;
  while (n < max && link.pc) {
    pcs[n++] = link.pc;
    uintptr_t fp = link.fp;
    if (!read_link(fp, low, stack_high, &link)) break;
    low = fp + sizeof link; /* callers are above: no cycle */
  }
  return n;
}

static void describe_by_symbols(uintptr_t pc, bool exact, struct thrumi_frame *out) {
  memset(out, 0, sizeof *out);
  out->pc = pc;
  Dl_info info;
  uintptr_t inside = exact ? pc : pc - 1;
  if (!dladdr((const void *)inside, &info)) return;
  if (info.dli_sname) snprintf(out->function, sizeof out->function, "%s", info.dli_sname);
  if (info.dli_fname)
    snprintf(out->file, sizeof out->file, "%s+0x%zx", info.dli_fname,
             (size_t)(inside - (uintptr_t)info.dli_fbase));
}

const struct thrumi_backtracer thrumi_backtracer_fallback = {walk_frame_pointers, describe_by_symbols};
