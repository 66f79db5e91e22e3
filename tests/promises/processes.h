/* What the tests of processes share. */
#ifndef TESTS_PROCESSES_H
#define TESTS_PROCESSES_H

#include "../descriptors.h"
#include "../forked.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

/* ThreadSanitizer does not bear threads in the child of a fork with threads. */
enum { METHOD_FIRST = THRUM_FORKSERVER, METHOD_LAST = TESTS_TSAN ? THRUM_SPAWN : THRUM_FORK };

static inline thrum_process_options with_method(int method) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.method = method;
  return o;
}

static inline thrum_process *must_start_with(const thrum_process_options *o, const thrum_task *task,
                                             const void *in, size_t size) {
  thrum_process *p = NULL;
  CHECK_EQ(thrum_process_start(&p, o, task, in, size), 0);
  CHECK(p);
  return p;
}

static inline thrum_process *must_start(int method, const thrum_task *task, const void *in, size_t size) {
  thrum_process_options o = with_method(method);
  return must_start_with(&o, task, in, size);
}

/* Since Linux 6.15, with its pidfd: before, nobody may know how one has ended that was killed when its fork server had been, too. */
static inline bool kernel_keeps_ends(void) {
  struct utsname kernel;
  int major = 0, minor = 0;
  CHECK_EQ(uname(&kernel), 0);
  CHECK_EQ(sscanf(kernel.release, "%d.%d", &major, &minor), 2);
  return major > 6 || (major == 6 && minor >= 15);
}

/* Its exit code; the handle stays. */
static inline int must_end(thrum_process *p) {
  int code = -1000;
  CHECK_EQ(thrum_process_join(p, &code), 0);
  return code;
}

/* Joins it, wants `code`, and releases it. */
static inline void must_end_with(thrum_process *p, int code) {
  CHECK_EQ(must_end(p), code);
  thrum_process_release(p);
}

/* ---- What /proc says ------------------------------------------------------------------------------------------------- */

/* The state of a process and its parent; ' ': there is none. */
static inline char state_of(pid_t pid, pid_t *parent) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *file = fopen(path, "r");
  if (!file) return ' ';
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  const char *end = strrchr(text, ')'); /* the name before it may hold anything */
  int number = 0;
  if (!end || sscanf(end + 2, "%*c %d", &number) != 1) return ' ';
  if (parent) *parent = (pid_t)number;
  return end[2];
}

/* How many children a process has, and (zombies_only) how many of them are zombies. */
static inline int count_children(pid_t of, bool zombies_only) {
  int n = 0;
  DIR *proc = opendir("/proc");
  CHECK(proc);
  for (struct dirent *entry; (entry = readdir(proc));) {
    pid_t parent = 0, pid = (pid_t)atoi(entry->d_name);
    char state = pid > 0 ? state_of(pid, &parent) : ' ';
    if (state != ' ' && parent == of) n += !zombies_only || state == 'Z';
  }
  closedir(proc);
  return n;
}

#endif
