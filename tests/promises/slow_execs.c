/* An exec that takes long, as of a program that lies on another machine, holds up nobody else: others are started, what they write is
 * kept, who ends is reaped, and what the starter closes is closed; and there are no more kernel threads for it than are needed. Here the kernel waits in the midst of it for a page of an argument, which this program gives it when it likes. */
#include "processes.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SLOW = 4, MUCH = 1000000 };

/* -1: not allowed here, or the kernel has none. */
static int open_faults(void) {
  struct uffdio_api api = {.api = UFFD_API};
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -1;
  CHECK_EQ(ioctl(fd, UFFDIO_API, &api), 0);
  return fd;
}

/* Pages that whoever reads waits for. */
static char *missing_pages(int faults, size_t size) {
  void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(at != MAP_FAILED);
  struct uffdio_register r = {.range = {(uintptr_t)at, size}, .mode = UFFDIO_REGISTER_MODE_MISSING};
  CHECK_EQ(ioctl(faults, UFFDIO_REGISTER, &r), 0);
  return (char *)at;
}

/* How many have come to a missing page, so far. */
static int count_faults(int faults) {
  static int n;
  struct uffd_msg message;
  while (read(faults, &message, sizeof message) == sizeof message) n++;
  return n;
}

/* Kernel threads that make children. */
static int count_launchers(void) {
  char path[300], name[32];
  int n = 0;
  DIR *tasks = opendir("/proc/self/task");
  CHECK(tasks);
  for (struct dirent *entry; (entry = readdir(tasks));) {
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
    FILE *file = fopen(path, "r");
    if (!file) continue;
    n += fgets(name, sizeof name, file) && strcmp(name, "thrum-launcher\n") == 0;
    fclose(file);
  }
  closedir(tasks);
  return n;
}

static thrum_process *must_exec(const thrum_process_options *o, const char *script, const char *argument) {
  const char *const argv[] = {"sh", "-c", script, argument, NULL};
  thrum_process *p = NULL;
  CHECK_EQ(thrum_process_exec(&p, o, argv), 0);
  return p;
}

static intptr_t exec_slowly(void *page) {
  must_end_with(must_exec(NULL, "exit 0", (const char *)page), 0);
  return 0;
}

/* Its directory's name is what takes long; and it is "" then. */
static intptr_t change_directory_slowly(void *page) {
  static const char *const yes[] = {"true", NULL};
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *p = NULL;
  o.directory = (const char *)page;
  CHECK_EQ(thrum_process_exec(&p, &o, yes), -ENOENT);
  return 0;
}

/* It was opened before any of them began. */
static void what_is_closed_has_ended(int pipe[2]) {
  char byte;
  CHECK_EQ(thrum_close(pipe[1]), 0);
  CHECK_EQ(thrum_read_for(pipe[0], &byte, 1, THRUM_S(TESTS_HANG_S)), 0);
  CHECK_EQ(thrum_close(pipe[0]), 0);
}

static void say_go(thrum_process *p) {
  int to = thrum_process_pipe(p, 0);
  CHECK_EQ(thrum_write(to, "\n", 1), 1);
  CHECK_EQ(thrum_close(to), 0);
}

/* It writes more than a pipe holds, so somebody must read. */
static void output_is_kept(thrum_process *p) {
  const void *data;
  size_t size;
  int code = -1000;
  say_go(p);
  CHECK_EQ(thrum_process_join_for(p, &code, THRUM_S(TESTS_HANG_S)), 0);
  CHECK_EQ(code, 0);
  CHECK_EQ(thrum_process_output(p, 1, &data, &size), 0);
  CHECK_EQ(size, MUCH);
  thrum_process_release(p);
}

static void who_ends_is_reaped(thrum_process *p) {
  pid_t pid = thrum_process_pid(p);
  say_go(p);
  AWAIT(state_of(pid, NULL) == ' ');
  must_end_with(p, 0);
}

THRUM_TASK(nothing) { return (void)in, (void)size, (void)out, 0; }

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  int faults = open_faults();
  if (faults < 0) CHECK_SKIP("no userfaultfd for this user");
  char *pages = missing_pages(faults, SLOW * page);
  thrum_thread slow[SLOW];
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.input = THRUM_STDIO_PIPE;
  thrum_process *ends = must_exec(&o, "read go", NULL);
  o.output = THRUM_STDIO_CAPTURE;
  thrum_process *writes = must_exec(&o, "read go; head -c 1000000 /dev/zero", NULL);
  CHECK_EQ(count_launchers(), 1); /* one after the other */
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  for (size_t i = 0; i < SLOW; i++)
    slow[i] = must_spawn(i ? exec_slowly : change_directory_slowly, pages + i * page);
  AWAIT(count_faults(faults) == SLOW); /* all in the midst of it */
  what_is_closed_has_ended(fds);
  output_is_kept(writes);
  who_ends_is_reaped(ends);
  must_end_with(must_exec(NULL, "exit 3", NULL), 3);
  must_end_with(must_start(THRUM_SPAWN, &nothing, NULL, 0), 0);
  must_end_with(must_start(THRUM_FORKSERVER, &nothing, NULL, 0), 0);
  for (int i = 0; i < SLOW; i++) CHECK_EQ(thrum_join_for(slow[i], NULL, 0), -ETIMEDOUT);
  struct uffdio_zeropage zeros = {.range = {(uintptr_t)pages, SLOW * page}};
  CHECK_EQ(ioctl(faults, UFFDIO_ZEROPAGE, &zeros), 0);
  for (int i = 0; i < SLOW; i++) CHECK_EQ(must_join(slow[i]), 0);
  CHECK_EQ(count_launchers(), SLOW + 1); /* as many as were needed at once */
  close(faults);
  return 0;
}
