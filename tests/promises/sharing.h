/* What tests of objects that processes share have in common: memory that they share, and children that are forked, and killed. */
#ifndef TESTS_SHARING_H
#define TESTS_SHARING_H

#include "../support.h"

#include <process/segment.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thrum/process/sync.h>

/* ThreadSanitizer does not let a forked child start threads. So with it there are no other processes: tests that have threads only go on with
 * those of one, and the rest is left out. */
enum { TESTS_FORK = !TESTS_TSAN };

/* Zeroed memory of a segment of its own. */
static inline void *share(size_t size) {
  struct thrumi_segment *segment;
  size_t bytes = (size + THRUMI_SEGMENT_GRAIN - 1) / THRUMI_SEGMENT_GRAIN * THRUMI_SEGMENT_GRAIN;
  CHECK_EQ(thrumi_segment_create(&segment, &(struct thrumi_segment_sizes){.size = bytes, .most = bytes}), 0);
  return thrumi_segment_data(segment);
}

/* fn(arg) in a process of its own, which ends with its result. */
static inline pid_t start_child(thrum_fn *fn, void *arg) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* none outlives a test that failed */
    _exit((int)fn(arg));
  }
  return pid;
}

static inline pid_t start_numbered(thrum_fn *fn, int i) { return start_child(fn, (void *)(intptr_t)i); }

/* Its status: the result, or -signal. */
static inline int end_of_child(pid_t pid) {
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline void kill_child(pid_t pid) {
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(end_of_child(pid), -SIGKILL);
}

/* Has the caller's process killed here, by itself. */
__attribute__((noreturn, unused)) static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

#endif
