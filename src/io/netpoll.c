/* One epoll instance for the process; a record a descriptor number, made at its first use and kept. Two lists of
 * waiters a descriptor, readers and writers; an event wakes all of its direction, who then try their call
 * again.
 *
 * Edge-triggered, the call first: a thread reads the event count, tries its call, and on EAGAIN waits unless the
 * count has moved. An event bumps the count and wakes the waiters, under the descriptor's lock, so one that comes
 * between the try and the wait is seen.
 *
 * A descriptor that the program closes with close(2) and whose number comes back is a new file that epoll does not know:
 * registration is tried at each first wait after an event-less try (EPOLL_CTL_MOD, and ADD on ENOENT), which also
 * re-arms the edge. */
#include <core/fatal.h>
#include <io/netpoll.h>
#include <sched/self.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256, CHUNKS = 1 << 14, EVENTS = 128 };

struct waiter {
  struct waiter *next, *prev;
  struct thrumi_thread *thread;
  thrumi_ticket ticket;
  int result;
  bool queued;
};

struct descriptor {
  struct thrumi_spin lock;
  struct waiter *waiters[2]; /* by direction */
  uint32_t events[2];
};

static struct {
  struct thrumi_spin lock;
  _Atomic int epoll, wake;
  _Atomic bool started;
  _Atomic size_t waiting;
  _Atomic(struct descriptor *) chunk[CHUNKS];
} netpoll = {.epoll = -1, .wake = -1};

/* ---- Starting --------------------------------------------------------------------------------------------------- */

static int poll_events(int64_t timeout);
static size_t pending(void) { return thrumi_load_relaxed(&netpoll.waiting); }

static void interrupt(void) {
  uint64_t one = 1;
  thrumi_ignore_begin(); /* also called outside; the descriptor is the runtime's own */
  while (thrumi_os.write(thrumi_load(&netpoll.wake), &one, sizeof one) == -EINTR) continue;
  thrumi_ignore_end();
}

static void close_both(void) {
  int epoll = thrumi_swap(&netpoll.epoll, -1), wake = thrumi_swap(&netpoll.wake, -1);
  if (epoll >= 0) close(epoll);
  if (wake >= 0) close(wake);
}

/* The instance is shared with the parent: what the child took from it would be lost there. Another thread may have been
 * in the midst of making it. */
static void forked(void) {
  close_both();
  thrumi_hooks.poll = NULL;
  thrumi_hooks.poll_pending = NULL;
  thrumi_hooks.poll_interrupt = NULL;
  thrumi_store(&netpoll.started, false);
  thrumi_store(&netpoll.waiting, 0);
  netpoll.lock = (struct thrumi_spin){0};
  for (int i = 0; i < CHUNKS; i++) {
    struct descriptor *chunk = thrumi_load(&netpoll.chunk[i]);
    if (chunk) memset(chunk, 0, CHUNK * sizeof *chunk);
  }
}

static int start_locked(void) {
  int epoll = thrumi_os.epoll_create();
  if (epoll < 0) return epoll;
  thrumi_store(&netpoll.epoll, epoll);
  int wake = thrumi_os.event_create();
  thrumi_store(&netpoll.wake, wake);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = wake}; /* until its addressee has seen it */
  int error = wake < 0 ? wake : thrumi_os.epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event);
  if (error) {
    close_both();
    return error;
  }
  thrumi_hooks.poll_pending = pending;
  thrumi_hooks.poll_interrupt = interrupt;
  thrumi_hooks.poll = poll_events;
  thrumi_store(&netpoll.started, true);
  return 0;
}

/* Who sleeps as the poller since before there was an epoll instance waits on a futex: let it come again. */
static void tell_poller(void) {
  struct thrumi_kthread *poller = thrumi_load(&thrumi_sched.poller);
  if (poller) thrumi_rouse(poller);
  thrumi_monitor_rouse();
}

static int start(void) {
  if (thrumi_load(&netpoll.started)) return 0;
  thrumi_hooks.poll_fork = forked; /* before the lock is held: a child must free it */
  thrumi_spin_lock(&netpoll.lock);
  int error = thrumi_load(&netpoll.started) ? 0 : start_locked();
  thrumi_spin_unlock(&netpoll.lock);
  if (!error) tell_poller();
  return error;
}

/* The record of a descriptor, NULL: no memory, or a number beyond all limits. */
static struct descriptor *find(int fd) {
  uint32_t i = (uint32_t)fd / CHUNK;
  if (fd < 0 || i >= CHUNKS) return NULL;
  struct descriptor *chunk = thrumi_load(&netpoll.chunk[i]);
  if (!chunk) {
    struct descriptor *new = thrumi_os.reserve(CHUNK * sizeof *new);
    if (!new) return NULL;
    if (thrumi_cas(&netpoll.chunk[i], &chunk, new))
      chunk = new;
    else
      thrumi_os.release(new, CHUNK * sizeof *new);
  }
  return &chunk[(uint32_t)fd % CHUNK];
}

/* ---- Waiters, under the descriptor's lock --------------------------------------------------------------------- */

static void append(struct descriptor *d, enum thrumi_direction direction, struct waiter *w) {
  struct waiter **head = &d->waiters[direction];
  w->queued = true;
  w->next = NULL;
  w->prev = NULL;
  while (*head) {
    w->prev = *head;
    head = &(*head)->next;
  }
  *head = w;
}

static void unlink_waiter(struct descriptor *d, enum thrumi_direction direction, struct waiter *w) {
  if (!w->queued) return;
  *(w->prev ? &w->prev->next : &d->waiters[direction]) = w->next;
  if (w->next) w->next->prev = w->prev;
  w->queued = false;
}

static int wake_all(struct descriptor *d, enum thrumi_direction direction, int result) {
  int woken = 0;
  for (struct waiter *w; (w = d->waiters[direction]);) {
    unlink_waiter(d, direction, w);
    w->result = result;
    woken += thrumi_wake(w->thread, w->ticket, THRUMI_WOKEN);
  }
  return woken;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

static int deliver(int fd, uint32_t what) {
  struct descriptor *d = find(fd);
  if (!d) return 0;
  bool both = what & (EPOLLERR | EPOLLHUP);
  int woken = 0;
  thrumi_spin_lock(&d->lock);
  if (both || what & (EPOLLIN | EPOLLRDHUP | EPOLLPRI))
    d->events[THRUMI_IN]++, woken += wake_all(d, THRUMI_IN, 0);
  if (both || what & EPOLLOUT) d->events[THRUMI_OUT]++, woken += wake_all(d, THRUMI_OUT, 0);
  thrumi_spin_unlock(&d->lock);
  return woken;
}

static void drain_wake(void) {
  uint64_t count;
  thrumi_os.read(thrumi_load(&netpoll.wake), &count, sizeof count);
}

static int poll_events(int64_t timeout) {
  struct epoll_event events[EVENTS];
  int n = thrumi_os.epoll_wait(thrumi_load(&netpoll.epoll), events, EVENTS, timeout), woken = 0;
  for (int i = 0; i < n; i++) {
    if (events[i].data.fd != thrumi_load(&netpoll.wake))
      woken += deliver(events[i].data.fd, events[i].events);
    else if (timeout != 0) /* it is meant for the one poller that sleeps; others leave it */
      drain_wake();
  }
  return woken;
}

/* ---- Waiting ------------------------------------------------------------------------------------------------------ */

/* Asks for what is waited for, and no more: an unwanted report is a needless wake-up of the poller. */
static int enrol(int fd, uint32_t wanted) {
  struct epoll_event event = {.events = wanted | EPOLLET, .data.fd = fd};
  int epoll = thrumi_load(&netpoll.epoll);
  int error = thrumi_os.epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
  if (error == -ENOENT) error = thrumi_os.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  return error == -EEXIST ? 0 : error;
}

int64_t thrumi_netpoll_events(int fd, enum thrumi_direction direction) {
  int error = start();
  struct descriptor *d = error ? NULL : find(fd);
  if (error) return error;
  if (!d) return fd < 0 ? -EBADF : -ENOMEM;
  thrumi_spin_lock(&d->lock);
  uint32_t events = d->events[direction];
  thrumi_spin_unlock(&d->lock);
  return events;
}

int thrumi_netpoll_wait(int fd, enum thrumi_direction direction, uint32_t seen, int64_t deadline) {
  struct thrumi_thread *me = thrumi_self()->current;
  struct descriptor *d = find(fd);
  struct waiter w = {.thread = me};
  thrumi_spin_lock(&d->lock);
  if (d->events[direction] != seen) {
    thrumi_spin_unlock(&d->lock);
    return 0;
  }
  w.ticket = thrumi_arm(me, direction == THRUMI_IN ? "input on descriptor" : "output on descriptor",
                        (void *)(intptr_t)fd, THRUMI_CANCELLABLE);
  append(d, direction, &w);
  uint32_t wanted =
      (d->waiters[THRUMI_IN] ? EPOLLIN | EPOLLRDHUP : 0u) | (d->waiters[THRUMI_OUT] ? EPOLLOUT : 0u);
  int error = enrol(fd, wanted); /* reports what is ready at once, so nothing before it is missed */
  thrumi_spin_unlock(&d->lock);  /* after it: another's enrolment must not undo ours */
  thrumi_add(&netpoll.waiting, (size_t)1);
  if (!thrumi_load(&thrumi_sched.poller))
    thrumi_monitor_rouse(); /* it may sleep, with nothing to watch until now */
  if (error) thrumi_wake(me, w.ticket, THRUMI_WOKEN);
  enum thrumi_wait_state outcome = thrumi_park(me, w.ticket, deadline);
  thrumi_add(&netpoll.waiting, -(size_t)1);
  thrumi_spin_lock(&d->lock);
  unlink_waiter(d, direction, &w);
  thrumi_spin_unlock(&d->lock);
  if (error) return error;
  if (outcome == THRUMI_WOKEN) return w.result;
  return outcome == THRUMI_TIMED_OUT ? -ETIMEDOUT : -ECANCELED;
}

static void wake_both(int fd, int result) {
  struct descriptor *d = fd < 0 || !thrumi_load(&netpoll.started) ? NULL : find(fd);
  if (!d) return;
  thrumi_spin_lock(&d->lock);
  d->events[THRUMI_IN]++;
  d->events[THRUMI_OUT]++;
  wake_all(d, THRUMI_IN, result);
  wake_all(d, THRUMI_OUT, result);
  thrumi_spin_unlock(&d->lock);
}

void thrumi_netpoll_forget(int fd) {
  if (thrumi_load(&netpoll.started))
    thrumi_os.epoll_ctl(thrumi_load(&netpoll.epoll), EPOLL_CTL_DEL, fd, NULL);
  wake_both(fd, -EBADF);
}

void thrumi_netpoll_closed(int fd) { wake_both(fd, 0); }
