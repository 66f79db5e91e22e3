/* A conversation, in plain order: wait for a request, read it, answer it, again.
 *
 * Whatever the peer does, the conversation ends. Waiting for the first byte of a request has a time, its header has one from that byte
 * on, its body one from there on, and an answer must go on: each PIECE bytes of it have theirs. What comes in slowly
 * but steadily is therefore cut off as what stands still.
 *
 * After an answer that ends the connection, what the peer still sends is read for a while: to close a socket with bytes unread
 * resets the connection, and the peer might never see the answer. */
#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "httpd.h"

enum {
  ROOM = 8 * 1024,          /* bytes read at once */
  PIECE = 64 * 1024,        /* bytes of an answer that have a timeout of their own */
  AT_ONCE = 1024 * 1024,    /* bytes of a file that one call is asked to send */
  LINGER_MAX = 1024 * 1024, /* bytes that are read after the last answer */
};

#define LINGER THRUM_S(2)
#define REFUSED THRUM_S(1) /* for the request of one connection too many, which is only told so */

struct talk {
  struct connection *connection;
  struct httpd *httpd;
  struct request request;
  size_t from, to; /* what is read and not used yet */
  int64_t sent;    /* bytes of the body of this answer */
  thrum_time since;
  char room[ROOM];
};

/* ---- Receiving ---------------------------------------------------------------------------------------- */

static ssize_t refill(struct talk *t, thrum_duration timeout) {
  ssize_t n = thrum_recv_for(t->connection->fd, t->room, sizeof t->room, 0, timeout);
  t->from = 0;
  t->to = n > 0 ? (size_t)n : 0;
  return n;
}

/* Between two requests. False: none came. */
static bool wait_for_request(struct talk *t) {
  if (t->from < t->to) return true; /* sent ahead */
  thrum_duration span = t->connection->refused ? REFUSED : t->httpd->idle;
  bool came = connection_set_idle(t->connection, true) && refill(t, span) > 0;
  connection_set_idle(t->connection, false);
  return came;
}

/* A request that can be answered, if only by saying that it is wrong. False: none came, or not all of it. */
static bool receive(struct talk *t) {
  struct request *r = &t->request;
  request_begin(r);
  if (!wait_for_request(t)) return false;
  t->since = thrum_now();
  thrum_time deadline = thrum_after(t->connection->refused ? REFUSED : t->httpd->header);
  while (r->state < REQUEST_WHOLE) {
    enum request_state before = r->state;
    if (t->from < t->to) t->from += request_feed(r, t->room + t->from, t->to - t->from);
    if (r->state == REQUEST_BODY && before == REQUEST_HEADER) deadline = thrum_after(t->httpd->body);
    if (r->state >= REQUEST_WHOLE) break;
    ssize_t n = refill(t, thrum_left(deadline));
    if (n == -ETIMEDOUT) {
      r->state = REQUEST_WRONG;
      r->status = 408;
      r->keep_alive = false;
    } else if (n <= 0) {
      return false;
    }
  }
  return true;
}

/* ---- Sending ------------------------------------------------------------------------------------------ */

/* Bytes and files alike: how much is left, and until when the piece under way must be gone. */
struct progress {
  int64_t left, mark;
  thrum_time deadline;
};

static void begin_progress(struct progress *p, const struct talk *t, int64_t size) {
  *p = (struct progress){size, size, thrum_after(t->httpd->send)};
}

static void note_progress(struct progress *p, const struct talk *t, ssize_t n) {
  p->left -= n;
  if (p->mark - p->left < PIECE) return;
  p->mark = p->left;
  p->deadline = thrum_after(t->httpd->send);
}

static bool send_bytes(struct talk *t, const char *bytes, size_t size, int flags) {
  struct progress p;
  begin_progress(&p, t, (int64_t)size);
  while (p.left > 0) {
    ssize_t n = thrum_send_for(t->connection->fd, bytes, (size_t)p.left, flags, thrum_left(p.deadline));
    if (n <= 0) return false;
    bytes += n;
    note_progress(&p, t, n);
  }
  return true;
}

/* Where the kernel cannot send a file by itself. */
static bool send_copy(struct talk *t, int file, int64_t offset, int64_t length) {
  char copy[ROOM];
  while (length > 0) {
    ssize_t n = thrum_pread(file, copy, length < ROOM ? (size_t)length : ROOM, offset);
    if (n <= 0 || !send_bytes(t, copy, (size_t)n, 0)) return false;
    offset += n;
    length -= n;
    t->sent += n;
  }
  return true;
}

/* False also if the file has become shorter than it was: the peer must not take what it got for the whole. */
static bool send_file(struct talk *t, int file, int64_t offset, int64_t length) {
  struct progress p;
  begin_progress(&p, t, length);
  while (p.left > 0) {
    size_t size = p.left < AT_ONCE ? (size_t)p.left : AT_ONCE;
    ssize_t n = thrum_sendfile_for(t->connection->fd, file, &offset, size, thrum_left(p.deadline));
    if (n == -EINVAL || n == -ENOSYS) return send_copy(t, file, offset, p.left);
    if (n <= 0) return false;
    t->sent += n;
    note_progress(&p, t, n);
  }
  return true;
}

/* The header and the beginning of the body leave in one packet. */
static bool send_answer(struct talk *t, const struct answer *a) {
  char header[ANSWER_MAX], text[64];
  bool has_file = a->status == 200 || a->status == 206;
  bool has_body = !a->head && a->status != 304 && (!has_file || a->length > 0);
  size_t length = answer_header(a, time(NULL), header);
  if (!send_bytes(t, header, length, has_body ? MSG_MORE : 0)) return false;
  if (!has_body) return true;
  if (has_file) return send_file(t, a->file->fd, a->from, a->length);
  length = answer_text(a, text);
  t->sent = (int64_t)length;
  return send_bytes(t, text, length, 0);
}

/* ---- Answering ---------------------------------------------------------------------------------------- */

/* The file that is asked for, or the status that says why there is none. */
static int find(struct talk *t, struct file *file, char *path) {
  const struct request *r = &t->request;
  if (r->state == REQUEST_WRONG) return r->status;
  if (t->connection->refused) return 503;
  if (r->parser.method != HTTP_GET && r->parser.method != HTTP_HEAD) return 405;
  int status = target_decode(r->target, path);
  return status ? status : file_open(t->httpd->root, path, t->httpd->walk, file);
}

/* One line a request: peer, time, what was asked, status, bytes of the body, milliseconds, and whether it was cut. */
static void note(const struct talk *t, const struct answer *a, bool whole) {
  char when[40] = "-";
  struct tm tm;
  time_t now = time(NULL);
  if (!t->httpd->log) return;
  if (gmtime_r(&now, &tm)) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
  thrum_print("%s %s \"%s %s\" %d %jd %.3f%s\n", t->connection->peer, when, request_method(&t->request),
              *t->request.target ? t->request.target : "-", a->status, (intmax_t)t->sent,
              (double)(thrum_now() - t->since) / 1e6, whole ? "" : " cut");
}

/* False: that was the last one. */
static bool answer(struct talk *t) {
  char path[TARGET_MAX + 2];
  struct file file = {.fd = -1};
  struct answer a;
  int status = find(t, &file, path);
  if (t->connection->refused || server_stopping(t->connection->server)) t->request.keep_alive = false;
  if (status)
    answer_plain(&a, &t->request, status, path);
  else
    answer_file(&a, &t->request, &file);
  t->sent = 0;
  bool whole = send_answer(t, &a);
  note(t, &a, whole);
  if (file.fd >= 0) thrum_close(file.fd);
  return whole && a.keep_alive;
}

static void linger(struct talk *t) {
  thrum_time deadline = thrum_after(LINGER);
  shutdown(t->connection->fd, SHUT_WR);
  for (size_t size = 0; size < LINGER_MAX; size += t->to) {
    if (refill(t, thrum_left(deadline)) <= 0) break;
  }
}

/* The kernel shall keep little that is not on its way yet. Else it takes megabytes at once and makes room for the next in large
 * steps: a slow reader would look like one who stands still. */
static void set_options(int fd) {
  int one = 1, piece = PIECE;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &piece, sizeof piece);
}

void httpd_serve(struct connection *c) {
  struct talk t;
  t.connection = c;
  t.httpd = (struct httpd *)c->server;
  t.from = t.to = 0;
  set_options(c->fd);
  while (receive(&t)) {
    if (answer(&t)) continue;
    linger(&t);
    break;
  }
}
