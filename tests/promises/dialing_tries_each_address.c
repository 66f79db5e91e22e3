/* Listening and dialing: TCP by IPv4, IPv6 and name, unix sockets by path and name. Each address in turn, an equal part of the time for
 * each; errors of the first; leftover files taken over, living ones not. Only loopback addresses are used. */
#include "parked.h"

#include <fcntl.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <os/os.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { CONNECTIONS = TESTS_SANITIZED ? 50 : 200, CROWDED = 8 };

static bool have_ipv6;
static char port_text[16];

/* ---- Names: in place of libc's look-up ------------------------------------------------------------------------------------- */

static struct addrinfo *numeric(const char *host, const char *port, const struct addrinfo *hints) {
  struct addrinfo *list;
  int error;
  CHECK_EQ(thrumi_os_linux.look_up(host, port, hints, &list, &error), 0);
  CHECK(!list->ai_next);
  return list;
}

/* "A,B" has these addresses; so has "localhost", here. */
static int look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                   int *error) {
  if (host && strcmp(host, "localhost") == 0) host = have_ipv6 ? "::1,127.0.0.1" : "127.0.0.2,127.0.0.1";
  const char *comma = host ? strchr(host, ',') : NULL;
  if (!comma) return thrumi_os_linux.look_up(host, port, hints, out, error);
  if (hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
  char first[64];
  snprintf(first, sizeof first, "%.*s", (int)(comma - host), host);
  *out = numeric(first, port, hints);
  (*out)->ai_next = numeric(comma + 1, port, hints);
  return 0;
}

static const char *port_of(int listener) {
  int port = thrum_local_port(listener);
  CHECK(port > 0 && port < 65536);
  snprintf(port_text, sizeof port_text, "%d", port);
  return port_text;
}

static int must_listen(const char *host) {
  int fd = thrum_listen_tcp(host, "0");
  CHECK(fd >= 0);
  return fd;
}

static void must_close(int fd) { CHECK_EQ(thrum_close(fd), 0); }

static void check_connected(int listener, int fd) {
  char byte = 0;
  CHECK_EQ(fd < 0 ? fd : 0, 0);
  int peer = thrum_accept_for(listener, NULL, NULL, THRUM_S(20));
  CHECK(peer >= 0);
  CHECK_EQ(thrum_write(fd, "c", 1), 1);
  CHECK_EQ(thrum_read(peer, &byte, 1), 1);
  CHECK_EQ(byte, 'c');
  must_close(peer);
  must_close(fd);
}

static void check_flags(int fd) {
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* ---- TCP -------------------------------------------------------------------------------------------------------------------- */

static intptr_t one_address(void *host) {
  int listener = must_listen(host), on = 0;
  socklen_t size = sizeof on;
  int fd = thrum_dial_tcp(host, port_of(listener));
  check_flags(listener);
  check_flags(fd);
  CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
  CHECK(on);
  check_connected(listener, fd);
  char mine[16];
  snprintf(mine, sizeof mine, "%d", thrum_local_port(listener));
  CHECK_EQ(thrum_listen_tcp(host, mine), -EADDRINUSE);
  must_close(listener);
  CHECK_EQ(thrum_dial_tcp(host, mine), -ECONNREFUSED);
  int again = thrum_listen_tcp(host, mine); /* though the former one's connections linger */
  CHECK(again >= 0);
  must_close(again);
  return 0;
}

static void all_addresses(void) {
  int listener = must_listen(NULL);
  check_connected(listener, thrum_dial_tcp("127.0.0.1", port_of(listener)));
  check_connected(listener, thrum_dial_tcp("localhost", port_of(listener)));
  check_connected(listener, thrum_dial_tcp(NULL, port_of(listener)));
  if (have_ipv6) check_connected(listener, thrum_dial_tcp("::1", port_of(listener)));
  must_close(listener);
}

static void names_are_tried_in_turn(const char *one, const char *other) {
  char both[64], turned[64];
  snprintf(both, sizeof both, "%s,%s", one, other);
  snprintf(turned, sizeof turned, "%s,%s", other, one);
  int listener = must_listen(one);
  check_connected(listener, thrum_dial_tcp(both, port_of(listener)));
  check_connected(listener, thrum_dial_tcp(turned, port_of(listener)));
  check_connected(listener, thrum_dial_tcp_for(turned, port_of(listener), THRUM_S(20)));
  char port[16];
  snprintf(port, sizeof port, "%d", thrum_local_port(listener));
  int second = thrum_listen_tcp(both, port); /* the first is taken */
  CHECK(second >= 0);
  CHECK_EQ(thrum_listen_tcp(both, port), -EADDRINUSE);
  must_close(listener);
  check_connected(second, thrum_dial_tcp(both, port));
  must_close(second);
  CHECK_EQ(thrum_dial_tcp(both, port), -ECONNREFUSED);
}

static intptr_t dial_and_close(void *port) {
  int fd = thrum_dial_tcp("127.0.0.1", port);
  char byte = 0;
  if (fd < 0) return fd;
  CHECK_EQ(thrum_read(fd, &byte, 1), 1);
  must_close(fd);
  return byte;
}

static void many_at_once(void) {
  static thrum_thread threads[CONNECTIONS];
  int listener = must_listen("127.0.0.1");
  char port[16];
  strcpy(port, port_of(listener));
  for (int i = 0; i < CONNECTIONS; i++) threads[i] = must_spawn(dial_and_close, port);
  for (int i = 0; i < CONNECTIONS; i++) {
    int fd = thrum_accept(listener, NULL, NULL);
    CHECK_EQ(thrum_write(fd, "m", 1), 1);
    must_close(fd);
  }
  for (int i = 0; i < CONNECTIONS; i++) CHECK_EQ(must_join(threads[i]), 'm');
  must_close(listener);
}

/* ---- A listener that does not answer: its queue is full ------------------------------------------------------------------------- */

static int fillers[CROWDED], filled;

static bool is_connecting(int fd) {
  struct tcp_info info;
  socklen_t size = sizeof info;
  CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_state == TCP_SYN_SENT;
}

/* On the port, or any. */
static int listen_crowded(const char *address, int port) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  CHECK(inet_pton(AF_INET, address, &at.sin_addr) == 1 && bind(listener, (struct sockaddr *)&at, size) == 0);
  CHECK(listen(listener, 0) == 0 && getsockname(listener, (struct sockaddr *)&at, &size) == 0);
  for (filled = 0; filled < CROWDED; filled++) {
    fillers[filled] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK(connect(fillers[filled], (struct sockaddr *)&at, size) == 0 || errno == EINPROGRESS);
    if (is_connecting(fillers[filled]))
      break; /* over the loopback it is over at once, unless there is no room */
  }
  CHECK(filled < CROWDED);
  filled++;
  return listener;
}

static void stop_crowding(int listener) {
  while (filled) CHECK_EQ(close(fillers[--filled]), 0);
  must_close(listener);
}

static intptr_t dial_silent(void *port) {
  int fd = thrum_dial_tcp("127.0.0.1", port);
  if (fd >= 0) must_close(fd);
  return fd < 0 ? fd : 0;
}

static void silent_listener(void) {
  int listener = listen_crowded("127.0.0.1", 0);
  char port[16];
  strcpy(port, port_of(listener));
  CHECK_EQ(thrum_dial_tcp_for("127.0.0.1", port, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(thrum_dial_tcp_for("127.0.0.1", port, 0), -ETIMEDOUT);
  CHECK_EQ(cancelled_result(dial_silent, port), -ECANCELED);
  CHECK_EQ(result_if_cancelled_before(dial_silent, port), -ECANCELED);
  /* What is tried first must not use up the time of the next, which answers; nor does it keep the error from being the first's. */
  int second = thrum_listen_tcp("127.0.0.2", port);
  check_connected(second, thrum_dial_tcp_for("127.0.0.1,127.0.0.2", port, THRUM_S(4)));
  CHECK_EQ(thrum_dial_tcp_for("127.0.0.1,127.0.0.3", port, THRUM_MS(20)), -ETIMEDOUT);
  must_close(second);
  stop_crowding(listener);
}

/* One that has waited goes on when there is room: the kernel asks again after a second. */
static void room_after_all(void) {
  int listener = listen_crowded("127.0.0.1", 0);
  thrum_thread t = must_spawn(dial_silent, (void *)(uintptr_t)port_of(listener));
  AWAIT(is_parked(t));
  while (thrum_is_alive(t)) {
    int fd = thrum_accept_for(listener, NULL, NULL, THRUM_MS(20));
    if (fd >= 0) must_close(fd);
  }
  CHECK_EQ(must_join(t), 0);
  stop_crowding(listener);
}

/* Of two errors that of the first. */
static int third_is_unreachable(int fd, const struct sockaddr *address, socklen_t length) {
  bool third =
      ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) == INADDR_LOOPBACK + 2;
  return third ? -EHOSTUNREACH : thrumi_os_linux.connect(fd, address, length);
}

static void first_error_is_told(void) {
  int listener = must_listen("127.0.0.1");
  char port[16];
  strcpy(port, port_of(listener));
  must_close(listener);
  thrumi_os.connect = third_is_unreachable;
  CHECK_EQ(thrum_dial_tcp("127.0.0.3,127.0.0.1", port), -EHOSTUNREACH);
  CHECK_EQ(thrum_dial_tcp("127.0.0.1,127.0.0.3", port), -ECONNREFUSED);
  thrumi_os.connect = thrumi_os_linux.connect;
}

/* The port that is dialed is given to the dialing socket itself. */
static int connect_to_itself(int fd, const struct sockaddr *address, socklen_t length) {
  CHECK_EQ(bind(fd, address, length), 0);
  return thrumi_os_linux.connect(fd, address, length);
}

static void nobody_is_connected_to_itself(void) {
  int listener = must_listen("127.0.0.1");
  char port[16];
  strcpy(port, port_of(listener));
  must_close(listener);
  thrumi_os.connect = connect_to_itself;
  CHECK_EQ(thrum_dial_tcp("127.0.0.1", port), -ECONNREFUSED);
  thrumi_os.connect = thrumi_os_linux.connect;
}

/* ---- Unix ------------------------------------------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/thrum-dialing-XXXXXX", path[64];

static void by_path(const char *at) {
  int listener = thrum_listen_unix(at);
  CHECK(listener >= 0);
  check_flags(listener);
  int fd = thrum_dial_unix(at);
  check_flags(fd);
  check_connected(listener, fd);
  CHECK_EQ(thrum_listen_unix(at), -EADDRINUSE); /* it lives; that was a connection which has ended */
  if (at[0] != '@') must_close(thrum_accept(listener, NULL, NULL));
  CHECK_EQ(thrum_local_port(listener), -EAFNOSUPPORT);
  must_close(listener);
  CHECK_EQ(thrum_dial_unix(at), -ECONNREFUSED);
}

static void leftovers(void) {
  struct stat before, after;
  CHECK_EQ(stat(path, &before), 0);
  by_path(path);
  CHECK_EQ(stat(path, &after), 0);
  CHECK(S_ISSOCK(after.st_mode));
  CHECK_EQ(unlink(path), 0);
  CHECK_EQ(thrum_dial_unix(path), -ENOENT);
  int file = open(path, O_CREAT | O_WRONLY, 0600); /* another kind of file is nobody's leftover */
  CHECK(file >= 0 && close(file) == 0);
  CHECK_EQ(thrum_listen_unix(path), -EADDRINUSE);
  CHECK_EQ(stat(path, &after), 0);
  CHECK(S_ISREG(after.st_mode));
  CHECK_EQ(unlink(path), 0);
  CHECK_EQ(symlink("nowhere", path), 0);
  CHECK_EQ(thrum_listen_unix(path), -EADDRINUSE);
  CHECK_EQ(unlink(path), 0);
  int datagrams = socket(AF_UNIX, SOCK_DGRAM, 0); /* a living one of another type */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  CHECK_EQ(bind(datagrams, (struct sockaddr *)&address, sizeof address), 0);
  CHECK_EQ(thrum_listen_unix(path), -EADDRINUSE);
  CHECK(close(datagrams) == 0 && unlink(path) == 0);
}

static intptr_t dial_path(void *unused) {
  (void)unused;
  int fd = thrum_dial_unix(path);
  if (fd >= 0) must_close(fd);
  return fd < 0 ? fd : 0;
}

static void crowded_path(void) {
  int listener = thrum_listen_unix(path), fds[3], n = 0;
  CHECK_EQ(listen(listener, 0), 0);
  while ((fds[n] = thrum_dial_unix_for(path, 0)) >= 0) CHECK(++n < 3);
  CHECK(n > 0);
  CHECK_EQ(fds[n], -ETIMEDOUT);
  CHECK_EQ(thrum_dial_unix_for(path, THRUM_MS(5)), -ETIMEDOUT);
  CHECK_EQ(cancelled_result(dial_path, NULL), -ECANCELED);
  CHECK_EQ(result_if_cancelled_before(dial_path, NULL), -ECANCELED);
  thrum_thread t = must_spawn(dial_path, NULL);
  AWAIT(is_parked(t));
  for (int i = 0; i <= n; i++) must_close(thrum_accept(listener, NULL, NULL));
  CHECK_EQ(must_join(t), 0);
  while (n) must_close(fds[--n]);
  must_close(listener);
  CHECK_EQ(unlink(path), 0);
}

static void lengths(void) {
  char longest[120] = "", name[120] = "";
  CHECK(mkdtemp(folder));
  CHECK_EQ(chdir(folder), 0);
  memset(longest, 'l', 107);
  by_path(longest);
  CHECK_EQ(unlink(longest), 0);
  longest[107] = 'l';
  CHECK_EQ(thrum_listen_unix(longest), -ENAMETOOLONG);
  CHECK_EQ(thrum_dial_unix(longest), -ENAMETOOLONG);
  CHECK_EQ(thrum_dial_unix(""), -EINVAL);
  CHECK_EQ(thrum_listen_unix(NULL), -EINVAL);
  snprintf(name, sizeof name, "@thrum-dialing-%d", (int)getpid());
  by_path(name);
  CHECK(access(name, F_OK) != 0); /* no file */
  snprintf(path, sizeof path, "%s/socket", folder);
}

static void wrong_calls(void) {
  CHECK_EQ(thrum_dial_tcp("127.0.0.1", NULL), -EINVAL);
  CHECK_EQ(thrum_listen_tcp("127.0.0.1", NULL), -EINVAL);
  CHECK_EQ(thrum_listen_tcp(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_listen_tcp("127.0.0.1", "no such service"), -ENOENT);
  static const char *const bad[] = {"", "65536", "70000", "-1", "99999999999999999999", "4294967376"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_EQ(thrum_listen_tcp("127.0.0.1", bad[i]), -EINVAL);
    CHECK_EQ(thrum_dial_tcp("127.0.0.1", bad[i]), -EINVAL);
  }
  CHECK_EQ(thrum_dial_tcp("127.0.0.1", "0"), -EINVAL);
  CHECK_EQ(thrum_dial_tcp("127.0.0.1", "00"), -EINVAL);
  CHECK_EQ(thrum_listen_tcp("1.2.3.4", "0"), -EADDRNOTAVAIL); /* not ours */
  CHECK_EQ(thrum_local_port(-1), -EBADF);
  int ends[2];
  CHECK_EQ(pipe(ends), 0);
  CHECK_EQ(thrum_local_port(ends[0]), -ENOTSOCK);
  CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

int main(void) {
  static char ipv4[] = "127.0.0.1", ipv6[] = "::1";
  int fd = thrum_listen_tcp("::1", "0");
  have_ipv6 = fd >= 0;
  if (have_ipv6) must_close(fd);
  thrumi_os.look_up = look_up;
  run_in_each_kind(one_address, ipv4);
  if (have_ipv6) run_in_each_kind(one_address, ipv6);
  all_addresses();
  names_are_tried_in_turn("127.0.0.1", "127.0.0.2");
  if (have_ipv6) names_are_tried_in_turn("127.0.0.1", "::1");
  many_at_once();
  silent_listener();
  room_after_all();
  first_error_is_told();
  nobody_is_connected_to_itself();
  lengths();
  by_path(path);
  leftovers();
  crowded_path();
  wrong_calls();
  CHECK(chdir("/") == 0 && rmdir(folder) == 0);
  return 0;
}
