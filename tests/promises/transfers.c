/* io/file.h and io/socket.h, sentence by sentence: pieces, all of it, files, messages, accept and connect, poll; each with its
 * time running out and cancelled. */
#include "queues.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static void close_pair(const int pair[2]) { CHECK(thrum_close(pair[0]) == 0 && thrum_close(pair[1]) == 0); }

static void make_pair(int kind, int pair[2]) {
  int nonblock = kind % 2 ? O_NONBLOCK : 0;
  CHECK_EQ(kind < 2 ? pipe2(pair, nonblock) : socketpair(AF_UNIX, SOCK_STREAM | nonblock, 0, pair), 0);
}

/* ---- Pieces, and all of it ------------------------------------------------------------------------------------------- */

static void pieces_are_in_order(void) {
  for (int kind = 0; kind < 4; kind++) {
    int pair[2];
    make_pair(kind, pair);
    char ab[] = "ab", cde[] = "cde";
    struct iovec out[3] = {{ab, 2}, {ab, 0}, {cde, 3}};
    char first[1], rest[8] = "";
    struct iovec in[2] = {{first, 1}, {rest, sizeof rest}};
    CHECK_EQ(thrum_writev(pair[1], out, 3), 5);
    CHECK_EQ(thrum_readv(pair[0], in, 2), 5);
    CHECK(first[0] == 'a' && memcmp(rest, "bcde", 4) == 0);
    CHECK_EQ(thrum_readv_for(pair[0], in, 2, THRUM_MS(1)), -ETIMEDOUT);
    CHECK_EQ(thrum_writev_for(pair[1], out, 1, 0), 2);
    CHECK_EQ(thrum_read_for(pair[0], rest, 0, 0), 0); /* nothing is asked for */
    close_pair(pair);
  }
}

/* writev(2) sends no message then, write(2) an empty one. */
static void nothing_is_no_message(void) {
  static const int types[] = {SOCK_SEQPACKET, SOCK_DGRAM};
  for (int i = 0; i < 2; i++) {
    int pair[2];
    char byte;
    struct iovec none[2] = {{&byte, 0}, {&byte, 0}};
    CHECK_EQ(socketpair(AF_UNIX, types[i], 0, pair), 0);
    for (int count = 0; count <= 2; count++) CHECK_EQ(thrum_writev(pair[1], none, count), 0);
    CHECK_EQ(thrum_recv_for(pair[0], &byte, 1, 0, 0), -ETIMEDOUT);
    CHECK_EQ(thrum_write(pair[1], &byte, 0), 0);
    CHECK_EQ(thrum_recv_for(pair[0], &byte, 1, 0, 0), 0);
    close_pair(pair);
  }
}

enum { MUCH = 1 << 20 };
static char there[MUCH], back[MUCH];

static intptr_t send_much(void *arg) { return thrum_write_all(*(int *)arg, there, MUCH); }

static void all_of_it(void) {
  for (size_t i = 0; i < MUCH; i++) there[i] = (char)(i * 31 >> 3);
  for (int kind = 0; kind < 4; kind++) {
    int pair[2];
    make_pair(kind, pair);
    memset(back, 0, MUCH);
    thrum_thread t = must_spawn(send_much, &pair[1]);
    CHECK_EQ(thrum_read_full(pair[0], back, MUCH), MUCH);
    CHECK_EQ(must_join(t), MUCH);
    CHECK(memcmp(there, back, MUCH) == 0);
    CHECK_EQ(thrum_write(pair[1], "xy", 2), 2);
    CHECK_EQ(thrum_read_full_for(pair[0], back, 3, THRUM_MS(2)), 2); /* what came before the time ran out */
    CHECK_EQ(thrum_read_full_for(pair[0], back, 3, THRUM_MS(2)), -ETIMEDOUT);
    CHECK_EQ(thrum_write(pair[1], "z", 1), 1);
    CHECK_EQ(thrum_close(pair[1]), 0);
    CHECK_EQ(thrum_read_full(pair[0], back, 3), 1); /* the end */
    CHECK_EQ(thrum_read_full(pair[0], back, 3), 0);
    CHECK_EQ(thrum_close(pair[0]), 0);
  }
}

/* Nobody reads: a part goes out, then the time runs out. */
static void writing_times_out(void) {
  for (int kind = 0; kind < 4; kind++) {
    int pair[2];
    make_pair(kind, pair);
    ssize_t n = thrum_write_all_for(pair[1], there, MUCH, THRUM_MS(2));
    CHECK(n > 0 && n < MUCH);
    CHECK_EQ(thrum_write_for(pair[1], "x", 1, THRUM_MS(2)), -ETIMEDOUT);
    CHECK_EQ(thrum_write_for(pair[1], "x", 1, 0), -ETIMEDOUT);
    close_pair(pair);
  }
}

/* ---- Files --------------------------------------------------------------------------------------------------------------- */

static void files(void) {
  char path[] = "/tmp/thrum-files-XXXXXX", text[16] = "";
  int made = mkstemp(path);
  CHECK(made >= 0 && close(made) == 0);
  int fd = thrum_open(path, O_RDWR, 0);
  CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  CHECK_EQ(thrum_pwrite(fd, "hello, world", 12, 0), 12);
  CHECK_EQ(thrum_pread(fd, text, 5, 7), 5);
  CHECK_STR(text, "world");
  CHECK_EQ(thrum_fsync(fd), 0);
  CHECK_EQ(thrum_read(fd, text, sizeof text), 12);
  CHECK_EQ(thrum_read(fd, text, sizeof text), 0);
  CHECK_EQ(thrum_read_full(fd, text, sizeof text), 0);
  CHECK_EQ(thrum_pread(-1, text, 1, 0), -EBADF);
  CHECK_EQ(thrum_pread(fd, text, 1, -1), -EINVAL);
  CHECK_EQ(thrum_open("/nowhere/at/all", O_RDONLY, 0), -ENOENT);
  int pair[2];
  int64_t at = 7;
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_EQ(thrum_sendfile(pair[1], fd, &at, 100), 5);
  CHECK_EQ(at, 12);
  CHECK_EQ(thrum_recv(pair[0], text, sizeof text, 0), 5);
  CHECK(memcmp(text, "world", 5) == 0);
  CHECK_EQ(thrum_sendfile_for(pair[1], fd, &at, 100, 0), 0); /* the end of the file */
  close_pair(pair);
  CHECK(thrum_close(fd) == 0 && unlink(path) == 0);
}

struct a_sending {
  int out, in;
  int64_t at, *offset;
};

static intptr_t send_on(void *arg) {
  struct a_sending *s = arg;
  ssize_t n;
  while ((n = thrum_sendfile(s->out, s->in, s->offset, MUCH)) > 0) continue;
  return n;
}

/* Nobody reads: a part goes out, by which the place in the file is moved, then the time runs out, and at last `out` is closed. */
static void sending_waits_for_room(int kind, bool own_offset) {
  int pair[2], file = memfd_create("much", MFD_CLOEXEC);
  ssize_t sent = 0, n;
  CHECK_EQ(thrum_write_all(file, there, MUCH), MUCH);
  CHECK_EQ(lseek(file, 1, SEEK_SET), 1);
  make_pair(kind, pair);
  struct a_sending s = {.out = pair[1], .in = file, .at = 1};
  s.offset = own_offset ? NULL : &s.at;
  CHECK_EQ(thrum_sendfile_for(s.out, s.in, s.offset, 0, 0), 0);
  CHECK_EQ(thrum_sendfile_for(s.out, s.in, s.offset, 3, 0), 3);
  while ((n = thrum_sendfile_for(s.out, s.in, s.offset, MUCH, THRUM_MS(2))) > 0) sent += n;
  CHECK_EQ(n, -ETIMEDOUT);
  CHECK(sent > 0 && sent < MUCH - 4);
  CHECK_EQ(thrum_sendfile_for(s.out, s.in, s.offset, 1 << 15, 0), -ETIMEDOUT);
  CHECK_EQ(lseek(file, 0, SEEK_CUR), own_offset ? sent + 4 : 1);
  CHECK_EQ(s.at, own_offset ? 1 : sent + 4);
  CHECK_EQ(thrum_read_full(pair[0], back, (size_t)sent + 3), sent + 3);
  CHECK(memcmp(back, there + 1, (size_t)sent + 3) == 0);
  thrum_thread t = must_spawn(send_on, &s);
  AWAIT(queue_parked(t));
  CHECK_EQ(thrum_close(pair[1]), 0);
  CHECK_EQ(must_join(t), -EBADF);
  CHECK(thrum_close(pair[0]) == 0 && thrum_close(file) == 0);
}

/* ---- Messages ------------------------------------------------------------------------------------------------------------ */

/* A descriptor goes along with a byte. */
static void messages_carry_descriptors(void) {
  int pair[2], sent[2], got = -1;
  char byte = 'd', space[CMSG_SPACE(sizeof(int))];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  CHECK_EQ(pipe(sent), 0);
  struct iovec piece = {&byte, 1};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  struct cmsghdr *control = CMSG_FIRSTHDR(&message);
  *control =
      (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(control), &sent[0], sizeof(int));
  CHECK_EQ(thrum_sendmsg(pair[1], &message, 0), 1);
  message.msg_controllen = sizeof space;
  CHECK_EQ(thrum_recvmsg(pair[0], &message, MSG_CMSG_CLOEXEC), 1);
  memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
  CHECK_EQ(thrum_write(sent[1], "!", 1), 1);
  CHECK_EQ(thrum_read(got, &byte, 1), 1);
  CHECK_EQ(byte, '!');
  CHECK_EQ(thrum_recvmsg_for(pair[0], &message, 0, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_recvmsg(pair[0], &message, MSG_DONTWAIT), -EAGAIN);
  CHECK_EQ(thrum_recv(pair[0], &byte, 1, MSG_DONTWAIT), -EAGAIN);
  CHECK_EQ(thrum_recv(sent[0], &byte, 1, 0), -ENOTSOCK);
  CHECK_EQ(thrum_close(got), 0);
  close_pair(sent);
  close_pair(pair);
}

/* ---- Connections ----------------------------------------------------------------------------------------------------------- */

static int listen_at(struct sockaddr_in *address, int type, int backlog) {
  unsigned length = sizeof *address;
  *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | type, 0);
  CHECK_EQ(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
  CHECK_EQ(listen(fd, backlog), 0);
  CHECK_EQ(getsockname(fd, (struct sockaddr *)address, &length), 0);
  return fd;
}

static intptr_t echo(void *arg) {
  int fd = (int)(intptr_t)arg;
  char text[16];
  ssize_t n;
  while ((n = thrum_recv(fd, text, sizeof text, 0)) > 0) CHECK_EQ(thrum_write_all(fd, text, (size_t)n), n);
  CHECK_EQ(n, 0);
  return thrum_close(fd);
}

enum { CLIENTS = 20 };

static intptr_t accept_all(void *arg) {
  thrum_thread threads[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) {
    struct sockaddr_in peer;
    unsigned length = sizeof peer;
    int fd = thrum_accept(*(int *)arg, (struct sockaddr *)&peer, &length);
    CHECK(fd >= 0 && length == sizeof peer && peer.sin_family == AF_INET);
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    threads[i] = must_spawn(echo, (void *)(intptr_t)fd);
  }
  for (int i = 0; i < CLIENTS; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

struct client {
  struct sockaddr_in *to;
  int type;
};

static intptr_t converse(void *arg) {
  struct client *client = arg;
  char text[6] = "";
  int fd = socket(AF_INET, SOCK_STREAM | client->type, 0);
  CHECK_EQ(thrum_connect(fd, (struct sockaddr *)client->to, sizeof *client->to), 0);
  for (int i = 0; i < 10; i++) {
    CHECK_EQ(thrum_send(fd, "hello", 5, 0), 5);
    CHECK_EQ(thrum_read_full(fd, text, 5), 5);
    CHECK_STR(text, "hello");
  }
  CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, client->type & SOCK_NONBLOCK); /* as it was */
  return thrum_close(fd);
}

static void connections(void) {
  for (int type = 0; type <= SOCK_NONBLOCK; type += SOCK_NONBLOCK) {
    struct sockaddr_in address;
    int fd = listen_at(&address, type, 100);
    CHECK_EQ(thrum_accept_for(fd, NULL, NULL, THRUM_MS(1)), -ETIMEDOUT);
    CHECK_EQ(thrum_accept_for(fd, NULL, NULL, 0), -ETIMEDOUT);
    thrum_thread server = must_spawn(accept_all, &fd), clients[CLIENTS];
    struct client kinds[2] = {{&address, 0}, {&address, SOCK_NONBLOCK}};
    for (int i = 0; i < CLIENTS; i++) clients[i] = must_spawn(converse, &kinds[i % 2]);
    for (int i = 0; i < CLIENTS; i++) CHECK_EQ(must_join(clients[i]), 0);
    CHECK_EQ(must_join(server), 0);
    CHECK_EQ(thrum_close(fd), 0);
    int refused = socket(AF_INET, SOCK_STREAM | type, 0); /* nobody listens there any more */
    CHECK_EQ(thrum_connect(refused, (struct sockaddr *)&address, sizeof address), -ECONNREFUSED);
    CHECK_EQ(thrum_close(refused), 0);
  }
}

static intptr_t connect_to(void *arg) {
  struct sockaddr_un *address = arg;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  int error = thrum_connect_for(fd, (struct sockaddr *)address, sizeof *address, THRUM_S(TESTS_HANG_S));
  return error ? error : thrum_close(fd);
}

/* The kernel tells nobody when a Unix socket's queue of connections has room again. */
static void crowded_unix_sockets(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "thrum-transfers-%d", (int)getpid());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
  CHECK_EQ(listen(fd, 1), 0);
  thrum_thread clients[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) clients[i] = must_spawn(connect_to, &address);
  int late = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), error;
  thrum_sleep(THRUM_MS(1));
  error = thrum_connect_for(late, (struct sockaddr *)&address, sizeof address, THRUM_MS(5));
  CHECK(error == 0 || error == -ETIMEDOUT); /* 0: it was faster than the others */
  CHECK_EQ(thrum_close(late), 0);
  for (int i = 0; i < CLIENTS + (error == 0); i++) {
    int accepted = thrum_accept(fd, NULL, NULL);
    CHECK(accepted >= 0 && thrum_close(accepted) == 0);
  }
  for (int i = 0; i < CLIENTS; i++) CHECK_EQ(must_join(clients[i]), 0);
  CHECK_EQ(thrum_close(fd), 0);
}

struct listening {
  int fd, begun;
};

static intptr_t accept_one(void *arg) {
  struct listening *l = arg;
  STORE(l->begun, 1);
  return thrum_accept(l->fd, NULL, NULL);
}

/* How a server ends who accepts. */
static void shutdown_ends_accepting(void) {
  for (int kind = 0; kind < 4; kind++) {
    struct sockaddr_in in;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct listening l = {.fd = -1};
    if (kind < 2) {
      l.fd = listen_at(&in, kind ? SOCK_NONBLOCK : 0, 1);
    } else {
      l.fd = socket(AF_UNIX, SOCK_STREAM | (kind == 3 ? SOCK_NONBLOCK : 0), 0);
      CHECK_EQ(bind(l.fd, (struct sockaddr *)&un, sizeof un.sun_family),
               0); /* a name of the kernel's choice */
      CHECK_EQ(listen(l.fd, 1), 0);
    }
    thrum_thread t = must_spawn(accept_one, &l);
    if (kind % 2)
      AWAIT(queue_parked(t));
    else
      AWAIT(LOAD(l.begun));
    CHECK_EQ(shutdown(l.fd, SHUT_RDWR), 0);
    CHECK_EQ(must_join(t), -EINVAL);
    CHECK_EQ(thrum_accept(l.fd, NULL, NULL), -EINVAL);
    CHECK_EQ(thrum_close(l.fd), 0);
  }
}

/* ---- Poll -------------------------------------------------------------------------------------------------------------------- */

enum { MANY = 40 };

static intptr_t write_to(void *arg) { return thrum_write(*(int *)arg, "p", 1) == 1 ? 0 : -EIO; }

static void polling(void) {
  int pairs[MANY][2];
  struct pollfd fds[MANY + 1];
  for (int i = 0; i < MANY; i++) {
    make_pair(i % 4, pairs[i]);
    fds[i] = (struct pollfd){pairs[i][0], POLLIN, 0};
  }
  fds[MANY] = (struct pollfd){-1, POLLIN, 77};
  for (int count = 1; count <= MANY + 1; count += MANY / 2) {
    CHECK_EQ(thrum_poll_for(fds, (size_t)count, 0), -ETIMEDOUT);
    CHECK_EQ(thrum_poll_for(fds, (size_t)count, THRUM_MS(1)), -ETIMEDOUT);
    thrum_thread t = must_spawn(write_to, &pairs[count / 2][1]);
    CHECK_EQ(thrum_poll(fds, (size_t)count), 1);
    CHECK_EQ(fds[count / 2].revents, POLLIN);
    CHECK_EQ(must_join(t), 0);
    CHECK_EQ(thrum_read(pairs[count / 2][0], &(char){0}, 1), 1);
  }
  CHECK_EQ(fds[MANY].revents, 0);
  fds[0].fd = pairs[0][1], fds[0].events = POLLOUT | POLLIN;
  CHECK_EQ(thrum_poll(fds, MANY), 1);
  CHECK_EQ(fds[0].revents, POLLOUT);
  for (int i = 0; i < MANY; i++) close_pair(pairs[i]);
  CHECK_EQ(thrum_poll(fds, 3), 3); /* as poll(2) says it */
  CHECK_EQ(fds[1].revents, POLLNVAL);
}

static intptr_t poll_one(void *arg) {
  struct pollfd fd = {*(int *)arg, POLLIN, 0};
  return thrum_poll(&fd, 1);
}

/* ---- Cancelled, closed -------------------------------------------------------------------------------------------------------- */

static intptr_t wait_in(int what, int fd) {
  char byte;
  struct iovec piece = {&byte, 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  switch (what) {
  case 0: return thrum_read(fd, &byte, 1);
  case 1: return thrum_readv(fd, &piece, 1);
  case 2: return thrum_read_full(fd, &byte, 1);
  case 3: return thrum_recv(fd, &byte, 1, 0);
  case 4: return thrum_recvmsg(fd, &message, 0);
  default: return poll_one(&fd);
  }
}

struct a_wait {
  int what, fd, begun;
};

static intptr_t wait_there(void *arg) {
  struct a_wait *w = arg;
  STORE(w->begun, 1);
  return wait_in(w->what, w->fd);
}

static void waits_end(void) {
  for (int what = 0; what < 6; what++)
    for (int how = 0; how < 4; how++) {
      int pair[2];
      struct a_wait w = {.what = what};
      CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | (how % 2 ? SOCK_NONBLOCK : 0), 0, pair), 0);
      w.fd = pair[0];
      thrum_thread t = must_spawn(wait_there, &w);
      AWAIT(LOAD(w.begun) && queue_parked(t)); /* a poll that comes behind the close says POLLNVAL */
      if (how < 2)
        CHECK_EQ(thrum_close(pair[0]), 0);
      else
        queue_cancel(t);
      CHECK_EQ(must_join(t), how < 2 ? -EBADF : -ECANCELED);
      if (how >= 2) CHECK_EQ(thrum_close(pair[0]), 0);
      CHECK_EQ(thrum_close(pair[1]), 0);
    }
}

static intptr_t all_there(void *arg) {
  struct a_wait *w = arg;
  STORE(w->begun, 1);
  return w->what ? thrum_write_all(w->fd, there, MUCH) : thrum_read_full(w->fd, back, MUCH);
}

/* A part is done when the descriptor is closed: a short count would have the caller go on with a number that is another file's. */
static void close_wins_over_a_part(void) {
  for (int what = 0; what < 2; what++)
    for (int kind = 1; kind < 4; kind++) { /* not a pipe in blocking mode, which an old kernel cannot try */
      int pair[2];
      make_pair(kind, pair);
      struct a_wait w = {.what = what, .fd = pair[what]};
      if (!what) CHECK_EQ(thrum_write(pair[1], "abc", 3), 3);
      thrum_thread t = must_spawn(all_there, &w);
      AWAIT(LOAD(w.begun) && queue_parked(t));
      CHECK_EQ(thrum_close(w.fd), 0);
      CHECK_EQ(must_join(t), -EBADF);
      CHECK_EQ(thrum_close(pair[!what]), 0);
    }
}

/* With no descriptor to be had the connection stays where it is. */
static void no_descriptor_to_be_had(void) {
  struct sockaddr_in address;
  enum { LIMIT = 100 };
  struct rlimit limit, former;
  int fd = listen_at(&address, SOCK_NONBLOCK, 10), client = socket(AF_INET, SOCK_STREAM, 0), hoard[LIMIT],
      n = 0;
  CHECK_EQ(thrum_connect(client, (struct sockaddr *)&address, sizeof address), 0);
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &former), 0);
  limit = former;
  limit.rlim_cur = LIMIT;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  while ((hoard[n] = dup(fd)) >= 0) n++;
  CHECK(n < LIMIT);
  CHECK_EQ(thrum_accept(fd, NULL, NULL), -EMFILE);
  CHECK_EQ(thrum_accept_for(fd, NULL, NULL, THRUM_MS(1)), -EMFILE);
  while (n > 0) CHECK_EQ(close(hoard[--n]), 0);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &former), 0);
  int accepted = thrum_accept(fd, NULL, NULL);
  CHECK(accepted >= 0 && thrum_close(accepted) == 0);
  CHECK(thrum_close(client) == 0 && thrum_close(fd) == 0);
}

static intptr_t all(void *arg) {
  (void)arg;
  pieces_are_in_order();
  nothing_is_no_message();
  all_of_it();
  writing_times_out();
  files();
  for (int kind = 0; kind < 8; kind++) sending_waits_for_room(kind % 4, kind >= 4);
  messages_carry_descriptors();
  polling();
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  connections();
  crowded_unix_sockets();
  shutdown_ends_accepting();
  waits_end();
  close_wins_over_a_part();
  no_descriptor_to_be_had();
  return 0;
}
