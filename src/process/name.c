/* Names of segments; how and why is said in name.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <os/quietly.h>
#include <poll.h>
#include <process/name.h>
#include <sched/self.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <thrum/io/file.h>
#include <thrum/io/socket.h>
#include <thrum/sync/lock.h>
#include <thrum/thread.h>
#include <thrum/time.h>
#include <unistd.h>

enum { UNLINK_MS = 5000, BACKLOG = 4096, YES = 'y', NO = 'n' };

/* ---- Addresses -------------------------------------------------------------------------------------------------------- */

static const char *without_slash(const char *name) { return name + (*name == '/'); }

int thrumi_name_check(const char *name) {
  const char *rest = without_slash(name);
  if (!*rest || strchr(rest, '/')) return -EINVAL;
  return strlen(rest) < THRUMI_NAME_ROOM ? 0 : -ENAMETOOLONG;
}

struct address {
  struct sockaddr_un at;
  socklen_t length;
};

static struct address address_of(const char *name) {
  struct address a = {.at.sun_family = AF_UNIX};
  char *path = a.at.sun_path + 1; /* behind a zero: abstract */
  int n = snprintf(path, sizeof a.at.sun_path - 1, "thrum/%u/%s", (unsigned)geteuid(), without_slash(name));
  a.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
  return a;
}

static const struct sockaddr *plain(const struct address *a) { return (const struct sockaddr *)&a->at; }

/* Whether the process at the other end may have our memory, and we may take its: ours, or root's. */
static bool is_trusted(int fd) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (QUIETLY(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) != 0) return false;
  return peer.uid == geteuid() || peer.uid == 0;
}

/* ---- The listener ------------------------------------------------------------------------------------------------------ */

/* Lies on the stack of who names; the listener's until it has answered. */
struct post {
  struct thrumi_segment *segment;
  struct address address;
  thrumi_futex answered;
  int error;
};

static struct {
  thrum_lock lock;
  struct post *post; /* for the one that is being started */
} starting;

/* The calls that deal with descriptors are the kernel's own: what libc's interceptors (ThreadSanitizer's) know of a number is about the
 * process's table, not about this one. */
static void shut(int fd) { QUIETLY(syscall(SYS_close, fd)); }

/* A table of the caller's own, with this one alone. (unshare is refused by some sandboxes that know close_range.) */
static int keep_alone(unsigned fd) {
  if (QUIETLY(syscall(SYS_close_range, fd + 1, UINT_MAX, CLOSE_RANGE_UNSHARE)) == 0) {
    if (fd > 0) QUIETLY(syscall(SYS_close_range, 0, fd - 1, 0));
    return 0;
  }
  int error = (int)QUIETLY(unshare(CLONE_FILES));
  for (long i = sysconf(_SC_OPEN_MAX) - 1; !error && i >= 0; i--)
    if (i != (long)fd) shut((int)i);
  return error;
}

static int listen_at(const struct address *a) {
  int fd = (int)QUIETLY(syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (fd < 0) return fd;
  int error = (int)QUIETLY(syscall(SYS_bind, fd, plain(a), a->length));
  if (!error) return fd;
  shut(fd);
  return error == -EADDRINUSE ? -EEXIST : error;
}

struct listener {
  int fd, memory;
  struct thrumi_segment_header *header; /* a mapping of its own */
};

static void unlisten(const struct listener *l) {
  if (l->fd >= 0) shut(l->fd);
  if (l->header != MAP_FAILED) munmap(l->header, THRUMI_SEGMENT_SLOTS_AT);
  if (l->memory >= 0) shut(l->memory);
}

/* Sets the listener up. */
static int open_listener(struct listener *l, const struct post *post) {
  *l = (struct listener){.fd = -1, .memory = post->segment->fd, .header = MAP_FAILED};
  int error = keep_alone((unsigned)l->memory);
  if (error) return l->memory = -1, error;
  l->header = mmap(NULL, THRUMI_SEGMENT_SLOTS_AT, PROT_READ | PROT_WRITE, MAP_SHARED, l->memory, 0);
  if (l->header == MAP_FAILED) return -ENOMEM;
  l->fd = listen_at(&post->address);
  if (l->fd < 0) return l->fd;
  thrumi_store(&l->header->named, (uint32_t)THRUMI_NAME_GIVEN); /* nobody can connect before the next step */
  return (int)QUIETLY(syscall(SYS_listen, l->fd, BACKLOG));
}

/* One message, with the descriptor if the other end is to have it. */
static void answer(int to, int memory) {
  bool yes = is_trusted(to);
  char word = yes ? YES : NO;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control = {
      .header = {.cmsg_len = CMSG_LEN(sizeof memory), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &memory, sizeof memory);
  struct iovec piece = {.iov_base = &word, .iov_len = 1};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  if (yes) message.msg_control = &control, message.msg_controllen = sizeof control.room;
  QUIETLY(syscall(SYS_sendmsg, to, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Until the name is taken away. */
static void serve(const struct listener *l) {
  for (bool given = true; given;) {
    int to = (int)QUIETLY(syscall(SYS_accept4, l->fd, NULL, NULL, SOCK_CLOEXEC));
    given = thrumi_load(&l->header->named) == THRUMI_NAME_GIVEN;
    if (given && to >= 0) answer(to, l->memory);
    if (!given) shut(l->fd); /* before the connection: at its end the name is free */
    if (to >= 0) shut(to);
  }
}

static void *listener_main(void *arg) {
  struct thrumi_kthread *k = arg;
  thrumi_os_name_thread("thrum-name");
  thrumi_kthread_adopt(k);
  struct post *post = starting.post;
  struct listener l;
  int error = post->error = open_listener(&l, post);
  thrumi_store(&post->answered, 1u);
  thrumi_os.futex_wake(&post->answered, 1); /* its stack may be gone */
  if (!error) serve(&l);
  if (!error) l.fd = -1;
  unlisten(&l);
  thrumi_kthread_end(k);
  return NULL;
}

static int start_listener(struct post *post) {
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_MONITOR);
  if (!k) return -EAGAIN;
  starting.post = post;
  int error = thrumi_kthread_start(k, listener_main);
  if (error) return thrumi_kthread_discard(k), error;
  while (!thrumi_load(&post->answered)) thrumi_os.futex_wait(&post->answered, 0, INT64_MAX);
  return post->error;
}

int thrumi_name_give(struct thrumi_segment *segment, const char *name) {
  struct post post = {.segment = segment, .address = address_of(name)};
  strcpy(segment->header->name, without_slash(name));
  thrumi_announce(segment); /* to who attaches it by that name */
  thrum_lock_acquire(&starting.lock);
  int error = start_listener(&post);
  thrum_lock_release(&starting.lock);
  return error;
}

/* The listeners are not there, nor is who held the lock. */
void thrumi_name_fork(void) { starting.lock = (thrum_lock){0}; }

/* ---- Taking it away ----------------------------------------------------------------------------------------------------- */

/* Has the listener look, and waits until it has. If it is gone, or another one has the name by now, there is nothing to do. */
static void have_it_look(const struct address *a) {
  int fd = (int)QUIETLY(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (fd < 0) return;
  if (QUIETLY(connect(fd, plain(a), a->length)) == 0) {
    struct pollfd end = {.fd = fd, .events = POLLIN};
    QUIETLY(poll(&end, 1, UNLINK_MS));
  }
  close(fd);
}

int thrumi_name_take_away(struct thrumi_segment *segment) {
  uint32_t given = THRUMI_NAME_GIVEN;
  if (!thrumi_cas(&segment->header->named, &given, (uint32_t)THRUMI_NAME_TAKEN_AWAY)) return -ENOENT;
  struct address a = address_of(segment->header->name);
  have_it_look(&a);
  return 0;
}

/* ---- Finding it --------------------------------------------------------------------------------------------------------- */

/* The descriptor that the listener sends; -EAGAIN: it has ended, or closed its socket, without an answer. */
static int receive(int from, thrum_duration timeout) {
  char word = 0;
  int memory = -1;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec piece = {.iov_base = &word, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.room};
  ssize_t n = thrum_recvmsg_for(from, &message, MSG_CMSG_CLOEXEC, timeout);
  if (n == 0 || n == -ECONNRESET) return -EAGAIN;
  if (n < 0) return (int)n;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (header && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof memory))
    memcpy(&memory, CMSG_DATA(header), sizeof memory);
  if (memory >= 0) return memory;
  return word == NO ? -EACCES : message.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
}

static int try_find(const struct address *a, thrum_duration timeout) {
  int fd = (int)QUIETLY(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd < 0) return fd;
  int found = thrum_connect_for(fd, plain(a), a->length, timeout);
  if (!found) found = is_trusted(fd) ? receive(fd, timeout) : -EACCES;
  thrum_close(fd);
  return found == -ECONNREFUSED ? -ENOENT : found;
}

/* What ends without an answer is tried again: the next connect is refused, or the name has a new listener. */
int thrumi_name_find(const char *name, thrum_duration timeout) {
  struct address a = address_of(name);
  thrum_time deadline = thrum_after(timeout);
  for (;;) {
    int found = try_find(&a, thrum_left(deadline));
    if (found != -EAGAIN) return found;
    int error = thrum_sleep(THRUM_MS(1)); /* its queue is full, or it is about to close */
    if (error) return error;
    if (thrum_left(deadline) <= 0) return -ETIMEDOUT;
  }
}
