/* Calls on sockets. Each transfer is made with MSG_DONTWAIT, so that the descriptor's mode does not matter. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/attempt.h>
#include <io/backoff.h>
#include <poll.h>
#include <sched/self.h>
#include <sys/socket.h>
#include <thrum/io/socket.h>
#include <thrum/thread.h>
#include <thrum/time.h>

/* ---- Transfers ---------------------------------------------------------------------------------------------------- */

struct bytes {
  void *buffer;
  size_t size;
  int flags;
};

static ssize_t try_recv(int fd, struct thrumi_descriptor *d, void *arg) {
  const struct bytes *x = arg;
  return (void)d, thrumi_os.recv(fd, x->buffer, x->size, x->flags | MSG_DONTWAIT);
}

static ssize_t try_send(int fd, struct thrumi_descriptor *d, void *arg) {
  const struct bytes *x = arg;
  return (void)d, thrumi_os.send(fd, x->buffer, x->size, x->flags | MSG_DONTWAIT);
}

struct message {
  struct msghdr *header;
  int flags;
};

static ssize_t try_recvmsg(int fd, struct thrumi_descriptor *d, void *arg) {
  const struct message *x = arg;
  return (void)d, thrumi_os.recvmsg(fd, x->header, x->flags | MSG_DONTWAIT);
}

static ssize_t try_sendmsg(int fd, struct thrumi_descriptor *d, void *arg) {
  const struct message *x = arg;
  return (void)d, thrumi_os.sendmsg(fd, x->header, x->flags | MSG_DONTWAIT);
}

/* With MSG_DONTWAIT of the caller's own nothing is waited for. */
static ssize_t transfer(int fd, enum thrumi_direction direction, thrumi_try_fn *try, void *arg, int flags,
                        thrum_duration timeout) {
  bool wait = !(flags & MSG_DONTWAIT);
  ssize_t n = thrumi_attempt(fd, direction, try, arg, wait ? timeout : 0);
  return n == -ETIMEDOUT && !wait ? -EAGAIN : n;
}

ssize_t thrum_recv_for(int fd, void *buffer, size_t size, int flags, thrum_duration timeout) {
  struct bytes x = {buffer, size, flags};
  return transfer(fd, THRUMI_IN, try_recv, &x, flags, timeout);
}

ssize_t thrum_send_for(int fd, const void *buffer, size_t size, int flags, thrum_duration timeout) {
  struct bytes x = {(void *)(uintptr_t)buffer, size, flags};
  return transfer(fd, THRUMI_OUT, try_send, &x, flags, timeout);
}

ssize_t thrum_recvmsg_for(int fd, struct msghdr *message, int flags, thrum_duration timeout) {
  struct message x = {message, flags};
  return transfer(fd, THRUMI_IN, try_recvmsg, &x, flags, timeout);
}

ssize_t thrum_sendmsg_for(int fd, const struct msghdr *message, int flags, thrum_duration timeout) {
  struct message x = {(struct msghdr *)(uintptr_t)message, flags};
  return transfer(fd, THRUMI_OUT, try_sendmsg, &x, flags, timeout);
}

ssize_t thrum_recv(int fd, void *buffer, size_t size, int flags) {
  return thrum_recv_for(fd, buffer, size, flags, THRUM_FOREVER);
}

ssize_t thrum_send(int fd, const void *buffer, size_t size, int flags) {
  return thrum_send_for(fd, buffer, size, flags, THRUM_FOREVER);
}

ssize_t thrum_recvmsg(int fd, struct msghdr *message, int flags) {
  return thrum_recvmsg_for(fd, message, flags, THRUM_FOREVER);
}

ssize_t thrum_sendmsg(int fd, const struct msghdr *message, int flags) {
  return thrum_sendmsg_for(fd, message, flags, THRUM_FOREVER);
}

/* ---- Accepting ------------------------------------------------------------------------------------------------------ */

struct accepting {
  struct sockaddr *address;
  unsigned *length, room;
};

static ssize_t accept_one(int fd, void *arg) {
  struct accepting *x = arg;
  if (x->length) *x->length = x->room; /* a former try may have changed it */
  ssize_t n = thrumi_os.accept(fd, x->address, x->length);
  return n == -ECONNABORTED || n == -EPROTO ? -EINTR : n; /* the next one */
}

static int option_of(int fd, int option, int *value) {
  socklen_t size = sizeof *value;
  return getsockopt(fd, SOL_SOCKET, option, value, &size) == 0 ? 0 : -errno;
}

/* What accept(2) would say at once, while poll says that nothing is ready. 0: it listens. */
static int not_listening(int fd) {
  int listens = 0, type = 0, error = option_of(fd, SO_ACCEPTCONN, &listens);
  if (!error) error = option_of(fd, SO_TYPE, &type);
  if (error || listens) return error;
  return type == SOCK_STREAM || type == SOCK_SEQPACKET ? -EINVAL : -EOPNOTSUPP;
}

/* Of a Unix socket that was shut down accept(2) goes on saying that there is nobody yet. */
static int shut_down(int fd) {
  int ready = thrumi_fd_poll(fd, POLLIN);
  return ready > 0 && ready & POLLHUP ? -EINVAL : 0;
}

static ssize_t try_accept(int fd, struct thrumi_descriptor *d, void *arg) {
  ssize_t n = thrumi_try_asking(fd, d, THRUMI_IN, accept_one, arg);
  if (n != -EAGAIN) return n;
  int error = thrumi_in_blocking_mode(fd) ? not_listening(fd) : shut_down(fd);
  return error ? error : -EAGAIN;
}

int thrum_accept_for(int fd, struct sockaddr *address, unsigned *length, thrum_duration timeout) {
  struct accepting x = {address, length, length ? *length : 0};
  int made = (int)thrumi_attempt(fd, THRUMI_IN, try_accept, &x, timeout);
  if (made >= 0) thrumi_descriptor_made(made, THRUMI_FD_SOCKET);
  return made;
}

int thrum_accept(int fd, struct sockaddr *address, unsigned *length) {
  return thrum_accept_for(fd, address, length, THRUM_FOREVER);
}

/* ---- Connecting ----------------------------------------------------------------------------------------------------- */

struct connecting {
  const struct sockaddr *address;
  unsigned length;
  bool begun, crowded; /* crowded: a Unix socket that has no room for one more at this moment */
};

static int outcome(int fd) {
  int why = 0, error = option_of(fd, SO_ERROR, &why);
  return error ? error : -why;
}

/* The first call begins it, and is the only one; afterwards the socket says by being ready that it is over. */
static ssize_t try_connect(int fd, struct thrumi_descriptor *d, void *arg) {
  struct connecting *x = arg;
  (void)d;
  if (x->begun) {
    int ready = thrumi_fd_poll(fd, POLLOUT);
    return ready > 0 ? outcome(fd) : ready == 0 ? -EAGAIN : ready;
  }
  int error = thrumi_os.connect(fd, x->address, x->length);
  x->begun = error == -EINPROGRESS;
  x->crowded = error == -EAGAIN;
  return x->begun ? -EAGAIN : x->crowded ? 0 : error;
}

/* The kernel tells nobody that there is room again. */
static int connect_until(int fd, struct connecting *x, thrum_duration timeout) {
  thrum_time deadline = thrum_after(timeout);
  struct thrumi_backoff backoff = {0};
  for (;;) {
    int error = (int)thrumi_attempt(fd, THRUMI_OUT, try_connect, x, thrum_left(deadline));
    if (!error && x->crowded) error = thrumi_back_off(&backoff, deadline);
    if (error || !x->crowded) return error;
  }
}

static ssize_t connect_plainly(int fd, void *arg) {
  const struct connecting *x = arg;
  return thrumi_os.connect(fd, x->address, x->length);
}

static ssize_t connect_without_worker(int fd, void *arg) {
  return thrumi_call_file(fd, connect_plainly, arg);
}

static int connect_blocking(int fd, struct connecting *x) {
  struct thrumi_descriptor *d;
  int error = thrumi_descriptor_begin(fd, &d);
  if (error) return error;
  error = (int)thrumi_call_paused(fd, d, connect_without_worker, x);
  thrumi_descriptor_end(d);
  return error;
}

int thrum_connect_for(int fd, const struct sockaddr *address, unsigned length, thrum_duration timeout) {
  struct connecting x = {.address = address, .length = length};
  int flags = fcntl(fd, F_GETFL), error = thrumi_cancelled();
  if (error || flags < 0) return error ? error : -EBADF;
  if (flags & O_NONBLOCK) return connect_until(fd, &x, timeout);
  return connect_blocking(fd, &x);
}

int thrum_connect(int fd, const struct sockaddr *address, unsigned length) {
  return thrum_connect_for(fd, address, length, THRUM_FOREVER);
}
