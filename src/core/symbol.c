/* dladdr knows the functions that an object exports. The others are in .symtab, which is not loaded, so the
 * object's file is opened. It is read and not mapped: a read says how much there was, so that a file that
 * lies or shrinks under us gives no name where a mapping would give a fault. It counts as the object's if it
 * has the same program headers: it may have been replaced since it was loaded.
 *
 * Dumps ask for the same names again and again, so found ones are kept. */
#define _GNU_SOURCE
#include <core/sanitize.h>
#include <core/symbol.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEPT = 64, KEPT_NAME = 64, BATCH = 64 };

typedef ElfW(Ehdr) header;
typedef ElfW(Shdr) section;
typedef ElfW(Sym) symbol;

/* ---- The file ------------------------------------------------------------------------------------------ */

static bool read_at(int file, uint64_t offset, void *to, size_t size) {
  return offset <= INT64_MAX && pread(file, to, size, (off_t)offset) == (ssize_t)size;
}

static bool read_header(int file, header *out) {
  const unsigned char class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
  return read_at(file, 0, out, sizeof *out) && memcmp(out->e_ident, ELFMAG, SELFMAG) == 0 &&
         out->e_ident[EI_CLASS] == class && out->e_ident[EI_DATA] == ELFDATA2LSB &&
         out->e_phentsize == sizeof(ElfW(Phdr)) && out->e_shentsize == sizeof(section);
}

static bool read_section(int file, const header *h, uint32_t index, section *out) {
  return index < h->e_shnum && read_at(file, h->e_shoff + (uint64_t)index * sizeof *out, out, sizeof *out);
}

static bool find_table(int file, section *symbols, section *strings) {
  header h;
  if (!read_header(file, &h)) return false;
  for (uint32_t i = 0; read_section(file, &h, i, symbols); i++)
    if (symbols->sh_type == SHT_SYMTAB)
      return symbols->sh_entsize == sizeof(symbol) && read_section(file, &h, symbols->sh_link, strings) &&
             strings->sh_type == SHT_STRTAB;
  return false;
}

static bool read_name(int file, const section *strings, uint64_t at, char *buffer, size_t size) {
  if (at >= strings->sh_size || strings->sh_offset + at > INT64_MAX) return false;
  uint64_t rest = strings->sh_size - at;
  ssize_t n = pread(file, buffer, rest < size - 1 ? rest : size - 1, (off_t)(strings->sh_offset + at));
  if (n <= 0 || !*buffer) return false;
  buffer[n] = 0;
  return true;
}

static bool is_function_at(const symbol *s, uint64_t value) {
  return (s->st_info & 0xf) == STT_FUNC && s->st_shndx != SHN_UNDEF && s->st_value == value;
}

static bool is_variable_around(const symbol *s, uint64_t value) {
  return (s->st_info & 0xf) == STT_OBJECT && s->st_shndx != SHN_UNDEF && value - s->st_value < s->st_size;
}

typedef bool is_wanted(const symbol *, uint64_t);

/* The name of the first symbol that is wanted; *at is its value. */
static bool find_in_file(int file, uint64_t value, is_wanted *wanted, char *buffer, size_t size,
                         uint64_t *at) {
  section symbols, strings;
  symbol batch[BATCH];
  if (!find_table(file, &symbols, &strings)) return false;
  uint64_t left = symbols.sh_size / sizeof(symbol), offset = symbols.sh_offset;
  while (left) {
    size_t n = left < BATCH ? left : BATCH;
    if (!read_at(file, offset, batch, n * sizeof *batch)) return false;
    for (size_t i = 0; i < n; i++) {
      *at = batch[i].st_value;
      if (wanted(&batch[i], value) && read_name(file, &strings, batch[i].st_name, buffer, size)) return true;
    }
    offset += n * sizeof *batch;
    left -= n;
  }
  return false;
}

bool thrumi_symbol_in_file(int file, uint64_t value, char *buffer, size_t size) {
  uint64_t at;
  return find_in_file(file, value, is_function_at, buffer, size, &at);
}

static bool variable_in_file(int file, uint64_t value, char *buffer, size_t size) {
  uint64_t at;
  if (!find_in_file(file, value, is_variable_around, buffer, size, &at)) return false;
  size_t length = strlen(buffer);
  if (value != at) snprintf(buffer + length, size - length, "+0x%llx", (unsigned long long)(value - at));
  return true;
}

/* ---- What is kept -------------------------------------------------------------------------------------- */

/* Whoever finds it busy goes without it: it may be a thread that is preempted, or the one that runs this very
 * code, in a handler. An entry is good while no object has been unloaded since. */
static struct {
  atomic_flag busy;
  struct kept {
    uintptr_t function;
    unsigned long long unloaded;
    char name[KEPT_NAME];
  } of[KEPT];
} cache = {.busy = ATOMIC_FLAG_INIT};

static struct kept *kept_for(uintptr_t function) { return &cache.of[function / 16 % KEPT]; }

static bool take_cache(void) {
  if (atomic_flag_test_and_set(&cache.busy)) return false;
  thrumi_rely_on(&cache);
  return true;
}

static void give_cache(void) {
  thrumi_announce(&cache);
  atomic_flag_clear(&cache.busy);
}

static bool recall(uintptr_t function, unsigned long long unloaded, char *buffer, size_t size) {
  if (!take_cache()) return false;
  const struct kept *kept = kept_for(function);
  bool known = kept->function == function && kept->unloaded == unloaded;
  if (known) snprintf(buffer, size, "%s", kept->name);
  give_cache();
  return known;
}

static void keep(uintptr_t function, unsigned long long unloaded, const char *name) {
  if (strlen(name) >= KEPT_NAME || !take_cache()) return;
  struct kept *kept = kept_for(function);
  kept->function = function;
  kept->unloaded = unloaded;
  strcpy(kept->name, name);
  give_cache();
}

/* ---- The object ---------------------------------------------------------------------------------------- */

struct search {
  uintptr_t address;
  bool data; /* a variable is looked for, else a function */
  char *buffer;
  size_t size;
  bool not_first;
  bool recalled;
  int file; /* of the object that holds the address; -1: not found, or unreadable */
  uintptr_t bias;
  unsigned long long unloaded;
};

static bool holds(const struct dl_phdr_info *info, uintptr_t address, bool data) {
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    bool right = p->p_type == PT_LOAD && !(p->p_flags & PF_X) == data;
    if (right && address - info->dlpi_addr - p->p_vaddr < p->p_memsz) return true;
  }
  return false;
}

static bool is_file_of(const struct dl_phdr_info *info, int file) {
  header h;
  struct stat status;
  if (fstat(file, &status) || !S_ISREG(status.st_mode)) return false;
  if (!read_header(file, &h) || h.e_phnum != info->dlpi_phnum) return false;
  for (size_t i = 0; i < h.e_phnum; i++) {
    ElfW(Phdr) p;
    if (!read_at(file, h.e_phoff + i * sizeof p, &p, sizeof p) ||
        memcmp(&p, &info->dlpi_phdr[i], sizeof p) != 0)
      return false;
  }
  return true;
}

/* The program comes first and, unlike the others, may go by no name or by one that is no path. Not blocking:
 * the path may lead to anything by now. */
static int open_file_of(const struct dl_phdr_info *info, bool program) {
  const char *path = program ? "/proc/self/exe" : info->dlpi_name;
  if (!path || !strchr(path, '/')) return -1; /* the vDSO has no file */
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (file < 0 || is_file_of(info, file)) return file;
  close(file);
  return -1;
}

/* The headers and the path are good only in here. */
static int visit(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  struct search *search = arg;
  bool program = !search->not_first;
  search->not_first = true;
  if (!holds(info, search->address, search->data)) return 0;
  search->bias = info->dlpi_addr;
  search->unloaded = info->dlpi_subs;
  search->recalled = recall(search->address, search->unloaded, search->buffer, search->size);
  if (!search->recalled) search->file = open_file_of(info, program);
  return 1;
}

static bool exported_name(uintptr_t function, char *buffer, size_t size) {
  Dl_info info;
  if (!dladdr((void *)function, &info) || !info.dli_sname || info.dli_saddr != (void *)function) return false;
  snprintf(buffer, size, "%s", info.dli_sname);
  return true;
}

static bool name_in_object(struct search *search) {
  dl_iterate_phdr(visit, search);
  if (search->recalled) return true;
  if (search->file < 0) return false;
  uint64_t value = search->address - search->bias;
  bool found = (search->data ? variable_in_file : thrumi_symbol_in_file)(search->file, value, search->buffer,
                                                                         search->size);
  close(search->file);
  bool whole = found && strlen(search->buffer) < search->size - 1;
  if (whole) keep(search->address, search->unloaded, search->buffer);
  return found;
}

bool thrumi_symbol_name(uintptr_t function, char *buffer, size_t size) {
  struct search search = {.address = function, .buffer = buffer, .size = size, .file = -1};
  return exported_name(function, buffer, size) || name_in_object(&search);
}

bool thrumi_symbol_of_data(uintptr_t address, char *buffer, size_t size) {
  struct search search = {.address = address, .data = true, .buffer = buffer, .size = size, .file = -1};
  return name_in_object(&search);
}
