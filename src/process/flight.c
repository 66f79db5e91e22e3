/* What is in flight; why is said in the header. A fork may see each single store to the list, so each leaves it whole. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <process/flight.h>
#include <process/record.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECENT = 64 };

struct closed {
  int fd;   /* -1: it is being written */
  int mode; /* which end of a pipe */
  dev_t device;
  ino_t inode;
};

static struct {
  pthread_mutex_t lock;
  struct thrumi_flight *first;
  struct closed recent[RECENT];
  uint32_t next;
} flights = {.lock = PTHREAD_MUTEX_INITIALIZER};

void thrumi_flight_begin(struct thrumi_flight *f, struct thrum_process *p) {
  f->thread = thrum_id(thrum_current());
  f->p = p;
  for (int i = 0; i < THRUMI_FLIGHT_FDS; i++) f->fds[i] = -1;
  pthread_mutex_lock(&flights.lock);
  f->next = flights.first;
  atomic_signal_fence(memory_order_seq_cst);
  flights.first = f;
  pthread_mutex_unlock(&flights.lock);
}

void thrumi_flight_end(struct thrumi_flight *f) {
  for (int i = 0; i < THRUMI_FLIGHT_FDS; i++) thrumi_flight_close(f, i);
  pthread_mutex_lock(&flights.lock);
  struct thrumi_flight **at = &flights.first;
  while (*at != f) at = &(*at)->next;
  *at = f->next;
  pthread_mutex_unlock(&flights.lock);
}

int thrumi_flight_take(struct thrumi_flight *f, int which) {
  int fd = f->fds[which];
  atomic_signal_fence(memory_order_seq_cst);
  f->fds[which] = -1;
  return fd;
}

/* Of a socket or a pipe. */
static bool identify(int fd, struct closed *out) {
  struct stat about;
  if (QUIETLY(fstat(fd, &about)) != 0 || !(S_ISSOCK(about.st_mode) || S_ISFIFO(about.st_mode))) return false;
  *out = (struct closed){-1, fcntl(fd, F_GETFL) & O_ACCMODE, about.st_dev, about.st_ino};
  return true;
}

static void note(int fd) {
  struct closed c;
  if (!identify(fd, &c)) return;
  pthread_mutex_lock(&flights.lock);
  struct closed *place = &flights.recent[flights.next++ % RECENT];
  place->fd = -1;
  atomic_signal_fence(memory_order_seq_cst);
  *place = c;
  atomic_signal_fence(memory_order_seq_cst);
  place->fd = fd;
  pthread_mutex_unlock(&flights.lock);
}

/* The line's reading end is the same open file in many numbers. */
int thrumi_flight_give_up(struct thrumi_flight *f, int which) {
  if (f->fds[which] >= 0 && which != THRUMI_FLIGHT_LIFE) note(f->fds[which]);
  return thrumi_flight_take(f, which);
}

void thrumi_flight_close(struct thrumi_flight *f, int which) {
  int fd = thrumi_flight_give_up(f, which);
  if (fd >= 0) close(fd);
}

/* A number of the standard descriptors is given back for another one. */
static int settle(struct thrumi_flight *f, int first) {
  for (int i = first; i < first + 2; i++)
    if (f->fds[i] <= STDERR_FILENO && (f->fds[i] = thrumi_os_beyond_standard(f->fds[i])) < 0)
      return f->fds[i];
  return 0;
}

static int make_pair(struct thrumi_flight *f, int first, int type) {
  int error = (int)QUIETLY(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, f->fds + first));
  if (error)
    f->fds[first] = f->fds[first + 1] = -1; /* the kernel says the numbers before it has the sockets */
  return error ? error : settle(f, first);
}

int thrumi_flight_pair(struct thrumi_flight *f, int first) { return make_pair(f, first, SOCK_SEQPACKET); }
int thrumi_flight_streams(struct thrumi_flight *f, int first) { return make_pair(f, first, SOCK_STREAM); }

int thrumi_flight_pipe(struct thrumi_flight *f, int first) {
  int error = (int)QUIETLY(pipe2(f->fds + first, O_CLOEXEC));
  return error ? error : settle(f, first);
}

static void drop(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* The number of one may be another's by now. */
static void drop_recent(void) {
  for (int i = 0; i < RECENT; i++) {
    const struct closed *old = &flights.recent[i];
    struct closed now;
    if (old->fd <= STDERR_FILENO || !identify(old->fd, &now)) continue;
    if (now.mode == old->mode && now.device == old->device && now.inode == old->inode) close(old->fd);
  }
}

static void drop_all(struct thrumi_flight *f) {
  for (int i = 0; i < THRUMI_FLIGHT_FDS; i++) thrumi_flight_close(f, i);
  for (int i = 0; i < 3 && f->p; i++) {
    drop(&f->p->pipe[i]);
    drop(&f->p->source[i]);
  }
  if (f->p) drop(&f->p->channel), drop(&f->p->news);
}

/* In the child of a fork. Of an attendant's own it is the process that is being started: the other ends are its. */
void thrumi_flight_fork(void) {
  struct thrumi_flight *own = NULL, *f = flights.first;
  uint64_t self = thrum_id(thrum_current());
  pthread_mutex_init(&flights.lock, NULL);
  drop_recent();
  for (; f; f = f->next) {
    if (f->thread != self)
      drop_all(f);
    else if (f->p)
      own = f;
    else
      thrumi_flight_close(f, THRUMI_FLIGHT_POST);
  }
  if (own) own->next = NULL;
  flights.first = own;
}
