/* Sockets and files, with a kernel thread a connection. */
#define _GNU_SOURCE
#include "io_runs.h"
#include "posix.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static const int conn_flags = 0;

static inline void conn_dial(int fd, const struct sockaddr_in *to) {
  bench_check(connect(fd, (const struct sockaddr *)to, sizeof *to) ? errno : 0, "connect");
}

static inline int conn_accept(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) bench_check(errno, "accept4");
  return fd;
}

static inline size_t conn_read(int fd, void *buffer, size_t size) {
  ssize_t n = recv(fd, buffer, size, 0);
  if (n < 0) bench_check(errno, "recv");
  return (size_t)n;
}

static inline void conn_write(int fd, const char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = send(fd, buffer + done, size - done, MSG_NOSIGNAL);
    if (n < 0) bench_check(errno, "send");
    done += (size_t)n;
  }
}

static inline void conn_close(int fd) { bench_check(close(fd) ? errno : 0, "close"); }

#include "echo.h"

static inline int file_open(const char *path) { return open(path, O_RDONLY | O_CLOEXEC); }

static inline long file_read(int fd, void *buffer, size_t size) { return read(fd, buffer, size); }

static inline long file_pread(int fd, void *buffer, size_t size, long offset) {
  return pread(fd, buffer, size, offset);
}

#include "files.h"
