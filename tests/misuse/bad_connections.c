/* What is wrong with connections and listeners: the documented error, and nothing has changed. */
#include "../support.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

static void nothing_given(void) {
  thrum_conn *c = NULL;
  thrum_listener *l = NULL;
  void *data;
  size_t size;
  char room[4];
  CHECK_EQ(thrum_conn_pair(NULL), -EINVAL);
  CHECK_EQ(thrum_conn_pipe(&c, NULL), -EINVAL);
  CHECK_EQ(thrum_conn_pipe(NULL, &c), -EINVAL);
  CHECK_EQ(thrum_conn_open(NULL, 0, THRUM_CONN_READ), -EINVAL);
  CHECK_EQ(thrum_conn_fd(NULL), -EINVAL);
  CHECK_EQ(thrum_conn_send(NULL, room, 1), -EINVAL);
  CHECK_EQ(thrum_conn_recv(NULL, room, 1), -EINVAL);
  CHECK_EQ(thrum_conn_recv_new(NULL, &data, &size, 1), -EINVAL);
  CHECK_EQ(thrum_conn_next_size(NULL), -EINVAL);
  CHECK_EQ(thrum_conn_wait(NULL), -EINVAL);
  CHECK_EQ(thrum_conn_send_fd(NULL, 0), -EINVAL);
  CHECK_EQ(thrum_conn_recv_fd(NULL), -EINVAL);
  CHECK_EQ(thrum_conn_authenticate(NULL, THRUM_CONN_DIALED, NULL), -EINVAL);
  CHECK_EQ(thrum_conn_dial(NULL, "unix:/x", NULL), -EINVAL);
  CHECK_EQ(thrum_conn_dial(&c, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_listener_open(NULL, "unix:/x", NULL), -EINVAL);
  CHECK_EQ(thrum_listener_open(&l, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_listener_accept(NULL, &c), -EINVAL);
  CHECK_EQ(thrum_listener_fd(NULL), -EINVAL);
  CHECK(thrum_listener_address(NULL) == NULL);
  thrum_conn_shutdown(NULL);
  thrum_conn_close(NULL);
  thrum_listener_close(NULL);
  CHECK(!c && !l);
}

static void no_room_given(void) {
  thrum_conn *end[2];
  void *data;
  size_t size;
  char room[4];
  CHECK_EQ(thrum_conn_pair(end), 0);
  CHECK_EQ(thrum_conn_send(end[0], NULL, 1), -EINVAL);
  CHECK_EQ(thrum_conn_send(end[0], room, SIZE_MAX), -EINVAL);
  CHECK_EQ(thrum_conn_send(end[0], "ab", 2), 0);
  CHECK_EQ(thrum_conn_recv(end[1], NULL, 1), -EINVAL);
  CHECK_EQ(thrum_conn_recv_new(end[1], NULL, &size, 9), -EINVAL);
  CHECK_EQ(thrum_conn_recv_new(end[1], &data, NULL, 9), -EINVAL);
  CHECK_EQ(thrum_conn_recv(end[1], NULL, 0), -EMSGSIZE);
  CHECK_EQ(thrum_conn_recv(end[1], room, 4), 2); /* it is still there */
  thrum_conn_close(end[0]);
  thrum_conn_close(end[1]);
}

/* What is refused stays the caller's. */
static void wrong_descriptors(void) {
  thrum_conn *c = NULL;
  int pipe[2], path = open("/", O_PATH | O_CLOEXEC);
  CHECK_EQ(pipe2(pipe, O_CLOEXEC), 0);
  CHECK_EQ(thrum_conn_open(&c, -1, THRUM_CONN_READ), -EBADF);
  CHECK_EQ(thrum_conn_open(&c, 9999, THRUM_CONN_READ), -EBADF);
  CHECK_EQ(thrum_conn_open(&c, path, THRUM_CONN_READ), -EBADF);
  CHECK_EQ(thrum_conn_open(&c, pipe[0], THRUM_CONN_WRITE), -EBADF);
  CHECK_EQ(thrum_conn_open(&c, pipe[0], THRUM_CONN_BOTH), -EBADF);
  CHECK_EQ(thrum_conn_open(&c, pipe[1], THRUM_CONN_READ), -EBADF);
  CHECK_EQ(thrum_conn_open(&c, pipe[0], 0), -EINVAL);
  CHECK_EQ(thrum_conn_open(&c, pipe[0], 4), -EINVAL);
  CHECK_EQ(thrum_conn_open(&c, pipe[0], -1), -EINVAL);
  int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK_EQ(thrum_conn_open(&c, datagrams, THRUM_CONN_BOTH), -EINVAL);
  CHECK(!c && close(datagrams) == 0);
  CHECK_EQ(thrum_conn_open(&c, pipe[0], THRUM_CONN_READ), 0);
  thrum_conn_close(c);
  CHECK_EQ(fcntl(pipe[0], F_GETFD), -1);
  CHECK(close(pipe[1]) == 0 && close(path) == 0);
}

/* One direction of a socket, which could do both. */
static void directions(void) {
  thrum_conn *c;
  int fd[2];
  char room[4];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
  CHECK_EQ(thrum_conn_open(&c, fd[0], THRUM_CONN_WRITE), 0);
  CHECK_EQ(thrum_conn_recv(c, room, 4), -EOPNOTSUPP);
  CHECK_EQ(thrum_conn_recv_fd(c), -EOPNOTSUPP);
  CHECK_EQ(thrum_conn_wait(c), -EOPNOTSUPP);
  thrum_conn_item item = {c, -1, true};
  CHECK_EQ(thrum_conn_wait_many(&item, 1), -EOPNOTSUPP);
  thrum_conn_close(c);
  CHECK_EQ(close(fd[1]), 0);
}

static void no_descriptors_left(void) {
  struct rlimit was, few;
  thrum_conn *end[2] = {NULL, NULL};
  thrum_listener *l = NULL;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
  few = was;
  few.rlim_cur = 3;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  CHECK_EQ(thrum_conn_pair(end), -EMFILE);
  CHECK_EQ(thrum_conn_pipe(&end[0], &end[1]), -EMFILE);
  CHECK_EQ(thrum_listener_open(&l, "unix:@thrum-bad-connections", NULL), -EMFILE);
  CHECK_EQ(thrum_conn_dial(&end[0], "unix:@thrum-bad-connections", NULL), -EMFILE);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
  CHECK(!end[0] && !end[1] && !l);
}

/* This program is not linked with libthrum-auth. */
static void no_library_for_keys(void) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  thrum_listener *l;
  thrum_conn *c;
  o.key = "k", o.key_size = 1;
  if (dlopen("libthrum-auth.so.0", RTLD_NOW)) return; /* it is installed here, and so is found */
  CHECK_EQ(thrum_listener_open(&l, "unix:@thrum-bad-connections", &o), -ENOSYS);
  CHECK_EQ(thrum_conn_dial(&c, "unix:@thrum-bad-connections", &o), -ENOSYS);
  CHECK_EQ(thrum_conn_dial(&c, "unix:@thrum-bad-connections", NULL), -ECONNREFUSED);
}

static void what_is_no_option(void) {
  thrum_conn_options o = THRUM_CONN_OPTIONS_INIT;
  thrum_listener *l;
  o.patience = -1;
  CHECK_EQ(thrum_listener_open(&l, "unix:@thrum-bad-connections", &o), -EINVAL);
  o.patience = 0;
  o.digest = "";
  CHECK_EQ(thrum_listener_open(&l, "unix:@thrum-bad-connections", &o), -EINVAL);
  o.digest = "sha256 ";
  CHECK_EQ(thrum_listener_open(&l, "unix:@thrum-bad-connections", &o), -EINVAL);
}

int main(void) {
  nothing_given();
  no_room_given();
  wrong_descriptors();
  directions();
  no_descriptors_left();
  no_library_for_keys();
  what_is_no_option();
  return 0;
}
