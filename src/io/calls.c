/* read, write, close that park only the thread.
 *
 * A descriptor in blocking mode would block the call itself, and its mode belongs to all who share it; so each try asks
 * poll(2) first, without waiting. Between that answer and the call another reader may have taken the bytes: then
 * the call blocks, and the worker is lost for a while, no more. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/netpoll.h>
#include <poll.h>
#include <sched/self.h>
#include <thrum/io.h>
#include <thrum/time.h>
#include <unistd.h>

struct transfer {
  int fd;
  enum thrumi_direction direction;
  void *buffer;
  size_t size;
};

static bool is_ready(const struct transfer *x) {
  int revents = thrumi_os.ready(x->fd, x->direction == THRUMI_IN ? POLLIN : POLLOUT);
  return revents != 0; /* errors too: the call says which */
}

static bool never_blocks(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 || flags & O_NONBLOCK;
}

/* Tries the call. -EAGAIN: it would block. Outside. */
static ssize_t try_once(const struct transfer *x) {
  if (!never_blocks(x->fd) && !is_ready(x)) return -EAGAIN;
  ssize_t n;
  do {
    n = x->direction == THRUMI_IN ? thrumi_os.read(x->fd, x->buffer, x->size)
                                  : thrumi_os.write(x->fd, x->buffer, x->size);
  } while (n == -EINTR);
  return n;
}

/* One try with the event count read before it, so that no event is lost in between. */
static ssize_t try_counted(const struct transfer *x, uint32_t *seen) {
  struct thrumi_kthread *k = thrumi_enter();
  int64_t events = thrumi_netpoll_events(x->fd, x->direction);
  thrumi_leave(k);
  if (events < 0) return (ssize_t)events;
  *seen = (uint32_t)events;
  return try_once(x);
}

static bool cancelled(void) {
  struct thrumi_kthread *k = thrumi_enter();
  bool is = thrumi_is_cancelled(k->current);
  thrumi_leave(k);
  return is;
}

static ssize_t transfer(struct transfer *x, int64_t timeout) {
  if (cancelled()) return -ECANCELED;
  int64_t deadline = thrum_after(timeout);
  ssize_t n = try_once(x);
  while (n == -EAGAIN) {
    uint32_t seen = 0;
    n = try_counted(x, &seen);
    if (n != -EAGAIN) break;
    thrumi_enter();
    int error = thrumi_netpoll_wait(x->fd, x->direction, seen, deadline);
    thrumi_leave(thrumi_self());
    if (error && error != -EPERM) return error;
    n = error == -EPERM ? (x->direction == THRUMI_IN ? thrumi_os.read(x->fd, x->buffer, x->size)
                                                     : thrumi_os.write(x->fd, x->buffer, x->size))
                        : -EAGAIN;
  }
  return n;
}

ssize_t thrum_read_for(int fd, void *buffer, size_t size, thrum_duration timeout) {
  struct transfer x = {fd, THRUMI_IN, buffer, size};
  return transfer(&x, timeout);
}

ssize_t thrum_write_for(int fd, const void *buffer, size_t size, thrum_duration timeout) {
  struct transfer x = {fd, THRUMI_OUT, (void *)(uintptr_t)buffer, size};
  return transfer(&x, timeout);
}

ssize_t thrum_read(int fd, void *buffer, size_t size) {
  return thrum_read_for(fd, buffer, size, THRUM_FOREVER);
}

ssize_t thrum_write(int fd, const void *buffer, size_t size) {
  return thrum_write_for(fd, buffer, size, THRUM_FOREVER);
}

int thrum_close(int fd) {
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_netpoll_forget(fd);
  thrumi_leave(k);
  int error = close(fd) == 0 ? 0 : -errno;
  k = thrumi_enter();
  thrumi_netpoll_closed(fd);
  thrumi_leave(k);
  return error;
}
