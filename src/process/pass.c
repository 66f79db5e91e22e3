/* Descriptors along a connection: a byte that is no message's, the number of descriptors, with SCM_RIGHTS, as send_handle of Python's
 * multiprocessing.reduction does.
 *
 * What comes next is looked at with MSG_PEEK, which makes a descriptor of it already, and taken behind that. So who asks for a descriptor where a
 * message comes takes nothing from that; and one for which there is no room stays: the kernel says that it was cut off, and drops it only from
 * what is taken. */
#define _GNU_SOURCE
#include <process/conn.h>

#include <os/os.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <thrum/io/file.h>
#include <thrum/io/socket.h>

union control {
  struct cmsghdr header;
  char room[CMSG_SPACE(sizeof(int))];
};

/* ---- Sending ------------------------------------------------------------------------------------------------------ */

static int send_one(const struct thrumi_turn *turn, int fd) {
  if (turn->conn->out.error) return turn->conn->out.error;
  if (!turn->conn->shows_rights) return turn->conn->is_socket ? -EOPNOTSUPP : -ENOTSOCK;
  char count = 1;
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec piece = {&count, 1};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.header.cmsg_level = SOL_SOCKET;
  control.header.cmsg_type = SCM_RIGHTS;
  control.header.cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  ssize_t n = thrum_sendmsg_for(thrumi_conn_fd(turn->conn), &message, 0, thrum_left(turn->deadline));
  return n < 0 ? (int)n : 0;
}

int thrum_conn_send_fd_for(thrum_conn *c, int fd, thrum_duration timeout) {
  struct thrumi_turn turn;
  int error = thrumi_conn_begin(&turn, c, THRUM_CONN_WRITE, timeout);
  if (error) return error;
  error = send_one(&turn, fd);
  thrumi_conn_end(&turn);
  return error;
}

int thrum_conn_send_fd(thrum_conn *c, int fd) { return thrum_conn_send_fd_for(c, fd, THRUM_FOREVER); }

/* ---- Receiving ---------------------------------------------------------------------------------------------------- */

struct found {
  int fd;
  bool alone; /* one byte says so, and none was cut off */
};

/* Looks at what comes next, and makes its descriptor. Two bytes are asked for, since the kernel goes on to what was sent next, even when there is
 * no room left, and then makes the descriptor of that; but it stops behind a byte that has one. Room of the length of one, not CMSG_SPACE: the rest of
 * that would take a second one. */
static int look(const struct thrumi_turn *turn, struct found *found) {
  unsigned char bytes[2] = {0};
  union control control;
  memset(&control, 0, sizeof control);
  struct iovec piece = {bytes, sizeof bytes};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
  ssize_t n = thrum_recvmsg_for(thrumi_conn_fd(turn->conn), &message, MSG_PEEK | MSG_CMSG_CLOEXEC,
                                thrum_left(turn->deadline));
  if (n <= 0) return n ? (int)n : -EPIPE;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  bool cut_off = message.msg_flags & MSG_CTRUNC;
  found->alone = bytes[0] == 1 && !cut_off;
  if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
      header->cmsg_len == CMSG_LEN(sizeof(int)))
    memcpy(&found->fd, CMSG_DATA(header), sizeof found->fd);
  if (n == 1 && header) return 0;
  if (found->fd >= 0) thrum_close(found->fd);
  return n == 1 && cut_off ? -EMFILE : -ENOMSG;
}

/* The byte that was looked at, and what the kernel has with it. It is there: nothing is waited for, so no cancellation comes between. */
static bool pass_over(const struct thrumi_turn *turn) {
  char byte;
  struct iovec piece = {&byte, 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  ssize_t n;
  do n = thrumi_os.recvmsg(thrumi_conn_fd(turn->conn), &message, MSG_DONTWAIT);
  while (n == -EINTR);
  return n == 1;
}

static int fetch(const struct thrumi_turn *turn) {
  struct found found = {.fd = -1};
  int error = look(turn, &found);
  if (error) return error;
  if (pass_over(turn) && found.fd >= 0 && found.alone) {
    thrumi_descriptor_made(found.fd, THRUMI_FD_UNKNOWN);
    return found.fd;
  }
  if (found.fd >= 0) thrum_close(found.fd);
  thrumi_conn_give_up(turn->conn, THRUM_CONN_READ, -EPROTO);
  return -EPROTO;
}

static int receive_one(const struct thrumi_turn *turn) {
  const struct thrumi_incoming *in = &turn->conn->in;
  if (in->error) return in->error;
  if (in->have) return -EBUSY;
  if (!turn->conn->shows_rights) return turn->conn->is_socket ? -EOPNOTSUPP : -ENOTSOCK;
  return fetch(turn);
}

int thrum_conn_recv_fd_for(thrum_conn *c, thrum_duration timeout) {
  struct thrumi_turn turn;
  int error = thrumi_conn_begin(&turn, c, THRUM_CONN_READ, timeout);
  if (error) return error;
  int fd = receive_one(&turn);
  thrumi_conn_end(&turn);
  return fd;
}

int thrum_conn_recv_fd(thrum_conn *c) { return thrum_conn_recv_fd_for(c, THRUM_FOREVER); }
