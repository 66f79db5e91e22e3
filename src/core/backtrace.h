/* Stacks as addresses, and addresses as names.
 *
 * The core needs libc alone; libunwind and elfutils know more. So both jobs go through one hook:
 * libthrum-dump registers itself when it is linked, is loaded at the first use when it is installed, and
 * where it is neither, frame pointers and the dynamic symbols have to do.
 *
 *     const struct thrumi_backtracer *b = thrumi_backtracer_get();
 *     size_t n = b->walk(&context, low, high, pcs, 64);
 *     thrumi_describe(pcs[0], interrupted, &frame); */
#ifndef THRUMI_BACKTRACE_H
#define THRUMI_BACKTRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

#include <thrum/base.h>

/* Where an address is; empty or 0 what is unknown. */
struct thrumi_frame {
  uintptr_t pc;
  char function[128]; /* "f", or "f, inlined in g" */
  char file[256];     /* without a line: the program or library, as "path+0xoffset" for addr2line */
  int line;
};

struct thrumi_backtracer {
  /* Walks the stack that `context` describes, innermost first: all registers of an interrupted thread; of a
   * parked one only pc, sp, frame pointer and callee-saved registers mean something. Writes at most `max`
   * addresses to pcs and returns how many. Reads nothing outside of [stack_low, stack_high) unless these are 0
   * (then what can be read is found out by asking the kernel), whatever the stack holds.
   * Takes no lock that a thread can hold while a signal stops it (with glibc 2.35 or later). */
  size_t (*walk)(const ucontext_t *context, uintptr_t stack_low, uintptr_t stack_high, uintptr_t *pcs,
                 size_t max);

  /* Names an address. `exact`: it is the instruction itself, as the innermost of an interrupted thread;
   * otherwise it is a return address, and the call before it is named. Not async-signal-safe: it takes memory and
   * locks, which a thread that was stopped to be walked may hold, so that one must go on first. Takes more stack than a
   * thread may have: called by thrumi_describe alone. */
  void (*describe)(uintptr_t pc, bool exact, struct thrumi_frame *out);
};

/* What is registered; NULL until libthrum-dump registers itself or is loaded. */
extern const struct thrumi_backtracer *_Atomic thrumi_backtracer;

/* Exported by the shared library for libthrum-dump alone. */
THRUM_API void thrumi_set_backtracer(const struct thrumi_backtracer *backtracer);

/* By frame pointers and dladdr. */
extern const struct thrumi_backtracer thrumi_backtracer_fallback;

/* What is registered; else libthrum-dump, which is looked for once; else the fallback. Never NULL. Not
 * async-signal-safe the first time. */
const struct thrumi_backtracer *thrumi_backtracer_get(void);

/* Describes an address by what is registered, on a stack that is large enough whatever the caller's is. */
void thrumi_describe(uintptr_t pc, bool exact, struct thrumi_frame *out);
void thrumi_backtrace_fork(void); /* in the child of a fork: nobody describes there */

/* Where a call that returns to this address stands, as "f, file.c:12", or "f" or "program+0x1234" where no more is known. Returns
 * the text. */
enum { THRUMI_PLACE_MAX = 256 };
const char *thrumi_place(uintptr_t pc, char text[THRUMI_PLACE_MAX]);

#endif
