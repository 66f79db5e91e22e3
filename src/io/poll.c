/* thrum_poll and thrum_close. */
#define _GNU_SOURCE
#include <io/attempt.h>
#include <io/process.h>
#include <poll.h>
#include <sched/await.h>
#include <sched/self.h>
#include <thrum/io/file.h>
#include <thrum/time.h>

enum { FEW = 8 }; /* so many waits are kept on the stack */

int thrumi_fd_poll(int fd, uint32_t events) {
  struct pollfd asked = {.fd = fd, .events = (short)events};
  int n;
  do n = thrumi_os.poll(&asked, 1);
  while (n == -EINTR);
  if (n < 0) return n;
  return asked.revents & POLLNVAL ? -EBADF : asked.revents;
}

/* What poll(2) reports unasked is waited for in any case. */
static uint32_t wanted(const struct pollfd *p) {
  return (uint32_t)p->events & (POLLIN | POLLPRI | POLLRDHUP | POLLOUT);
}

enum { SAME_AS_IN = POLLRDNORM, SAME_AS_OUT = POLLWRNORM, UNASKED = POLLERR | POLLHUP | POLLNVAL };

/* What is not waited for must not be asked for either: it would be told if it were there, and never if it came. */
static bool can_wait(const struct pollfd *p) {
  int others = p->events & ~(POLLIN | POLLPRI | POLLRDHUP | POLLOUT | UNASKED);
  if (p->events & POLLIN) others &= ~SAME_AS_IN;
  if (p->events & POLLOUT) others &= ~SAME_AS_OUT;
  return p->fd < 0 || !others;
}

static bool can_wait_for_all(const struct pollfd *fds, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!can_wait(&fds[i])) return false;
  return true;
}

/* How many are enlisted: all that have a number and wait, or *error. What never waits says for ever what it said before. */
static size_t enlist(struct thrumi_fd_wait *waits, const struct pollfd *fds, size_t count, int *error) {
  size_t n = 0;
  for (size_t i = 0; i < count && !*error; i++) {
    if (fds[i].fd < 0) continue;
    waits[n].thread = waits[0].thread;
    waits[n].ticket = waits[0].ticket;
    *error = thrumi_fd_enlist(&waits[n], fds[i].fd, wanted(&fds[i]));
    n += !*error;
    if (*error == -EPERM) *error = 0;
  }
  return n;
}

static void withdraw(struct thrumi_fd_wait *waits, size_t n, int *error) {
  for (size_t i = 0; i < n; i++) {
    thrumi_fd_withdraw(&waits[i]);
    if (waits[i].result) *error = waits[i].result;
  }
}

/* 0: look again. Inside. */
static int wait_inside(struct thrumi_fd_wait *waits, const struct pollfd *fds, size_t count,
                       int64_t deadline) {
  struct thrumi_thread *me = thrumi_self()->current;
  enum thrumi_wait_state outcome = THRUMI_WOKEN;
  int error = 0;
  waits[0].thread = me;
  waits[0].ticket = thrumi_arm(me, "descriptors", NULL, THRUMI_CANCELLABLE);
  size_t n = enlist(waits, fds, count, &error);
  if (!error || !thrumi_disarm(me, waits[0].ticket, &outcome))
    outcome = error ? outcome : thrumi_park(me, waits[0].ticket, deadline);
  withdraw(waits, n, &error);
  return error ? error : thrumi_wait_error(outcome);
}

static int look(struct pollfd *fds, size_t count) {
  int n;
  do n = thrumi_os.poll(fds, count);
  while (n == -EINTR);
  return n;
}

static int start(const struct pollfd *fds, size_t count) {
  int error = 0;
  for (size_t i = 0; i < count && !error; i++)
    if (fds[i].fd >= 0) error = thrumi_fd_start(fds[i].fd);
  return error;
}

static int wait_for_any(struct thrumi_fd_wait *waits, struct pollfd *fds, size_t count, int64_t deadline) {
  int n = start(fds, count);
  while (n == 0) {
    thrumi_enter();
    n = wait_inside(waits, fds, count, deadline);
    thrumi_leave(thrumi_self());
    if (n == 0) n = look(fds, count);
  }
  return n;
}

int thrum_poll_for(struct pollfd *fds, size_t count, thrum_duration timeout) {
  int n = thrumi_cancelled();
  if (n == 0 && !can_wait_for_all(fds, count)) n = -EINVAL;
  if (n == 0) n = look(fds, count);
  if (n != 0) return n;
  if (timeout <= 0) return thrumi_poll_failed();
  int64_t deadline = thrum_after(timeout);
  struct thrumi_fd_wait few[FEW];
  if (count <= FEW) return wait_for_any(few, fds, count, deadline);
  struct thrumi_fd_wait *many = thrumi_os.allocate(count * sizeof *many);
  if (!many) return -ENOMEM;
  n = wait_for_any(many, fds, count, deadline);
  thrumi_os.free(many);
  return n;
}

int thrum_poll(struct pollfd *fds, size_t count) { return thrum_poll_for(fds, count, THRUM_FOREVER); }

int thrum_close(int fd) { return thrumi_is_signal_counter(fd) ? -EBADF : thrumi_descriptor_close(fd); }
