/* Names of functions by their address, and files of any contents. With an argument: this program was
 * stripped. */
#include "../check.h"

#include <core/symbol.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { SIZE = 64 };

__attribute__((noinline)) static int first_function(int x) { return x + 1; }
__attribute__((noinline)) static int second_function(int x) { return x * 3; }
int exported_function(int x);
__attribute__((noinline)) int exported_function(int x) { return x - 7; }
static int variable = 1;

static int (*volatile first)(int) = first_function; /* through memory: their addresses are taken for real */
static int (*volatile second)(int) = second_function;
static int (*volatile exported)(int) = exported_function;

static bool name_of(uintptr_t function, char *name) { return thrumi_symbol_name(function, name, SIZE); }

static void own_functions(void) {
  char name[SIZE];
  CHECK(name_of((uintptr_t)first, name));
  CHECK_STR(name, "first_function");
  CHECK(name_of((uintptr_t)exported, name));
  CHECK_STR(name, "exported_function");
  CHECK(name_of((uintptr_t)first, name));
  CHECK_STR(name, "first_function");
}

static void cut(void) {
  char name[6];
  CHECK(thrumi_symbol_name((uintptr_t)first, name, sizeof name));
  CHECK_STR(name, "first");
}

static void not_a_function(void) {
  char name[SIZE];
  CHECK(!name_of(0, name));
  CHECK(!name_of(UINTPTR_MAX, name));
  CHECK(!name_of((uintptr_t)first + 1, name));
  CHECK(!name_of((uintptr_t)&variable, name));
  CHECK(!name_of((uintptr_t)name, name));
}

/* With no descriptor to be had a name that was found before is still known, another one is not. */
static void kept_names(void) {
  char name[SIZE];
  struct rlimit former, none;
  CHECK(name_of((uintptr_t)first, name));
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &former), 0);
  none = former;
  none.rlim_cur = 0;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  CHECK(name_of((uintptr_t)first, name));
  CHECK_STR(name, "first_function");
  CHECK(!name_of((uintptr_t)second, name));
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &former), 0);
  CHECK(name_of((uintptr_t)second, name));
  CHECK_STR(name, "second_function");
}

/* No call leaves a descriptor behind: the lowest free one is the same as before. */
static int lowest_free(void) {
  int fd = open("/dev/null", O_RDONLY);
  CHECK(fd >= 0);
  close(fd);
  return fd;
}

/* ---- Files --------------------------------------------------------------------------------------------- */

static struct {
  unsigned char *bytes;
  size_t size;
  uint64_t value; /* of first_function */
  ElfW(Ehdr) header;
  uint64_t symbols; /* where the section header of .symtab is */
} own;

static int bias_of_program(struct dl_phdr_info *info, size_t size, void *bias) {
  (void)size;
  *(uintptr_t *)bias = info->dlpi_addr;
  return 1;
}

static void read_own_file(void) {
  int fd = open("/proc/self/exe", O_RDONLY);
  struct stat status;
  CHECK(fd >= 0 && fstat(fd, &status) == 0);
  own.size = (size_t)status.st_size;
  own.bytes = malloc(own.size);
  CHECK(own.bytes);
  for (size_t done = 0; done < own.size;) {
    ssize_t n = read(fd, own.bytes + done, own.size - done);
    CHECK(n > 0);
    done += (size_t)n;
  }
  close(fd);
  uintptr_t bias;
  CHECK_EQ(dl_iterate_phdr(bias_of_program, &bias), 1);
  own.value = (uintptr_t)first - bias;
  memcpy(&own.header, own.bytes, sizeof own.header);
  for (uint32_t i = 0; i < own.header.e_shnum; i++) {
    ElfW(Shdr) section;
    uint64_t at = own.header.e_shoff + i * sizeof section;
    memcpy(&section, own.bytes + at, sizeof section);
    if (section.sh_type == SHT_SYMTAB) own.symbols = at;
  }
}

static int copy_of_own_file(void) {
  int fd = memfd_create("copy", 0);
  if (fd < 0) CHECK_SKIP("no memfd_create");
  CHECK_EQ(pwrite(fd, own.bytes, own.size, 0), own.size);
  return fd;
}

/* Any answer is good that keeps within the buffer. */
static bool any_answer(int fd, uint64_t value) {
  char name[SIZE + 1];
  memset(name, '#', sizeof name);
  bool found = thrumi_symbol_in_file(fd, value, name, SIZE);
  CHECK_EQ(name[SIZE], '#');
  if (found) CHECK(memchr(name, 0, SIZE));
  return found;
}

static void shrinking_file(void) {
  int fd = copy_of_own_file();
  CHECK(any_answer(fd, own.value));
  for (size_t size = own.size; size > 4096; size -= size / 64) {
    CHECK_EQ(ftruncate(fd, (off_t)size), 0);
    any_answer(fd, own.value);
  }
  for (size_t size = 4096; size <= 4096; size--) {
    CHECK_EQ(ftruncate(fd, (off_t)size), 0);
    CHECK(!any_answer(fd, own.value)); /* no section header is left */
  }
  close(fd);
}

/* Every byte of a part is made each of a few values, by itself and with all that follow it. */
static void lying_part(int fd, uint64_t start, size_t length) {
  static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
  unsigned char part[256];
  CHECK(length <= sizeof part);
  for (size_t i = 0; i < length; i++) {
    for (size_t v = 0; v < sizeof values; v++) {
      memcpy(part, own.bytes + start, length);
      part[i] = values[v];
      CHECK_EQ(pwrite(fd, part, length, (off_t)start), length);
      any_answer(fd, own.value);
      memset(part + i, values[v], length - i);
      CHECK_EQ(pwrite(fd, part, length, (off_t)start), length);
      any_answer(fd, own.value);
    }
  }
  CHECK_EQ(pwrite(fd, own.bytes + start, length, (off_t)start), length);
}

static void lying_file(void) {
  CHECK(own.symbols);
  ElfW(Shdr) symbols;
  memcpy(&symbols, own.bytes + own.symbols, sizeof symbols);
  int fd = copy_of_own_file();
  lying_part(fd, 0, sizeof own.header);
  lying_part(fd, own.symbols, sizeof symbols);
  lying_part(fd, own.header.e_shoff + symbols.sh_link * sizeof symbols, sizeof symbols);
  for (uint64_t i = 0; i < symbols.sh_size / sizeof(ElfW(Sym)); i++) {
    ElfW(Sym) symbol;
    uint64_t at = symbols.sh_offset + i * sizeof symbol;
    memcpy(&symbol, own.bytes + at, sizeof symbol);
    if (symbol.st_value == own.value) lying_part(fd, at, sizeof symbol);
  }
  CHECK(any_answer(fd, own.value)); /* all is as it was */
  close(fd);
}

static void no_file(void) {
  char name[SIZE];
  int pipes[2], folder = open("/", O_RDONLY | O_DIRECTORY);
  CHECK_EQ(pipe(pipes), 0);
  CHECK(!thrumi_symbol_in_file(-1, own.value, name, SIZE));
  CHECK(!thrumi_symbol_in_file(pipes[0], own.value, name, SIZE));
  CHECK(!thrumi_symbol_in_file(folder, own.value, name, SIZE));
  close(pipes[0]);
  close(pipes[1]);
  close(folder);
}

int main(int argc, char **argv) {
  (void)argv;
  char name[SIZE];
  if (argc > 1) {
    CHECK(!name_of((uintptr_t)first, name));
    return 0;
  }
  int before = lowest_free();
  own_functions();
  cut();
  not_a_function();
  kept_names();
  read_own_file();
  shrinking_file();
  lying_file();
  no_file();
  CHECK_EQ(lowest_free(), before);
  free(own.bytes);
  return 0;
}
