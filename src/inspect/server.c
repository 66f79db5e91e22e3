/* The server: a kernel thread of its own, which answers also when no worker does anything any more.
 *
 * It waits for its peers and for nobody else. Each has a line to send, and a block for the answer. An answer is made at once, in the
 * block, and bounded by it; it is sent as the peer takes it, and no further request is read before it has gone. In one look each peer
 * is answered once, whatever it has sent ahead. So a peer can keep its own connection busy, and nothing else:
 *
 *   what a peer does                         what becomes of it
 *   it sends no request for IDLE             it is hung up on
 *   it begins a request and does not end it  so it is after HALF
 *   its request is longer than LINE          it is told so, and hung up on
 *   it does not take the answer for STALL,
 *   or the whole of it for SEND              it is hung up on
 *   more than PEERS connect                  the last one is told so, and hung up on
 *   it is another user                       it is hung up on; it could not come so far, for the directory
 *
 * States of a peer: FREE (fd < 0); READING, while there is nothing to send; WRITING, else.
 *
 * A signal to the program is not the server's: it blocks all of them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inspect/server.h>
#include <os/quietly.h>
#include <poll.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PEERS = 8, LINE = 128, BLOCK = 128 * 1024 };
#define IDLE THRUM_S(60)
#define HALF THRUM_S(5)
#define STALL THRUM_S(5)
#define SEND THRUM_S(30)
#define PAUSE THRUM_S(1) /* without descriptors for another peer */

struct peer {
  int fd;
  bool last;       /* to be hung up on after this answer */
  int64_t since;   /* when it last did something */
  int64_t started; /* when the answer was made, or the request began */
  size_t length;   /* of the line so far */
  size_t sent, to_send;
  char *block;
  struct thrumi_dump_course dump;
  char line[LINE];
};

static struct {
  struct peer peer[PEERS];
  int64_t deaf_until; /* no peer is let in before */
} server;

/* ---- Peers --------------------------------------------------------------------------------------------------- */

/* The descriptor is forgotten before it is closed: in the child of a fork the number may be another one's else. */
static void hang_up(struct peer *p) {
  int fd = p->fd;
  p->fd = -1;
  atomic_signal_fence(memory_order_seq_cst);
  close(fd);
  thrumi_dump_course_end(&p->dump);
  thrumi_os.release(p->block, BLOCK);
  p->block = NULL;
}

static struct peer *free_peer(void) {
  for (int i = 0; i < PEERS; i++)
    if (server.peer[i].fd < 0) return &server.peer[i];
  return NULL;
}

static void refuse(int fd) {
  static const char text[] = "{\"error\":\"too many connections\"}\n";
  QUIETLY(send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL));
  close(fd);
}

static void admit(int fd, int64_t now) {
  struct peer *p = free_peer();
  char *block = p ? thrumi_os.reserve(BLOCK) : NULL;
  if (!block) {
    refuse(fd);
    return;
  }
  *p = (struct peer){.since = now, .started = now, .block = block, .fd = -1};
  p->fd = fd;
}

/* One at a look: whoever connects again and again waits for those who are there. */
static void let_in(int listener, int64_t now) {
  int fd = (int)QUIETLY(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS) server.deaf_until = now + PAUSE;
  if (fd < 0) return;
  if (thrumi_place_admits(fd))
    admit(fd, now);
  else
    close(fd);
}

/* ---- Requests and answers ------------------------------------------------------------------------------------- */

static bool is_writing(const struct peer *p) { return p->to_send > 0; }

static void answer_text(struct peer *p, const char *text) {
  p->to_send = (size_t)snprintf(p->block, BLOCK, "%s\n", text);
}

/* That may have taken a while: the peer's time begins now. */
static void answer(struct peer *p, const char *request) {
  struct thrumi_json j = thrumi_json_in(p->block, BLOCK, -1);
  if (thrumi_answer(request, &p->dump, &j) == 0)
    p->to_send = j.used;
  else
    answer_text(p, "{\"error\":\"the answer is too long\"}");
  p->sent = 0;
  p->since = p->started = thrumi_os.now();
}

static bool has_request(const struct peer *p) { return memchr(p->line, '\n', p->length); }

/* The first line of what has come, if it is whole; what is behind it stays. */
static void take_request(struct peer *p) {
  char request[LINE];
  char *end = memchr(p->line, '\n', p->length);
  if (!end && p->length < LINE) return;
  if (!end) {
    answer_text(p, "{\"error\":\"the request is too long\"}");
    p->last = true;
    return;
  }
  size_t length = (size_t)(end - p->line);
  memcpy(request, p->line, length);
  request[length] = 0;
  if (length && request[length - 1] == '\r') request[length - 1] = 0;
  p->length -= length + 1;
  memmove(p->line, end + 1, p->length);
  answer(p, request);
}

/* 0: nothing more for now; else the peer is gone. */
static int read_from(struct peer *p, int64_t now) {
  ssize_t n = QUIETLY(recv(p->fd, p->line + p->length, LINE - p->length, MSG_DONTWAIT));
  if (n == -EAGAIN || n == -EINTR) return 0;
  if (n <= 0) return -EPIPE;
  if (!p->length) p->started = now;
  p->length += (size_t)n;
  p->since = now;
  take_request(p);
  return 0;
}

static int write_to(struct peer *p, int64_t now) {
  ssize_t n = QUIETLY(send(p->fd, p->block + p->sent, p->to_send - p->sent, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (n == -EAGAIN || n == -EINTR) return 0;
  if (n < 0) return -EPIPE;
  p->sent += (size_t)n;
  p->since = now;
  if (p->sent < p->to_send) return 0;
  if (p->last) return -EPIPE;
  p->sent = p->to_send = 0;
  p->started = now;
  return 0;
}

/* ---- Time ----------------------------------------------------------------------------------------------------- */

static int64_t hang_up_at(const struct peer *p) {
  if (is_writing(p)) return p->since + STALL < p->started + SEND ? p->since + STALL : p->started + SEND;
  return p->length ? p->started + HALF : p->since + IDLE;
}

/* Takes one request at most: an answer may take a while, in which nobody else is looked after. */
static void look_after(struct peer *p, short events, int64_t now) {
  int error = 0;
  if (!is_writing(p) && has_request(p))
    take_request(p); /* which was sent ahead */
  else if (!is_writing(p) && events & (POLLIN | POLLHUP | POLLERR))
    error = read_from(p, now);
  while (!error && is_writing(p)) {
    size_t sent = p->sent;
    error = write_to(p, now);
    if (p->sent == sent) break;
  }
  if (error || now >= hang_up_at(p)) hang_up(p);
}

/* Milliseconds until something is due. */
static int patience(int64_t now) {
  int64_t due = INT64_MAX;
  bool looks = false;
  for (int i = 0; i < PEERS; i++) {
    if (server.peer[i].fd < 0) continue;
    const struct peer *p = &server.peer[i];
    int64_t at = !is_writing(p) && has_request(p) ? now : hang_up_at(p);
    due = at < due ? at : due;
    looks = true;
  }
  if (looks && now + THRUMI_SAMPLE_EVERY < due) due = now + THRUMI_SAMPLE_EVERY;
  if (!looks) thrumi_usage_pause();
  if (server.deaf_until > now && server.deaf_until < due) due = server.deaf_until;
  if (due == INT64_MAX) return -1;
  return due > now ? (int)((due - now + 999999) / 1000000) : 0;
}

/* ---- The loop -------------------------------------------------------------------------------------------------- */

enum { LISTENER = PEERS, STOP, WATCHED };

static void wait_for_any(struct pollfd *fds, const struct thrumi_inspection *own, int64_t now) {
  for (int i = 0; i < PEERS; i++) {
    const struct peer *p = &server.peer[i];
    fds[i] = (struct pollfd){.fd = p->fd, .events = is_writing(p) ? POLLOUT : POLLIN};
  }
  fds[LISTENER] = (struct pollfd){.fd = now < server.deaf_until ? -1 : own->listener, .events = POLLIN};
  fds[STOP] = (struct pollfd){.fd = own->stop, .events = POLLIN};
  poll(fds, WATCHED, patience(now));
}

void thrumi_inspect_serve(const struct thrumi_inspection *own) {
  for (int i = 0; i < PEERS; i++) server.peer[i] = (struct peer){.fd = -1};
  server.deaf_until = 0;
  for (;;) {
    struct pollfd fds[WATCHED];
    wait_for_any(fds, own, thrumi_os.now());
    if (fds[STOP].revents) break;
    int64_t now = thrumi_os.now();
    bool looks = false;
    for (int i = 0; i < PEERS; i++) {
      if (server.peer[i].fd < 0) continue;
      looks = true;
      look_after(&server.peer[i], fds[i].revents, now);
    }
    if (looks) thrumi_usage_sample(now);
    if (fds[LISTENER].revents) let_in(own->listener, now);
  }
  for (int i = 0; i < PEERS; i++)
    if (server.peer[i].fd >= 0) hang_up(&server.peer[i]);
}

void thrumi_inspect_forget(void) {
  for (int i = 0; i < PEERS; i++) {
    struct peer *p = &server.peer[i];
    if (p->block && p->fd >= 0) close(p->fd);
    p->fd = -1;
  }
}
