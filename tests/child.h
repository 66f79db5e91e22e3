/* Runs a case of this very program in a process of its own and takes down what it prints and how it ends.
 *
 *     static int all_asleep(void) { ... }                   // the body of the child's main
 *     static const struct child_case cases[] = {{"all-asleep", all_asleep}, {0}};
 *     int main(int argc, char **argv) {
 *       CHILD_CASES(argc, argv, cases);                     // in a child: runs the case, returns its result
 *       struct child child = child_run("all-asleep");
 *       CHECK_EQ(child.status, 86);
 *
 * A child that hangs is sent SIGQUIT, so that it prints its threads, and then SIGKILL, and the test fails
 * with all that it had printed. */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

enum { CHILD_TEXT_MAX = 2 << 20, CHILD_HANG_S = 120 };

struct child {
  pid_t pid;
  int in, out, err; /* our ends of its standard streams */
  int status;       /* the exit status; 1000 + n if signal n ended it */
  char *out_text;   /* what it printed, NUL-terminated */
  char *err_text;
  size_t out_size, err_size;
};

enum { CHILD_SIGNALLED = 1000 };

struct child_case {
  const char *name;
  int (*main)(void);
};

#define CHILD_CASES(argc, argv, cases) \
  do { \
    if ((argc) > 1) return child_main(argv[1], cases); \
  } while (0)

__attribute__((unused)) static int child_main(const char *name, const struct child_case *cases) {
  for (; cases->name; cases++)
    if (strcmp(cases->name, name) == 0) return cases->main();
  check_failed(__FILE__, __LINE__, "no case named %s", name);
}

static int64_t child_clock(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

/* In the new process: the streams, the setting, and this program again. */
__attribute__((noreturn)) static void child_exec(const char *name, const char *setting, int in, int out,
                                                 int err) {
  signal(SIGQUIT, SIG_DFL); /* a shell's background jobs inherit it ignored, and then thrum leaves it so */
  signal(SIGINT, SIG_DFL);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  if (setting) putenv((char *)(uintptr_t)setting);
  char *const arguments[] = {(char *)"/proc/self/exe", (char *)(uintptr_t)name, NULL};
  execv("/proc/self/exe", arguments);
  _exit(127);
}

/* Starts the case; `setting` is "NAME=value" for its environment, or NULL. */
__attribute__((unused)) static struct child child_start(const char *name, const char *setting) {
  struct child child;
  memset(&child, 0, sizeof child);
  int in[2], out[2], err[2];
  CHECK_EQ(pipe2(in, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(out, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(err, O_CLOEXEC), 0);
  child.pid = fork();
  CHECK(child.pid >= 0);
  if (child.pid == 0) child_exec(name, setting, in[0], out[1], err[1]);
  close(in[0]);
  close(out[1]);
  close(err[1]);
  child.in = in[1];
  child.out = out[0];
  child.err = err[0];
  child.out_text = (char *)calloc(1, CHILD_TEXT_MAX);
  child.err_text = (char *)calloc(1, CHILD_TEXT_MAX);
  CHECK(child.out_text && child.err_text);
  return child;
}

/* Reads what there is; false at the end of the stream. */
static bool child_take(int *fd, char *text, size_t *size) {
  char spill[4096];
  size_t room = CHILD_TEXT_MAX - 1 - *size;
  ssize_t n = read(*fd, room ? text + *size : spill, room ? room : sizeof spill);
  if (n <= 0) {
    close(*fd);
    *fd = -1;
    return false;
  }
  if (room) *size += (size_t)n;
  return true;
}

/* Reads both streams for at most so long; false when neither had anything or both have ended. */
static bool child_pump(struct child *child, int timeout_ms) {
  struct pollfd fds[] = {{child->out, POLLIN, 0}, {child->err, POLLIN, 0}};
  if (child->out < 0 && child->err < 0) return false;
  if (poll(fds, 2, timeout_ms) <= 0) return true;
  if (fds[0].revents) child_take(&child->out, child->out_text, &child->out_size);
  if (fds[1].revents) child_take(&child->err, child->err_text, &child->err_size);
  return true;
}

__attribute__((noreturn)) static void child_hangs(struct child *child, const char *what) {
  kill(child->pid, SIGQUIT);
  for (int64_t end = child_clock() + 3000; child_clock() < end && child_pump(child, 100);) continue;
  kill(child->pid, SIGKILL);
  check_failed(__FILE__, __LINE__, "child hangs: %s\n-- stdout:\n%.1000s\n-- stderr:\n%.2500s", what,
               child->out_text, child->err_text);
}

/* Waits until the child has printed the text to standard error (or output). */
__attribute__((unused)) static void child_await(struct child *child, const char *text) {
  int64_t end = child_clock() + CHILD_HANG_S * 1000;
  while (!strstr(child->err_text, text) && !strstr(child->out_text, text)) {
    if (child_clock() > end || !child_pump(child, 100)) child_hangs(child, text);
  }
}

/* A child that has ended does not read: its status tells why. */
__attribute__((unused)) static void child_say(struct child *child, const char *text) {
  signal(SIGPIPE, SIG_IGN);
  if (write(child->in, text, strlen(text)) < 0) return;
}

/* Waits for the end of the child. */
__attribute__((unused)) static void child_finish(struct child *child) {
  int64_t end = child_clock() + CHILD_HANG_S * 1000;
  while (child_pump(child, 100))
    if (child_clock() > end) child_hangs(child, "it does not end");
  int status;
  while (waitpid(child->pid, &status, WNOHANG) == 0) {
    if (child_clock() > end) child_hangs(child, "it has closed its streams and does not end");
    usleep(1000);
  }
  close(child->in);
  child->status = WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_SIGNALLED + WTERMSIG(status);
}

__attribute__((unused)) static struct child child_run_with(const char *name, const char *setting) {
  struct child child = child_start(name, setting);
  child_finish(&child);
  return child;
}

__attribute__((unused)) static struct child child_run(const char *name) { return child_run_with(name, NULL); }

/* The child ended with this status; otherwise all that it printed is shown. */
#define CHECK_STATUS(child, expected) child_check_status(__FILE__, __LINE__, &(child), expected)

__attribute__((unused)) static void child_check_status(const char *file, int line, const struct child *child,
                                                       int expected) {
  if (child->status == expected) return;
  check_failed(file, line, "status %d, expected %d\n-- stdout:\n%.1000s\n-- stderr:\n%.2500s", child->status,
               expected, child->out_text, child->err_text);
}

__attribute__((unused)) static void child_free(struct child *child) {
  free(child->out_text);
  free(child->err_text);
}

#endif
