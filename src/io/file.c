/* Reading and writing.
 *
 * How a try is kept from blocking depends on what the number is, which is found out once (netpoll.h):
 *
 *   a socket       recv and send with MSG_DONTWAIT
 *   a stream       preadv2 and pwritev2 with RWF_NOWAIT: pipes and others, in recent kernels
 *   a slow one     where these are not to be had: in blocking mode poll is asked first, but for a write to a terminal, which is
 *                  opened anew for that, in non-blocking mode
 *   a file         RWF_NOWAIT takes what is in the page cache; what is not, the thread waits for without a worker
 *
 * That is only a hint, since the number may be another file's by now. The call on a socket says so by ENOTSOCK, and one on a stream
 * works on whatever it is, or says EOPNOTSUPP; of the others it is asked each time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/attempt.h>
#include <io/terminal.h>
#include <limits.h>
#include <poll.h>
#include <sched/self.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <thrum/io/file.h>
#include <thrum/time.h>
#include <unistd.h>

struct transfer {
  enum thrumi_direction direction;
  const struct iovec *pieces;
  int count;
  bool several; /* as readv and writev do it */
};

/* 0: it cannot be told, most likely because nothing is open there; the call says why. */
static mode_t mode_of(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 ? status.st_mode : 0;
}

static enum thrumi_fd_kind kind_by(mode_t mode) {
  if (S_ISSOCK(mode)) return THRUMI_FD_SOCKET;
  if (S_ISREG(mode) || S_ISDIR(mode) || S_ISBLK(mode)) return THRUMI_FD_FILE;
  return mode ? THRUMI_FD_STREAM : THRUMI_FD_UNKNOWN;
}

static enum thrumi_fd_kind kind_of(int fd) { return kind_by(mode_of(fd)); }

/* ---- One try, by kind ------------------------------------------------------------------------------------------- */

static bool asks_for_nothing(const struct transfer *x) {
  for (int i = 0; i < x->count; i++)
    if (x->pieces[i].iov_len) return false;
  return true;
}

static ssize_t on_socket(int fd, const struct transfer *x) {
  const struct iovec *one = x->pieces;
  bool in = x->direction == THRUMI_IN;
  /* As read(2): recv would wait, or take a message. As writev(2), which sends none, as write(2) does. */
  if ((in || x->several) && asks_for_nothing(x)) return 0;
  if (x->count == 1)
    return in ? thrumi_os.recv(fd, one->iov_base, one->iov_len, MSG_DONTWAIT)
              : thrumi_os.send(fd, one->iov_base, one->iov_len, MSG_DONTWAIT);
  struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)x->pieces, .msg_iovlen = (size_t)x->count};
  return in ? thrumi_os.recvmsg(fd, &message, MSG_DONTWAIT) : thrumi_os.sendmsg(fd, &message, MSG_DONTWAIT);
}

static ssize_t on_stream(int fd, const struct transfer *x, bool wait) {
  return x->direction == THRUMI_IN ? thrumi_os.readv(fd, x->pieces, x->count, wait)
                                   : thrumi_os.writev(fd, x->pieces, x->count, wait);
}

static ssize_t plainly(int fd, void *arg) { return on_stream(fd, arg, true); }

/* A pipe that has room has it for so much, and a longer write waits for the rest. */
static ssize_t write_a_little(int fd, void *arg) {
  struct transfer first = *(struct transfer *)arg;
  size_t room = PIPE_BUF;
  int whole = 0;
  while (whole < first.count && first.pieces[whole].iov_len <= room) room -= first.pieces[whole++].iov_len;
  struct iovec part;
  if (whole < first.count && room == PIPE_BUF) {
    part = (struct iovec){first.pieces[whole].iov_base, room};
    first.pieces = &part;
    whole = 1;
  }
  first.count = whole;
  return plainly(fd, &first);
}

enum { BYTES = 256 };

/* A terminal says no more than that it has room, which may be for one byte. */
static ssize_t write_bytes(int fd, void *arg) {
  const struct transfer *x = arg;
  ssize_t done = 0;
  for (int i = 0; i < x->count && done < BYTES; i++)
    for (size_t at = 0; at < x->pieces[i].iov_len && done < BYTES; at++) {
      struct iovec byte = {(char *)x->pieces[i].iov_base + at, 1};
      if (done && thrumi_fd_poll(fd, POLLOUT) <= 0) return done;
      ssize_t n = plainly(fd, &(struct transfer){.direction = THRUMI_OUT, .pieces = &byte, .count = 1});
      if (n <= 0) return done ? done : n;
      done++;
    }
  return done;
}

static ssize_t write_to_terminal(int fd, struct thrumi_descriptor *d, struct transfer *x) {
  int own = thrumi_terminal_anew(fd);
  if (own < 0) return thrumi_try_asking(fd, d, THRUMI_OUT, write_bytes, x);
  ssize_t n = plainly(own, x);
  close(own);
  return n;
}

/* Asked each time what it is, since no error would tell. */
static ssize_t on_slow(int fd, struct thrumi_descriptor *d, struct transfer *x) {
  mode_t mode = mode_of(fd);
  enum thrumi_fd_kind kind = kind_by(mode);
  if (kind == THRUMI_FD_SOCKET || (kind == THRUMI_FD_FILE && thrumi_in_blocking_mode(fd))) {
    thrumi_descriptor_set_kind(d, kind);
    return -EINTR; /* once more */
  }
  if (x->direction == THRUMI_IN) return thrumi_try_asking(fd, d, THRUMI_IN, plainly, x);
  if (S_ISCHR(mode) && thrumi_in_blocking_mode(fd) && thrumi_is_terminal(fd))
    return write_to_terminal(fd, d, x);
  return thrumi_try_asking(fd, d, THRUMI_OUT, S_ISFIFO(mode) ? write_a_little : plainly, x);
}

/* Only a part may be in the page cache: the rest is read as read(2) would. Linux 5.9 and 5.10 may say that there is no more where
 * only the page cache has no more. */
static ssize_t read_file(int fd, struct transfer *x, ssize_t n) {
  const struct iovec *one = x->pieces;
  if (n == -EOPNOTSUPP || n == 0)
    return plainly(fd, x); /* a file system without waits, or one that cannot tell */
  if (n < 0 && n != -EAGAIN) return n;
  struct iovec rest = *one;
  struct transfer more = *x;
  if (n > 0) {
    rest = (struct iovec){(char *)one->iov_base + n, one->iov_len - (size_t)n};
    more.pieces = &rest;
  }
  ssize_t m = thrumi_call_file(fd, plainly, &more);
  return n < 0 ? m : m < 0 ? n : n + m;
}

/* If all is there at once it does not matter what it is by now; if not, it is to be known. */
static ssize_t on_file(int fd, struct thrumi_descriptor *d, struct transfer *x) {
  bool in = x->direction == THRUMI_IN;
  ssize_t n = in && x->count == 1 ? on_stream(fd, x, false) : -EAGAIN;
  if (n > 0 && (size_t)n == x->pieces->iov_len) return n;
  if (kind_of(fd) != THRUMI_FD_FILE) {
    thrumi_descriptor_set_kind(d, THRUMI_FD_UNKNOWN);
    return n >= 0 ? n : -EINTR; /* once more */
  }
  return in ? read_file(fd, x, n) : plainly(fd, x);
}

static ssize_t try_transfer(int fd, struct thrumi_descriptor *d, void *arg) {
  struct transfer *x = arg;
  if (thrumi_descriptor_kind(d) == THRUMI_FD_UNKNOWN) thrumi_descriptor_set_kind(d, kind_of(fd));
  ssize_t n;
  switch (thrumi_descriptor_kind(d)) {
  case THRUMI_FD_SOCKET:
    n = on_socket(fd, x);
    if (n != -ENOTSOCK) return n;
    thrumi_descriptor_set_kind(d, THRUMI_FD_UNKNOWN);
    return -EINTR; /* once more */
  case THRUMI_FD_STREAM:
    n = on_stream(fd, x, false);
    if (n != -EOPNOTSUPP) return n;
    thrumi_descriptor_set_kind(d, THRUMI_FD_SLOW);
    return on_slow(fd, d, x);
  case THRUMI_FD_FILE: return on_file(fd, d, x);
  default: return on_slow(fd, d, x);
  }
}

static ssize_t transfer(int fd, struct transfer x, thrum_duration timeout) {
  if (x.count < 0 || x.count > IOV_MAX) return -EINVAL; /* sockets would say something else */
  return thrumi_attempt(fd, x.direction, try_transfer, &x, timeout);
}

/* ---- Once ------------------------------------------------------------------------------------------------------------ */

ssize_t thrum_readv_for(int fd, const struct iovec *pieces, int count, thrum_duration timeout) {
  return transfer(fd, (struct transfer){THRUMI_IN, pieces, count, true}, timeout);
}

ssize_t thrum_writev_for(int fd, const struct iovec *pieces, int count, thrum_duration timeout) {
  return transfer(fd, (struct transfer){THRUMI_OUT, pieces, count, true}, timeout);
}

ssize_t thrum_read_for(int fd, void *buffer, size_t size, thrum_duration timeout) {
  struct iovec one = {buffer, size};
  return thrum_readv_for(fd, &one, 1, timeout);
}

ssize_t thrum_write_for(int fd, const void *buffer, size_t size, thrum_duration timeout) {
  struct iovec one = {(void *)(uintptr_t)buffer, size};
  return transfer(fd, (struct transfer){.direction = THRUMI_OUT, .pieces = &one, .count = 1}, timeout);
}

ssize_t thrum_read(int fd, void *buffer, size_t size) {
  return thrum_read_for(fd, buffer, size, THRUM_FOREVER);
}

ssize_t thrum_write(int fd, const void *buffer, size_t size) {
  return thrum_write_for(fd, buffer, size, THRUM_FOREVER);
}

ssize_t thrum_readv(int fd, const struct iovec *pieces, int count) {
  return thrum_readv_for(fd, pieces, count, THRUM_FOREVER);
}

ssize_t thrum_writev(int fd, const struct iovec *pieces, int count) {
  return thrum_writev_for(fd, pieces, count, THRUM_FOREVER);
}

/* ---- All of it --------------------------------------------------------------------------------------------------------- */

struct whole {
  struct transfer part;
  bool begun;
  uint32_t closes; /* when it began */
};

/* Between two parts the number may have been closed, and be another file's. */
static ssize_t try_part(int fd, struct thrumi_descriptor *d, void *arg) {
  struct whole *x = arg;
  if (!x->begun) x->closes = thrumi_descriptor_closes(d);
  x->begun = true;
  return thrumi_descriptor_closes(d) == x->closes ? try_transfer(fd, d, &x->part) : -EBADF;
}

/* A close wins over what was done before: who got a short count would go on with that number. */
static ssize_t transfer_all(int fd, enum thrumi_direction direction, char *buffer, size_t size,
                            thrum_duration timeout) {
  int64_t deadline = thrum_after(timeout);
  size_t done = 0;
  ssize_t n = 0;
  struct iovec left;
  struct whole x = {.part = {.direction = direction, .pieces = &left, .count = 1}};
  do {
    left = (struct iovec){buffer + done, size - done};
    n = thrumi_attempt(fd, direction, try_part, &x, done ? thrum_left(deadline) : timeout);
    if (n > 0) done += (size_t)n;
  } while (n > 0 && done < size);
  return done && n != -EBADF ? (ssize_t)done : n;
}

ssize_t thrum_read_full_for(int fd, void *buffer, size_t size, thrum_duration timeout) {
  return transfer_all(fd, THRUMI_IN, buffer, size, timeout);
}

ssize_t thrum_write_all_for(int fd, const void *buffer, size_t size, thrum_duration timeout) {
  return transfer_all(fd, THRUMI_OUT, (char *)(uintptr_t)buffer, size, timeout);
}

ssize_t thrum_read_full(int fd, void *buffer, size_t size) {
  return thrum_read_full_for(fd, buffer, size, THRUM_FOREVER);
}

ssize_t thrum_write_all(int fd, const void *buffer, size_t size) {
  return thrum_write_all_for(fd, buffer, size, THRUM_FOREVER);
}

/* ---- Files ------------------------------------------------------------------------------------------------------------- */

struct placed {
  enum thrumi_direction direction;
  void *buffer;
  size_t size;
  off_t offset;
};

static ssize_t place(int fd, void *arg) {
  struct placed *x = arg;
  ssize_t n = x->direction == THRUMI_IN ? pread(fd, x->buffer, x->size, x->offset)
                                        : pwrite(fd, x->buffer, x->size, x->offset);
  return n < 0 ? -errno : n;
}

/* All of it if it is in the page cache, else -EAGAIN: the plain call says what there is to say. */
static ssize_t place_at_once(int fd, void *arg) {
  const struct placed *x = arg;
  ssize_t n = thrumi_os.pread_now(fd, x->buffer, x->size, x->offset);
  return n >= 0 && (size_t)n == x->size ? n : -EAGAIN;
}

/* A file's call ends by itself, but thrum_close is to wait for it. `first`, or NULL, is tried before the worker is given up. */
static ssize_t call_on_file(int fd, ssize_t (*first)(int fd, void *arg), ssize_t (*call)(int fd, void *arg),
                            void *arg) {
  struct thrumi_descriptor *d;
  int error = thrumi_cancelled();
  if (!error) error = thrumi_descriptor_begin(fd, &d);
  if (error) return error;
  ssize_t n = first ? first(fd, arg) : -EAGAIN;
  if (n == -EAGAIN) n = thrumi_call_file(fd, call, arg);
  thrumi_descriptor_end(d);
  return n;
}

ssize_t thrum_pread(int fd, void *buffer, size_t size, int64_t offset) {
  struct placed x = {THRUMI_IN, buffer, size, (off_t)offset};
  return call_on_file(fd, place_at_once, place, &x);
}

ssize_t thrum_pwrite(int fd, const void *buffer, size_t size, int64_t offset) {
  struct placed x = {THRUMI_OUT, (void *)(uintptr_t)buffer, size, (off_t)offset};
  return call_on_file(fd, NULL, place, &x);
}

static ssize_t sync_file(int fd, void *arg) { return (void)arg, fsync(fd) == 0 ? 0 : -errno; }

int thrum_fsync(int fd) { return (int)call_on_file(fd, NULL, sync_file, NULL); }

struct opening {
  const char *path;
  int flags;
  unsigned mode;
};

static ssize_t open_file(int fd, void *arg) {
  struct opening *x = arg;
  (void)fd;
  int opened = open(x->path, x->flags, x->mode);
  return opened < 0 ? -errno : opened;
}

int thrum_open(const char *path, int flags, unsigned mode) {
  struct opening x = {path, flags | O_CLOEXEC, mode};
  int error = thrumi_cancelled(), fd = error ? error : (int)thrumi_call_file(-1, open_file, &x);
  if (fd >= 0) thrumi_descriptor_made(fd, THRUMI_FD_UNKNOWN);
  return fd;
}

/* ---- From a file to any descriptor ----------------------------------------------------------------------------------- */

enum { PIECE = 8192 }; /* the smallest stack has room for it */

struct sending {
  int in;
  int64_t *offset;
  size_t size;
  bool begun;
  uint32_t closes; /* of `in`, when it began */
};

static ssize_t send_file(int out, const struct sending *x) {
  return thrumi_os.sendfile(out, x->in, x->offset, x->size);
}

/* In blocking mode sendfile would go on until all is sent, whatever comes. So a piece goes through memory, in a write that does not
 * wait; the place in the file is moved by what was written of it. */
static ssize_t send_piece(int out, struct thrumi_descriptor *d, struct sending *x) {
  char bytes[PIECE];
  off_t at = x->offset ? (off_t)*x->offset : lseek(x->in, 0, SEEK_CUR);
  if (!x->offset && at < 0) return errno == ESPIPE ? -EINVAL : -errno; /* as sendfile(2) */
  struct placed from = {THRUMI_IN, bytes, x->size < PIECE ? x->size : PIECE, at};
  ssize_t n = place(x->in, &from);
  if (n <= 0) return n;
  struct iovec piece = {bytes, (size_t)n};
  n = try_transfer(out, d, &(struct transfer){.direction = THRUMI_OUT, .pieces = &piece, .count = 1});
  if (n <= 0) return n;
  if (x->offset)
    *x->offset += n;
  else
    lseek(x->in, n, SEEK_CUR);
  return n;
}

static bool takes_pieces(int out) { return thrumi_in_blocking_mode(out) && kind_of(out) != THRUMI_FD_FILE; }

/* A close of `in` waits for a try, and not for room in `out`. */
static ssize_t try_sendfile(int out, struct thrumi_descriptor *d, void *arg) {
  struct sending *x = arg;
  struct thrumi_descriptor *in;
  int error = thrumi_descriptor_begin(x->in, &in);
  if (error) return error;
  if (!x->begun) x->closes = thrumi_descriptor_closes(in);
  x->begun = true;
  ssize_t n = -EBADF;
  if (thrumi_descriptor_closes(in) == x->closes)
    n = takes_pieces(out) ? send_piece(out, d, x) : send_file(out, x);
  thrumi_descriptor_end(in);
  return n;
}

ssize_t thrum_sendfile_for(int out, int in, int64_t *offset, size_t size, thrum_duration timeout) {
  struct sending x = {.in = in, .offset = offset, .size = size};
  return thrumi_attempt(out, THRUMI_OUT, try_sendfile, &x, timeout);
}

ssize_t thrum_sendfile(int out, int in, int64_t *offset, size_t size) {
  return thrum_sendfile_for(out, in, offset, size, THRUM_FOREVER);
}
