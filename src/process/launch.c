/* Starting another program: a child that shares this process's memory until its exec, on a stack of its own, while the caller is
 * suspended (clone with CLONE_VM and CLONE_VFORK, as posix_spawn does). So the size of this process costs nothing, no function of
 * pthread_atfork runs, and an error comes back by memory.
 *
 * The child has a table of descriptors and one of actions for signals of its own, and the caller's thread-locals. All signals are
 * blocked from before the clone on, those of libc too: a handler would run in both. Each is given its default action before any is
 * unblocked.
 *
 * PR_SET_PDEATHSIG means the death of the kernel thread that has made the child. That is the warden, which ends with the
 * process only. If the process ended before the call, the parent is another one by then, and the child ends itself. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/descriptors.h>
#include <os/ignore.h>
#include <os/quietly.h>
#include <process/record.h>
#include <sched.h>
#include <stdlib.h>
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

/* First all out of the way of all, then each to its place. */
ON_A_BARE_STACK static int place_descriptors(const struct thrumi_launch *l) {
  int beyond = 0, moved[THRUM_PROCESS_DESCRIPTORS_MAX + 3];
  for (size_t i = 0; i < l->count; i++)
    if (l->to[i] >= beyond) beyond = l->to[i] + 1;
  for (size_t i = 0; i < l->count; i++)
    if ((moved[i] = fcntl(l->from[i], F_DUPFD_CLOEXEC, beyond)) < 0) return -*thrum_errno();
  for (size_t i = 0; i < l->count; i++)
    if (dup2(moved[i], l->to[i]) < 0) return -*thrum_errno();
  close_others(l);
  return 0;
}

ON_A_BARE_STACK static int prepare(const struct thrumi_launch *l) {
  default_actions();
  if (l->dies_with_parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -*thrum_errno();
    if (getppid() != l->parent) return -ECHILD;
  }
  if (l->directory && chdir(l->directory) != 0) return -*thrum_errno();
  if (l->affinity && sched_setaffinity(0, l->affinity_size, l->affinity) != 0) return -*thrum_errno();
  return place_descriptors(l);
}

/* execvpe looks the command up in this process's PATH. */
ON_A_BARE_STACK static int child(void *arg) {
  struct thrumi_launch *l = arg;
  l->error = prepare(l);
  if (!l->error) {
    char *const *argv = (char *const *)(uintptr_t)l->argv;
    char *const *environment = l->environment ? (char *const *)(uintptr_t)l->environment : environ;
    mask_signals(0, NULL);
    if (l->path)
      execve(l->path, argv, environment);
    else
      execvpe(argv[0], argv, environment);
    l->error = -*thrum_errno();
  }
  syscall(SYS_exit_group, 127);
  return 127;
}

/* libtsan has a clone of its own, which takes the child for one with a memory of its own, and marks this process's as forked. */
#if THRUMI_TSAN
int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

/* On the warden. 0, or a negative errno: nobody is left. */
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
