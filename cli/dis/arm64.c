/* What instructions of aarch64 do. */
#include "dis.h"

#include <string.h>

/* ---- Registers: parts count for the whole --------------------------------------------------------------------------------- */

static int in_row(unsigned reg, unsigned first, unsigned last, unsigned whole) {
  return reg >= first && reg <= last ? (int)(reg - first + whole) : NO_REGISTER;
}

static int whole(unsigned reg) {
  if (reg == ARM64_REG_INVALID || reg == ARM64_REG_XZR || reg == ARM64_REG_WZR) return NO_REGISTER;
  if (reg == ARM64_REG_WSP) return ARM64_REG_SP;
  if (reg == ARM64_REG_W29) return ARM64_REG_X29;
  if (reg == ARM64_REG_W30) return ARM64_REG_X30;
  static const struct {
    unsigned first, last, whole;
  } rows[] = {
      {ARM64_REG_W0, ARM64_REG_W28, ARM64_REG_X0}, {ARM64_REG_B0, ARM64_REG_B31, ARM64_REG_Q0},
      {ARM64_REG_H0, ARM64_REG_H31, ARM64_REG_Q0}, {ARM64_REG_S0, ARM64_REG_S31, ARM64_REG_Q0},
      {ARM64_REG_D0, ARM64_REG_D31, ARM64_REG_Q0}, {ARM64_REG_V0, ARM64_REG_V31, ARM64_REG_Q0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int found = in_row(reg, rows[i].first, rows[i].last, rows[i].whole);
    if (found != NO_REGISTER) return found;
  }
  return reg < REGISTERS ? (int)reg : NO_REGISTER;
}

static const int arguments[] = {
    ARM64_REG_X0, ARM64_REG_X1, ARM64_REG_X2, ARM64_REG_X3, ARM64_REG_X4, ARM64_REG_X5,
    ARM64_REG_X6, ARM64_REG_X7, ARM64_REG_Q0, ARM64_REG_Q1, ARM64_REG_Q2, ARM64_REG_Q3,
    ARM64_REG_Q4, ARM64_REG_Q5, ARM64_REG_Q6, ARM64_REG_Q7,
};

static const int clobbered[] = {
    ARM64_REG_X0,  ARM64_REG_X1,  ARM64_REG_X2,  ARM64_REG_X3,  ARM64_REG_X4,   ARM64_REG_X5,
    ARM64_REG_X6,  ARM64_REG_X7,  ARM64_REG_X8,  ARM64_REG_X9,  ARM64_REG_X10,  ARM64_REG_X11,
    ARM64_REG_X12, ARM64_REG_X13, ARM64_REG_X14, ARM64_REG_X15, ARM64_REG_X16,  ARM64_REG_X17,
    ARM64_REG_X18, ARM64_REG_X30, ARM64_REG_Q0,  ARM64_REG_Q1,  ARM64_REG_Q2,   ARM64_REG_Q3,
    ARM64_REG_Q4,  ARM64_REG_Q5,  ARM64_REG_Q6,  ARM64_REG_Q7,  ARM64_REG_NZCV,
};

const struct convention arm64_convention = {
    .stack = ARM64_REG_SP,
    .frame = ARM64_REG_X29,
    .arguments = arguments,
    .clobbered = clobbered,
    .argument_count = sizeof arguments / sizeof *arguments,
    .clobbered_count = sizeof clobbered / sizeof *clobbered,
};

/* ---- Kinds of instructions, by their names -------------------------------------------------------------------------------- */

static bool is_one_of(const char *mnemonic, const char *const *list) {
  for (; *list; list++)
    if (strcmp(mnemonic, *list) == 0) return true;
  return false;
}

static bool begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static const char *const overwrites[] = {"mov",  "movz", "movn", "fmov", "sxtw", "sxth", "sxtb",
                                         "uxtw", "uxth", "uxtb", "adrp", "adr",  "cset", NULL};

static enum atomicity atomicity_of(const char *mnemonic) {
  static const char *const pairs[] = {"ldxr",  "ldaxr", "ldxp",  "ldaxp", "stxr",
                                      "stlxr", "stxp",  "stlxp", NULL};
  for (const char *const *p = pairs; *p; p++)
    if (begins(mnemonic, *p)) return ATOMIC_EXCLUSIVE;
  return ATOMIC_NOT;
}

static const cs_arm64_op *memory_operand(const cs_arm64 *a) {
  for (int i = 0; i < a->op_count; i++)
    if (a->operands[i].type == ARM64_OP_MEM) return &a->operands[i];
  return NULL;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------------------ */

/* After the operand in memory, the number by which its address is moved on afterwards. */
static bool moved_afterwards(const cs_arm64 *a, int64_t *by) {
  const cs_arm64_op *last = &a->operands[a->op_count - 1];
  if (!a->writeback || last->type != ARM64_OP_IMM) return false;
  *by = last->imm;
  return true;
}

static void note_access(const cs_insn *cs, const cs_arm64 *a, struct effect *out) {
  bool load = begins(cs->mnemonic, "ld"), store = begins(cs->mnemonic, "st");
  const cs_arm64_op *op = memory_operand(a);
  if ((!load && !store) || !op) return;
  out->access = (struct access){
      .mode = load ? ACCESS_LOAD : ACCESS_STORE,
      .base = whole(op->mem.base),
      .index = whole(op->mem.index),
      .scale = op->shift.type == ARM64_SFT_LSL ? 1 << (op->shift.value & 7) : 1,
      .offset = op->mem.disp,
  };
  out->atomic = atomicity_of(cs->mnemonic);
  if (a->writeback) {
    out->adjusted = out->access.base;
    if (!moved_afterwards(a, &out->adjustment)) out->adjustment = op->mem.disp;
  }
  for (int i = 0; store && i < a->op_count && out->stores < 4; i++)
    if (a->operands[i].type == ARM64_OP_REG && whole(a->operands[i].reg))
      out->stored[out->stores++] = whole(a->operands[i].reg);
}

static void list_registers(csh capstone, const cs_insn *cs, const cs_arm64 *a, struct effect *out) {
  cs_regs reads, writes;
  uint8_t read_count, write_count;
  if (cs_regs_access(capstone, cs, reads, &read_count, writes, &write_count) != CS_ERR_OK) return;
  /* capstone 4 takes what some of them write for read as well. */
  bool first_is_new = is_one_of(cs->mnemonic, overwrites);
  for (int i = 0; i < read_count && !first_is_new && out->reads < 32; i++)
    if (whole(reads[i])) out->read[out->reads++] = whole(reads[i]);
  for (int i = 1; i < a->op_count && first_is_new && out->reads < 32; i++)
    if (a->operands[i].type == ARM64_OP_REG && whole(a->operands[i].reg))
      out->read[out->reads++] = whole(a->operands[i].reg);
  for (int i = 0; i < write_count && out->writes < 32; i++)
    if (whole(writes[i])) out->written[out->writes++] = whole(writes[i]);
  if (a->cc != ARM64_CC_INVALID && a->cc != ARM64_CC_AL && out->reads < 32)
    out->read[out->reads++] = ARM64_REG_NZCV;
}

/* ---- Values ------------------------------------------------------------------------------------------------------------------- */

static void derive(const cs_insn *cs, const cs_arm64 *a, struct effect *out) {
  const cs_arm64_op *op = a->operands;
  if (a->op_count < 2 || op[0].type != ARM64_OP_REG) return;
  const cs_arm64_op *last = &op[a->op_count - 1];
  out->to = whole(op[0].reg);
  int64_t number = last->type == ARM64_OP_IMM ? last->imm : 0;
  if (last->type == ARM64_OP_IMM && last->shift.type == ARM64_SFT_LSL)
    number *= (int64_t)1 << (last->shift.value & 31);
  bool add = begins(cs->mnemonic, "add"), sub = begins(cs->mnemonic, "sub"),
       move = strcmp(cs->mnemonic, "mov") == 0;
  if (cs->id == ARM64_INS_ADRP || cs->id == ARM64_INS_ADR ||
      ((move || cs->id == ARM64_INS_MOVZ) && a->op_count == 2 && last->type == ARM64_OP_IMM)) {
    out->derivation = DERIVED_CONSTANT;
    out->constant = number;
  } else if (cs->id == ARM64_INS_MRS && strstr(cs->op_str, "tpidr_el0")) {
    out->derivation = DERIVED_THREAD;
  } else if (move && op[1].type == ARM64_OP_REG && whole(op[1].reg) && a->op_count == 2) {
    out->derivation = DERIVED_SUM;
    out->from = whole(op[1].reg);
  } else if ((add || sub) && a->op_count == 3 && op[1].type == ARM64_OP_REG && last->type == ARM64_OP_IMM) {
    out->derivation = DERIVED_SUM;
    out->from = whole(op[1].reg);
    out->constant = add ? number : -number;
  }
}

/* ---- Flow ----------------------------------------------------------------------------------------------------------------------- */

static enum flow flow_of(const cs_insn *cs, const cs_arm64 *a) {
  switch (cs->id) {
  case ARM64_INS_B: return a->cc == ARM64_CC_INVALID || a->cc == ARM64_CC_AL ? FLOW_JUMP : FLOW_BRANCH;
  case ARM64_INS_BR: return FLOW_JUMP;
  case ARM64_INS_BL:
  case ARM64_INS_BLR: return FLOW_CALL;
  case ARM64_INS_CBZ:
  case ARM64_INS_CBNZ:
  case ARM64_INS_TBZ:
  case ARM64_INS_TBNZ: return FLOW_BRANCH;
  case ARM64_INS_RET:
  case ARM64_INS_BRK:
  case ARM64_INS_HLT: return FLOW_RETURN;
  case ARM64_INS_SVC: return FLOW_SYSCALL;
  default: return FLOW_NEXT;
  }
}

void arm64_effect(csh capstone, const cs_insn *cs, struct effect *out) {
  const cs_arm64 *a = &cs->detail->arm64;
  out->flow = flow_of(cs, a);
  bool jumps = out->flow == FLOW_BRANCH || out->flow == FLOW_JUMP || out->flow == FLOW_CALL;
  if (jumps && a->op_count > 0 && a->operands[a->op_count - 1].type == ARM64_OP_IMM) {
    out->direct = true;
    out->target = (uint64_t)a->operands[a->op_count - 1].imm;
  }
  list_registers(capstone, cs, a, out);
  note_access(cs, a, out);
  derive(cs, a, out);
}

/* ---- Atomic instructions of ARMv8.1, which capstone 4 does not know ---------------------------------------------------------- */

static const char *size_suffix(unsigned size) { return size == 0 ? "b" : size == 1 ? "h" : ""; }

static void write_register(char *out, bool wide, unsigned number) {
  if (number == 31)
    sprintf(out, "%s", wide ? "xzr" : "wzr");
  else
    sprintf(out, "%c%u", wide ? 'x' : 'w', number);
}

/* The text of an atomic instruction of ARMv8.1, to be freed; NULL: it is none. The encodings are those of the architecture's
 * manual, C4.1: "Atomic memory operations" and "Compare and swap". */
char *arm64_atomic_text(const uint8_t *bytes, size_t size) {
  static const char *const operations[] = {"ldadd",  "ldclr",  "ldeor",  "ldset",
                                           "ldsmax", "ldsmin", "ldumax", "ldumin"};
  static const char *const orders[] = {"", "l", "a", "al"};
  if (size != 4) return NULL;
  uint32_t word =
      (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
  bool operation = (word & 0x3f200c00) == 0x38200000, swap = false;
  bool compare = (word & 0x3fa07c00) == 0x08a07c00;
  if (!operation && !compare) return NULL;
  unsigned opcode = word >> 12 & 7, bits = word >> 30;
  swap = operation && (word & 0x8000);
  if (swap && opcode != 0) return NULL;
  unsigned order =
      operation ? (word >> 22 & 1) | (word >> 23 & 1) << 1 : (word >> 15 & 1) | (word >> 22 & 1) << 1;
  char first[8], second[8];
  write_register(first, bits == 3, word >> 16 & 31);
  write_register(second, bits == 3, word & 31);
  char address[8];
  write_register(address, true, word >> 5 & 31);
  const char *name = compare ? "cas" : swap ? "swp" : operations[opcode];
  char mnemonic[16];
  snprintf(mnemonic, sizeof mnemonic, "%s%s%s", name, orders[order], size_suffix(bits));
  return format_text("%-7s %s, %s, [%s]", mnemonic, first, second,
                     strcmp(address, "xzr") == 0 ? "sp" : address);
}
