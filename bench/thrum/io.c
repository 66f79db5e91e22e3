/* Sockets and files. */
#define _GNU_SOURCE
#include "io_runs.h"
#include "light.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const int conn_flags = SOCK_NONBLOCK;

static inline void conn_dial(int fd, const struct sockaddr_in *to) {
  bench_check(thrum_connect(fd, (const struct sockaddr *)to, sizeof *to), "thrum_connect");
}

static inline int conn_accept(int listener) {
  int fd = thrum_accept(listener, NULL, NULL);
  if (fd < 0) bench_check(fd, "thrum_accept");
  return fd;
}

static inline size_t conn_read(int fd, void *buffer, size_t size) {
  ssize_t n = thrum_recv(fd, buffer, size, 0);
  if (n < 0) bench_check((int)n, "thrum_recv");
  return (size_t)n;
}

static inline void conn_write(int fd, const char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = thrum_send(fd, buffer + done, size - done, 0);
    if (n < 0) bench_check((int)n, "thrum_send");
    done += (size_t)n;
  }
}

static inline void conn_close(int fd) { bench_check(thrum_close(fd), "thrum_close"); }

#include "echo.h"

static inline int file_open(const char *path) { return thrum_open(path, O_RDONLY, 0); }

static inline long file_read(int fd, void *buffer, size_t size) { return thrum_read(fd, buffer, size); }

static inline long file_pread(int fd, void *buffer, size_t size, long offset) {
  return thrum_pread(fd, buffer, size, offset);
}

#include "files.h"
