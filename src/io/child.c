/* Ends of child processes: a pidfd is waited for, and waitpid says the rest, without waiting.
 *
 * A number names one process for as long as nobody has reaped it. So: the pidfd is opened, then waitpid asked. If that says
 * that there is such a child, and that it runs, then it is the child that was asked for, or one that has got the number of
 * one that another thread reaped; who reaps behind the back of who waits cannot be helped.
 *
 * Where the kernel has no pidfd (before 5.3), a filter of system calls does not know it, or no descriptor is to be had, waitpid
 * is asked again and again (backoff.h). So it is when a pidfd says that a child has ended and waitpid does not: a debugger
 * that traces it has not reaped it yet. */
#include <io/attempt.h>
#include <io/backoff.h>
#include <io/process.h>
#include <os/os.h>
#include <poll.h>
#include <thrum/io/file.h>
#include <thrum/io/signal.h>

pid_t thrumi_child_reap(pid_t child, int *status) {
  int there = 0;
  pid_t result;
  while ((result = thrumi_os.reap(child, &there)) == -EINTR) continue;
  if (result > 0 && status) *status = there;
  return result;
}

static int wait_for_end(int fd, thrum_time deadline) {
  struct pollfd end = {.fd = fd, .events = POLLIN};
  return thrum_poll_for(&end, 1, thrum_left(deadline));
}

static pid_t wait_and_reap(pid_t child, int *status, thrum_time deadline) {
  struct thrumi_backoff backoff = {0};
  int fd = thrumi_os.process_open(child), error = 0;
  bool in_vain = fd < 0; /* the descriptor says no more */
  pid_t result;
  while ((result = thrumi_child_reap(child, status)) == 0) {
    error = in_vain ? thrumi_back_off(&backoff, deadline) : wait_for_end(fd, deadline);
    if (error < 0) break;
    in_vain = true;
  }
  if (fd >= 0) thrum_close(fd);
  return result ? result : error;
}

pid_t thrum_child_wait_for(pid_t child, int *status, thrum_duration timeout) {
  if (child <= 0) return -EINVAL;
  int error = thrumi_cancelled();
  if (error) return error;
  pid_t result = thrumi_child_reap(child, status);
  if (result != 0) return result;
  return timeout <= 0 ? -ETIMEDOUT : wait_and_reap(child, status, thrum_after(timeout));
}

pid_t thrum_child_wait(pid_t child, int *status) {
  return thrum_child_wait_for(child, status, THRUM_FOREVER);
}
