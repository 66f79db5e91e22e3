/* Starting another program: a child that shares this process's memory until its exec, on a stack of its own, while the caller is
 * suspended (clone with CLONE_VM and CLONE_VFORK, as posix_spawn does). So the size of this process costs nothing, no function of
 * pthread_atfork runs, and an error comes back by memory.
 *
 * The child has a table of descriptors and one of actions for signals of its own, and the caller's thread-locals. All signals are
 * blocked from before the clone on, those of libc too: a handler would run in both. Each is given its default action before any is
 * unblocked.
 *
 * PR_SET_PDEATHSIG means the death of the kernel thread that has made the child. That is a launcher, which ends with the
 * process only. If the process ended before the call, the parent is another one by then, and the child ends itself. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <os/descriptors.h>
#include <os/ignore.h>
#include <os/quietly.h>
#include <process/record.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { SIGNALS = 64, DESCRIPTORS_MOST = 1 << 20 };

/* The child is on a stack that AddressSanitizer knows nothing of. */
#define ON_A_BARE_STACK __attribute__((no_sanitize("address", "undefined"), noinline))

ON_A_BARE_STACK static void mask_signals(uint64_t mask, uint64_t *before) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, before, sizeof mask);
}

ON_A_BARE_STACK static void default_actions(void) {
  for (int signo = 1; signo <= SIGNALS; signo++) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    thrumi_os_set_action(signo, &action);
  }
}

/* Where there is no close_range (before 5.9), one by one. */
ON_A_BARE_STACK static void close_between(unsigned first, unsigned last) {
  if (syscall(SYS_close_range, first, last, 0) == 0) return;
  long most = sysconf(_SC_OPEN_MAX);
  if (most < 0 || most > DESCRIPTORS_MOST) most = DESCRIPTORS_MOST;
  for (unsigned fd = first; fd <= last && fd < (unsigned)most; fd++) close((int)fd);
}

/* Of those that are to stay, the lowest from `from` on; -1: none. */
ON_A_BARE_STACK static int next_kept(const struct thrumi_launch *l, int from) {
  int next = -1;
  for (size_t i = 0; i < l->count; i++)
    if (l->to[i] >= from && (next < 0 || l->to[i] < next)) next = l->to[i];
  return next;
}

ON_A_BARE_STACK static void close_others(const struct thrumi_launch *l) {
  int from = 0;
  for (int kept; (kept = next_kept(l, from)) >= 0; from = kept + 1)
    if (kept > from) close_between((unsigned)from, (unsigned)kept - 1);
  close_between((unsigned)from, ~0u);
}

ON_A_BARE_STACK static bool is_place(const struct thrumi_launch *l, int fd) { return next_kept(l, fd) == fd; }

/* Whether another one is to have its number. */
ON_A_BARE_STACK static bool is_in_the_way(const struct thrumi_launch *l, int fd) {
  for (size_t i = 0; i < l->count; i++)
    if (l->to[i] == fd && l->from[i] != fd) return true;
  return false;
}

/* To a number that nobody is to have. */
ON_A_BARE_STACK static int move_away(const struct thrumi_launch *l, int fd) {
  for (int beyond = STDERR_FILENO + 1, moved;; beyond = moved + 1) {
    if ((moved = fcntl(fd, F_DUPFD_CLOEXEC, beyond)) < 0) return -*thrum_errno();
    if (!is_place(l, moved)) return moved;
    close(moved);
  }
}

ON_A_BARE_STACK static int place_one(int from, int to) {
  int done = from == to ? fcntl(to, F_SETFD, 0) : dup2(from, to);
  return done < 0 ? -*thrum_errno() : 0;
}

/* First what is in the way of others, and that alone: there may be no number free beyond. Then each to its place. */
ON_A_BARE_STACK static int place_descriptors(const struct thrumi_launch *l) {
  int moved[THRUM_PROCESS_DESCRIPTORS_MAX + 3];
  for (size_t i = 0; i < l->count; i++) {
    bool moves = l->from[i] != l->to[i] && is_in_the_way(l, l->from[i]);
    if ((moved[i] = moves ? move_away(l, l->from[i]) : l->from[i]) < 0) return moved[i];
  }
  for (size_t i = 0; i < l->count; i++) {
    int error = place_one(moved[i], l->to[i]);
    if (error) return error;
  }
  close_others(l);
  return 0;
}

/* The directory comes behind the descriptors, as the exec does: it may take long as well, and others' are not held open meanwhile. It comes before the
 * exec, so a command by a relative path is one there. */
ON_A_BARE_STACK static int prepare(const struct thrumi_launch *l) {
  default_actions();
  if (l->dies_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -*thrum_errno();
    if (getppid() != l->parent) return -ECHILD;
  }
  if (l->affinity && sched_setaffinity(0, l->affinity_size, l->affinity) != 0) return -*thrum_errno();
  int error = place_descriptors(l);
  if (error) return error;
  return l->directory && chdir(l->directory) != 0 ? -*thrum_errno() : 0;
}

/* Both return why not. */
ON_A_BARE_STACK static int execute(const char *path, const char *const *argv, const struct thrumi_launch *l) {
  char *const *environment = l->environment ? (char *const *)(uintptr_t)l->environment : environ;
  execve(path, (char *const *)(uintptr_t)argv, environment);
  return -*thrum_errno();
}

ON_A_BARE_STACK static int execute_command(const char *path, const struct thrumi_launch *l) {
  int error = execute(path, l->argv, l);
  if (error != -ENOEXEC) return error;
  l->script[1] = path;
  return execute(l->script[0], l->script, l);
}

/* Whether there may be one of that name at the next place. */
ON_A_BARE_STACK static bool goes_on(int error) {
  return error == -ENOENT || error == -ENOTDIR || error == -EACCES || error == -ESTALE || error == -ENODEV ||
         error == -ETIMEDOUT;
}

/* In this process's PATH, as execvp does, which would put the shell's arguments on this stack. */
ON_A_BARE_STACK static int look_up(const struct thrumi_launch *l) {
  const char *name = l->argv[0], *at = getenv("PATH"), *end;
  char path[PATH_MAX];
  size_t size = strlen(name) + 1;
  int error = -ENOENT, denied = 0;
  if (size == 1) return error;
  if (strchr(name, '/')) return execute_command(name, l);
  if (!at) at = "/bin:/usr/bin";
  for (;; at = end + 1) {
    end = strchrnul(at, ':');
    size_t n = (size_t)(end - at);
    if (n + 1 + size <= sizeof path) {
      memcpy(path, at, n);
      if (n) path[n++] = '/';
      memcpy(path + n, name, size);
      error = execute_command(path, l);
      if (!goes_on(error)) return error;
      if (error == -EACCES) denied = error;
    }
    if (!*end) return denied ? denied : error;
  }
}

ON_A_BARE_STACK static int child(void *arg) {
  struct thrumi_launch *l = arg;
  l->error = prepare(l);
  if (!l->error) {
    mask_signals(0, NULL);
    l->error = l->path ? execute(l->path, l->argv, l) : look_up(l);
  }
  syscall(SYS_exit_group, 127);
  return 127;
}

/* libtsan has a clone of its own, which takes the child for one with a memory of its own, and marks this process's as forked. */
#if THRUMI_TSAN
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

/* On a launcher. 0, or a negative errno: nobody is left. */
int thrumi_launch(struct thrumi_launch *l, char *stack, size_t stack_size) {
  uint64_t before;
  int pidfd = -1;
  l->parent = getpid();
  mask_signals(~UINT64_C(0), &before);
  int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
  long pid = QUIETLY(clone(child, stack + stack_size, flags, l, &pidfd));
  mask_signals(before, NULL);
  if (pid < 0) return (int)pid;
  l->pid = (pid_t)pid;
  l->pidfd = thrumi_os_beyond_standard(pidfd);
  int error = l->error ? l->error : l->pidfd < 0 ? l->pidfd : 0;
  if (!error) return 0;
  if (!l->error) kill(l->pid, SIGKILL); /* it is not reaped yet: the number is its */
  while (waitpid(l->pid, NULL, 0) < 0 && *thrum_errno() == EINTR) continue;
  if (l->pidfd >= 0) close(l->pidfd);
  return error;
}
