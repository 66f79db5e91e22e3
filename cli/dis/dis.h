/* thrum dis: what is read from a program's file, what is found in one of its functions, and how that is shown.
 *
 *   image.c, functions.c   the file: its symbols, what its relocations name, its bytes; functions by name
 *   lines.c                debug info: from an address to a line of the program's own source
 *   decode.c               the instructions of a function: flow, targets, names
 *   machine.c, x86.c, arm64.c   what an instruction does to registers and memory, for both machines alike
 *   memory.c               plain read-modify-writes of memory that may be shared
 *   calls.c, table.c       calls: which may park, which block their worker
 *   reach.c                what functions of the program's own come to call
 *   text.c, json.c         the listing
 *
 * The file is not trusted: whatever it says is checked against its size before it is used. */
#ifndef THRUM_DIS_H
#define THRUM_DIS_H

#include <capstone/capstone.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- The file ---------------------------------------------------------------------------------------------------- */

struct symbol {
  const char *name;
  const char *file; /* of a local one: the source that the linker noted; else NULL */
  uint64_t address, size;
  bool function, local;
};

/* What the loader puts at an address: that of a symbol. */
struct slot {
  uint64_t address;
  const char *name;
};

struct image {
  const char *path;
  int fd;
  Elf *elf;
  Dwarf *dwarf; /* NULL: no debug info */
  GElf_Ehdr header;
  const char *raw; /* the whole file */
  size_t raw_size;
  struct symbol *symbols; /* by address */
  size_t symbol_count, symbol_room;
  struct slot *slots; /* by address */
  size_t slot_count, slot_room;
  bool has_symbols; /* not stripped */
  bool has_libc;    /* linked into it */
  csh detail, text; /* capstone: what instructions do; how they are written */
};

/* 0, or STATUS_FAILED after a message. */
int image_open(struct image *image, const char *path);
void image_close(struct image *image);

/* The bytes that are loaded at an address; *size: how many there are from there on. NULL: none. */
const uint8_t *image_bytes(const struct image *image, uint64_t address, size_t *size);

/* The symbol in which an address lies; functions or data. NULL: none. */
const struct symbol *image_symbol(const struct image *image, uint64_t address, bool function);

/* The function of that name in the file itself; NULL: none. */
const struct symbol *image_function(const struct image *image, const char *name);

/* Of what symbol the loader writes the address to that place; NULL: none. */
const char *image_slot(const struct image *image, uint64_t address);

bool image_is_arm(const struct image *image);

/* ---- Functions by name ------------------------------------------------------------------------------------------------ */

enum { PARTS_MAX = 4 };

/* A function, and the parts of it that the compiler put elsewhere because they seldom run ("name.cold"). */
struct function {
  const char *name;
  struct {
    uint64_t address, size;
    const char *name;
  } part[PARTS_MAX];
  size_t parts;
};

/* By NAME, FILE:NAME or 0xADDRESS. 0, or STATUS_FAILED after a message that says which there are. */
int function_find(const struct image *image, const char *wanted, struct function *out);

/* ---- Lines -------------------------------------------------------------------------------------------------------------- */

/* Where an address is in the program's own source: thrum's inline paths count for the line that calls them. */
struct place {
  const char *file; /* NULL: not known */
  int line;
  const char *inlined; /* the function of thrum's headers that lies here, or NULL */
};

struct place_finder {
  Dwarf_Die unit, function;
  bool has_unit, has_function;
};

void places_begin(struct place_finder *finder, const struct image *image, uint64_t address);
struct place places_at(struct place_finder *finder, uint64_t address);
/* The directory that names of files start from; NULL: not known. */
const char *places_directory(struct place_finder *finder);
const char *base_name(const char *path);

/* ---- What calls do ---------------------------------------------------------------------------------------------------- */

enum call_kind {
  CALL_PLAIN,  /* nothing is known of it, or it neither parks nor blocks */
  CALL_NEVER,  /* thrum's: never switches */
  CALL_PARKS,  /* thrum's: may park */
  CALL_ENDS,   /* thrum's: ends the thread or the program */
  CALL_BLOCKS, /* libc's: blocks in the kernel, or on a lock of libc's */
  CALL_ATOMIC, /* the compiler's helper for atomics */
};

/* Functions that do the same for the same reason. */
struct call_group {
  enum call_kind kind;
  const char *why;
  const char *instead; /* what parks the thread alone; NULL: nothing of the kind */
  const char *names;   /* separated by blanks */
};

extern const struct call_group call_groups[];
extern const size_t call_group_count;

/* Whether the name is that of a function of the program's own, though libc has one, too. */
bool call_is_own(const struct image *image, const struct call_group *group, const struct symbol *own);

/* What is known of a function by its name; NULL: nothing. */
const struct call_group *call_find(const char *name);

/* ---- Machine instructions ----------------------------------------------------------------------------------------------- */

enum flow { FLOW_NEXT, FLOW_BRANCH, FLOW_JUMP, FLOW_CALL, FLOW_RETURN, FLOW_SYSCALL };

enum { ACCESS_LOAD = 1, ACCESS_STORE = 2 };
enum { NO_REGISTER = 0, REGISTERS = 512 };

/* The one place in memory that an instruction reads or writes. */
struct access {
  int mode;        /* ACCESS_LOAD, ACCESS_STORE, both; 0: none */
  int base, index; /* registers of full width */
  int scale;
  int64_t offset;
  bool absolute; /* offset is the address */
  bool local;    /* in memory of the kernel thread's (a segment register) */
};

enum atomicity {
  ATOMIC_NOT,
  ATOMIC_WHOLE,     /* locked, or one of the atomic instructions */
  ATOMIC_EXCLUSIVE, /* half of a pair that fails if another one came between */
};

/* How the value of `to` follows from others, where it matters for addresses. */
enum derivation { DERIVED_OTHERWISE, DERIVED_SUM, DERIVED_CONSTANT, DERIVED_THREAD };

struct effect {
  enum flow flow;
  bool direct; /* flow: `target` is known */
  uint64_t target;
  struct access access;
  enum atomicity atomic;
  enum derivation derivation;
  int to,
      from; /* DERIVED_SUM: to = from + constant; DERIVED_CONSTANT: to = constant; DERIVED_THREAD: to = the kernel thread's memory */
  int64_t constant;
  int read[32], written[32]; /* registers of full width; the address's own are among those read */
  int reads, writes;
  int stored[4]; /* registers whose value goes to memory */
  int stores;
  uint64_t relative; /* the address that an operand names by its distance from here (x86: rip); 0: none */
  bool forgets;      /* the result does not depend on what is read (xor of a register with itself) */
  int adjusted; /* this address register is moved on by `adjustment` in the same instruction; NO_REGISTER: none */
  int64_t adjustment;
};

void machine_effect(const struct image *image, const cs_insn *cs, struct effect *out);
void x86_effect(csh capstone, const cs_insn *cs, struct effect *out);
void arm64_effect(csh capstone, const cs_insn *cs, struct effect *out);
/* The text of an atomic instruction that capstone does not know; to be freed. NULL: it is none. */
char *arm64_atomic_text(const uint8_t *bytes, size_t size);
/* In a stub of the procedure linkage table: the slot that it jumps by; 0: not known (yet). *page: 0 at first. */
uint64_t machine_stub_slot(const struct image *image, const cs_insn *cs, uint64_t *page);

/* The roles that registers have at a call. */
struct convention {
  int stack, frame;
  const int *arguments, *clobbered;
  int argument_count, clobbered_count;
};
const struct convention *machine_convention(const struct image *image);
extern const struct convention x86_convention, arm64_convention;

bool effect_jumps(const struct effect *e);
/* The name of what an instruction calls or jumps to, and, if it is in the file, its symbol; else NULL each. */
const char *image_callee(const struct image *image, const struct effect *e, const struct symbol **own);

/* ---- What a function of the program's calls in turn ----------------------------------------------------------------- */

/* The first call that may park, and that may block, which a function comes to by calls whose targets are known; the names of what
 * is called and who calls it, or NULL. */
struct reach {
  const char *parks, *parks_by, *blocks, *blocks_by;
};

void reach_find(const struct image *image, const struct symbol *function, struct reach *out);

/* ---- The listing ---------------------------------------------------------------------------------------------------- */

enum note_kind {
  NOTE_PARKS,
  NOTE_ENDS,
  NOTE_BLOCKS,
  NOTE_UNKNOWN, /* a call of what is not known here */
  NOTE_SPLIT,   /* a load, and later a store of what was made of it */
  NOTE_SHARED,  /* the same in one instruction */
  NOTE_ATOMIC,
  NOTE_KINDS,
};

extern const char *const note_names[NOTE_KINDS];

enum { NOWHERE = -1 };

struct note {
  enum note_kind kind;
  char *text;
  long other; /* index of the instruction that it goes together with, or NOWHERE */
  struct note *next;
};

struct line {
  uint64_t address;
  uint8_t size;
  const uint8_t *bytes;
  cs_insn *cs; /* NULL: no instruction */
  struct effect effect;
  char *text;               /* as an assembler reads it, with names */
  const char *callee;       /* what it calls or jumps away to; NULL: nothing, or not known */
  const struct symbol *own; /* the callee, if it is in the file */
  int label;                /* 0: none */
  bool leader;              /* a basic block begins */
  int part;
  struct place place;
  struct note *notes;
};

struct listing {
  const struct image *image;
  struct function function;
  struct line *lines;
  size_t count;
  size_t notes[NOTE_KINDS];
  const char *file;      /* of the function; NULL: not known */
  const char *directory; /* that its name starts from, if it is relative */
  int line;
};

/* 0, or STATUS_FAILED after a message. */
int listing_decode(struct listing *listing);
void listing_free(struct listing *listing);
/* The index of the instruction at that address, or NOWHERE. */
long listing_at(const struct listing *listing, uint64_t address);
/* NAME, NAME+N, or NULL: to be freed. */
char *listing_place_name(const struct listing *listing, uint64_t address);
uint64_t listing_offset(const struct listing *listing, size_t i);
void listing_note(struct listing *listing, size_t i, enum note_kind kind, long other, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

void note_calls(struct listing *listing);
void note_memory(struct listing *listing);

void print_text(const struct listing *listing, FILE *to, bool with_source);
int print_json(const struct listing *listing, FILE *to);
/* What is known of calls. */
int print_calls(FILE *to, bool json);

/* ---- Small things ------------------------------------------------------------------------------------------------------ */

/* Memory, or the end of the program with a message. */
void *need_memory(void *memory);
char *format_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
