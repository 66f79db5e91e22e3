/* Sending: head and message in one write as far as there is room, and then the rest. What happens to a message that is cut off is
 * said in conn.c. */
#include <process/conn.h>
#include <sys/uio.h>
#include <thrum/io/file.h>
#include <thrum/scope.h>

/* Passes over n bytes that were written: how many pieces are left. */
static int advance(struct iovec **pieces, int count, size_t n) {
  while (count && n >= (*pieces)->iov_len) {
    n -= (*pieces)->iov_len;
    ++*pieces;
    count--;
  }
  if (count) {
    (*pieces)->iov_base = (char *)(*pieces)->iov_base + n;
    (*pieces)->iov_len -= n;
  }
  return count;
}

/* *begun: some of it went out. */
static int write_all(const struct thrumi_turn *turn, struct iovec *pieces, int count, bool *begun) {
  for (count = advance(&pieces, count, 0); count;) {
    ssize_t n = thrum_writev_for(thrumi_conn_fd(turn->conn), pieces, count, thrum_left(turn->deadline));
    if (n < 0) return (int)n;
    *begun = true;
    count = advance(&pieces, count, (size_t)n);
  }
  return 0;
}

/* The first piece is the head, and the others are the message. */
static int send_message(const struct thrumi_turn *turn, struct iovec *pieces, int count) {
  struct thrumi_outgoing *out = &turn->conn->out;
  if (out->error) return out->error;
  bool begun = false;
  out->midway = true;
  int error = write_all(turn, pieces, count, &begun);
  out->midway = false;
  if (error && begun)
    thrumi_conn_give_up(turn->conn, THRUM_CONN_WRITE, thrumi_conn_goes_on(error) ? -ECONNABORTED : error);
  return error;
}

int thrum_conn_send_for(thrum_conn *c, const void *data, size_t size, thrum_duration timeout) {
  struct thrumi_turn turn;
  if (size > (size_t)INT64_MAX || (size && !data)) return -EINVAL;
  int error = thrumi_conn_begin(&turn, c, THRUM_CONN_WRITE, timeout);
  if (error) return error;
  unsigned char head[THRUMI_HEAD_LONG];
  struct iovec pieces[] = {{head, thrumi_wire_head(head, size)}, {(void *)(uintptr_t)data, size}};
  error = send_message(&turn, pieces, 2);
  thrumi_conn_end(&turn);
  return error;
}

int thrum_conn_send(thrum_conn *c, const void *data, size_t size) {
  return thrum_conn_send_for(c, data, size, THRUM_FOREVER);
}

int thrumi_conn_send_pieces(thrum_conn *c, const struct iovec *pieces, int count, thrum_duration timeout) {
  struct thrumi_turn turn;
  unsigned char head[THRUMI_HEAD_LONG];
  struct iovec all[THRUMI_PIECES_MAX + 1];
  size_t size = 0;
  for (int i = 0; i < count; i++) {
    all[i + 1] = pieces[i];
    size += pieces[i].iov_len;
  }
  all[0] = (struct iovec){head, thrumi_wire_head(head, size)};
  int error = thrumi_conn_begin(&turn, c, THRUM_CONN_WRITE, timeout);
  if (error) return error;
  THRUM_SHIELD(0) error = send_message(&turn, all, count + 1);
  thrumi_conn_end(&turn);
  return error;
}
