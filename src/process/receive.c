/* Receiving: the head, then the message, straight into the caller's buffer.
 *
 * A receive that ends early leaves what has come in the connection: of the head in `head`, of the message in `part`, where the next
 * receive goes on, whatever its buffer. So a message that comes slowly, to somebody who looks often, is copied twice
 * in all, and not once a look. A receive into new memory takes it in `part` from the start.
 *
 *   have  known  part   the stream stands
 *   0     no     NULL   between two messages
 *   > 0   no     NULL   in the midst of a head
 *   > 0   yes    NULL   behind a head; the message was too long for who asked, or nothing of it has come
 *   > 0   yes    there  in the midst of a message, `got` bytes of which are here */
#include <process/conn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <thrum/io/file.h>
#include <thrum/io/socket.h>

enum { ROOM_FIRST = 64 << 10 }; /* of memory that grows */

/* Some bytes, at least one; 0: the end. */
static ssize_t take(const struct thrumi_turn *turn, void *to, size_t size) {
  thrum_conn *c = turn->conn;
  thrum_duration left = thrum_left(turn->deadline);
  if (!c->shows_rights) return thrum_read_for(thrumi_conn_fd(c), to, size, left);
  struct iovec piece = {to, size};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  ssize_t n = thrum_recvmsg_for(thrumi_conn_fd(c), &message, 0, left);
  bool brings =
      n > 0 && message.msg_flags & MSG_CTRUNC; /* a descriptor, which is lost: the byte is no message's */
  return brings ? -EPROTO : n;
}

/* A take in the midst of a message brought nothing: what the call is to say. */
static int stopped(const struct thrumi_turn *turn, ssize_t n) {
  int error = n ? (int)n : -EBADMSG;
  if (!thrumi_conn_goes_on(error) && error != -EBADF) thrumi_conn_give_up(turn->conn, THRUM_CONN_READ, error);
  return error;
}

/* ---- The head ----------------------------------------------------------------------------------------------------- */

static int read_head(const struct thrumi_turn *turn) {
  struct thrumi_incoming *in = &turn->conn->in;
  if (in->error) return in->error;
  if (in->known) return 0;
  for (size_t wants; in->have < (wants = thrumi_wire_wants(in->head, in->have));) {
    ssize_t n = take(turn, in->head + in->have, wants - in->have);
    bool between = !in->have && n != -EPROTO;
    if (n <= 0) return between ? (n ? (int)n : -EPIPE) : stopped(turn, n);
    in->have += (unsigned char)n;
  }
  int error = thrumi_wire_size(in->head, &in->size);
  if (error) return stopped(turn, error);
  in->known = true;
  thrumi_store(&in->next, in->size + 1);
  return 0;
}

/* The message is handed over. */
static void start_anew(struct thrumi_incoming *in) {
  in->known = false;
  in->have = 0;
  in->part = NULL;
  in->got = in->room = 0;
  thrumi_store(&in->next, 0);
}

/* ---- The message -------------------------------------------------------------------------------------------------- */

static int grow(struct thrumi_incoming *in) {
  uint64_t room = in->room ? 2 * in->room : ROOM_FIRST;
  if (room > in->size) room = in->size ? in->size : 1;
  if (room > PTRDIFF_MAX) return -ENOMEM;
  void *more = realloc(in->part, room);
  if (!more) return -ENOMEM;
  in->part = more;
  in->room = room;
  return 0;
}

/* All of it into `part`. */
static int fill(const struct thrumi_turn *turn) {
  struct thrumi_incoming *in = &turn->conn->in;
  if (!in->part && grow(in) != 0) return -ENOMEM;
  while (in->got < in->size) {
    if (in->got == in->room && grow(in) != 0) return -ENOMEM;
    ssize_t n = take(turn, in->part + in->got, in->room - in->got);
    if (n <= 0) return stopped(turn, n);
    in->got += (uint64_t)n;
  }
  return 0;
}

/* What came into the caller's buffer goes where the next receive finds it. */
static int keep(const struct thrumi_turn *turn, const void *buffer, uint64_t got) {
  struct thrumi_incoming *in = &turn->conn->in;
  if (!got || in->error) return 0;
  in->room = got;
  in->part = malloc(got); /* libc's: a receive into new memory may give it to the caller */
  if (!in->part) {
    thrumi_conn_give_up(turn->conn, THRUM_CONN_READ, -ECONNABORTED);
    return -ENOMEM;
  }
  memcpy(in->part, buffer, got);
  in->got = got;
  return 0;
}

static int straight(const struct thrumi_turn *turn, char *buffer) {
  struct thrumi_incoming *in = &turn->conn->in;
  for (uint64_t got = 0; got < in->size;) {
    ssize_t n = take(turn, buffer + got, in->size - got);
    if (n <= 0) {
      int error = stopped(turn, n), lost = keep(turn, buffer, got);
      return lost ? lost : error;
    }
    got += (uint64_t)n;
  }
  return 0;
}

static ssize_t receive(const struct thrumi_turn *turn, void *buffer, size_t size) {
  struct thrumi_incoming *in = &turn->conn->in;
  int error = read_head(turn);
  if (error) return error;
  if (in->size > size) return -EMSGSIZE;
  error = in->part ? fill(turn) : straight(turn, buffer);
  if (error) return error;
  if (in->part) memcpy(buffer, in->part, in->size);
  free(in->part);
  ssize_t length = (ssize_t)in->size;
  start_anew(in);
  return length;
}

ssize_t thrum_conn_recv_for(thrum_conn *c, void *buffer, size_t size, thrum_duration timeout) {
  struct thrumi_turn turn;
  if (size && !buffer) return -EINVAL;
  int error = thrumi_conn_begin(&turn, c, THRUM_CONN_READ, timeout);
  if (error) return error;
  ssize_t n = receive(&turn, buffer, size);
  thrumi_conn_end(&turn);
  return n;
}

ssize_t thrum_conn_recv(thrum_conn *c, void *buffer, size_t size) {
  return thrum_conn_recv_for(c, buffer, size, THRUM_FOREVER);
}

ssize_t thrum_conn_next_size(const thrum_conn *c) {
  if (!c) return -EINVAL;
  uint64_t next = thrumi_load(&c->in.next);
  return next ? (ssize_t)(next - 1) : -EAGAIN;
}

/* ---- Into new memory ---------------------------------------------------------------------------------------------- */

static int receive_new(const struct thrumi_turn *turn, void **data, size_t *size, size_t limit) {
  struct thrumi_incoming *in = &turn->conn->in;
  int error = read_head(turn);
  if (error) return error;
  if (in->size > limit) {
    thrumi_conn_give_up(turn->conn, THRUM_CONN_READ, -ECONNABORTED);
    return -EMSGSIZE;
  }
  error = fill(turn);
  if (error) return error;
  *data = in->part;
  *size = in->size;
  start_anew(in);
  return 0;
}

int thrum_conn_recv_new_for(thrum_conn *c, void **data, size_t *size, size_t limit, thrum_duration timeout) {
  struct thrumi_turn turn;
  if (!data || !size) return -EINVAL;
  int error = thrumi_conn_begin(&turn, c, THRUM_CONN_READ, timeout);
  if (error) return error;
  error = receive_new(&turn, data, size, limit);
  thrumi_conn_end(&turn);
  return error;
}

int thrum_conn_recv_new(thrum_conn *c, void **data, size_t *size, size_t limit) {
  return thrum_conn_recv_new_for(c, data, size, limit, THRUM_FOREVER);
}
