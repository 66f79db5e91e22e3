/* Frames and machine contexts of x86-64; see arch.h. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <errno.h>
#include <string.h>

/* As switch.S pushes it. Debuggers know it by this type: a member is called as the register that it goes into (tools/gdb). */
struct thrumi_saved_frame {
  uintptr_t control, r15, r14, r13, r12, rbx, rbp, rip;
};
_Static_assert(sizeof(struct thrumi_saved_frame) == THRUMI_FRAME_WORDS * sizeof(uintptr_t) &&
                   offsetof(struct thrumi_saved_frame, rbp) == THRUMI_FRAME_FP * sizeof(uintptr_t) &&
                   offsetof(struct thrumi_saved_frame, rip) == THRUMI_FRAME_PC * sizeof(uintptr_t),
               "switch.S pushes these");

enum { SSE_RAISED = 0x3f }; /* the exceptions raised so far; not control but status */

static struct {
  uint32_t sse;
  uint16_t x87;
} control;

void thrumi_control_start(void) {
  __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(control.sse), "=m"(control.x87));
  control.sse &= ~(uint32_t)SSE_RAISED;
}

void thrumi_control_reset(void) {
  uint32_t sse;
  uint16_t x87;
  __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
  if (sse != control.sse) __asm__ volatile("ldmxcsr %0" : : "m"(control.sse));
  if (x87 != control.x87) __asm__ volatile("fldcw %0" : : "m"(control.x87));
}

void *thrumi_frame_make(void *low, size_t size) {
  uintptr_t top = (((uintptr_t)low + size) & ~(uintptr_t)15) - THRUMI_STACK_COLOUR(low);
  uintptr_t *frame = (uintptr_t *)(top - 16) - THRUMI_FRAME_WORDS; /* 16 aligned after the return */
  memset(frame, 0, (THRUMI_FRAME_WORDS + 2) * sizeof *frame);
  frame[0] = control.sse | (uintptr_t)control.x87 << 32;
  frame[THRUMI_FRAME_PC] = (uintptr_t)thrumi_thread_entry;
  return frame;
}

void thrumi_frame_context(void *sp, ucontext_t *out) {
  const struct thrumi_saved_frame *frame = sp;
  memset(out, 0, sizeof *out);
  greg_t *r = out->uc_mcontext.gregs;
  r[REG_R15] = (greg_t)frame->r15;
  r[REG_R14] = (greg_t)frame->r14;
  r[REG_R13] = (greg_t)frame->r13;
  r[REG_R12] = (greg_t)frame->r12;
  r[REG_RBX] = (greg_t)frame->rbx;
  r[REG_RBP] = (greg_t)frame->rbp;
  r[REG_RIP] = (greg_t)frame->rip;
  r[REG_RSP] = (greg_t)(frame + 1);
}

uintptr_t thrumi_context_pc(const ucontext_t *context) {
  return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

uintptr_t thrumi_context_sp(const ucontext_t *context) {
  return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
}

bool thrumi_context_cut_call(const ucontext_t *context) {
  static const unsigned char syscall_insn[2] = {0x0f, 0x05};
  const void *before = (const void *)(thrumi_context_pc(context) - sizeof syscall_insn);
  return context->uc_mcontext.gregs[REG_RAX] == -EINTR &&
         memcmp(before, syscall_insn, sizeof syscall_insn) == 0;
}
