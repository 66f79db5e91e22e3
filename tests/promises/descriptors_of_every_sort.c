/* What misleads a call on a descriptor: numbers of which something else is known, descriptors that never wait, waits for nothing but
 * the end, many for one connection, a kernel that says wrongly that a file has ended, what sendfile reads from closed meanwhile, and
 * standard descriptors that the program has closed. */
#include "queues.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <os/os.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MUCH = 4 << 20 };
static char much[MUCH];

static void make_pair(int type, int pair[2]) { CHECK_EQ(socketpair(AF_UNIX, type, 0, pair), 0); }
static void close_pair(const int pair[2]) { CHECK(thrum_close(pair[0]) == 0 && thrum_close(pair[1]) == 0); }

static int file_of(const char *text) {
  char path[] = "/tmp/thrum-sorts-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && unlink(path) == 0);
  CHECK_EQ(write(fd, text, strlen(text)), strlen(text));
  CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
  return fd;
}

/* ---- Numbers ------------------------------------------------------------------------------------------------------------ */

/* Nobody reads: what finds room is written, at once, whatever the number was before; close(2) closed that. */
static void number_becomes_socket(int old) {
  int pair[2];
  if (old >= 0) CHECK_EQ(thrum_write_for(old, "", 0, 0), 0);
  int number = old >= 0 ? old : dup(0);
  CHECK_EQ(close(number), 0);
  if (old < 0) CHECK_EQ(thrum_read_for(number, much, 1, 0), -EBADF);
  make_pair(SOCK_STREAM, pair);
  if (pair[0] != number) CHECK_EQ(dup2(pair[0], number), number);
  ssize_t n = thrum_write_for(number, much, MUCH, 0);
  CHECK(n > 0 && n < MUCH);
  CHECK_EQ(thrum_write_for(number, much, MUCH, THRUM_MS(1)), -ETIMEDOUT);
  if (pair[0] != number) CHECK_EQ(thrum_close(number), 0);
  close_pair(pair);
}

static void numbers_become_sockets(void) {
  int ends[2];
  number_becomes_socket(-1);
  number_becomes_socket(file_of(""));
  CHECK_EQ(pipe(ends), 0);
  number_becomes_socket(ends[1]);
  CHECK_EQ(thrum_close(ends[0]), 0);
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

/* Epoll or an eventfd. */
static bool is_of_events(int fd) {
  char path[32], link[32] = "";
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return readlink(path, link, sizeof link - 1) > 0 && strncmp(link, "anon_inode:[event", 17) == 0;
}

/* In a process without standard descriptors, before thrum has started. */
static int start_without_standard(void) {
  int ends[2], ours = 0;
  sigset_t set;
  static thrum_event event;
  CHECK_EQ(pipe(ends), 0);
  for (int fd = 0; fd <= 2; fd++) CHECK_EQ(close(fd), 0);
  for (int fd = 3; fd < 64; fd++) CHECK(!is_of_events(fd));
  CHECK_EQ(thrum_read_for(ends[0], much, 1, THRUM_MS(1)), -ETIMEDOUT);
  for (int fd = 3; fd < 64; fd++) {
    if (!is_of_events(fd)) continue;
    CHECK_EQ(thrum_close(fd), -EBADF);
    CHECK(is_open(fd));
    ours++;
  }
  CHECK_EQ(ours, 2);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_EQ(thrum_signal_wait_for(&set, THRUM_MS(1)), -ETIMEDOUT);
  CHECK(thrum_event_fd(&event) > 2);
  for (int fd = 0; fd <= 2; fd++) CHECK(!is_open(fd));
  CHECK_EQ(thrum_write(ends[1], "x", 1), 1);
  CHECK_EQ(thrum_read(ends[0], much, 1), 1);
  return 0;
}

/* The child tells by its status alone, since it has nothing to print to. */
static void standard_numbers_stay_free(void) {
  int status = -1;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) _exit(start_without_standard());
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

/* ---- Pieces --------------------------------------------------------------------------------------------------------------- */

static void pieces_are_checked(void) {
  static struct iovec pieces[1025];
  char text[2];
  for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
    int pair[2];
    make_pair(type, pair);
    for (int sent = 0; sent < 2; sent++) {
      CHECK_EQ(thrum_readv_for(pair[0], pieces, 0, THRUM_MS(1)), 0);
      CHECK_EQ(thrum_readv_for(pair[0], pieces, 1, THRUM_MS(1)), 0);
      CHECK_EQ(thrum_readv_for(pair[0], pieces, 2, THRUM_MS(1)), 0);
      CHECK_EQ(thrum_readv_for(pair[0], pieces, -1, 0), -EINVAL);
      CHECK_EQ(thrum_readv_for(pair[0], pieces, 1025, 0), -EINVAL);
      CHECK_EQ(thrum_writev_for(pair[1], pieces, -1, 0), -EINVAL);
      if (sent == 0) CHECK_EQ(thrum_send(pair[1], "ab", 2, 0), 2);
    }
    CHECK_EQ(thrum_read(pair[0], text, 2), 2); /* nobody has taken it */
    close_pair(pair);
  }
}

/* Between two parts the reader looks what time is left: then the number is closed, and becomes the stranger's. */
static struct {
  pthread_t reader;
  bool armed;
  int number, stranger;
} between = {.number = -1};

static ssize_t recv_first_part(int fd, void *buffer, size_t size, int flags) {
  ssize_t n = thrumi_os_linux.recv(fd, buffer, size, flags);
  if (fd == between.number && n > 0) STORE(between.armed, true);
  return n;
}

static int64_t now_between_parts(void) {
  if (LOAD(between.armed) && pthread_equal(pthread_self(), between.reader)) {
    STORE(between.armed, false);
    CHECK_EQ(thrum_close(between.number), 0);
    CHECK_EQ(dup2(between.stranger, between.number), between.number);
  }
  return thrumi_os_linux.now();
}

static void parts_are_of_one_file(void) {
  int pair[2], other[2];
  char text[8];
  make_pair(SOCK_STREAM, pair);
  make_pair(SOCK_STREAM, other);
  CHECK_EQ(thrum_write(pair[1], "mine", 4), 4);
  CHECK_EQ(thrum_write(other[1], "theirs", 6), 6);
  between.reader = pthread_self();
  between.stranger = other[0];
  between.number = pair[0];
  CHECK_EQ(thrum_read_full_for(pair[0], text, 8, THRUM_S(TESTS_HANG_S)), -EBADF);
  between.number = -1;
  CHECK_EQ(thrum_read(other[0], text, 8), 6); /* all of it */
  close_pair(pair);
  close_pair(other);
}

/* ---- Poll ------------------------------------------------------------------------------------------------------------------- */

struct polling {
  struct pollfd fd;
  int n;
};

static intptr_t poll_it(void *arg) {
  struct polling *p = arg;
  p->n = thrum_poll(&p->fd, 1);
  return 0;
}

/* Nothing is asked for: only the end and errors are waited for, and the close. */
static void polling_for_the_end(void) {
  for (int closed = 0; closed < 2; closed++) {
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    struct polling p = {{ends[0], 0, 0}, 0};
    thrum_thread t = must_spawn(poll_it, &p);
    CHECK_EQ(thrum_write(ends[1], "x", 1), 1); /* is not waited for */
    AWAIT(queue_parked(t));
    CHECK_EQ(thrum_close(ends[!closed]), 0);
    CHECK_EQ(must_join(t), 0);
    CHECK_EQ(p.n, closed ? -EBADF : 1);
    if (!closed) CHECK_EQ(p.fd.revents, POLLHUP);
    CHECK_EQ(thrum_close(ends[closed]), 0);
  }
}

/* A file never waits, and is not ready for that either. */
static void polling_what_never_waits(void) {
  int ends[2], file = file_of("text");
  CHECK_EQ(pipe(ends), 0);
  struct pollfd fds[] = {{file, POLLPRI, 0}, {ends[0], POLLIN, 0}};
  CHECK_EQ(thrum_poll_for(fds, 1, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_poll_for(fds, 2, THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_write(ends[1], "x", 1), 1);
  CHECK_EQ(thrum_poll_for(fds, 2, THRUM_S(TESTS_HANG_S)), 1);
  CHECK(fds[0].revents == 0 && fds[1].revents == POLLIN);
  fds[0].events |= POLLIN;
  CHECK_EQ(thrum_poll(fds, 1), 1);
  close_pair(ends);
  CHECK_EQ(thrum_close(file), 0);
}

/* ---- Many for one connection ---------------------------------------------------------------------------------------------- */

enum { ACCEPTORS = 6, CONNECTIONS = 20 };
static int accepted;

static intptr_t accept_one(void *arg) {
  int fd = thrum_accept(*(int *)arg, NULL, NULL);
  if (fd < 0) return fd;
  ADD(accepted, 1);
  return thrum_close(fd);
}

/* All who heard of the connection come to here before one of them takes it. */
static int accept_late(int fd, struct sockaddr *address, socklen_t *length) {
  for (int i = 0; i < ACCEPTORS; i++) thrum_yield();
  return thrumi_os_linux.accept(fd, address, length);
}

/* The listener is in blocking mode. Those who get no connection hear of its close, or of their time. */
static void nobody_is_left_in_accept(void) {
  for (int i = 0; i < CONNECTIONS; i++) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    thrum_thread threads[ACCEPTORS];
    accepted = 0;
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(listen(fd, 10), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    for (int a = 0; a < ACCEPTORS; a++) threads[a] = must_spawn(accept_one, &fd);
    for (int a = 0; a < ACCEPTORS; a++) AWAIT(queue_parked(threads[a]));
    CHECK_EQ(thrum_connect(client, (struct sockaddr *)&address, sizeof address), 0);
    AWAIT(LOAD(accepted) == 1);
    CHECK_EQ(thrum_close(fd), 0);
    int closed = 0;
    for (int a = 0; a < ACCEPTORS; a++) closed += must_join(threads[a]) == -EBADF;
    CHECK_EQ(closed, ACCEPTORS - 1);
    CHECK_EQ(thrum_close(client), 0);
  }
}

/* ---- Files ------------------------------------------------------------------------------------------------------------------- */

static bool old_kernel;

/* Linux 5.9 and 5.10 may say that a file has ended, where only its cache has. */
static ssize_t read_as_there(int fd, const struct iovec *pieces, int count, bool wait) {
  return old_kernel && !wait ? 0 : thrumi_os_linux.readv(fd, pieces, count, wait);
}

static void files_end_where_they_end(void) {
  char text[6] = "";
  int file = file_of("hello");
  old_kernel = true;
  CHECK_EQ(thrum_read(file, text, 5), 5);
  CHECK_STR(text, "hello");
  CHECK_EQ(thrum_read(file, text, 5), 0);
  old_kernel = false;
  CHECK_EQ(thrum_close(file), 0);
}

static void sending_raises_nothing(void) {
  for (int kind = 0; kind < 4; kind++) {
    int pair[2], file = file_of("text");
    if (kind < 2)
      CHECK_EQ(pipe2(pair, kind ? O_NONBLOCK : 0), 0);
    else
      make_pair(SOCK_STREAM | (kind == 2 ? 0 : SOCK_NONBLOCK), pair);
    CHECK_EQ(thrum_close(pair[0]), 0);
    CHECK_EQ(thrum_sendfile(pair[1], file, NULL, 4), -EPIPE);
    CHECK(thrum_close(pair[1]) == 0 && thrum_close(file) == 0);
  }
}

struct sending {
  int out, in;
};

static intptr_t send_it(void *arg) {
  struct sending *s = arg;
  int64_t at = 0;
  return thrum_sendfile(s->out, s->in, &at, 100);
}

/* While it waits for room, another file gets the number of the one that it reads. */
static void sending_meets_no_other_file(void) {
  int pair[2], secret = file_of("secret");
  make_pair(SOCK_STREAM | SOCK_NONBLOCK, pair);
  struct sending s = {pair[1], file_of("told")};
  while (thrum_write_for(pair[1], much, 4096, 0) > 0) continue;
  thrum_thread t = must_spawn(send_it, &s);
  AWAIT(queue_parked(t));
  CHECK_EQ(thrum_close(s.in), 0);
  CHECK_EQ(dup2(secret, s.in), s.in);
  while (thrum_read_for(pair[0], much, MUCH, 0) > 0) continue;
  CHECK_EQ(must_join(t), -EBADF);
  CHECK(thrum_close(s.in) == 0 && thrum_close(secret) == 0);
  close_pair(pair);
}

int main(void) {
  standard_numbers_stay_free();
  thrumi_os.readv = read_as_there;
  thrumi_os.accept = accept_late;
  thrumi_os.recv = recv_first_part;
  thrumi_os.now = now_between_parts;
  thrum_yield();
  pieces_are_checked(); /* from here on no number is thrum's own */
  numbers_become_sockets();
  parts_are_of_one_file();
  polling_for_the_end();
  polling_what_never_waits();
  files_end_where_they_end();
  sending_raises_nothing();
  sending_meets_no_other_file();
  nobody_is_left_in_accept();
  return 0;
}
