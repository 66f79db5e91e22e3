/* Calls on descriptors. As in linux.c each leaves errno as it found it. */
#define _GNU_SOURCE
#include <os/descriptors.h>
#include <os/ignore.h>
#include <os/quietly.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif
#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x100 /* Linux 6.18 */
#endif

enum { SECOND = 1000000000 };

/* The standard descriptors are the program's, also where it has closed them: whatever it opens there next would else be
 * something of the runtime's, and what it prints would go into that. */
int thrumi_os_beyond_standard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  int beyond = (int)QUIETLY(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  QUIETLY(close(fd));
  return beyond;
}

/* ---- Epoll ------------------------------------------------------------------------------------------------ */

int thrumi_os_epoll_create(void) {
  return thrumi_os_beyond_standard((int)QUIETLY(epoll_create1(EPOLL_CLOEXEC)));
}

int thrumi_os_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  return (int)QUIETLY(epoll_ctl(epoll, operation, fd, event));
}

/* Without epoll_pwait2: an epoll descriptor can be polled, and ppoll takes nanoseconds. */
static int wait_by_poll(int epoll, struct epoll_event *events, int max, const struct timespec *timeout) {
  struct pollfd ready = {.fd = epoll, .events = POLLIN};
  int n = (int)QUIETLY(ppoll(&ready, 1, timeout, NULL));
  return n <= 0 ? n : (int)QUIETLY(epoll_wait(epoll, events, max, 0));
}

int thrumi_os_epoll_wait(int epoll, struct epoll_event *events, int max, int64_t timeout) {
  static _Atomic bool missing;
  struct timespec relative = {(time_t)(timeout / SECOND), (long)(timeout % SECOND)};
  const struct timespec *limit = timeout < 0 ? NULL : &relative;
  if (!atomic_load_explicit(&missing, memory_order_relaxed)) {
    int n = (int)QUIETLY(syscall(SYS_epoll_pwait2, epoll, events, max, limit, NULL, 0));
    /* EPERM: a filter for system calls that does not know it. epoll_wait itself never says so. */
    if (n != -ENOSYS && n != -EPERM) return n;
    atomic_store_explicit(&missing, true, memory_order_relaxed);
  }
  return wait_by_poll(epoll, events, max, limit);
}

int thrumi_os_event_create(void) {
  return thrumi_os_beyond_standard((int)QUIETLY(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)));
}

int thrumi_os_poll(struct pollfd *fds, size_t count) {
  static const struct timespec at_once;
  return (int)QUIETLY(ppoll(fds, count, &at_once, NULL));
}

/* ---- Pipes, terminals, files -------------------------------------------------------------------------------- */

ssize_t thrumi_os_read(int fd, void *buffer, size_t size) { return (ssize_t)QUIETLY(read(fd, buffer, size)); }

ssize_t thrumi_os_write(int fd, const void *buffer, size_t size) {
  return (ssize_t)QUIETLY(write(fd, buffer, size));
}

#if THRUMI_TSAN
/* libtsan sees who reads what another has written by the C library's calls, of which these two are none. */
static long at_once(long number, int fd, const struct iovec *pieces, int count, long offset, int flags) {
  return (void)number, (void)fd, (void)pieces, (void)count, (void)offset, (void)flags, -EOPNOTSUPP;
}
#else
/* The C library has no calls for these flags everywhere. Offset -1: where the descriptor stands. */
static long at_once(long number, int fd, const struct iovec *pieces, int count, long offset, int flags) {
  long n = QUIETLY(syscall(number, fd, pieces, count, offset, 0L, flags));
  /* EPERM: a filter for system calls. Where these two mean the arguments, the plain call says so again. */
  return n == -ENOSYS || n == -EPERM || n == -EINVAL ? -EOPNOTSUPP : n;
}
#endif

ssize_t thrumi_os_readv(int fd, const struct iovec *pieces, int count, bool wait) {
  if (wait) return (ssize_t)QUIETLY(readv(fd, pieces, count));
  return at_once(SYS_preadv2, fd, pieces, count, -1, RWF_NOWAIT);
}

ssize_t thrumi_os_pread_now(int fd, void *buffer, size_t size, int64_t offset) {
  struct iovec one = {buffer, size};
  return offset < 0 ? -EINVAL : at_once(SYS_preadv2, fd, &one, 1, (long)offset, RWF_NOWAIT);
}

/* A pipe without reader raises SIGPIPE in the calling thread. It is blocked meanwhile and taken out, unless
 * one was pending before: that one is somebody else's. */
struct sigpipe {
  sigset_t itself, before;
  bool blocked_before, pending_before;
};

static void hold_sigpipe(struct sigpipe *s) {
  sigset_t pending;
  sigemptyset(&s->itself);
  sigaddset(&s->itself, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &s->itself, &s->before);
  s->blocked_before = sigismember(&s->before, SIGPIPE);
  s->pending_before = s->blocked_before && sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE);
}

/* Short: it was raised perhaps, also where a part was written before the reader went. */
static void drop_sigpipe(const struct sigpipe *s, bool is_short) {
  static const struct timespec at_once;
  if (is_short && !s->pending_before)
    while (QUIETLY(sigtimedwait(&s->itself, NULL, &at_once)) == -EINTR) continue;
  if (!s->blocked_before) pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}

static bool is_whole(ssize_t n, const struct iovec *pieces, int count) {
  size_t size = 0;
  for (int i = 0; n >= 0 && i < count; i++) size += pieces[i].iov_len;
  return n >= 0 && (size_t)n == size;
}

static ssize_t write_without_sigpipe(int fd, const struct iovec *pieces, int count) {
  struct sigpipe sigpipe;
  hold_sigpipe(&sigpipe);
  ssize_t n = (ssize_t)QUIETLY(writev(fd, pieces, count));
  drop_sigpipe(&sigpipe, !is_whole(n, pieces, count));
  return n;
}

ssize_t thrumi_os_writev(int fd, const struct iovec *pieces, int count, bool wait) {
  if (wait) return write_without_sigpipe(fd, pieces, count);
  return at_once(SYS_pwritev2, fd, pieces, count, -1, RWF_NOWAIT | RWF_NOSIGNAL);
}

ssize_t thrumi_os_sendfile(int out, int in, int64_t *offset, size_t size) {
  off_t at = offset ? (off_t)*offset : 0;
  struct sigpipe sigpipe;
  hold_sigpipe(&sigpipe);
  ssize_t n = (ssize_t)QUIETLY(sendfile(out, in, offset ? &at : NULL, size));
  drop_sigpipe(&sigpipe, n < 0 || (size_t)n < size);
  if (offset) *offset = at;
  return n;
}

/* ---- Sockets ------------------------------------------------------------------------------------------------ */

ssize_t thrumi_os_recv(int fd, void *buffer, size_t size, int flags) {
  return (ssize_t)QUIETLY(recv(fd, buffer, size, flags));
}

ssize_t thrumi_os_send(int fd, const void *buffer, size_t size, int flags) {
  return (ssize_t)QUIETLY(send(fd, buffer, size, flags | MSG_NOSIGNAL));
}

ssize_t thrumi_os_recvmsg(int fd, struct msghdr *message, int flags) {
  return (ssize_t)QUIETLY(recvmsg(fd, message, flags));
}

ssize_t thrumi_os_sendmsg(int fd, const struct msghdr *message, int flags) {
  return (ssize_t)QUIETLY(sendmsg(fd, message, flags | MSG_NOSIGNAL));
}

int thrumi_os_accept(int fd, struct sockaddr *address, socklen_t *length) {
  return (int)QUIETLY(accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int thrumi_os_connect(int fd, const struct sockaddr *address, socklen_t length) {
  return (int)QUIETLY(connect(fd, address, length));
}
