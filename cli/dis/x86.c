/* What instructions of x86-64 do. */
#include "dis.h"

/* ---- Registers: parts count for the whole ------------------------------------------------------------------------------- */

static const uint16_t wholes[][5] = {
    {X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH},
    {X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH},
    {X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH},
    {X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH},
    {X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL, 0},
    {X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL, 0},
    {X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL, 0},
    {X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL, 0},
    {X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B, 0},
    {X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B, 0},
    {X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B, 0},
    {X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B, 0},
    {X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B, 0},
    {X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B, 0},
    {X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B, 0},
    {X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B, 0},
};

static int whole(unsigned reg) {
  if (reg == X86_REG_INVALID || reg == X86_REG_RIP || reg == X86_REG_EIP) return NO_REGISTER;
  if (reg >= X86_REG_YMM0 && reg <= X86_REG_YMM31) return (int)(reg - X86_REG_YMM0 + X86_REG_XMM0);
  if (reg >= X86_REG_ZMM0 && reg <= X86_REG_ZMM31) return (int)(reg - X86_REG_ZMM0 + X86_REG_XMM0);
  for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
    for (size_t k = 0; k < 5; k++)
      if (wholes[i][k] == reg) return wholes[i][0];
  return reg < REGISTERS ? (int)reg : NO_REGISTER;
}

static const int arguments[] = {
    X86_REG_RDI,  X86_REG_RSI,  X86_REG_RDX,  X86_REG_RCX,  X86_REG_R8,   X86_REG_R9,   X86_REG_XMM0,
    X86_REG_XMM1, X86_REG_XMM2, X86_REG_XMM3, X86_REG_XMM4, X86_REG_XMM5, X86_REG_XMM6, X86_REG_XMM7,
};

static const int clobbered[] = {
    X86_REG_RAX,   X86_REG_RCX,   X86_REG_RDX,   X86_REG_RSI,   X86_REG_RDI,    X86_REG_R8,    X86_REG_R9,
    X86_REG_R10,   X86_REG_R11,   X86_REG_XMM0,  X86_REG_XMM1,  X86_REG_XMM2,   X86_REG_XMM3,  X86_REG_XMM4,
    X86_REG_XMM5,  X86_REG_XMM6,  X86_REG_XMM7,  X86_REG_XMM8,  X86_REG_XMM9,   X86_REG_XMM10, X86_REG_XMM11,
    X86_REG_XMM12, X86_REG_XMM13, X86_REG_XMM14, X86_REG_XMM15, X86_REG_EFLAGS,
};

const struct convention x86_convention = {
    .stack = X86_REG_RSP,
    .frame = X86_REG_RBP,
    .arguments = arguments,
    .clobbered = clobbered,
    .argument_count = sizeof arguments / sizeof *arguments,
    .clobbered_count = sizeof clobbered / sizeof *clobbered,
};

static void list_registers(csh capstone, const cs_insn *cs, struct effect *out) {
  cs_regs reads, writes;
  uint8_t read_count, write_count;
  if (cs_regs_access(capstone, cs, reads, &read_count, writes, &write_count) != CS_ERR_OK) return;
  for (int i = 0; i < read_count && out->reads < 32; i++)
    if (whole(reads[i])) out->read[out->reads++] = whole(reads[i]);
  for (int i = 0; i < write_count && out->writes < 32; i++)
    if (whole(writes[i])) out->written[out->writes++] = whole(writes[i]);
}

/* ---- Memory --------------------------------------------------------------------------------------------------------------- */

/* Instructions whose operand in memory is none, or that go through memory by themselves. */
static bool has_no_access(unsigned id) {
  switch (id) {
  case X86_INS_LEA:
  case X86_INS_NOP:
  case X86_INS_PREFETCH:
  case X86_INS_PREFETCHW:
  case X86_INS_PREFETCHNTA:
  case X86_INS_PREFETCHT0:
  case X86_INS_PREFETCHT1:
  case X86_INS_PREFETCHT2:
  case X86_INS_CLFLUSH:
  case X86_INS_MOVSB:
  case X86_INS_MOVSW:
  case X86_INS_MOVSQ:
  case X86_INS_STOSB:
  case X86_INS_STOSW:
  case X86_INS_STOSD:
  case X86_INS_STOSQ:
  case X86_INS_LODSB:
  case X86_INS_SCASB:
  case X86_INS_CMPSB: return true;
  default: return false;
  }
}

static const cs_x86_op *memory_operand(const cs_x86 *x) {
  for (int i = 0; i < x->op_count; i++)
    if (x->operands[i].type == X86_OP_MEM) return &x->operands[i];
  return NULL;
}

static struct access place_of(const cs_insn *cs, const cs_x86_op *op) {
  struct access access = {
      .base = whole(op->mem.base),
      .index = whole(op->mem.index),
      .scale = op->mem.scale,
      .offset = op->mem.disp,
      .local = op->mem.segment == X86_REG_FS || op->mem.segment == X86_REG_GS,
  };
  if (op->mem.base == X86_REG_RIP) access.offset += (int64_t)(cs->address + cs->size);
  access.absolute = access.base == NO_REGISTER && access.index == NO_REGISTER && !access.local;
  return access;
}

static void note_access(const cs_insn *cs, const cs_x86 *x, struct effect *out) {
  const cs_x86_op *op = memory_operand(x);
  if (!op) return;
  struct access access = place_of(cs, op);
  if (op->mem.base == X86_REG_RIP) out->relative = (uint64_t)access.offset;
  if (has_no_access(cs->id)) return;
  out->access = access;
  if (op->access & CS_AC_READ) out->access.mode |= ACCESS_LOAD;
  if (op->access & CS_AC_WRITE) out->access.mode |= ACCESS_STORE;
  bool exchange = cs->id == X86_INS_XCHG; /* is locked by itself */
  if (x->prefix[0] == X86_PREFIX_LOCK || exchange) out->atomic = ATOMIC_WHOLE;
  if (!(out->access.mode & ACCESS_STORE)) return;
  for (int i = 0; i < x->op_count && out->stores < 4; i++)
    if (x->operands[i].type == X86_OP_REG) out->stored[out->stores++] = whole(x->operands[i].reg);
  for (int i = 0; i < out->reads && out->stores < 4; i++)
    if (out->read[i] == X86_REG_EFLAGS) out->stored[out->stores++] = X86_REG_EFLAGS;
}

/* ---- Values ---------------------------------------------------------------------------------------------------------------- */

static void derive_sum(struct effect *out, int to, int from, int64_t constant) {
  out->derivation = DERIVED_SUM;
  out->to = to;
  out->from = from;
  out->constant = constant;
}

static void derive_constant(struct effect *out, int to, int64_t constant) {
  out->derivation = DERIVED_CONSTANT;
  out->to = to;
  out->constant = constant;
}

static void derive_thread(struct effect *out, int to) {
  out->derivation = DERIVED_THREAD;
  out->to = to;
}

static void derive_address(const cs_insn *cs, const cs_x86_op *op, int to, struct effect *out) {
  struct access place = place_of(cs, op);
  if (place.index != NO_REGISTER || place.local) return;
  if (place.base == NO_REGISTER)
    derive_constant(out, to, place.offset);
  else
    derive_sum(out, to, place.base, place.offset);
}

static void derive(const cs_insn *cs, const cs_x86 *x, struct effect *out) {
  const cs_x86_op *a = &x->operands[0], *b = &x->operands[1];
  if (x->op_count < 2 || a->type != X86_OP_REG) return;
  int to = whole(a->reg);
  bool registers = b->type == X86_OP_REG, number = b->type == X86_OP_IMM;
  switch (cs->id) {
  case X86_INS_MOV:
  case X86_INS_MOVABS:
    if (registers) derive_sum(out, to, whole(b->reg), 0);
    if (number) derive_constant(out, to, b->imm);
    if (out->access.local && out->access.offset == 0)
      derive_thread(out, to); /* %fs:0 holds its own address */
    break;
  case X86_INS_LEA: derive_address(cs, b, to, out); break;
  case X86_INS_ADD:
    if (number) derive_sum(out, to, to, b->imm);
    break;
  case X86_INS_SUB:
  case X86_INS_XOR:
  case X86_INS_PXOR:
  case X86_INS_XORPS:
  case X86_INS_VPXOR:
    if (number && cs->id == X86_INS_SUB) derive_sum(out, to, to, (int64_t)(0 - (uint64_t)b->imm));
    out->forgets =
        registers && b->reg == x->operands[x->op_count - 1].reg && (x->op_count > 2 || a->reg == b->reg);
    break;
  default: break;
  }
}

static void adjust_stack(const cs_insn *cs, struct effect *out) {
  bool push = cs->id == X86_INS_PUSH, pop = cs->id == X86_INS_POP;
  if (!push && !pop) return;
  out->adjusted = X86_REG_RSP;
  out->adjustment = push ? -8 : 8;
}

/* ---- Flow ------------------------------------------------------------------------------------------------------------------ */

static enum flow flow_of(csh capstone, const cs_insn *cs) {
  switch (cs->id) {
  case X86_INS_JMP:
  case X86_INS_LJMP: return FLOW_JUMP;
  case X86_INS_UD2:
  case X86_INS_HLT: return FLOW_RETURN;
  case X86_INS_SYSCALL:
  case X86_INS_SYSENTER: return FLOW_SYSCALL;
  default: break;
  }
  if (cs_insn_group(capstone, cs, CS_GRP_CALL)) return FLOW_CALL;
  if (cs_insn_group(capstone, cs, CS_GRP_RET)) return FLOW_RETURN;
  if (cs_insn_group(capstone, cs, CS_GRP_JUMP)) return FLOW_BRANCH;
  return FLOW_NEXT;
}

void x86_effect(csh capstone, const cs_insn *cs, struct effect *out) {
  const cs_x86 *x = &cs->detail->x86;
  out->flow = flow_of(capstone, cs);
  bool jumps = out->flow == FLOW_BRANCH || out->flow == FLOW_JUMP || out->flow == FLOW_CALL;
  if (jumps && x->op_count == 1 && x->operands[0].type == X86_OP_IMM) {
    out->direct = true;
    out->target = (uint64_t)x->operands[0].imm;
  }
  list_registers(capstone, cs, out);
  note_access(cs, x, out);
  derive(cs, x, out);
  adjust_stack(cs, out);
}
