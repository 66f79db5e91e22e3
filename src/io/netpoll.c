/* One epoll instance for the process; a record a descriptor number, made at its first use and kept. A record has a list of
 * waiters; an event wakes all of its direction, who then try their call again.
 *
 * No event is lost. A thread reads the count of events, tries its call, and on EAGAIN waits unless the count has moved. An event
 * bumps the count and wakes the waiters, under the record's lock. So one that comes between the try and the wait is seen.
 *
 * Enrolment. A number is enrolled once, edge-triggered, for the directions that were waited for so far, and stays so: a wait
 * costs no system call. But the program may close the number with close(2), and get it back as another file, which epoll
 * does not know. So that is a guess, and a wait trusts it only for a while, 10 ms at first. Then the thread goes on as if
 * there had been an event, tries its call, and enrols anew before it waits, which also reports what is ready. Each time
 * doubles the trust, up to a second: that is the longest that a number which was closed behind our backs can cost.
 *
 * Closing. `use` keeps a number from being closed, and so used again, while calls on it are under way:
 *
 *   bits        meaning                                   written by
 *   CLOSING     thrum_close waits for the calls to end    thrum_close alone: sets it if it was not, clears it
 *   the rest    calls between begin and end               each call, one up and one down
 *
 * A call that begins under CLOSING fails. The last one to end under CLOSING wakes the closer, which waits in the parking table at
 * the address of `use`: it looks at the word under the bucket's lock, and who ends takes that lock after it changed the word.
 *
 * A pause gives `use` back in the midst of a call, for as long as it blocks. Who comes out of it under CLOSING, or finds that `closes` has
 * moved, which a close counts before it clears CLOSING, does not try again.
 *
 * Claims. Where a call cannot be told not to block, who asks first whether it is ready and then calls has a claim for as long, one a
 * direction. All its words are plain ones under the record's lock:
 *
 *   word      meaning                                        written by
 *   taken     somebody asks or calls                         claim: set; release of that claim, close, made: cleared
 *   wanted    somebody else came meanwhile                   claim in vain: set; release of that claim, close: cleared
 *   number    which claim it is, so that the release of      claim: one more
 *             one that was taken away does nothing
 *   events    the count of events when it was taken          claim
 *   file      what the number was then                       claim
 *
 * Nobody who came in vain is forgotten. Let A take the claim at a, B come in vain at b and A give it back at r, a < b < r, all under
 * the lock, and let an event be reported at t, under it as well; A asks the kernel after a, B has read the count before b. What
 * was there before A asked, A hears of: it calls, and its release counts an event and wakes B. What came later is reported at t > a.
 * If t < r, B may have read the count after it; but A's release finds that the count has moved since a, counts one more, and
 * wakes. If t > r, the report is after b itself, and B finds the count moved, or is woken. A release that wakes has so either
 * called or seen an event that the kernel reported while it had the claim: two who ask in turn and find nothing do not wake each
 * other for ever.
 *
 * A claim that was left behind by close(2), since its call blocks, is known by `file` when the number is asked for as another one.
 *
 * Who waits for several things at once (poll, select) has not begun a call; it enrols each time, and close wakes it
 * as well. */
#include <core/fatal.h>
#include <io/netpoll.h>
#include <sched/await.h>
#include <sched/self.h>
#include <sched/step.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CHUNK = 256, CHUNKS = 1 << 14, EVENTS = 128, POLL_EVERY = 32 };
#define CLOSING (1u << 31)
#define TRUST_FIRST INT64_C(10000000)
#define TRUST_MOST INT64_C(1000000000)
#define INPUT ((uint32_t)(EPOLLIN | EPOLLPRI | EPOLLRDHUP))
#define THE_END ((uint32_t)(EPOLLERR | EPOLLHUP)) /* reported unasked */
#define ANY (INPUT | EPOLLOUT | THE_END)

struct claim {
  bool taken, wanted;
  uint64_t number; /* of the last one */
  uint32_t events; /* what had come when it was taken */
  struct thrumi_file_id file;
};

struct thrumi_descriptor {
  struct thrumi_spin lock;
  _Atomic uint32_t use;
  _Atomic uint32_t events[2]; /* by direction */
  _Atomic uint32_t kind;
  _Atomic uint32_t closes;
  int fd;
  uint32_t enrolled;     /* what epoll reports of it, as far as we know; 0: nothing */
  bool doubted;          /* epoll is to be asked before the next wait */
  struct claim claim[2]; /* by direction */
  int64_t trust;         /* for how long a wait goes without asking; 0: TRUST_FIRST */
  struct thrumi_fd_wait *first, *last;
};

static struct {
  struct thrumi_spin lock;
  _Atomic int epoll, wake;
  _Atomic bool started;
  _Atomic size_t waiting;
  _Atomic(struct thrumi_descriptor *) chunk[CHUNKS];
  _Atomic uint32_t chunks; /* no chunk from this one on was ever made; it only grows */
} netpoll = {.epoll = -1, .wake = -1};

/* What a record says that is all zeroes but for its number: nothing is known. */
static void number(struct thrumi_descriptor *chunk, int first) {
  for (int i = 0; i < CHUNK; i++) chunk[i].fd = first + i;
}

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
  for (uint32_t i = 0; i < thrumi_load(&netpoll.chunks); i++) {
    struct thrumi_descriptor *chunk = thrumi_load(&netpoll.chunk[i]);
    if (!chunk) continue;
    memset(chunk, 0, CHUNK * sizeof *chunk);
    number(chunk, (int)i * CHUNK);
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

/* Who sleeps as the poller since before there was an epoll instance waits on a futex: let it come again. The fence pairs with the
 * poller's, who says that it is before it looks whether there is one. */
static void tell_poller(void) {
  atomic_thread_fence(memory_order_seq_cst);
  struct thrumi_kthread *poller = thrumi_load(&thrumi_sched.poller);
  if (poller) thrumi_rouse(poller);
  thrumi_monitor_rouse();
}

static int start(void) {
  if (thrumi_likely(thrumi_load(&netpoll.started))) return 0;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_hooks.poll_fork = forked; /* before the lock is held: a child must free it */
  thrumi_spin_lock(&netpoll.lock);
  int error = thrumi_load(&netpoll.started) ? 0 : start_locked();
  thrumi_spin_unlock(&netpoll.lock);
  if (!error) tell_poller();
  thrumi_leave(k);
  return error;
}

/* ---- Records ------------------------------------------------------------------------------------------------------ */

/* NULL: there is none yet. */
static struct thrumi_descriptor *known(int fd) {
  uint32_t i = (uint32_t)fd / CHUNK;
  struct thrumi_descriptor *chunk = fd < 0 || i >= CHUNKS ? NULL : thrumi_load(&netpoll.chunk[i]);
  return chunk ? &chunk[(uint32_t)fd % CHUNK] : NULL;
}

/* NULL: no memory, or a number beyond all limits. */
static struct thrumi_descriptor *record(int fd) {
  struct thrumi_descriptor *d = known(fd);
  uint32_t i = (uint32_t)fd / CHUNK;
  if (d || fd < 0 || i >= CHUNKS) return d;
  struct thrumi_descriptor *none = NULL, *new = thrumi_os.reserve(CHUNK * sizeof *new);
  if (!new) return NULL;
  number(new, fd - fd % CHUNK);
  uint32_t chunks = thrumi_load(&netpoll.chunks);
  while (chunks <= i && !thrumi_cas(&netpoll.chunks, &chunks, i + 1)) continue; /* before it is there */
  if (!thrumi_cas(&netpoll.chunk[i], &none, new)) thrumi_os.release(new, CHUNK * sizeof *new);
  return known(fd);
}

static int lookup(int fd, struct thrumi_descriptor **out) {
  if (fd < 0) return -EBADF;
  int error = start();
  if (error) return error;
  *out = record(fd);
  return *out ? 0 : -ENOMEM;
}

enum thrumi_fd_kind thrumi_descriptor_kind(const struct thrumi_descriptor *d) {
  return (enum thrumi_fd_kind)thrumi_load_relaxed(&d->kind);
}

void thrumi_descriptor_set_kind(struct thrumi_descriptor *d, enum thrumi_fd_kind kind) {
  thrumi_store_relaxed(&d->kind, (uint32_t)kind);
}

uint32_t thrumi_descriptor_closes(const struct thrumi_descriptor *d) { return thrumi_load(&d->closes); }

uint32_t thrumi_descriptor_events(const struct thrumi_descriptor *d, enum thrumi_direction direction) {
  return thrumi_load(&d->events[direction]);
}

/* ---- Waiters, under the record's lock ----------------------------------------------------------------------------- */

static void append(struct thrumi_descriptor *d, struct thrumi_fd_wait *w) {
  w->descriptor = d;
  w->result = 0;
  w->won = false;
  w->queued = true;
  w->next = NULL;
  w->prev = d->last;
  *(d->last ? &d->last->next : &d->first) = w;
  d->last = w;
}

static void take_out(struct thrumi_descriptor *d, struct thrumi_fd_wait *w) {
  if (!w->queued) return;
  *(w->prev ? &w->prev->next : &d->first) = w->next;
  *(w->next ? &w->next->prev : &d->last) = w->prev;
  w->queued = false;
}

/* Who is woken looks at *w under the lock first. */
static int wake_all(struct thrumi_descriptor *d, uint32_t events, int result) {
  int woken = 0;
  for (struct thrumi_fd_wait *w = d->first, *next; w; w = next) {
    next = w->next;
    if (!(w->events & events)) continue;
    take_out(d, w);
    w->result = result;
    w->won = thrumi_wake(w->thread, w->ticket, THRUMI_WOKEN);
    woken += w->won;
  }
  return woken;
}

/* ---- Events ------------------------------------------------------------------------------------------------------ */

/* After the event, before whoever sees the count tries its call. */
static void note_event(struct thrumi_descriptor *d, enum thrumi_direction direction) {
  thrumi_store(&d->events[direction], thrumi_load_relaxed(&d->events[direction]) + 1);
}

static int report(struct thrumi_descriptor *d, uint32_t what) {
  if (what & THE_END) what |= INPUT | EPOLLOUT;
  if (what & INPUT) what |= INPUT;
  THRUMI_PROBE(io, (struct thrumi_thread *)NULL, d->fd);
  thrumi_spin_lock(&d->lock);
  if (what & INPUT) note_event(d, THRUMI_IN);
  if (what & EPOLLOUT) note_event(d, THRUMI_OUT);
  int woken = wake_all(d, what, 0);
  thrumi_spin_unlock(&d->lock);
  if (!woken)
    THRUMI_TRACE(IO, (struct thrumi_thread *)NULL, (uint64_t)d->fd, 0, 0); /* else the UNPARK says it */
  return woken;
}

static void drain_wake(void) {
  uint64_t count;
  thrumi_os.read(thrumi_load(&netpoll.wake), &count, sizeof count);
}

static int poll_events(int64_t timeout) {
  struct epoll_event events[EVENTS];
  int n = thrumi_os.epoll_wait(thrumi_load(&netpoll.epoll), events, EVENTS, timeout), woken = 0;
  if (timeout != 0) thrumi_swap(&thrumi_self()->go, THRUMI_AWAKE); /* it need not be interrupted any more */
  for (int i = 0; i < n; i++) {
    struct thrumi_descriptor *d = known(events[i].data.fd);
    if (events[i].data.fd == thrumi_load(&netpoll.wake)) {
      if (timeout != 0) drain_wake(); /* it is meant for the one poller that sleeps; others leave it */
    } else if (d) {
      woken += report(d, events[i].events);
    }
  }
  return woken;
}

/* Has epoll report it for these events too, and at once what is ready. Under the lock: another's enrolment must not undo ours. */
static int enrol(struct thrumi_descriptor *d, uint32_t events) {
  int epoll = thrumi_load(&netpoll.epoll), first = d->enrolled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  struct epoll_event event = {.events = d->enrolled | events | EPOLLET, .data.fd = d->fd};
  int error = thrumi_os.epoll_ctl(epoll, first, d->fd, &event);
  if (error == -EEXIST) error = thrumi_os.epoll_ctl(epoll, EPOLL_CTL_MOD, d->fd, &event);
  if (error == -ENOENT) error = thrumi_os.epoll_ctl(epoll, EPOLL_CTL_ADD, d->fd, &event);
  d->enrolled = error ? 0 : d->enrolled | events;
  d->doubted = error;
  return error;
}

/* While anybody waits there is a poller, or the monitor looks each millisecond; it may sleep when the first one comes: until it is rung
 * for, which it makes known before it looks at `waiting` for the last time, or for longer than it should. */
static void begin_waiting(void) {
  if (thrumi_add(&netpoll.waiting, (size_t)1)) return;
  atomic_thread_fence(memory_order_seq_cst); /* with sleep_as_poller and the monitor's sleep_deep */
  if (!thrumi_load(&thrumi_sched.poller)) thrumi_monitor_take_over();
}

/* ---- One descriptor -------------------------------------------------------------------------------------------------- */

int thrumi_descriptor_begin(int fd, struct thrumi_descriptor **out) {
  int error = lookup(fd, out);
  if (error) return error;
  if (thrumi_likely(!(thrumi_add(&(*out)->use, 1u) & CLOSING))) return 0;
  thrumi_descriptor_end(*out);
  return -EBADF;
}

static void wake_closer(struct thrumi_descriptor *d) {
  struct thrumi_kthread *k = thrumi_enter();
  struct thrumi_bucket *bucket = thrumi_bucket_lock(&d->use);
  struct thrumi_waiter *closer = thrumi_bucket_first(bucket, &d->use);
  if (closer) thrumi_let_go(bucket, closer, 0);
  thrumi_bucket_unlock(bucket);
  thrumi_leave(k);
}

void thrumi_descriptor_end(struct thrumi_descriptor *d) {
  thrumi_announce(&d->use);
  if (thrumi_unlikely(thrumi_add(&d->use, -1u) == CLOSING + 1)) wake_closer(d);
}

uint32_t thrumi_descriptor_pause(struct thrumi_descriptor *d) {
  uint32_t closes = thrumi_load(&d->closes);
  thrumi_descriptor_end(d);
  return closes;
}

/* Under CLOSING the closer may have seen already that no call is left. */
bool thrumi_descriptor_resume(struct thrumi_descriptor *d, uint32_t closes) {
  bool closing = thrumi_add(&d->use, 1u) & CLOSING;
  return !closing && thrumi_load(&d->closes) == closes;
}

static bool same_file(const struct thrumi_file_id *a, const struct thrumi_file_id *b) {
  return a->device == b->device && a->inode == b->inode;
}

/* Who wanted it of the former file is kept: it looks again when this one is given back. */
static uint64_t take_claim(struct claim *c, uint32_t events, const struct thrumi_file_id *file) {
  c->taken = true;
  c->events = events;
  c->file = *file;
  return ++c->number;
}

uint64_t thrumi_descriptor_claim(struct thrumi_descriptor *d, enum thrumi_direction direction,
                                 struct thrumi_file_id file) {
  struct claim *c = &d->claim[direction];
  uint64_t mine = 0;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&d->lock);
  if (c->taken && same_file(&c->file, &file))
    c->wanted = true;
  else
    mine = take_claim(c, thrumi_load_relaxed(&d->events[direction]), &file);
  thrumi_spin_unlock(&d->lock);
  thrumi_leave(k);
  return mine;
}

void thrumi_descriptor_release(struct thrumi_descriptor *d, enum thrumi_direction direction, uint64_t claim,
                               bool called) {
  struct claim *c = &d->claim[direction];
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&d->lock);
  if (c->taken && c->number == claim) {
    bool moved = thrumi_load_relaxed(&d->events[direction]) != c->events;
    if (c->wanted && (called || moved)) {
      note_event(d, direction);
      wake_all(d, direction == THRUMI_IN ? INPUT : EPOLLOUT, 0);
    }
    c->taken = c->wanted = false;
  }
  thrumi_spin_unlock(&d->lock);
  thrumi_leave(k);
}

/* Queues the waiter, armed: 1. 0: an event came since. Under the lock. *trusted: epoll was not asked. */
static int queue_locked(struct thrumi_descriptor *d, struct thrumi_fd_wait *w,
                        enum thrumi_direction direction, uint32_t seen, bool *trusted) {
  if (thrumi_load(&d->use) & CLOSING) return -EBADF;
  if (thrumi_load_relaxed(&d->events[direction]) != seen) return 0;
  *trusted = !d->doubted && !(w->events & ~d->enrolled);
  int error = *trusted ? 0 : enrol(d, w->events);
  if (error) return error;
  w->ticket = thrumi_arm(w->thread, direction == THRUMI_IN ? "input on descriptor" : "output on descriptor",
                         (void *)(intptr_t)d->fd, THRUMI_CANCELLABLE);
  append(d, w);
  return 1;
}

/* The wait of a thread that trusts ends early; then epoll is to be asked before the next one. */
static int conclude(struct thrumi_descriptor *d, struct thrumi_fd_wait *w, enum thrumi_wait_state outcome,
                    int64_t trust) {
  bool early = trust;
  thrumi_spin_lock(&d->lock);
  take_out(d, w);
  if (outcome == THRUMI_TIMED_OUT && early) {
    d->doubted = true;
    d->trust = trust < TRUST_MOST / 2 ? 2 * trust : TRUST_MOST;
  }
  thrumi_spin_unlock(&d->lock);
  if (outcome == THRUMI_WOKEN) return w->result;
  return outcome == THRUMI_CANCELLED ? -ECANCELED : early ? 0 : -ETIMEDOUT;
}

static int wait_inside(struct thrumi_descriptor *d, enum thrumi_direction direction, uint32_t seen,
                       int64_t deadline) {
  struct thrumi_fd_wait w = {.thread = thrumi_self()->current,
                             .events = (direction == THRUMI_IN ? INPUT : EPOLLOUT) | THE_END};
  bool trusted = false;
  thrumi_spin_lock(&d->lock);
  int queued = queue_locked(d, &w, direction, seen, &trusted);
  int64_t trust = trusted ? (d->trust ? d->trust : TRUST_FIRST) : 0;
  thrumi_spin_unlock(&d->lock);
  if (queued <= 0) return queued;
  int64_t until = trust ? thrumi_os.now() + trust : INT64_MAX;
  if (until >= deadline) trust = 0;
  begin_waiting();
  enum thrumi_wait_state outcome = thrumi_park(w.thread, w.ticket, trust ? until : deadline);
  thrumi_add(&netpoll.waiting, -(size_t)1);
  return conclude(d, &w, outcome, trust);
}

/* Inside. A worker that always finds a thread to run next would not look at descriptors. */
static void poll_at_times(struct thrumi_worker *w) {
  if (thrumi_likely(!w || thrumi_load_relaxed(&w->switches) % POLL_EVERY)) return;
  thrumi_bump(&thrumi_sched.polls);
  poll_events(0);
}

int thrumi_descriptor_wait(struct thrumi_descriptor *d, enum thrumi_direction direction, uint32_t seen,
                           int64_t deadline) {
  poll_at_times(thrumi_enter()->worker);
  int error = wait_inside(d, direction, seen, deadline);
  thrumi_leave(thrumi_self());
  return error;
}

/* ---- Several ------------------------------------------------------------------------------------------------------------ */

int thrumi_fd_start(int fd) {
  struct thrumi_descriptor *d;
  return lookup(fd, &d);
}

static int enrol_if_open(struct thrumi_descriptor *d, uint32_t events) {
  return thrumi_load(&d->use) & CLOSING ? -EBADF : enrol(d, events);
}

int thrumi_fd_try_enlist(int fd, uint32_t events) {
  struct thrumi_descriptor *d = known(fd);
  thrumi_spin_lock(&d->lock);
  int error = enrol_if_open(d, events | THE_END);
  thrumi_spin_unlock(&d->lock);
  return error;
}

int thrumi_fd_enlist(struct thrumi_fd_wait *w, int fd, uint32_t events) {
  struct thrumi_descriptor *d = known(fd);
  thrumi_spin_lock(&d->lock);
  w->events = events | THE_END;
  int error = enrol_if_open(d, w->events);
  if (!error) append(d, w);
  thrumi_spin_unlock(&d->lock);
  if (!error) begin_waiting();
  return error;
}

void thrumi_fd_withdraw(struct thrumi_fd_wait *w) {
  thrumi_spin_lock(&w->descriptor->lock);
  take_out(w->descriptor, w);
  thrumi_spin_unlock(&w->descriptor->lock);
  thrumi_add(&netpoll.waiting, -(size_t)1);
}

/* ---- Closing ------------------------------------------------------------------------------------------------------------- */

/* Inside. All who wait look again, or hear that it is closed. */
static void wake_both(struct thrumi_descriptor *d, int result) {
  thrumi_spin_lock(&d->lock);
  note_event(d, THRUMI_IN);
  note_event(d, THRUMI_OUT);
  wake_all(d, ANY, result);
  thrumi_spin_unlock(&d->lock);
}

static void await_calls(struct thrumi_descriptor *d) {
  while (thrumi_load(&d->use) != CLOSING) {
    struct thrumi_waiter waiter;
    struct thrumi_bucket *bucket = thrumi_bucket_lock(&d->use);
    if (thrumi_load(&d->use) != CLOSING)
      thrumi_await(bucket, &waiter, &d->use, "calls on descriptor", (void *)(intptr_t)d->fd, INT64_MAX, 0);
    else
      thrumi_bucket_unlock(bucket);
  }
  thrumi_rely_on(&d->use); /* all calls have ended */
}

static void forget(struct thrumi_descriptor *d, int fd) {
  thrumi_spin_lock(&d->lock);
  /* A duplicate of the descriptor would keep its enrolment alive. */
  if (d->enrolled) thrumi_os.epoll_ctl(thrumi_load(&netpoll.epoll), EPOLL_CTL_DEL, fd, NULL);
  d->enrolled = 0;
  d->doubted = false;
  d->trust = 0;
  for (int i = 0; i < 2; i++) d->claim[i].taken = d->claim[i].wanted = false;
  thrumi_descriptor_set_kind(d, THRUMI_FD_UNKNOWN);
  thrumi_bump(&d->closes);
  thrumi_spin_unlock(&d->lock);
}

static int close_number(int fd) { return close(fd) == 0 || errno == EINTR ? 0 : -errno; }

void thrumi_descriptor_made(int fd, enum thrumi_fd_kind kind) {
  struct thrumi_descriptor *d = known(fd);
  if (!d) return;
  struct thrumi_kthread *k = thrumi_enter();
  thrumi_spin_lock(&d->lock);
  d->enrolled = 0;
  d->trust = 0;
  for (int i = 0; i < 2; i++) d->claim[i].taken = false; /* of what it was before */
  thrumi_descriptor_set_kind(d, kind);
  thrumi_spin_unlock(&d->lock);
  thrumi_leave(k);
}

/* All who began to wait since, against all rules, look again. */
static void wake_late_ones(int fd) {
  struct thrumi_descriptor *d = known(fd);
  if (!d) return;
  struct thrumi_kthread *k = thrumi_enter();
  wake_both(d, 0);
  thrumi_leave(k);
}

/* The runtime's own: without it every wait would fail, or what gets the number be read as its wake-ups. */
static bool is_ours(int fd) { return fd == thrumi_load(&netpoll.epoll) || fd == thrumi_load(&netpoll.wake); }

int thrumi_descriptor_close(int fd) {
  if (is_ours(fd)) return -EBADF;
  struct thrumi_descriptor *d = known(fd);
  if (!d) {
    int error = close_number(fd);
    wake_late_ones(fd); /* its record may have come meanwhile */
    return error;
  }
  if (thrumi_or(&d->use, CLOSING) & CLOSING) return -EBADF;
  thrumi_enter();
  wake_both(d, -EBADF);
  await_calls(d);
  forget(d, fd);
  thrumi_and(&d->use, ~CLOSING);
  thrumi_leave(thrumi_self());
  int error = close_number(fd);
  wake_late_ones(fd);
  return error;
}
