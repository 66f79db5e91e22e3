/* Walks a stack by libunwind, which reads the tables that the compiler left about each call site.
 *
 * What a stack holds may be garbage, and the tables then send libunwind to any address. Local unwinding would read
 * there; it knows whether memory can be read at all, but not where the stack ends. So this is remote unwinding, as a
 * debugger does it, of the own process: libunwind gets every word by asking, and it gets the words of the stack
 * within its bounds, of the tables and of the code of loaded objects, and the registers of the context. */
#define _GNU_SOURCE 1
#include <dump/dump.h>

#include <dlfcn.h>
#include <libunwind.h>
#include <link.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct range {
  uintptr_t low, high;
};

struct walk {
  const ucontext_t *context;
  struct range stack;  /* the part that is in use; high 0: unknown */
  struct range tables; /* of the object last looked up */
};

static bool holds(struct range range, uintptr_t address, size_t bytes) {
  return address >= range.low && address < range.high && range.high - address >= bytes;
}

/* ---- Loaded objects ----------------------------------------------------------------------------------- */

struct object {
  uintptr_t address;   /* is in `code` */
  struct range code;   /* a segment */
  struct range tables; /* the segment that holds the unwind tables */
  uintptr_t header;    /* of the tables: .eh_frame_hdr; 0: none */
};

static struct range segment_of(const struct dl_phdr_info *info, uintptr_t address, uint32_t flags) {
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
    struct range range = {info->dlpi_addr + segment->p_vaddr,
                          info->dlpi_addr + segment->p_vaddr + segment->p_memsz};
    if (segment->p_type == PT_LOAD && (segment->p_flags & flags) == flags && holds(range, address, 1))
      return range;
  }
  return (struct range){0, 0};
}

static int match_object(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)size;
  struct object *object = argument;
  object->code = segment_of(info, object->address, PF_R | PF_X);
  if (object->code.high == 0) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
      object->header = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
  if (object->header) object->tables = segment_of(info, object->header, PF_R);
  return 1;
}

/* Finds the object in whose code the address lies. glibc has had a way without a lock since 2.35; with the other, a
 * walk waits for a thread that is loading an object, and for ever for one that was stopped in that to be walked. */
static bool find_object(uintptr_t address, struct object *out) {
  *out = (struct object){.address = address};
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
  struct dl_find_object found;
  if (_dl_find_object((void *)address, &found) < 0) return false;
  const ElfW(Ehdr) *file = found.dlfo_map_start;
  if (memcmp(file->e_ident, ELFMAG, SELFMAG) != 0) return false;
  struct dl_phdr_info info = {
      .dlpi_addr = found.dlfo_link_map->l_addr,
      .dlpi_phdr = (const ElfW(Phdr) *)((uintptr_t)file + file->e_phoff),
      .dlpi_phnum = file->e_phnum,
  };
  return match_object(&info, sizeof info, out) != 0;
#else
  return dl_iterate_phdr(match_object, out) != 0;
#endif
}

/* ---- What libunwind asks for ------------------------------------------------------------------------ */

/* The sanitizers know frames, not the words between them. */
__attribute__((no_sanitize_address, no_sanitize_thread)) static int load(uintptr_t address,
                                                                         unw_word_t *value) {
  *value = *(const volatile unw_word_t *)address;
  return 0;
}

/* Through the kernel, so that memory that is not there is an answer and not a fault. */
static int load_anywhere(uintptr_t address, unw_word_t *value) {
  struct iovec to = {value, sizeof *value}, from = {(void *)address, sizeof *value};
  return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof *value ? 0 : -UNW_EINVAL;
}

/* Code and tables are asked for by aligned words, of which the last may go beyond a segment, but not beyond its page.
 */
static int read_word(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write,
                     void *argument) {
  (void)space;
  const struct walk *walk = argument;
  struct object object;
  if (write) return -UNW_EINVAL;
  if (holds(walk->stack, address, sizeof *value)) return load(address, value);
  if (address % sizeof *value == 0 && holds(walk->tables, address, 1)) return load(address, value);
  if (walk->stack.high == 0 || find_object(address, &object)) return load_anywhere(address, value);
  return -UNW_EINVAL;
}

#if defined(__x86_64__)
static const greg_t *find_register(const mcontext_t *m, unw_regnum_t number) {
  static const unsigned char places[] = {
      [UNW_X86_64_RAX] = REG_RAX, [UNW_X86_64_RDX] = REG_RDX, [UNW_X86_64_RCX] = REG_RCX,
      [UNW_X86_64_RBX] = REG_RBX, [UNW_X86_64_RSI] = REG_RSI, [UNW_X86_64_RDI] = REG_RDI,
      [UNW_X86_64_RBP] = REG_RBP, [UNW_X86_64_RSP] = REG_RSP, [UNW_X86_64_R8] = REG_R8,
      [UNW_X86_64_R9] = REG_R9,   [UNW_X86_64_R10] = REG_R10, [UNW_X86_64_R11] = REG_R11,
      [UNW_X86_64_R12] = REG_R12, [UNW_X86_64_R13] = REG_R13, [UNW_X86_64_R14] = REG_R14,
      [UNW_X86_64_R15] = REG_R15, [UNW_X86_64_RIP] = REG_RIP,
  };
  return number >= 0 && number <= UNW_X86_64_RIP ? &m->gregs[places[number]] : NULL;
}
#else
static const unsigned long long *find_register(const mcontext_t *m, unw_regnum_t number) {
  if (number == UNW_AARCH64_SP) return &m->sp;
  if (number == UNW_AARCH64_PC) return &m->pc;
  return number >= UNW_AARCH64_X0 && number <= UNW_AARCH64_X30 ? &m->regs[number - UNW_AARCH64_X0] : NULL;
}
#endif

static int read_register(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write,
                         void *argument) {
  (void)space;
  const struct walk *walk = argument;
  if (write || !find_register(&walk->context->uc_mcontext, number)) return -UNW_EBADREG;
  *value = (unw_word_t)*find_register(&walk->context->uc_mcontext, number);
  return 0;
}

/* The index of the tables: offsets of code and of its entry, sorted, 32 bits each, from the header on. */
struct header {
  uint8_t version, pointer_encoding, count_encoding, index_encoding;
  int32_t pointer;
  uint32_t count;
};
enum { UDATA4 = 0x03, SDATA4_FROM_HEADER = 0x3b, ENTRY_SIZE = 8 };

/* Of libunwind, exported for debuggers, in no header. */
#define search_tables UNW_OBJ(dwarf_search_unwind_table)
int search_tables(unw_addr_space_t, unw_word_t, unw_dyn_info_t *, unw_proc_info_t *, int, void *);

static int find_tables(unw_addr_space_t space, unw_word_t pc, unw_proc_info_t *out, int with_rules,
                       void *argument) {
  struct walk *walk = argument;
  struct object object;
  struct header header;
  if (!find_object(pc, &object) || !holds(object.tables, object.header, sizeof header)) return -UNW_ENOINFO;
  memcpy(&header, (const void *)object.header, sizeof header);
  if (header.version != 1 || header.count_encoding != UDATA4 || header.index_encoding != SDATA4_FROM_HEADER)
    return -UNW_ENOINFO;
  walk->tables = object.tables;
  unw_dyn_info_t info = {
      .start_ip = object.code.low, .end_ip = object.code.high, .format = UNW_INFO_FORMAT_REMOTE_TABLE};
  info.u.rti.segbase = object.header;
  info.u.rti.table_data = object.header + sizeof header;
  info.u.rti.table_len = (unw_word_t)header.count * ENTRY_SIZE / sizeof(unw_word_t);
  return search_tables(space, pc, &info, out, with_rules, argument);
}

/* libunwind frees what search_tables allocated. */
static void put_tables(unw_addr_space_t space, unw_proc_info_t *info, void *argument) {
  (void)space;
  (void)info;
  (void)argument;
}

static int no_code_made_at_run_time(unw_addr_space_t space, unw_word_t *list, void *argument) {
  (void)space;
  (void)list;
  (void)argument;
  return -UNW_ENOINFO;
}

static int no_vector_register(unw_addr_space_t space, unw_regnum_t number, unw_fpreg_t *value, int write,
                              void *argument) {
  (void)space;
  (void)number;
  (void)value;
  (void)write;
  (void)argument;
  return -UNW_EBADREG;
}

static unw_accessors_t accessors = {
    .find_proc_info = find_tables,
    .put_unwind_info = put_tables,
    .get_dyn_info_list_addr = no_code_made_at_run_time,
    .access_mem = read_word,
    .access_reg = read_register,
    .access_fpreg = no_vector_register,
};

/* Without libunwind's cache, which has a lock and would outlive objects that are unloaded. */
static unw_addr_space_t space;

__attribute__((constructor)) static void create_space(void) {
  space = unw_create_addr_space(&accessors, 0);
  if (space) unw_set_caching_policy(space, UNW_CACHE_NONE);
}

/* ---- The walk ------------------------------------------------------------------------------------------- */

static uintptr_t get(unw_cursor_t *cursor, unw_regnum_t number) {
  unw_word_t value = 0;
  return unw_get_reg(cursor, number, &value) == 0 ? value : 0;
}

/* Callers are above; only a leaf that never touched sp has its caller's. */
static bool step(unw_cursor_t *cursor, struct range stack) {
  uintptr_t sp = get(cursor, UNW_REG_SP);
  if (unw_step(cursor) <= 0) return false;
  uintptr_t above = get(cursor, UNW_REG_SP);
  return get(cursor, UNW_REG_IP) != 0 && (stack.high == 0 || (above >= sp && above <= stack.high));
}

/* libunwind takes the first pc as that of the instruction to look up, not as a return address. That is right for
 * an interrupted thread, and for a parked one too: where its switch returns to, the same rule holds. */
size_t thrumi_dump_walk(const ucontext_t *context, uintptr_t stack_low, uintptr_t stack_high, uintptr_t *pcs,
                        size_t max) {
  struct walk walk = {.context = context, .stack = {stack_low, stack_high}};
  unw_cursor_t cursor;
  if (max == 0 || !space || unw_init_remote(&cursor, space, &walk) < 0) return 0;
  uintptr_t sp = get(&cursor, UNW_REG_SP);
  if (sp > walk.stack.low) walk.stack.low = sp; /* nothing below sp is in use */
  size_t n = 0;
  do pcs[n++] = get(&cursor, UNW_REG_IP);
  while (n < max && step(&cursor, walk.stack));
  return n;
}
