/* gdb is given the script by a descriptor, so that it need not be installed, or found. */
#include "core.h"
#include "../command.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const char gdb_script[] = {
#include "gdb_script.h"
};

/* 0, or STATUS_FAILED after a message. */
static int check_type(const char *path, const char *what, unsigned type, unsigned other) {
  Elf64_Ehdr h;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail("%s: %m", path);
  ssize_t n = read(fd, &h, sizeof h);
  close(fd);
  if (n != (ssize_t)sizeof h || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
      (h.e_type != type && h.e_type != other))
    return fail("%s: this is no %s", path, what);
  return 0;
}

/* A descriptor that a child inherits. */
static int open_script(void) {
  int fd = memfd_create("thrum.py", 0);
  if (fd < 0) return -1;
  if (write(fd, gdb_script, sizeof gdb_script) == (ssize_t)sizeof gdb_script) return fd;
  close(fd);
  return -1;
}

static void become_gdb(int script, const char *core, const char *program) {
  char load[128];
  snprintf(load, sizeof load, "python exec(open('/proc/self/fd/%d').read())", script);
  execlp("gdb", "gdb", "-q", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-iex",
         "set print thread-events off", "-ex", load, "-ex", "thrum bt all", program, core, (char *)NULL);
  _exit(errno == ENOENT ? 127 : 126);
}

int print_core(const char *core, const char *program) {
  if (check_type(core, "core file", ET_CORE, ET_CORE) != 0) return STATUS_FAILED;
  if (check_type(program, "program", ET_DYN, ET_EXEC) != 0) return STATUS_FAILED;
  int script = open_script(), status;
  if (script < 0) return fail("no memory for the script of gdb: %m");
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) become_gdb(script, core, program);
  close(script);
  if (pid < 0 || waitpid(pid, &status, 0) < 0) return fail("gdb cannot be started: %m");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return fail("there is no gdb here, which reads core files (Debian: apt install gdb)");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return STATUS_OK;
  return fail("%s: gdb could not list the threads; it has said why", core);
}
