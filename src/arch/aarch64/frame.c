/* Frames and machine contexts of aarch64; see arch.h. */
#define _GNU_SOURCE
#include <arch/arch.h>
#include <errno.h>
#include <string.h>

enum { FIRST_KEPT = 19, CONTROL = 20 }; /* frame[0] is x19 and so on up to x30; frame[CONTROL] is fpcr */

/* As switch.S stores it. Debuggers know it by this type: a member is called as the register that it goes into (tools/gdb). */
struct thrumi_saved_frame {
  uint64_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, pc, d[8], control, padding;
};

_Static_assert(sizeof(struct thrumi_saved_frame) == THRUMI_FRAME_WORDS * sizeof(uint64_t) &&
                   offsetof(struct thrumi_saved_frame, pc) == THRUMI_FRAME_PC * sizeof(uint64_t) &&
                   offsetof(struct thrumi_saved_frame, control) == CONTROL * sizeof(uint64_t),
               "switch.S stores these");
_Static_assert(THRUMI_FRAME_WORDS == 22 && THRUMI_FRAME_FP == 29 - FIRST_KEPT &&
                   THRUMI_FRAME_PC == 30 - FIRST_KEPT,
               "switch.S stores these");

static uint64_t control; /* what was raised so far is in fpsr, another register */

static uint64_t read_control(void) {
  uint64_t value;
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}

void thrumi_control_start(void) { control = read_control(); }

void thrumi_control_reset(void) {
  if (read_control() != control) __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

void *thrumi_frame_make(void *low, size_t size) {
  uintptr_t top = (((uintptr_t)low + size) & ~(uintptr_t)15) - THRUMI_STACK_COLOUR(low);
  uintptr_t *frame = (uintptr_t *)top - THRUMI_FRAME_WORDS;
  memset(frame, 0, THRUMI_FRAME_WORDS * sizeof *frame);
  frame[CONTROL] = control;
  frame[THRUMI_FRAME_PC] = (uintptr_t)thrumi_thread_entry;
  return frame;
}

void thrumi_frame_context(void *sp, ucontext_t *out) {
  const struct thrumi_saved_frame *frame = sp;
  memset(out, 0, sizeof *out);
  mcontext_t *m = &out->uc_mcontext;
  memcpy(&m->regs[FIRST_KEPT], frame, (THRUMI_FRAME_PC + 1) * sizeof *m->regs);
  m->pc = frame->pc;
  m->sp = (uintptr_t)(frame + 1);
}

uintptr_t thrumi_context_pc(const ucontext_t *context) { return context->uc_mcontext.pc; }

uintptr_t thrumi_context_sp(const ucontext_t *context) { return context->uc_mcontext.sp; }

bool thrumi_context_cut_call(const ucontext_t *context) {
  static const unsigned char svc_insn[4] = {0x01, 0x00, 0x00, 0xd4}; /* svc #0 */
  const void *before = (const void *)(thrumi_context_pc(context) - sizeof svc_insn);
  return (int64_t)context->uc_mcontext.regs[0] == -EINTR && memcmp(before, svc_insn, sizeof svc_insn) == 0;
}
