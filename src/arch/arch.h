/* The machine: switching stacks, and reading what an interrupted thread did.
 *
 * A thread that does not run is its saved stack pointer. At that address lies a frame of THRUMI_FRAME_WORDS
 * words: the registers that the calling convention says a callee keeps, the floating-point control words, and
 * where to go on. switch.S writes and reads it; the offsets below are asserted there and here. */
#ifndef THRUMI_ARCH_H
#define THRUMI_ARCH_H

#include <ucontext.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <thrum/base.h>

#if defined(__x86_64__)
#define THRUMI_FRAME_WORDS 8 /* control words, r15 r14 r13 r12 rbx rbp, return address */
#define THRUMI_FRAME_FP 6
#define THRUMI_FRAME_PC 7
#elif defined(__aarch64__)
#define THRUMI_FRAME_WORDS 22 /* x19..x28, x29, x30, d8..d15, fpcr, padding */
#define THRUMI_FRAME_FP 10
#define THRUMI_FRAME_PC 11
#endif

/* Saves the caller's frame, stores its stack pointer in *save, and goes on where `to` was saved. */
void thrumi_switch(void **save, void *to);

/* Calls fn(arg) so that thrumi_return(*mark, result) from anywhere below makes this call return `result`. *mark is the
 * caller's frame, as thrumi_switch would have saved it but for the control words. */
intptr_t thrumi_call(thrum_fn *fn, void *arg, void **mark);
THRUM_NORETURN void thrumi_return(void *mark, intptr_t result);

/* Calls fn(arg) on the stack that ends at `top`, a multiple of 16. Unwinders go on in the caller. */
intptr_t thrumi_call_on(void *top, thrum_fn *fn, void *arg);

/* Where a new thread begins: calls thrumi_thread_main, which does not return. */
void thrumi_thread_entry(void);
THRUM_NORETURN void thrumi_thread_main(void);

/* Remembers the caller's floating-point control words: every thread begins with these. */
void thrumi_control_start(void);

/* Loads them if the caller's differ. */
void thrumi_control_reset(void);

/* Stacks begin at multiples of a power of two, so their tops would share few sets of the cache. Each begins up to
 * 1 KiB lower than it could, by its address. */
#define THRUMI_STACK_COLOUR(low) (((uintptr_t)(low) >> 15) % 16 * 64)

/* A frame at the top of a fresh stack that begins at thrumi_thread_entry. */
void *thrumi_frame_make(void *low, size_t size);

/* The machine context of a thread that was saved at `sp`, as far as a stack walk needs it. */
void thrumi_frame_context(void *sp, ucontext_t *out);

uintptr_t thrumi_context_pc(const ucontext_t *context);
uintptr_t thrumi_context_sp(const ucontext_t *context);

/* Whether the signal that left this context cut a system call short (EINTR, not restarted). */
bool thrumi_context_cut_call(const ucontext_t *context);

#endif
