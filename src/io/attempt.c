/* A call on a descriptor is tried first. Only if it would block does the thread wait, and then it tries again. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/attempt.h>
#include <poll.h>
#include <sched/await.h>
#include <sched/self.h>
#include <sys/stat.h>
#include <thrum/thread.h>
#include <thrum/time.h>
#include <unistd.h>

int thrumi_cancelled(void) {
  struct thrumi_kthread *k = thrumi_enter();
  bool cancelled = thrumi_is_cancelled(k->current);
  thrumi_leave(k);
  return cancelled ? -ECANCELED : 0;
}

/* Epoll does not take it (-EPERM), though its call would block: then it is one that is asked by poll. */
static int wait_or_ask(struct thrumi_descriptor *d, enum thrumi_direction direction, uint32_t seen,
                       int64_t deadline) {
  int error = thrumi_descriptor_wait(d, direction, seen, deadline);
  if (error != -EPERM || thrumi_descriptor_kind(d) == THRUMI_FD_SLOW) return error;
  thrumi_descriptor_set_kind(d, THRUMI_FD_SLOW);
  return 0;
}

static ssize_t attempt(int fd, struct thrumi_descriptor *d, enum thrumi_direction direction,
                       thrumi_try_fn *try, void *arg, thrum_duration timeout) {
  int64_t deadline = 0;
  for (;;) {
    uint32_t seen = thrumi_descriptor_events(d, direction);
    ssize_t n = try(fd, d, arg);
    if (n == -EINTR) continue;
    if (n != -EAGAIN) return n;
    if (timeout <= 0) return thrumi_poll_failed();
    if (!deadline) deadline = thrum_after(timeout);
    int error = wait_or_ask(d, direction, seen, deadline);
    if (error) return error;
  }
}

ssize_t thrumi_attempt(int fd, enum thrumi_direction direction, thrumi_try_fn *try, void *arg,
                       thrum_duration timeout) {
  struct thrumi_descriptor *d;
  int error = thrumi_cancelled();
  if (!error) error = thrumi_descriptor_begin(fd, &d);
  if (error) return error;
  ssize_t n = attempt(fd, d, direction, try, arg, timeout);
  thrumi_descriptor_end(d);
  return n;
}

/* ---- Calls that may block ------------------------------------------------------------------------------------------- */

/* 1 or 0; -EBADF: nothing is open there. */
static int blocking_mode(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -errno : !(flags & O_NONBLOCK);
}

bool thrumi_in_blocking_mode(int fd) { return blocking_mode(fd) > 0; }

/* libtsan knows by dup alone that who reads from a duplicate sees what was done before the write. The standard ones are the
 * program's. */
static int duplicate(int fd) { return THRUMI_TSAN ? dup(fd) : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1); }

/* The number may become another file's in the pause; a duplicate does not. (Without one to be had that is left to luck.) */
ssize_t thrumi_call_paused(int fd, struct thrumi_descriptor *d, ssize_t (*call)(int fd, void *arg),
                           void *arg) {
  int own = duplicate(fd);
  uint32_t paused = thrumi_descriptor_pause(d);
  ssize_t n = call(own >= 0 ? own : fd, arg);
  bool same = thrumi_descriptor_resume(d, paused);
  if (own >= 0) close(own);
  return !same && (n == -EAGAIN || n == -EINTR) ? -EBADF : n;
}

static ssize_t ask(int fd, struct thrumi_descriptor *d, enum thrumi_direction direction,
                   ssize_t (*call)(int fd, void *arg), void *arg) {
  int ready = thrumi_fd_poll(fd, direction == THRUMI_IN ? POLLIN : POLLOUT);
  return ready > 0 ? thrumi_call_paused(fd, d, call, arg) : ready == 0 ? -EAGAIN : ready;
}

static struct thrumi_file_id file_of(int fd) {
  struct stat status;
  if (fstat(fd, &status)) return (struct thrumi_file_id){0};
  return (struct thrumi_file_id){status.st_dev, status.st_ino};
}

ssize_t thrumi_try_asking(int fd, struct thrumi_descriptor *d, enum thrumi_direction direction,
                          ssize_t (*call)(int fd, void *arg), void *arg) {
  int blocking = blocking_mode(fd);
  if (blocking < 0) return blocking; /* the call might meet a file that is opened now, and block on it */
  if (!blocking) return call(fd, arg);
  uint64_t claim = thrumi_descriptor_claim(d, direction, file_of(fd));
  if (!claim) return -EAGAIN;
  ssize_t n = ask(fd, d, direction, call, arg);
  thrumi_descriptor_release(d, direction, claim, n != -EAGAIN);
  return n;
}

struct file_call {
  int fd;
  ssize_t (*call)(int fd, void *arg);
  void *arg;
  ssize_t result;
};

static intptr_t call_file(void *arg) {
  struct file_call *x = arg;
  do x->result = x->call(x->fd, x->arg);
  while (x->result == -EINTR);
  return 0;
}

ssize_t thrumi_call_file(int fd, ssize_t (*call)(int fd, void *arg), void *arg) {
  struct file_call x = {fd, call, arg, 0};
  thrum_blocking(call_file, &x);
  return x.result;
}
