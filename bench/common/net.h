/* Sockets of the loopback device, and how many descriptors a process may have. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NET_BACKLOG = 4096 };

/* Fails if so many connections, with both ends in this process, are too many for its limit. */
static inline void net_limit(long connections) {
  struct rlimit limit;
  rlim_t needed = (rlim_t)(2 * connections + 100);
  bench_check(getrlimit(RLIMIT_NOFILE, &limit) ? errno : 0, "getrlimit");
  if (limit.rlim_max < needed) bench_fail("only %ld descriptors are allowed", (long)limit.rlim_max);
  limit.rlim_cur = limit.rlim_max;
  bench_check(setrlimit(RLIMIT_NOFILE, &limit) ? errno : 0, "setrlimit");
}

static inline int net_socket(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) bench_check(errno, "socket");
  return fd;
}

static inline void net_no_delay(int fd) {
  int on = 1;
  bench_check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ? errno : 0, "TCP_NODELAY");
}

/* A listener at a free port, and its address. */
static inline int net_listen(struct sockaddr_in *address, int flags) {
  socklen_t length = sizeof *address;
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = net_socket(flags);
  bench_check(bind(fd, (struct sockaddr *)&any, sizeof any) ? errno : 0, "bind");
  bench_check(listen(fd, NET_BACKLOG) ? errno : 0, "listen");
  bench_check(getsockname(fd, (struct sockaddr *)address, &length) ? errno : 0, "getsockname");
  return fd;
}

#endif
