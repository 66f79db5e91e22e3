/* Names addresses by elfutils: functions from the symbol tables, static ones included, lines and inlined functions
 * from DWARF where a program has it.
 *
 * One session on this process stays open, since opening the debug information is what costs. It is brought up to
 * date when objects were loaded or unloaded since, and opened anew in the child of a fork. */
#define _GNU_SOURCE 1
#include <dump/dump.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under `lock`. A fork waits for it, so that the child never inherits it from a thread that it does not have. */
static struct {
  Dwfl *dwfl;
  pid_t pid;
  unsigned long long
      loads; /* of objects by the dynamic linker, when the session was last brought up to date */
} session;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void acquire(void) { pthread_mutex_lock(&lock); }
static void release(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void guard_forks(void) { pthread_atfork(acquire, release, release); }

/* ---- The session ------------------------------------------------------------------------------------- */

/* A dump must not wait for a network: where a debuginfod server is configured, only what is on this machine is looked
 * up, by build id. */
static int find_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base,
                          const char *file, const char *link, GElf_Word crc, char **found) {
  bool local_only = getenv("DEBUGINFOD_URLS") != NULL;
  return (local_only ? dwfl_build_id_find_debuginfo : dwfl_standard_find_debuginfo)(module, user, name, base,
                                                                                    file, link, crc, found);
}

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    .find_debuginfo = find_debuginfo,
};

static int count_loads(struct dl_phdr_info *info, size_t size, void *count) {
  (void)size;
  *(unsigned long long *)count = info->dlpi_adds + info->dlpi_subs;
  return 1;
}

static bool report_modules(void) {
  dwfl_report_begin(session.dwfl);
  int failed = dwfl_linux_proc_report(session.dwfl, getpid());
  return dwfl_report_end(session.dwfl, NULL, NULL) == 0 && !failed;
}

static Dwfl *open_session(void) {
  unsigned long long loads = 0;
  dl_iterate_phdr(count_loads, &loads);
  if (session.dwfl && session.pid == getpid() && session.loads == loads) return session.dwfl;
  if (session.pid != getpid() && session.dwfl) {
    dwfl_end(session.dwfl);
    session.dwfl = NULL;
  }
  if (!session.dwfl) session.dwfl = dwfl_begin(&callbacks);
  if (!session.dwfl || !report_modules()) return NULL;
  session.pid = getpid();
  session.loads = loads;
  return session.dwfl;
}

/* ---- Files ------------------------------------------------------------------------------------------- */

/* Build systems hand compilers paths such as /src/build/../main.c. Takes every "name/.." and "." out of an absolute
 * path, in place. */
static void simplify(char *path) {
  if (path[0] != '/') return;
  char *to = path;
  for (const char *from = path; *from;) {
    size_t length = 1 + strcspn(from + 1, "/"); /* "/name" */
    if (length == 3 && memcmp(from, "/..", 3) == 0) {
      while (to > path && *--to != '/') {
      }
    } else if (length > 1 && !(length == 2 && from[1] == '.')) {
      memmove(to, from, length);
      to += length;
    }
    from += length;
  }
  *to = '\0';
}

/* Relative paths are relative to the unit's directory, unless that is unknown or no place on a disk. Of a path that
 * is too long the end is kept: which file it is matters more than where. */
static void copy_path(char *out, size_t size, const char *directory, const char *file) {
  bool join = file[0] != '/' && directory && directory[0] == '/';
  char *whole = NULL;
  int length = asprintf(&whole, "%s%s%s", join ? directory : "", join ? "/" : "", file);
  if (length < 0) return;
  simplify(whole);
  size_t used = strlen(whole);
  if (used < size)
    memcpy(out, whole, used + 1);
  else
    snprintf(out, size, "...%s", whole + used - (size - 4));
  free(whole);
}

/* ---- DWARF --------------------------------------------------------------------------------------------- */

/* The unit that holds the address. Not every compiler writes the index from addresses to units. Where some units are in it
 * and others are not, it names the last one before the address: so who it names is asked, and if it is another one all
 * units are. */
static Dwarf_Die *find_unit(Dwfl_Module *module, Dwarf_Addr address, Dwarf_Addr *bias) {
  Dwarf_Die *unit = dwfl_module_addrdie(module, address, bias);
  if (unit && dwarf_haspc(unit, address - *bias) > 0) return unit;
  unit = NULL;
  while ((unit = dwfl_module_nextcu(module, unit, bias)))
    if (dwarf_haspc(unit, address - *bias) > 0) return unit;
  return NULL;
}

static void find_line(Dwarf_Die *unit, Dwarf_Addr address, struct thrumi_frame *out) {
  Dwarf_Line *line = dwarf_getsrc_die(unit, address);
  const char *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
  if (!file) return;
  Dwarf_Attribute directory;
  copy_path(out->file, sizeof out->file, dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &directory)),
            file);
  dwarf_lineno(line, &out->line);
}

/* The inline paths of thrum's public headers stand for the calls that they look like in the program's source. */
static bool is_inline_path(Dwarf_Die *scope) {
  const char *name = dwarf_tag(scope) == DW_TAG_inlined_subroutine ? dwarf_diename(scope) : NULL;
  return name && (strncmp(name, "thrum_", 6) == 0 || strncmp(name, "thrumi_", 7) == 0);
}

/* The scope of the outermost of them around the address, -1: none. */
static int find_inline_path(Dwarf_Die *scopes, int count) {
  int found = -1;
  for (int i = 0; i < count; i++) {
    if (is_inline_path(&scopes[i])) found = i;
    bool passes = found == i || dwarf_tag(&scopes[i]) == DW_TAG_lexical_block;
    if (!passes) break;
  }
  return found;
}

static void find_call(Dwarf_Die *unit, Dwarf_Die *inlined, struct thrumi_frame *out) {
  Dwarf_Attribute attribute;
  Dwarf_Word file = 0, line = 0;
  Dwarf_Files *files = NULL;
  size_t count = 0;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line) != 0) return;
  if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file) != 0) return;
  if (dwarf_getsrcfiles(unit, &files, &count) != 0 || file >= count) return;
  const char *path = dwarf_filesrc(files, file, NULL, NULL);
  if (!path) return;
  const char *directory = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
  copy_path(out->file, sizeof out->file, directory, path);
  out->line = (int)line;
}

/* The line is that of the innermost inlined function; the stack frame is that of the function around all. */
static void name_scopes(Dwarf_Die *scopes, int count, struct thrumi_frame *out) {
  const char *inlined = NULL, *around = NULL;
  for (int i = 0; i < count && !around; i++) {
    int tag = dwarf_tag(&scopes[i]);
    if (tag == DW_TAG_inlined_subroutine && !inlined) inlined = dwarf_diename(&scopes[i]);
    if (tag == DW_TAG_subprogram) around = dwarf_diename(&scopes[i]);
  }
  if (!around) return;
  if (inlined)
    snprintf(out->function, sizeof out->function, "%s, inlined in %s", inlined, around);
  else
    snprintf(out->function, sizeof out->function, "%s", around);
}

static void find_function(Dwarf_Die *unit, Dwarf_Addr address, struct thrumi_frame *out) {
  Dwarf_Die *innermost = NULL, *chain = NULL;
  if (dwarf_getscopes(unit, address, &innermost) > 0) {
    int count =
        dwarf_getscopes_die(innermost, &chain); /* outwards as the code nests, inlined functions too */
    int path = find_inline_path(chain, count);
    if (path >= 0) find_call(unit, &chain[path], out);
    name_scopes(chain + path + 1, count - path - 1, out);
  }
  free(chain);
  free(innermost);
}

/* ---- Naming ---------------------------------------------------------------------------------------------- */

static void name_by_symbol(Dwfl_Module *module, Dwarf_Addr address, struct thrumi_frame *out) {
  GElf_Sym symbol;
  GElf_Off offset;
  const char *name = dwfl_module_addrinfo(module, address, &offset, &symbol, NULL, NULL, NULL);
  if (name && (symbol.st_size == 0 || offset < symbol.st_size))
    snprintf(out->function, sizeof out->function, "%s", name);
}

static void name_module(Dwfl_Module *module, Dwarf_Addr address, struct thrumi_frame *out) {
  const char *file = NULL;
  Dwarf_Addr start = 0, bias = 0;
  const char *name = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, &file, NULL);
  if (!file) file = name;
  if (!file) return;
  dwfl_module_getelf(module, &bias); /* what addr2line wants is the address in the file */
  snprintf(out->file, sizeof out->file, "%s+0x%llx", file, (unsigned long long)(address - bias));
}

static void describe_in(Dwfl_Module *module, Dwarf_Addr address, struct thrumi_frame *out) {
  Dwarf_Addr bias = 0;
  Dwarf_Die *unit = find_unit(module, address, &bias);
  if (unit) {
    find_function(unit, address - bias, out);
    if (!out->line) find_line(unit, address - bias, out);
  }
  if (!out->function[0]) name_by_symbol(module, address, out);
  if (!out->line) name_module(module, address, out);
}

void thrumi_dump_describe(uintptr_t pc, bool exact, struct thrumi_frame *out) {
  memset(out, 0, sizeof *out);
  out->pc = pc;
  Dwarf_Addr inside = exact ? pc : pc - 1;
  acquire();
  Dwfl *dwfl = open_session();
  Dwfl_Module *module = dwfl ? dwfl_addrmodule(dwfl, inside) : NULL;
  if (module) describe_in(module, inside, out);
  release();
}
