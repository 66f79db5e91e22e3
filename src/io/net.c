/* Listening and dialing, by name or path.
 *
 * Of a host's addresses each in turn gets an equal part of the time that is left, so that one that does not answer does not use
 * up what the next ones need.
 *
 * A connection over the loopback to a port that nobody listens at may, once in some 30,000 times, be given that very port as
 * its own, and then be connected to itself: that is refused here, too.
 *
 * The file of a unix socket outlives whoever listened. So where one lies already, a connection to it is tried: if that is refused
 * nobody listens, and it is removed. Two processes that find the same leftover at the same moment may both remove
 * it, the second one the socket of the first; who must exclude that takes a lock of a file of its own first. */
#define _GNU_SOURCE
#include <io/attempt.h>
#include <io/resolve.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thrum/io/file.h>
#include <thrum/io/net.h>
#include <thrum/io/socket.h>
#include <thrum/time.h>
#include <unistd.h>

union address {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
  struct sockaddr_un un;
  struct sockaddr_storage storage;
};

static int told(int result) { return result < 0 ? -errno : result; }

static int open_socket(int family, int protocol) {
  int fd = told(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
  if (fd >= 0) thrumi_descriptor_made(fd, THRUMI_FD_SOCKET);
  return fd;
}

/* For a socket that is no good: the error. */
static int give_up(int fd, int error) {
  close(fd); /* nobody else knows it */
  return error;
}

static int set_option(int fd, int level, int option, int value) {
  return told(setsockopt(fd, level, option, &value, sizeof value));
}

static int bind_and_listen(int fd, const struct sockaddr *address, socklen_t length) {
  int error = told(bind(fd, address, length));
  return error ? error : told(listen(fd, SOMAXCONN));
}

/* 0, or -EINVAL: no port, or a number, as libc reads it, that none has: libc would take what its last 16 bits say. */
static int check_port(const char *port, long least) {
  if (!port || !*port) return -EINVAL;
  char *end;
  long number = strtol(port, &end, 10);
  bool is_name = *end;
  return is_name || (number >= least && number <= UINT16_MAX) ? 0 : -EINVAL;
}

/* ---- TCP, to listen --------------------------------------------------------------------------------------------------- */

static int listen_at(const struct addrinfo *a, bool both_families) {
  int fd = open_socket(a->ai_family, a->ai_protocol);
  if (fd < 0) return fd;
  int error = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (!error && both_families) error = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (!error) error = bind_and_listen(fd, a->ai_addr, a->ai_addrlen);
  return error ? give_up(fd, error) : fd;
}

/* The first that will do; else the error of the first. */
static int listen_at_any(const struct addrinfo *list, bool both_families) {
  int first = 0;
  for (const struct addrinfo *a = list; a; a = a->ai_next) {
    int fd = listen_at(a, both_families);
    if (fd >= 0) return fd;
    if (!first) first = fd;
  }
  return first;
}

static int listen_by_name(const char *host, const char *port, int family, bool both_families) {
  struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
  struct addrinfo *list = NULL;
  int error = thrumi_resolve(host, port, &hints, &list, THRUM_FOREVER);
  if (error) return error;
  int fd = listen_at_any(list, both_families);
  freeaddrinfo(list);
  return fd;
}

int thrum_listen_tcp(const char *host, const char *port) {
  int error = check_port(port, 0);
  if (error) return error;
  if (host) return listen_by_name(host, port, AF_UNSPEC, false);
  int fd = listen_by_name(NULL, port, AF_INET6, true);
  bool no_ipv6 = fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL;
  return no_ipv6 ? listen_by_name(NULL, port, AF_INET, false) : fd;
}

/* ---- TCP, to dial ------------------------------------------------------------------------------------------------------- */

static bool is_connected_to_itself(int fd) {
  union address here = {0}, there = {0};
  socklen_t here_length = sizeof here, there_length = sizeof there;
  if (getsockname(fd, &here.any, &here_length) != 0 || getpeername(fd, &there.any, &there_length) != 0)
    return false;
  return here_length == there_length && memcmp(&here, &there, here_length) == 0;
}

static int dial_at(const struct addrinfo *a, thrum_duration timeout) {
  int fd = open_socket(a->ai_family, a->ai_protocol);
  if (fd < 0) return fd;
  int error = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (!error) error = thrum_connect_for(fd, a->ai_addr, a->ai_addrlen, timeout);
  if (!error && is_connected_to_itself(fd)) error = -ECONNREFUSED;
  if (!error) return fd;
  thrum_close(fd);
  return error;
}

static int64_t length_of(const struct addrinfo *list) {
  int64_t n = 0;
  for (; list; list = list->ai_next) n++;
  return n;
}

static thrum_duration share(thrum_time deadline, int64_t among) {
  thrum_duration left = thrum_left(deadline);
  return left == THRUM_FOREVER ? left : (left + among - 1) / among;
}

static int dial_any(const struct addrinfo *list, thrum_time deadline) {
  int first = 0;
  int64_t left = length_of(list);
  for (const struct addrinfo *a = list; a; a = a->ai_next, left--) {
    int fd = dial_at(a, share(deadline, left));
    if (fd >= 0 || fd == -ECANCELED) return fd;
    if (!first) first = fd;
  }
  return first;
}

int thrum_dial_tcp_for(const char *host, const char *port, thrum_duration timeout) {
  int error = check_port(port, 1);
  if (error) return error;
  thrum_time deadline = thrum_after(timeout);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
  error = thrumi_resolve(host, port, &hints, &list, timeout);
  if (error) return error;
  int fd = dial_any(list, deadline);
  freeaddrinfo(list);
  return fd;
}

int thrum_dial_tcp(const char *host, const char *port) {
  return thrum_dial_tcp_for(host, port, THRUM_FOREVER);
}

/* ---- Unix sockets --------------------------------------------------------------------------------------------------------- */

/* The length of the address, or a negative errno. A path needs its NUL; a name of the abstract space has none. */
static int make_address(const char *path, struct sockaddr_un *out) {
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (!path || !path[0]) return -EINVAL;
  bool abstract = path[0] == '@';
  size_t length = strlen(path) + !abstract;
  if (length > sizeof out->sun_path) return -ENAMETOOLONG;
  memcpy(out->sun_path, path, length);
  if (abstract) out->sun_path[0] = 0;
  return (int)(offsetof(struct sockaddr_un, sun_path) + length);
}

static bool is_left_over(const struct sockaddr_un *address, socklen_t length) {
  struct stat there;
  if (!address->sun_path[0] || lstat(address->sun_path, &there) != 0 || !S_ISSOCK(there.st_mode))
    return false;
  int fd = open_socket(AF_UNIX, 0);
  if (fd < 0) return false;
  int error = told(connect(fd, (const struct sockaddr *)address, length));
  close(fd);
  return error == -ECONNREFUSED;
}

int thrum_listen_unix(const char *path) {
  struct sockaddr_un address;
  int error = make_address(path, &address);
  if (error < 0) return error;
  socklen_t length = (socklen_t)error;
  int fd = open_socket(AF_UNIX, 0);
  if (fd < 0) return fd;
  error = bind_and_listen(fd, (struct sockaddr *)&address, length);
  if (error == -EADDRINUSE && is_left_over(&address, length)) {
    unlink(address.sun_path);
    error = bind_and_listen(fd, (struct sockaddr *)&address, length);
  }
  return error ? give_up(fd, error) : fd;
}

int thrum_dial_unix_for(const char *path, thrum_duration timeout) {
  struct sockaddr_un address;
  int error = make_address(path, &address);
  if (error < 0) return error;
  socklen_t length = (socklen_t)error;
  int fd = open_socket(AF_UNIX, 0);
  if (fd < 0) return fd;
  error = thrum_connect_for(fd, (struct sockaddr *)&address, length, timeout);
  if (!error) return fd;
  thrum_close(fd);
  return error;
}

int thrum_dial_unix(const char *path) { return thrum_dial_unix_for(path, THRUM_FOREVER); }

int thrum_local_port(int fd) {
  union address here = {0};
  socklen_t length = sizeof here;
  int error = told(getsockname(fd, &here.any, &length));
  if (error) return error;
  if (here.any.sa_family == AF_INET) return ntohs(here.in.sin_port);
  return here.any.sa_family == AF_INET6 ? ntohs(here.in6.sin6_port) : -EAFNOSUPPORT;
}
