/* Connections: making, ending, waiting. Sending is in send.c, receiving in receive.c, descriptors in pass.c.
 *
 * A turn. Who sends or receives holds three things: a reference, so that the connection is not freed; the descriptor, by
 * thrumi_descriptor_begin, so that its number is not closed, and so not another file's; and the lock of the direction, so that
 * messages stay whole. They are taken in this order, and given back in the other. Only the lock is waited for.
 *
 *   word     value           meaning                     written by
 *   in.next  size + 1, or 0  a message that was begun with   who has the turn to receive
 *
 * Whoever waits for its turn when the connection is closed (owned.h) gets it when the one before has heard of that, and then hears the
 * same: the descriptor stays marked until both have let go.
 *
 * Nothing is read ahead. A connection could take what has come in one call and cut it into messages by itself; then poll and select
 * on its descriptor would no longer tell, a descriptor that comes along would be lost, and it could not be handed to
 * another process between two messages. A call for the head and one for the body is the price.
 *
 * A cut send. Rejected: to keep the rest, and have the next send, or a thread of ours, bring it out. Then an error would not say whether the
 * message arrives, and who closes after it would cut it off all the same. Rejected: not to let a send end early once
 * its first byte is out. A peer that stops reading could then hold a thread for ever.
 *
 * In the child of a fork the threads that had turns are not there. Their locks are free again; a direction in whose midst one was is
 * no good. */
#define _GNU_SOURCE
#include <core/sanitize.h>
#include <fcntl.h>
#include <io/attempt.h>
#include <limits.h>
#include <os/os.h>
#include <poll.h>
#include <process/conn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <thrum/io/file.h>
#include <unistd.h>

enum { FEW = 8 }; /* so many descriptors are waited for on the stack */

/* ---- Turns -------------------------------------------------------------------------------------------------------- */

static void mend(struct thrumi_owned *o) {
  thrum_conn *c = (thrum_conn *)o;
  struct thrumi_incoming *in = &c->in;
  if (thrum_lock_held(&c->out.lock) && c->out.midway) c->out.error = -EOWNERDEAD;
  if (thrum_lock_held(&in->lock) && (in->have || in->known)) in->error = -EOWNERDEAD;
  c->out.lock = in->lock = (thrum_lock){0};
}

static void free_conn(struct thrumi_owned *o) {
  thrum_conn *c = (thrum_conn *)o;
  thrum_lock_destroy(&c->out.lock); /* what a profile knows of them */
  thrum_lock_destroy(&c->in.lock);
  free(c->in.part);
  thrumi_os.free(o);
}

static const struct thrumi_owner owner = {mend, free_conn};

void thrumi_conn_end(struct thrumi_turn *turn) {
  if (turn->lock) {
    thrumi_announce(turn->lock); /* to the next one who has the turn: what is kept of a message */
    thrum_lock_release(turn->lock);
  }
  thrumi_descriptor_end(turn->descriptor);
  thrumi_owned_drop(&turn->conn->owned);
}

static int take_turn(struct thrumi_turn *turn, thrum_lock *lock, thrum_duration timeout) {
  int error = thrum_lock_acquire_for(lock, timeout);
  if (error) return error;
  thrumi_rely_on(lock);
  turn->lock = lock;
  return 0;
}

int thrumi_conn_begin(struct thrumi_turn *turn, thrum_conn *c, int direction, thrum_duration timeout) {
  if (!c) return -EINVAL;
  if (direction & ~c->mode) return -EOPNOTSUPP;
  *turn = (struct thrumi_turn){.conn = c};
  int error = thrumi_cancelled();
  if (!error) error = thrumi_owned_hold(&c->owned, &turn->descriptor);
  if (error) return error;
  turn->deadline = thrum_after(timeout);
  if (direction) error = take_turn(turn, direction == THRUM_CONN_READ ? &c->in.lock : &c->out.lock, timeout);
  if (error) thrumi_conn_end(turn);
  return error;
}

void thrumi_conn_give_up(thrum_conn *c, int direction, int error) {
  bool in = direction == THRUM_CONN_READ;
  *(in ? &c->in.error : &c->out.error) = error;
  if (c->is_socket) shutdown(thrumi_conn_fd(c), in ? SHUT_RD : SHUT_WR);
}

/* ---- Making ------------------------------------------------------------------------------------------------------- */

static int option_of(int fd, int option) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

static bool allows(int flags, int mode) {
  int access = flags & O_ACCMODE;
  return !(mode & THRUM_CONN_READ && access == O_WRONLY) && !(mode & THRUM_CONN_WRITE && access == O_RDONLY);
}

int thrum_conn_open(thrum_conn **out, int fd, int mode) {
  if (!out || mode < THRUM_CONN_READ || mode > THRUM_CONN_BOTH) return -EINVAL;
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || flags & O_PATH || !allows(flags, mode)) return -EBADF;
  int family = option_of(fd, SO_DOMAIN);
  if (family >= 0 && option_of(fd, SO_TYPE) != SOCK_STREAM) return -EINVAL;
  thrum_conn *c = thrumi_os.allocate(sizeof *c);
  if (!c) return -ENOMEM;
  thrumi_owned_make(&c->owned, fd, &owner);
  c->mode = mode;
  c->is_socket = family >= 0;
  c->shows_rights = family == AF_UNIX && option_of(fd, SO_PASSCRED) == 0;
  *out = c;
  return 0;
}

/* Both descriptors become connections, or neither is left. */
static int open_both(int fd[2], const int mode[2], thrum_conn *out[2]) {
  int error = 0;
  for (int i = 0; i < 2; i++) thrumi_descriptor_made(fd[i], THRUMI_FD_UNKNOWN);
  for (int i = 0; i < 2 && !error; i++) error = thrum_conn_open(&out[i], fd[i], mode[i]);
  if (!error) return 0;
  if (out[0]) thrumi_os.free(out[0]);
  close(fd[0]); /* nobody else knows them */
  close(fd[1]);
  return error;
}

int thrum_conn_pair(thrum_conn *out[2]) {
  static const int mode[2] = {THRUM_CONN_BOTH, THRUM_CONN_BOTH};
  int fd[2];
  if (!out) return -EINVAL;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0) return -errno;
  thrum_conn *made[2] = {NULL, NULL};
  int error = open_both(fd, mode, made);
  if (!error) out[0] = made[0], out[1] = made[1];
  return error;
}

int thrum_conn_pipe(thrum_conn **reader, thrum_conn **writer) {
  static const int mode[2] = {THRUM_CONN_READ, THRUM_CONN_WRITE};
  int fd[2];
  if (!reader || !writer) return -EINVAL;
  if (pipe2(fd, O_CLOEXEC) != 0) return -errno;
  thrum_conn *made[2] = {NULL, NULL};
  int error = open_both(fd, mode, made);
  if (!error) *reader = made[0], *writer = made[1];
  return error;
}

int thrum_conn_fd(const thrum_conn *c) { return c ? thrumi_conn_fd(c) : -EINVAL; }

/* ---- Ending ------------------------------------------------------------------------------------------------------- */

void thrum_conn_shutdown(thrum_conn *c) {
  if (c) thrumi_owned_shutdown(&c->owned);
}

void thrum_conn_close(thrum_conn *c) {
  if (!c) return;
  thrumi_owned_shutdown(&c->owned);
  thrumi_owned_drop(&c->owned);
}

/* ---- Waiting ------------------------------------------------------------------------------------------------------ */

int thrum_conn_wait_for(thrum_conn *c, thrum_duration timeout) {
  struct thrumi_turn turn;
  if (c && !(c->mode & THRUM_CONN_READ)) return -EOPNOTSUPP;
  int error = thrumi_conn_begin(&turn, c, 0, timeout);
  if (error) return error;
  struct pollfd fd = {.fd = thrumi_conn_fd(c), .events = POLLIN};
  int n = thrum_poll_for(&fd, 1, timeout);
  thrumi_conn_end(&turn);
  return n > 0 ? 0 : n;
}

int thrum_conn_wait(thrum_conn *c) { return thrum_conn_wait_for(c, THRUM_FOREVER); }

/* What one wait for several needs of each. */
struct waited {
  struct pollfd *fds;
  struct thrumi_turn *turns;
};

/* Holds the connections among the first n items, or none. */
static int hold_all(struct waited *w, const thrum_conn_item *items, size_t n) {
  int error = 0;
  size_t i = 0;
  for (; i < n && !error; i++) {
    thrum_conn *c = items[i].conn;
    w->turns[i].conn = NULL;
    if (c) error = c->mode & THRUM_CONN_READ ? thrumi_conn_begin(&w->turns[i], c, 0, 0) : -EOPNOTSUPP;
    if (!c && items[i].fd < 0) error = -EBADF; /* which poll would leave out */
    w->fds[i] = (struct pollfd){.fd = c ? thrumi_conn_fd(c) : items[i].fd, .events = POLLIN};
  }
  if (!error) return 0;
  for (i--; i-- > 0;)
    if (w->turns[i].conn) thrumi_conn_end(&w->turns[i]);
  return error;
}

/* How many are ready; lets go of all. */
static int tell(struct waited *w, thrum_conn_item *items, size_t n, int polled) {
  int ready = 0;
  for (size_t i = 0; i < n; i++) {
    short events = polled > 0 ? w->fds[i].revents : 0;
    items[i].ready = events;
    ready += items[i].ready;
    if (events & POLLNVAL) polled = -EBADF;
    if (w->turns[i].conn) thrumi_conn_end(&w->turns[i]);
  }
  return polled < 0 ? polled : ready;
}

static int wait_many(struct waited *w, thrum_conn_item *items, size_t n, thrum_duration timeout) {
  int error = hold_all(w, items, n);
  return error ? error : tell(w, items, n, thrum_poll_for(w->fds, n, timeout));
}

int thrum_conn_wait_many_for(thrum_conn_item *items, size_t n, thrum_duration timeout) {
  if (n == 0) return 0;
  if (!items || n > INT_MAX) return -EINVAL;
  struct pollfd fds[FEW];
  struct thrumi_turn turns[FEW];
  struct waited w = {fds, turns};
  if (n <= FEW) return wait_many(&w, items, n, timeout);
  w.turns = thrumi_os.allocate(n * (sizeof *w.turns + sizeof *w.fds));
  if (!w.turns) return -ENOMEM;
  w.fds = (struct pollfd *)(void *)(w.turns + n);
  int ready = wait_many(&w, items, n, timeout);
  thrumi_os.free(w.turns);
  return ready;
}

int thrum_conn_wait_many(thrum_conn_item *items, size_t n) {
  return thrum_conn_wait_many_for(items, n, THRUM_FOREVER);
}
