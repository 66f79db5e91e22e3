/* A program's file: symbols, what the loader fills in, bytes. */
#include "../command.h"
#include "dis.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Symbols ------------------------------------------------------------------------------------------------------ */

/* Names are printed on terminals: those with control characters are none. */
static bool printable(const char *name) {
  if (!*name) return false;
  for (; *name; name++)
    if ((unsigned char)*name < 0x21 || *name == 0x7f) return false;
  return true;
}

static void add_symbol(struct image *image, const GElf_Sym *sym, const char *name, const char *file) {
  if (image->symbol_count == image->symbol_room) {
    image->symbol_room = image->symbol_room ? 2 * image->symbol_room : 1024;
    image->symbols = need_memory(realloc(image->symbols, image->symbol_room * sizeof *image->symbols));
  }
  int type = GELF_ST_TYPE(sym->st_info);
  image->symbols[image->symbol_count++] = (struct symbol){
      .name = name,
      .file = GELF_ST_BIND(sym->st_info) == STB_LOCAL ? file : NULL,
      .address = sym->st_value,
      .size = sym->st_size,
      .function = type == STT_FUNC || type == STT_GNU_IFUNC,
      .local = GELF_ST_BIND(sym->st_info) == STB_LOCAL,
  };
}

static bool is_place(const GElf_Sym *sym) {
  int type = GELF_ST_TYPE(sym->st_info);
  return sym->st_shndx != SHN_UNDEF && sym->st_value != 0 &&
         (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

static void read_symbols(struct image *image, Elf_Scn *section, const GElf_Shdr *header) {
  Elf_Data *data = elf_getdata(section, NULL);
  if (!data || header->sh_entsize == 0) return;
  const char *file = NULL;
  for (size_t i = 0; i < data->d_size / header->sh_entsize; i++) {
    GElf_Sym sym;
    if (!gelf_getsym(data, (int)i, &sym)) break;
    const char *name = elf_strptr(image->elf, header->sh_link, sym.st_name);
    if (!name || !printable(name)) continue;
    if (GELF_ST_TYPE(sym.st_info) == STT_FILE)
      file = name;
    else if (is_place(&sym) && *name != '$') /* ARM's marks of code and data begin with '$' */
      add_symbol(image, &sym, name, file);
    if (strcmp(name, "__libc_start_main") == 0 && sym.st_shndx != SHN_UNDEF) image->has_libc = true;
  }
}

/* ---- What the loader fills in --------------------------------------------------------------------------------------- */

static void add_slot(struct image *image, uint64_t address, const char *name) {
  if (image->slot_count == image->slot_room) {
    image->slot_room = image->slot_room ? 2 * image->slot_room : 256;
    image->slots = need_memory(realloc(image->slots, image->slot_room * sizeof *image->slots));
  }
  image->slots[image->slot_count++] = (struct slot){address, name};
}

/* Slots that nobody but the loader writes to. Other pointers that it fills in are variables of the program. */
static bool holds_address(const struct image *image, uint64_t type) {
  if (image_is_arm(image)) return type == R_AARCH64_JUMP_SLOT || type == R_AARCH64_GLOB_DAT;
  return type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT;
}

static void read_relocations(struct image *image, Elf_Scn *section, const GElf_Shdr *header) {
  Elf_Data *data = elf_getdata(section, NULL);
  Elf_Scn *symbols = elf_getscn(image->elf, header->sh_link);
  GElf_Shdr symbols_header;
  if (!data || header->sh_entsize == 0 || !symbols || !gelf_getshdr(symbols, &symbols_header)) return;
  if (symbols_header.sh_type != SHT_DYNSYM) return;
  Elf_Data *table = elf_getdata(symbols, NULL);
  for (size_t i = 0; table && i < data->d_size / header->sh_entsize; i++) {
    GElf_Rela rela;
    GElf_Sym sym;
    if (!gelf_getrela(data, (int)i, &rela)) break;
    if (!holds_address(image, GELF_R_TYPE(rela.r_info))) continue;
    if (!gelf_getsym(table, (int)GELF_R_SYM(rela.r_info), &sym)) continue;
    const char *name = elf_strptr(image->elf, symbols_header.sh_link, sym.st_name);
    if (name && printable(name)) add_slot(image, rela.r_offset, name);
  }
}

/* ---- In order of addresses -------------------------------------------------------------------------------------------- */

/* Of several names for one address the one is shown that says most: that of a call which is known, without underscores. */
static int rank(const struct symbol *s) {
  return (s->function ? 0 : 8) + (call_find(s->name) ? 0 : 4) + (s->name[0] == '_' ? 2 : 0) + s->local;
}

static int by_address(const void *a, const void *b) {
  const struct symbol *x = a, *y = b;
  if (x->address != y->address) return x->address < y->address ? -1 : 1;
  int order = rank(x) - rank(y);
  return order ? order : strcmp(x->name, y->name);
}

static int slot_by_address(const void *a, const void *b) {
  const struct slot *x = a, *y = b;
  return x->address < y->address ? -1 : x->address > y->address;
}

static void read_sections(struct image *image) {
  Elf_Scn *section = NULL;
  while ((section = elf_nextscn(image->elf, section)) != NULL) {
    GElf_Shdr header;
    if (!gelf_getshdr(section, &header)) continue;
    if (header.sh_type == SHT_SYMTAB) image->has_symbols = true;
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) read_symbols(image, section, &header);
    if (header.sh_type == SHT_RELA) read_relocations(image, section, &header);
  }
  if (image->symbol_count) qsort(image->symbols, image->symbol_count, sizeof *image->symbols, by_address);
  if (image->slot_count) qsort(image->slots, image->slot_count, sizeof *image->slots, slot_by_address);
}

/* The first symbol behind that address. */
static size_t symbols_up_to(const struct image *image, uint64_t address) {
  size_t low = 0, high = image->symbol_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (image->symbols[middle].address <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/* Symbols without a size reach up to the next one. How far back one looks for one that reaches that far is bounded. */
const struct symbol *image_symbol(const struct image *image, uint64_t address, bool function) {
  size_t end = symbols_up_to(image, address);
  const struct symbol *best = NULL;
  for (size_t i = end, looked = 0; i-- > 0 && looked < 64; looked++) {
    const struct symbol *s = &image->symbols[i];
    if (best && s->address != best->address) break;
    bool reaches = s->address == address || (s->size > 0 && address - s->address < s->size);
    if (reaches && s->function == function) best = s;
  }
  return best;
}

const struct symbol *image_function(const struct image *image, const char *name) {
  for (size_t i = 0; i < image->symbol_count; i++)
    if (image->symbols[i].function && strcmp(image->symbols[i].name, name) == 0) return &image->symbols[i];
  return NULL;
}

const char *image_slot(const struct image *image, uint64_t address) {
  struct slot key = {address, NULL};
  const struct slot *found =
      image->slot_count ? bsearch(&key, image->slots, image->slot_count, sizeof key, slot_by_address) : NULL;
  return found ? found->name : NULL;
}

/* ---- Bytes ----------------------------------------------------------------------------------------------------------------- */

const uint8_t *image_bytes(const struct image *image, uint64_t address, size_t *size) {
  for (size_t i = 0; i < image->header.e_phnum; i++) {
    GElf_Phdr part;
    if (!gelf_getphdr(image->elf, (int)i, &part)) break;
    if (part.p_type != PT_LOAD || address < part.p_vaddr || address - part.p_vaddr >= part.p_filesz) continue;
    uint64_t within = address - part.p_vaddr;
    if (part.p_offset > image->raw_size || within >= image->raw_size - part.p_offset) continue;
    uint64_t in_file = image->raw_size - part.p_offset - within, in_part = part.p_filesz - within;
    *size = in_file < in_part ? in_file : in_part;
    return (const uint8_t *)image->raw + part.p_offset + within;
  }
  return NULL;
}

/* ---- Opening ------------------------------------------------------------------------------------------------------------- */

bool image_is_arm(const struct image *image) { return image->header.e_machine == EM_AARCH64; }

static const char *machine_name(int machine) {
  switch (machine) {
  case EM_386: return "32-bit x86";
  case EM_ARM: return "32-bit ARM";
  case EM_RISCV: return "RISC-V";
  case EM_PPC64: return "64-bit PowerPC";
  case EM_S390: return "S/390";
  case EM_MIPS: return "MIPS";
  default: return NULL;
  }
}

static int refuse_machine(const struct image *image) {
  char number[40];
  snprintf(number, sizeof number, "machine number %d", image->header.e_machine);
  const char *name = machine_name(image->header.e_machine);
  return fail("%s: it is for %s; thrum runs on x86-64 and aarch64, and their instructions are known here",
              image->path, name ? name : number);
}

static int check_header(struct image *image) {
  if (elf_kind(image->elf) == ELF_K_AR)
    return fail("%s: a library of object files; name a program that it is linked into", image->path);
  if (elf_kind(image->elf) != ELF_K_ELF || !gelf_getehdr(image->elf, &image->header))
    return fail("%s: not an ELF file; name a program or a shared object", image->path);
  bool known = image->header.e_machine == EM_X86_64 || image->header.e_machine == EM_AARCH64;
  if (!known || gelf_getclass(image->elf) != ELFCLASS64 || image->header.e_ident[EI_DATA] != ELFDATA2LSB)
    return refuse_machine(image);
  if (image->header.e_type == ET_REL)
    return fail("%s: an object file, whose calls have no targets yet; name a program that it is linked into",
                image->path);
  if (image->header.e_type != ET_EXEC && image->header.e_type != ET_DYN)
    return fail("%s: neither a program nor a shared object", image->path);
  image->raw = elf_rawfile(image->elf, &image->raw_size);
  return image->raw ? 0 : fail("%s: cannot be read: %s", image->path, elf_errmsg(-1));
}

/* All that its header speaks of: sections stand at the end of a file. */
static int check_whole(const struct image *image) {
  const GElf_Ehdr *h = &image->header;
  size_t sections = 0, parts = (size_t)h->e_phnum * h->e_phentsize;
  elf_getshdrnum(image->elf, &sections);
  if (!sections) sections = h->e_shnum;
  bool whole = h->e_shoff <= image->raw_size && h->e_phoff <= image->raw_size &&
               sections * h->e_shentsize <= image->raw_size - h->e_shoff &&
               parts <= image->raw_size - h->e_phoff;
  return whole ? 0
               : fail("%s: is cut off after %zu bytes: it is not the whole program", image->path,
                      image->raw_size);
}

/* Instructions are written in AT&T's manner, as gcc and objdump do; what they do is asked of another handle, since capstone 4
 * gives the accesses of operands in Intel's order. */
static int open_capstone(struct image *image) {
  bool arm = image_is_arm(image);
  cs_arch arch = arm ? CS_ARCH_ARM64 : CS_ARCH_X86;
  cs_mode mode = arm ? CS_MODE_LITTLE_ENDIAN : CS_MODE_64;
  cs_err error = cs_open(arch, mode, &image->detail);
  if (!error) error = cs_option(image->detail, CS_OPT_DETAIL, CS_OPT_ON);
  if (!error) error = cs_open(arch, mode, &image->text);
  if (!error && !arm) error = cs_option(image->text, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
  return error ? fail("%s: capstone cannot disassemble it: %s", image->path, cs_strerror(error)) : 0;
}

static int open_file(struct image *image) {
  struct stat status;
  image->fd = open(image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (image->fd < 0) return fail("%s: %m", image->path);
  if (fstat(image->fd, &status) != 0) return fail("%s: %m", image->path);
  if (!S_ISREG(status.st_mode)) return fail("%s: not a file; name a program or a shared object", image->path);
  if (elf_version(EV_CURRENT) == EV_NONE) return fail("libelf is too old");
  image->elf = elf_begin(image->fd, ELF_C_READ_MMAP, NULL);
  return image->elf ? 0 : fail("%s: cannot be read: %s", image->path, elf_errmsg(-1));
}

int image_open(struct image *image, const char *path) {
  *image = (struct image){.path = path, .fd = -1};
  int status = open_file(image);
  if (!status) status = check_header(image);
  if (!status) status = check_whole(image);
  if (!status) status = open_capstone(image);
  if (status) return image_close(image), status;
  read_sections(image);
  image->dwarf = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
  return 0;
}

void image_close(struct image *image) {
  if (image->dwarf) dwarf_end(image->dwarf);
  if (image->elf) elf_end(image->elf);
  if (image->fd >= 0) close(image->fd);
  if (image->detail) cs_close(&image->detail);
  if (image->text) cs_close(&image->text);
  free(image->symbols);
  free(image->slots);
}
