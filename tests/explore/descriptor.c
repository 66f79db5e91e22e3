/* Calls on a descriptor, in io/netpoll.c and io/attempt.c: the kernel tells of events, time runs out, trust ends, threads are cancelled,
 * the number is closed and becomes another file's, at every moment of a try and a wait. No event is lost, nobody waits for ever or
 * reads what is another file's, and of several who ask before they call none blocks, nor is forgotten. The kernel here has one number. */
#include "waiting.h"

#include <fcntl.h>
#include <io/attempt.h>
#include <poll.h>
#include <sys/stat.h>

enum { FD = 3, COPY = 4, EPOLL = 100, WAKE, GONE_FILE = 0, FIRST, SECOND, FILES };

/* ---- The kernel: each of its operations is one step ------------------------------------------------------------------- */

static struct {
  _Atomic uint32_t ready; /* there is something to report, or nobody is left who might wait */
  int file, copied;       /* of the number; of its duplicate */
  uint32_t bytes[FILES], room[FILES];
  uint32_t enrolled[FILES], edge[FILES];
  bool blocking;
  int left; /* so many callers have not ended */
} kernel;

static void step(void) { explore_point(EXPLORE_UPDATE, &kernel.ready); }

static uint32_t state_of(int file) {
  return (kernel.bytes[file] ? EPOLLIN : 0) | (kernel.room[file] ? EPOLLOUT : 0);
}

static void settle(void) {
  uint32_t some = !kernel.left;
  for (int f = FIRST; f < FILES; f++) some |= kernel.edge[f];
  atomic_store(&kernel.ready, some);
}

static void happens(int file, uint32_t event) {
  kernel.edge[file] |= event & kernel.enrolled[file];
  settle();
}

static void arrive(int file) {
  step();
  kernel.bytes[file]++;
  happens(file, EPOLLIN);
}

static int file_at(int fd) { return fd == FD ? kernel.file : fd == COPY ? kernel.copied : GONE_FILE; }

static ssize_t take(int fd, uint32_t *stock) {
  int file = file_at(fd);
  if (file == GONE_FILE) return -EBADF;
  if (!stock[file]) return -EAGAIN;
  stock[file]--;
  return file;
}

static int control(int epoll, int operation, int fd, struct epoll_event *event) {
  step();
  EXPECT(fd == FD || fd == WAKE);
  if (fd == WAKE) return 0;
  int file = kernel.file;
  bool known = kernel.enrolled[file];
  if (file == GONE_FILE) return -EBADF;
  if (operation == EPOLL_CTL_ADD && known) return -EEXIST;
  if (operation != EPOLL_CTL_ADD && !known) return -ENOENT;
  EXPECT(epoll == EPOLL && (operation == EPOLL_CTL_DEL || event->events & EPOLLET));
  kernel.enrolled[file] = operation == EPOLL_CTL_DEL ? 0 : event->events;
  kernel.edge[file] = 0;
  happens(file, state_of(file));
  return 0;
}

static int await_events(int epoll, struct epoll_event *events, int max, int64_t timeout) {
  int n = 0;
  step();
  EXPECT(epoll == EPOLL && max >= FILES && timeout == 0);
  for (int f = FIRST; f < FILES; f++) {
    if (!kernel.edge[f]) continue;
    events[n++] = (struct epoll_event){.events = kernel.edge[f], .data.fd = FD};
    kernel.edge[f] = 0;
  }
  settle();
  return n;
}

static int look(struct pollfd *fds, size_t count) {
  step();
  EXPECT(count == 1 && fds->fd == FD);
  fds->revents = kernel.file == GONE_FILE ? POLLNVAL : (short)(state_of(kernel.file) & (uint32_t)fds->events);
  return fds->revents != 0;
}

static int make_epoll(void) { return EPOLL; }
static int make_event(void) { return WAKE; }

/* The last number of a file takes its enrolment along. */
static void drop(int file) {
  if (kernel.file == file || kernel.copied == file) return;
  kernel.enrolled[file] = kernel.edge[file] = 0;
  settle();
}

int close(int fd) {
  if (fd != FD && fd != COPY) return 0; /* epoll's own */
  step();
  int file = file_at(fd);
  *(fd == FD ? &kernel.file : &kernel.copied) = GONE_FILE;
  drop(file);
  return 0;
}

int fstat(int fd, struct stat *status) {
  status->st_dev = 1;
  status->st_ino = (ino_t)file_at(fd);
  return 0;
}

int fcntl(int fd, int command, ...) {
  EXPECT(fd == FD);
  if (command == F_GETFL) return kernel.blocking ? 0 : O_NONBLOCK;
  step();
  kernel.copied = kernel.file;
  return COPY;
}

static void *reserve(size_t bytes) { return calloc(1, bytes); } /* once */

/* ---- The scheduler's part ------------------------------------------------------------------------------------------------ */

void thrumi_monitor_rouse(void) {}
void thrumi_monitor_take_over(void) {}
void thrumi_rouse(struct thrumi_kthread *k) { (void)k; }
int *thrum_errno(void) { return __errno_location(); }
intptr_t thrum_blocking(thrum_fn *fn, void *arg) { return fn(arg); }

/* ---- Who calls ----------------------------------------------------------------------------------------------------------- */

static _Atomic uint32_t tried; /* some call has begun */

static void end(int i, ssize_t result) {
  results[i] = (int)result;
  has_ended(i);
  step();
  kernel.left--;
  settle();
}

static ssize_t try_read(int fd, struct thrumi_descriptor *d, void *unused) {
  (void)d, (void)unused;
  thrumi_store(&tried, 1u);
  step();
  return take(fd, kernel.bytes);
}

static void read_for(int i, thrum_duration timeout) {
  end(i, thrumi_attempt(FD, THRUMI_IN, try_read, NULL, timeout));
}

static void reader(void *i) { read_for(*(int *)i, THRUM_FOREVER); }
static void timed_reader(void *i) { read_for(*(int *)i, 5); }

/* A call that does not wait: as long as it is under way the number is what it was when it began. */
static void passer(void *i) {
  struct thrumi_descriptor *d;
  int error = thrumi_descriptor_begin(FD, &d);
  if (!error) {
    bool before = !thrumi_swap(&tried, 1u); /* the close */
    step();
    EXPECT(!before || kernel.file == FIRST);
    thrumi_descriptor_end(d);
  }
  end(*(int *)i, error);
}

/* The kernel makes it wait: in these models only for whoever is not thrum's. */
static bool outsiders;

static ssize_t call(int fd, void *unused) {
  (void)unused;
  step();
  ssize_t n = take(fd, kernel.bytes);
  EXPECT(n != -EAGAIN || outsiders);
  return n == -EAGAIN ? -EINTR : n; /* a signal ended it */
}

static ssize_t try_asking(int fd, struct thrumi_descriptor *d, void *arg) {
  thrumi_store(&tried, 1u);
  return thrumi_try_asking(fd, d, THRUMI_IN, call, arg);
}

static void ask_for(int i, thrum_duration timeout) {
  end(i, thrumi_attempt(FD, THRUMI_IN, try_asking, NULL, timeout));
}

static void asker(void *i) { ask_for(*(int *)i, THRUM_FOREVER); }
static void asker_once(void *i) { ask_for(*(int *)i, 0); }

/* Its call blocks, for the file that it had asked, until it is let go. */
static _Atomic uint32_t blocks, let_go;

static ssize_t block(int fd, void *unused) {
  (void)fd, (void)unused;
  step();
  thrumi_store(&blocks, 1u);
  explore_await(&let_go);
  return FIRST;
}

static ssize_t try_blocking(int fd, struct thrumi_descriptor *d, void *arg) {
  return thrumi_try_asking(fd, d, THRUMI_IN, block, arg);
}

static void blocker(void *i) {
  end(*(int *)i, thrumi_attempt(FD, THRUMI_IN, try_blocking, NULL, THRUM_FOREVER));
}

/* close(2), while a call blocks; and the number is another file's. */
static void becomes_second(void) {
  explore_await(&blocks);
  close(FD);
  kernel.file = SECOND;
}

static void asker_of_second(void *i) {
  becomes_second();
  asker(i);
  thrumi_store(&let_go, 1u);
}

/* As poll and select do it, for these events. */
static uint32_t asked_for;

static void poller_of_many(void *i) {
  struct thrumi_thread *me = thrumi_self()->current;
  struct thrumi_fd_wait w = {.thread = me, .ticket = thrumi_arm(me, "test", NULL, THRUMI_CANCELLABLE)};
  enum thrumi_wait_state outcome = THRUMI_WOKEN;
  int error = thrumi_fd_enlist(&w, FD, asked_for);
  thrumi_store(&tried, 1u);
  if (!error) {
    outcome = thrumi_park(me, w.ticket, INT64_MAX);
    thrumi_fd_withdraw(&w);
    error = w.result;
  } else {
    thrumi_disarm(me, w.ticket, &outcome);
  }
  EXPECT(outcome == THRUMI_WOKEN);
  end(*(int *)i, error);
}

/* ---- What happens meanwhile -------------------------------------------------------------------------------------------- */

static void poller(void *unused) {
  (void)unused;
  for (;;) {
    explore_await(&kernel.ready);
    if (!kernel.left) return;
    thrumi_hooks.poll(0);
  }
}

static void byte(void *file) { arrive(*(int *)file); }

/* And the kernel is asked at once: whoever waits for them trusts that it is. */
static void two_bytes(void *file) {
  step();
  kernel.bytes[*(int *)file] += 2;
  happens(*(int *)file, EPOLLIN);
  thrumi_hooks.poll(0);
}

static void room(void *unused) {
  (void)unused;
  step();
  kernel.room[FIRST]++;
  happens(FIRST, EPOLLOUT);
}

/* Somebody who is not thrum's takes a byte. */
static void outsider(void *unused) {
  (void)unused;
  step();
  if (kernel.bytes[FIRST]) kernel.bytes[FIRST]--;
}

static void closer(void *i) { results[*(int *)i] = thrumi_descriptor_close(FD); }

/* Once a call has begun; then the number is another file's, which has something to read. */
static void closer_and_opener(void *i) {
  explore_await(&tried);
  closer(i);
  step();
  kernel.file = SECOND;
  kernel.bytes[SECOND] = 2;
  happens(SECOND, EPOLLIN);
}

static void canceller(void *i) { thrumi_cancel(&records[*(int *)i]); }

/* ---- Before and after ---------------------------------------------------------------------------------------------------- */

static void reset_for(int callers) {
  reset_callers();
  explore_private(&thrumi_sched, sizeof thrumi_sched);
  thrumi_self_tls = &kthreads[0]; /* for what is called from here */
  if (thrumi_hooks.poll_fork) thrumi_hooks.poll_fork();
  memset(&kernel, 0, sizeof kernel);
  kernel.file = FIRST;
  kernel.left = callers;
  outsiders = false;
  asked_for = POLLIN;
  atomic_store(&tried, 0);
  atomic_store(&blocks, 0);
  atomic_store(&let_go, 0);
  EXPECT(thrumi_fd_start(FD) == 0);
}

/* The number has been waited for before. */
static void enrol_first(uint32_t events) {
  struct thrumi_fd_wait w = {.thread = &records[0]};
  EXPECT(thrumi_fd_enlist(&w, FD, POLLIN | POLLPRI | POLLRDHUP | events) == 0);
  thrumi_fd_withdraw(&w);
}

static void reset_one(void) { reset_for(1); }
static void reset_two(void) { reset_for(2); }

static void reset_both_directions(void) {
  reset_for(1);
  enrol_first(POLLOUT);
}

static void reset_enrolled(void) {
  reset_for(1);
  enrol_first(0);
}

/* By close(2), and the number is another file's. */
static void reset_behind(void) {
  reset_enrolled();
  kernel.enrolled[FIRST] = 0;
  kernel.file = SECOND;
}

/* The same by a call of thrum that made it, while a duplicate of the first was kept. */
static void reset_made(void) {
  reset_enrolled();
  thrumi_descriptor_made(FD, THRUMI_FD_UNKNOWN);
}

static void reset_end(void) {
  reset_for(1);
  asked_for = 0;
}

static void reset_asking(void) {
  reset_for(2);
  kernel.blocking = true;
  kernel.bytes[FIRST] = 2;
}

/* The number has been waited for before, and nothing is there yet. */
static void reset_asking_ahead(void) {
  reset_for(2);
  enrol_first(0);
  kernel.blocking = true;
}

static void reset_left_behind(void) {
  reset_for(2);
  kernel.blocking = true;
  kernel.bytes[FIRST] = 1;
  kernel.bytes[SECOND] = 1;
}

static void reset_outsiders(void) {
  reset_for(1);
  kernel.blocking = true;
  kernel.bytes[FIRST] = 1;
  outsiders = true;
}

static void check_first(void) { EXPECT(results[0] == FIRST && kernel.bytes[FIRST] == 0); }
static void check_second(void) { EXPECT(results[0] == SECOND); }
static void check_zero(void) { EXPECT(results[0] == 0); }
static void check_both(void) { EXPECT(results[0] == FIRST && results[1] == FIRST); }

/* Whatever became of the first one, which asks once, as one that is cancelled or whose time is over does at last. */
static void check_not_forgotten(void) {
  EXPECT(results[1] == FIRST);
  EXPECT(results[0] == FIRST || results[0] == -ETIMEDOUT);
  EXPECT(kernel.bytes[FIRST] == (results[0] == FIRST ? 0 : 1));
}

static void check_left_behind(void) { EXPECT(results[0] == FIRST && results[1] == SECOND); }

static void check_timed(void) { EXPECT(results[0] == (kernel.bytes[FIRST] ? -ETIMEDOUT : FIRST)); }

static void check_cancelled(void) { EXPECT(results[0] == (kernel.bytes[FIRST] ? -ECANCELED : FIRST)); }

static bool heard(int i) { return results[i] == -EBADF; }

static void check_closed(void) { EXPECT(heard(0) && results[3] == 0 && kernel.file == GONE_FILE); }
static void check_passed(void) {
  for (int i = 0; i < 2; i++) EXPECT(heard(i) || results[i] == 0);
  EXPECT(results[3] == 0 && kernel.file == SECOND);
}

/* Nothing of the second file's was taken. */
static void check_another(void) {
  EXPECT(heard(0) || results[0] == FIRST);
  EXPECT(results[3] == 0 && kernel.bytes[SECOND] == 2);
}

static void check_enlisted(void) { EXPECT(heard(0) && results[3] == 0); }

static int first = FIRST, second = SECOND;

#define MODEL(text, before, after, ...) \
  { \
    .name = "descriptor, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }
#define LARGE(text, before, after, ...) \
  { \
    .name = "descriptor, " text, .by_name = true, .reset = before, .check = after, .threads = { \
      __VA_ARGS__ \
    } \
  }
#define KERNEL(fn, what) \
  { .name = #fn, .run = fn, .arg = what, .self = &kthreads[2] }

static const struct explore_model models[] = {
    MODEL("an event", reset_one, check_first, CALLER(0, reader), KERNEL(byte, &first), KERNEL(poller, NULL)),
    MODEL("an event, enrolled", reset_enrolled, check_first, CALLER(0, reader), KERNEL(byte, &first),
          KERNEL(poller, NULL)),
    MODEL("an event, made", reset_made, check_first, CALLER(0, reader), KERNEL(byte, &first),
          KERNEL(poller, NULL)),
    MODEL("closed behind", reset_behind, check_second, CALLER(0, reader), KERNEL(byte, &second),
          KERNEL(poller, NULL), ACTOR(deadline, 0)),
    MODEL("the other direction's event", reset_both_directions, check_first, CALLER(0, reader),
          KERNEL(room, NULL), KERNEL(byte, &first), KERNEL(poller, NULL)),
    MODEL("a deadline", reset_one, check_timed, CALLER(0, timed_reader), KERNEL(byte, &first),
          KERNEL(poller, NULL), ACTOR(deadline, 0)),
    MODEL("a cancellation", reset_one, check_cancelled, CALLER(0, reader), KERNEL(byte, &first),
          KERNEL(poller, NULL), ACTOR(canceller, 0)),
    MODEL("a close", reset_one, check_closed, CALLER(0, reader), ACTOR(closer, 3), KERNEL(poller, NULL)),
    MODEL("a close, two calls", reset_two, check_passed, CALLER(0, passer), CALLER(1, passer),
          ACTOR(closer_and_opener, 3)),
    MODEL("a close and another file", reset_one, check_another, CALLER(0, reader),
          ACTOR(closer_and_opener, 3), KERNEL(byte, &first), KERNEL(poller, NULL)),
    MODEL("an event for one of several", reset_one, check_zero, CALLER(0, poller_of_many),
          KERNEL(byte, &first), KERNEL(poller, NULL)),
    MODEL("a close of one of several", reset_one, check_enlisted, CALLER(0, poller_of_many),
          ACTOR(closer_and_opener, 3), KERNEL(poller, NULL)),
    MODEL("a close, nothing asked for", reset_end, check_enlisted, CALLER(0, poller_of_many),
          ACTOR(closer_and_opener, 3), KERNEL(poller, NULL)),
    MODEL("two ask first", reset_asking, check_both, CALLER(0, asker), CALLER(1, asker)),
    LARGE("an event while another asks", reset_asking_ahead, check_not_forgotten, CALLER(0, asker_once),
          CALLER(1, asker), KERNEL(two_bytes, &first)),
    MODEL("a claim left behind", reset_left_behind, check_left_behind, CALLER(0, blocker),
          CALLER(1, asker_of_second)),
    MODEL("a close while it blocks", reset_outsiders, check_another, CALLER(0, asker), KERNEL(outsider, NULL),
          ACTOR(closer_and_opener, 3), KERNEL(poller, NULL)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  thrumi_os.epoll_create = make_epoll;
  thrumi_os.event_create = make_event;
  thrumi_os.epoll_ctl = control;
  thrumi_os.epoll_wait = await_events;
  thrumi_os.poll = look;
  thrumi_os.reserve = reserve;
  return explore(models, argc, argv);
}
