/* Walks a stack by libunwind, which reads the tables that the compiler left about each call site.
 *
 * What a stack holds may be garbage, and the tables then send libunwind to any address. libunwind has a check of its
 * own (it asks the kernel whether memory can be read), but that lets a walk stray into whatever is mapped. Here
 * the bounds of the stack are known. Local unwinding takes no accessors from its caller, so the one that reads
 * memory is wrapped once for the process: while a bounded walk is under way in this kernel thread it allows the
 * stack, the context, and the instructions at the current address; otherwise it changes nothing.
 *
 * Rejected: stepping only if the frame looks sound beforehand (the rule for the next frame is known to libunwind
 * alone); remote unwinding with accessors of our own (it needs the search of the tables written again). */
#define _GNU_SOURCE 1
#define UNW_LOCAL_ONLY
#include <dump/dump.h>

#include <libunwind.h>
#include <sys/uio.h>
#include <unistd.h>

struct walk {
  uintptr_t low, high; /* the part of the stack that is in use */
  uintptr_t context;   /* libunwind reads the innermost registers from there */
  uintptr_t pc;        /* of the current frame */
  unw_cursor_t cursor;
};

typedef int read_fn(unw_addr_space_t, unw_word_t, unw_word_t *, int, void *);

enum { CODE_REACH = 32 }; /* how far from pc libunwind looks at instructions, for signal trampolines */

static read_fn *libunwind_access;

/* Initial-exec: a handler must find it without a call that may allocate. */
static _Thread_local struct walk *current __attribute__((tls_model("initial-exec")));

/* ---- What a walk may read --------------------------------------------------------------------------- */

static bool holds(uintptr_t low, uintptr_t high, uintptr_t address) {
  return address >= low && address < high && high - address >= sizeof(unw_word_t);
}

static bool is_near_code(const struct walk *walk, uintptr_t address) {
  return address - walk->pc + CODE_REACH <= 2 * CODE_REACH;
}

/* Through the kernel: pc may be any value. */
static int read_code(uintptr_t address, unw_word_t *value) {
  struct iovec to = {value, sizeof *value}, from = {(void *)address, sizeof *value};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof *value ? 0 : -UNW_EINVAL;
}

static int access_within_bounds(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
                                void *argument) {
  const struct walk *walk = current;
  if (!walk || write || holds(walk->low, walk->high, address) ||
      holds(walk->context, walk->context + sizeof(ucontext_t), address))
    return libunwind_access(space, address, value, write, argument);
  return is_near_code(walk, address) ? read_code(address, value) : -UNW_EINVAL;
}

__attribute__((constructor)) static void wrap_access(void) {
  unw_accessors_t *accessors = unw_get_accessors(unw_local_addr_space);
  libunwind_access = accessors->access_mem;
  accessors->access_mem = access_within_bounds;
}

/* ---- The walk --------------------------------------------------------------------------------------- */

static uintptr_t get(unw_cursor_t *cursor, unw_regnum_t number) {
  unw_word_t value = 0;
  return unw_get_reg(cursor, number, &value) == 0 ? value : 0;
}

/* Where a signal handler returns to; its table entry begins one byte before the code. For aarch64 libunwind itself
 * recognises it, and reads the signal frame through the accessor. */
static bool is_signal_trampoline(unw_cursor_t *cursor) {
#if defined(__x86_64__)
  const unw_word_t mov_15_rax_syscall = 0x0f0000000fc0c748;
  unw_proc_info_t function;
  unw_word_t code;
  if (unw_get_proc_info(cursor, &function) < 0) return false;
  return read_code(function.start_ip + 1, &code) == 0 && code == mov_15_rax_syscall;
#else
  (void)cursor;
  return false;
#endif
}

/* The rule for the trampoline is an expression, whose reads do not pass through the accessor: the whole signal
 * frame must be on the stack. */
static bool may_step(struct walk *walk, uintptr_t sp) {
  if (walk->high == 0) return true;
  if (sp < walk->low || sp > walk->high) return false;
  return walk->high - sp >= sizeof(ucontext_t) || !is_signal_trampoline(&walk->cursor);
}

/* Callers are above; only a leaf that never touched sp has its caller's. */
static bool step(struct walk *walk) {
  uintptr_t sp = get(&walk->cursor, UNW_REG_SP);
  if (!may_step(walk, sp) || unw_step(&walk->cursor) <= 0) return false;
  uintptr_t above = get(&walk->cursor, UNW_REG_SP);
  if (walk->high && (above < sp || above > walk->high)) return false;
  walk->pc = get(&walk->cursor, UNW_REG_IP);
  return walk->pc != 0;
}

static size_t walk_from(struct walk *walk, unw_context_t *context, uintptr_t *pcs, size_t max) {
  /* As a signal frame: pc is looked up itself, not the instruction before it. That is right for an interrupted
   * thread, and for a parked one too, whose switch returns to where the same rule holds. */
  if (max == 0 || unw_init_local2(&walk->cursor, context, UNW_INIT_SIGNAL_FRAME) < 0) return 0;
  walk->pc = get(&walk->cursor, UNW_REG_IP);
  uintptr_t sp = get(&walk->cursor, UNW_REG_SP);
  if (sp > walk->low) walk->low = sp; /* nothing below sp is in use */
  size_t n = 0;
  do pcs[n++] = walk->pc;
  while (n < max && step(walk));
  return n;
}

size_t thrumi_dump_walk(const ucontext_t *context, uintptr_t stack_low, uintptr_t stack_high, uintptr_t *pcs,
                        size_t max) {
  struct walk walk = {.low = stack_low, .high = stack_high, .context = (uintptr_t)context};
  struct walk *outer = current;
  if (stack_high) current = &walk;
  /* libunwind writes to a context only for who sets registers. On both CPUs it is laid out as ucontext_t. */
  size_t n = walk_from(&walk, (unw_context_t *)(uintptr_t)context, pcs, max);
  current = outer;
  return n;
}
