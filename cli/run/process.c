/* Child processes: see process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const int interrupts[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};
enum { INTERRUPTS = sizeof interrupts / sizeof *interrupts };

static sigset_t taken, before; /* the signals that we take one by one; the mask that children get */

int process_is_interrupt(int signal) {
  for (int i = 0; i < INTERRUPTS; i++)
    if (interrupts[i] == signal) return 1;
  return 0;
}

void process_begin(void) {
  signal(SIGCHLD, SIG_DFL); /* who ignores it is told of no child */
  sigemptyset(&taken);
  sigaddset(&taken, SIGCHLD);
  for (int i = 0; i < INTERRUPTS; i++) {
    struct sigaction now;
    sigaction(interrupts[i], NULL, &now);
    if (now.sa_handler != SIG_IGN) sigaddset(&taken, interrupts[i]);
  }
  sigset_t blocked = taken;
  sigaddset(&blocked, SIGPIPE);
  sigprocmask(SIG_BLOCK, &blocked, &before);
}

/* A signal that asks us to end and is pending already; 0: none. */
static int pending(void) {
  const struct timespec no_time = {0};
  int signal;
  while ((signal = sigtimedwait(&taken, NULL, &no_time)) == SIGCHLD) continue;
  return signal > 0 ? signal : 0;
}

static void redirect(posix_spawn_file_actions_t *actions, int fd, const char *path) {
  int flags = fd == STDIN_FILENO ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;
  if (path) posix_spawn_file_actions_addopen(actions, fd, path, flags, 0600);
}

static int start(pid_t *pid, char *const argv[], const struct process_streams *streams) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &before);
  redirect(&actions, STDIN_FILENO, streams->in);
  redirect(&actions, STDOUT_FILENO, streams->out);
  redirect(&actions, STDERR_FILENO, streams->err);
  int error = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

static int await(pid_t pid, enum process_kind kind) {
  int status = 0, stopped_by = 0;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    siginfo_t info;
    int signal = sigwaitinfo(&taken, &info);
    if (signal <= 0 || signal == SIGCHLD) continue;
    if (kind == PROCESS_TOOL) {
      stopped_by = signal;
      kill(pid, SIGTERM);
    } else if (info.si_code <= 0) { /* from a process */
      kill(pid, signal);
    }
  }
  return stopped_by ? stopped_by : status;
}

int process_run(char *const argv[], const struct process_streams *streams, enum process_kind kind,
                int *status) {
  pid_t pid;
  int signal = pending();
  if (signal) {
    *status = signal; /* killed by it, in waitpid's words */
    return 0;
  }
  int error = start(&pid, argv, streams);
  if (error) return -error;
  *status = await(pid, kind);
  return 0;
}

int process_do(int (*work)(void *), void *arg, int *status) {
  int signal = pending();
  if (signal) {
    *status = signal;
    return 0;
  }
  fflush(NULL);
  pid_t pid = fork();
  if (pid < 0) return -errno;
  if (pid == 0) {
    sigprocmask(SIG_SETMASK, &before, NULL);
    int result = work(arg);
    fflush(NULL);
    _exit(result);
  }
  *status = await(pid, PROCESS_TOOL);
  return 0;
}

void process_die(int signal) {
  const struct rlimit none = {0};
  sigset_t only;
  setrlimit(RLIMIT_CORE, &none);
  struct sigaction by_default = {.sa_handler = SIG_DFL};
  sigaction(signal, &by_default, NULL);
  sigemptyset(&only);
  sigaddset(&only, signal);
  raise(signal);
  sigprocmask(SIG_UNBLOCK, &only, NULL);
  _exit(128 + signal); /* not one that ends a process */
}
