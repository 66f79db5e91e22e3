/* Descriptors along a connection, between messages, to this process and to another; what is not meant is said, and leaks none. */
#include "../descriptors.h"
#include "connections.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A pipe whose reading end has the number, or the next that is free. */
static void make_pipe(int fd[2], int least) {
  CHECK_EQ(pipe2(fd, O_CLOEXEC), 0);
  int high = fcntl(fd[0], F_DUPFD_CLOEXEC, least);
  CHECK(high >= least);
  CHECK_EQ(close(fd[0]), 0);
  fd[0] = high;
}

static void they_arrive_between_messages(void) {
  struct ends e = must_pair();
  char room[8];
  for (int least = 3; least <= 300; least += 297) {
    int fd[2];
    make_pipe(fd, least);
    CHECK_EQ(thrum_conn_send(e.a, "before", 6), 0);
    CHECK_EQ(thrum_conn_send_fd(e.a, fd[0]), 0);
    CHECK_EQ(thrum_conn_send(e.a, "after", 5), 0);
    CHECK_EQ(close(fd[0]), 0);
    CHECK_EQ(thrum_conn_recv_fd(e.b), -ENOMSG);
    CHECK_EQ(thrum_conn_recv(e.b, room, 8), 6);
    int got = thrum_conn_recv_fd(e.b);
    CHECK(got >= 0);
    CHECK(fcntl(got, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(thrum_conn_recv_fd(e.b), -ENOMSG);
    CHECK_EQ(thrum_conn_recv(e.b, room, 8), 5);
    CHECK_EQ(thrum_conn_recv_fd_for(e.b, THRUM_MS(1)), -ETIMEDOUT);
    must_write(fd[1], "through", 7);
    CHECK_EQ(thrum_read(got, room, 8), 7);
    CHECK(thrum_close(got) == 0 && close(fd[1]) == 0);
  }
  thrum_conn_close(e.a);
  CHECK_EQ(thrum_conn_recv_fd(e.b), -EPIPE);
  thrum_conn_close(e.b);
}

static void to_another_process(void) {
  struct ends e = must_pair();
  int fd[2];
  CHECK_EQ(pipe2(fd, O_CLOEXEC), 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    close(fd[0]), close(fd[1]);
    int got = thrum_conn_recv_fd(e.b);
    _exit(got < 0 || thrum_write(got, "child", 5) != 5);
  }
  char room[8];
  CHECK_EQ(thrum_conn_send_fd(e.a, fd[1]), 0);
  CHECK_EQ(close(fd[1]), 0);
  CHECK_EQ(thrum_read_full(fd[0], room, 8), 5); /* the end: the child's is the last one */
  CHECK_EQ(close(fd[0]), 0);
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  close_both(e);
}

static void mistakes_are_told(void) {
  thrum_conn *reader, *writer;
  struct ends e = must_pair();
  char room[8];
  CHECK_EQ(thrum_conn_send_fd(e.a, -1), -EBADF);
  CHECK_EQ(thrum_conn_send_fd(e.a, 9999), -EBADF);
  CHECK_EQ(thrum_conn_send(e.a, "long", 4), 0); /* nothing of these went out */
  CHECK_EQ(thrum_conn_recv(e.b, room, 1), -EMSGSIZE);
  CHECK_EQ(thrum_conn_recv_fd(e.b), -EBUSY);
  CHECK_EQ(thrum_conn_recv(e.b, room, 8), 4);
  CHECK_EQ(thrum_conn_send_fd(e.a, 2), 0);
  CHECK_EQ(thrum_conn_recv(e.b, room, 8), -EPROTO); /* it wanted a message */
  CHECK_EQ(thrum_conn_recv(e.b, room, 8), -EPROTO);
  CHECK_EQ(thrum_conn_recv_fd(e.b), -EPROTO);
  close_both(e);
  CHECK_EQ(thrum_conn_pipe(&reader, &writer), 0);
  CHECK_EQ(thrum_conn_send_fd(writer, 2), -ENOTSOCK);
  CHECK_EQ(thrum_conn_recv_fd(reader), -ENOTSOCK);
  CHECK_EQ(thrum_conn_send_fd(reader, 2), -EOPNOTSUPP);
  thrum_conn_close(reader);
  thrum_conn_close(writer);
}

/* More than one at a time, and a count that is not theirs. */
static void send_raw(int to, const int *fds, int n, char count) {
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(4 * sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct iovec piece = {&count, 1};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
  memcpy(CMSG_DATA(&control.header), fds, (size_t)n * sizeof(int));
  CHECK_EQ(sendmsg(to, &message, 0), 1);
}

static void wrong_ones_do_not_leak(void) {
  const int two[] = {1, 2, 1, 2};
  for (int n = 1; n <= 4; n++) {
    int plain;
    thrum_conn *c = must_open(&plain);
    int before = open_descriptors();
    send_raw(plain, two, n, (char)(n == 1 ? 2 : n));
    CHECK_EQ(thrum_conn_recv_fd(c), -EPROTO);
    CHECK_EQ(open_descriptors(), before);
    CHECK_EQ(thrum_conn_recv_fd(c), -EPROTO);
    thrum_conn_close(c);
    CHECK_EQ(close(plain), 0);
  }
}

static void without_room(void) {
  struct rlimit was, few;
  struct ends e = must_pair();
  char room[4];
  CHECK_EQ(thrum_conn_send_fd(e.a, 2), 0);
  CHECK_EQ(thrum_conn_send(e.a, "x", 1), 0);
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &was), 0);
  few = was;
  few.rlim_cur = 3;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_conn_recv_fd(e.b), -EMFILE);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &was), 0);
  int got = thrum_conn_recv_fd(e.b);
  CHECK(got >= 0); /* it has waited */
  CHECK_EQ(close(got), 0);
  CHECK_EQ(thrum_conn_recv(e.b, room, 4), 1);
  close_both(e);
}

int main(void) {
  they_arrive_between_messages();
  if (!TESTS_TSAN) to_another_process(); /* which starts no threads in the child of a fork */
  mistakes_are_told();
  wrong_ones_do_not_leak();
  without_room();
  return 0;
}
