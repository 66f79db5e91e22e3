/* An event as a descriptor: an eventfd, and a thread of ours that writes to it each time the event has become set.
 *
 * The thread waits for two things at once, with one ticket: the next round of the event (sync/event.h), and the closing of the
 * descriptor. It has begun a call on the descriptor for all its life, so thrum_close waits for its end: afterwards
 * nobody touches the event.
 *
 * A round is told once. Several that come before the thread has run, or before the descriptor is read, are one, as
 * several sets are one for whoever waits.
 *
 * Rejected: to write where the event is set. That would be a look and a branch in each set, also in signal handlers, and the
 * descriptor could be closed, and another file, at that moment. */
#define _GNU_SOURCE
#include <io/backoff.h>
#include <io/netpoll.h>
#include <poll.h>
#include <sched/self.h>
#include <sched/servant.h>
#include <sync/event.h>
#include <thrum/io/file.h>
#include <thrum/io/signal.h>
#include <thrum/thread.h>

struct carrier {
  thrum_event *event;
  uint64_t round; /* told already */
  struct thrumi_descriptor *descriptor;
  int fd;
};

static void tell(int fd) {
  const uint64_t one = 1;
  while (thrumi_os.write(fd, &one, sizeof one) == -EINTR) continue;
}

static bool was_closed(int error) { return error == -EBADF || error == -EPERM; }

/* Inside. 0: another round has begun. -EBADF: the descriptor is to be closed. -EPERM: it was closed, and the number is that of a file which
 * epoll takes never. Another errno: epoll does not take it now. */
static int wait_for_round(struct carrier *c) {
  struct thrumi_thread *me = thrumi_self()->current;
  enum thrumi_wait_state outcome;
  thrumi_ticket ticket = thrumi_arm(me, "an event, for a descriptor", c->event, THRUMI_BY_SIGNAL);
  struct thrumi_round_wait next = {.waiter.thread = me, .waiter.ticket = ticket, .round = c->round};
  struct thrumi_fd_wait end = {.thread = me, .ticket = ticket};
  bool waits = thrumi_event_enlist_next(c->event, &next);
  int error = waits ? thrumi_fd_enlist(&end, c->fd, POLLPRI) : 0; /* which it never is */
  if (waits && !error)
    thrumi_park(me, ticket, INT64_MAX);
  else
    thrumi_disarm(me, ticket, &outcome);
  if (waits) thrumi_event_withdraw(c->event, &next);
  if (waits && !error) thrumi_fd_withdraw(&end);
  return error ? error : end.result;
}

static intptr_t carry(void *arg) {
  struct carrier *c = arg;
  struct thrumi_backoff backoff = {0};
  for (int error = 0; !was_closed(error);) {
    uint64_t round = thrumi_event_round(c->event);
    if (round != c->round) {
      thrumi_rely_on(c->event);
      tell(c->fd);
    }
    c->round = round;
    thrumi_enter();
    error = wait_for_round(c);
    thrumi_leave(thrumi_self());
    if (!error)
      backoff = (struct thrumi_backoff){0};
    else if (!was_closed(error))
      thrumi_back_off(&backoff,
                      INT64_MAX); /* only a close ends it; one that comes now is seen by the next wait */
  }
  struct thrumi_descriptor *descriptor = c->descriptor;
  thrumi_os.free(c);
  thrumi_descriptor_end(descriptor);
  return 0;
}

/* Epoll may refuse it (-ENOSPC, -ENOMEM). The caller is to hear of that. */
static int try_to_wait(int fd) {
  thrumi_enter();
  int error = thrumi_fd_try_enlist(fd, POLLPRI);
  thrumi_leave(thrumi_self());
  return error;
}

static int start_carrier(struct carrier *c) {
  thrum_options options = thrumi_servant("event-fd", THRUM_YES);
  return thrum_spawn_with(NULL, &options, carry, c);
}

/* A carrier of a descriptor on which a call has begun; NULL: no memory. */
static struct carrier *make_carrier(thrum_event *event, int fd, struct thrumi_descriptor *descriptor) {
  struct carrier *c = thrumi_os.allocate(sizeof *c);
  if (!c) return NULL;
  *c = (struct carrier){.event = event, .descriptor = descriptor, .fd = fd};
  c->round = thrumi_event_round(event);
  if (thrum_event_is_set(event)) {
    thrumi_rely_on(event);
    tell(fd);
  }
  return c;
}

int thrum_event_fd(thrum_event *event) {
  if (!event) return -EINVAL;
  struct thrumi_descriptor *descriptor;
  int fd = thrumi_os.event_create();
  if (fd < 0) return fd;
  thrumi_descriptor_made(fd, THRUMI_FD_UNKNOWN);
  int error = thrumi_descriptor_begin(fd, &descriptor);
  if (!error) {
    struct carrier *c = NULL;
    error = try_to_wait(fd);
    if (!error) error = (c = make_carrier(event, fd, descriptor)) ? start_carrier(c) : -ENOMEM;
    if (!error) return fd;
    thrumi_os.free(c);
    thrumi_descriptor_end(descriptor);
  }
  thrum_close(fd);
  return error;
}
