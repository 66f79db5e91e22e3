/* Processes that this one has started: who is there, and how each ended.
 *
 * Two kinds. A direct child (spawned, forked, a command, a fork server) is reaped by waitid on its pidfd, by whoever looks first; the
 * kernel gives its status once. The fork server's children are its own: it reaps them and says how they ended (news).
 *
 * Who needs to know looks, under the lock and without waiting; when the end has been learnt, it is kept in the record for
 * ever. Nothing names a process by its number after its start: the pidfd does.
 *
 * How the end of a server's child is learnt when the server is gone, in this order: by waitid, if this process has inherited
 * the orphan; from the kernel's record of it (PIDFD_GET_INFO, Linux 6.15), which is there once somebody has reaped it; from the
 * zombie, as long as nobody has; from the child's own last word, which it says at the end of exit. All that failing: -ECHILD.
 *
 * References. One is the handle's, one the register's, for as long as the process runs. The warden knows processes by serial
 * numbers, so it can be late. It never enters the runtime, and frees nothing: a record whose last reference goes there lies among the dead
 * until somebody comes from thrum's side, and buries them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/backoff.h>
#include <os/quietly.h>
#include <poll.h>
#include <process/record.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thrum/io/file.h>
#include <unistd.h>

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

enum { BY_PIDFD = 3 /* P_PIDFD */, RECORD_HAS_EXIT = 1 << 3, AT_ONCE = 16 /* pieces of an output */ };

static struct {
  pthread_mutex_t lock; /* no system call under it waits */
  struct thrum_process *first, *dead;
  uint64_t serial;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

bool thrumi_pidfd_ended(int pidfd) {
  struct pollfd end = {.fd = pidfd, .events = POLLIN};
  return thrumi_os.poll(&end, 1) > 0;
}

int thrumi_pidfd_signal(int pidfd, int signo) {
  return (int)QUIETLY(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0));
}

/* ---- Records ------------------------------------------------------------------------------------------------------- */

struct thrum_process *thrumi_process_new(const char *name) {
  struct thrum_process *p = thrumi_os.allocate(sizeof *p);
  if (!p) return NULL;
  p->refs = 1;
  p->pidfd = p->channel = p->news = -1;
  for (int i = 0; i < 3; i++) p->pipe[i] = p->source[i] = p->capture[i] = -1;
  snprintf(p->name, sizeof p->name, "%s", name);
  return p;
}

static void close_one(int *fd) {
  if (*fd >= 0) thrum_close(*fd);
  *fd = -1;
}

/* Outside of the lock. */
static void bury(struct thrum_process *p) {
  close_one(&p->pidfd);
  close_one(&p->channel);
  close_one(&p->news);
  for (int i = 0; i < 3; i++) {
    close_one(&p->pipe[i]);
    close_one(&p->source[i]);
    close_one(&p->capture[i]);
    thrumi_bytes_free(&p->output[i]);
  }
  thrumi_bytes_free(&p->result);
  thrumi_os.free(p);
}

static void bury_dead(void) {
  pthread_mutex_lock(&all.lock);
  struct thrum_process *dead = all.dead;
  all.dead = NULL;
  pthread_mutex_unlock(&all.lock);
  while (dead) {
    struct thrum_process *p = dead;
    dead = p->next;
    bury(p);
  }
}

/* Under the lock. */
static void drop_locked(struct thrum_process *p) {
  if (--p->refs) return;
  p->next = all.dead;
  all.dead = p;
}

void thrumi_process_unref(struct thrum_process *p) {
  pthread_mutex_lock(&all.lock);
  drop_locked(p);
  pthread_mutex_unlock(&all.lock);
  bury_dead();
}

/* A fork may see each single store, so each leaves the list whole. */
void thrumi_process_add(struct thrum_process *p) {
  bury_dead();
  pthread_mutex_lock(&all.lock);
  p->refs++;
  p->serial = ++all.serial;
  p->next = all.first;
  atomic_signal_fence(memory_order_seq_cst);
  all.first = p;
  pthread_mutex_unlock(&all.lock);
  thrumi_warden_watch(p);
}

static void remove_locked(struct thrum_process *p) {
  struct thrum_process **at = &all.first;
  while (*at != p) at = &(*at)->next;
  *at = p->next;
}

/* ---- How it ended ---------------------------------------------------------------------------------------------------- */

static int code_of_status(int status) {
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* 0, -EAGAIN: it runs; -ECHILD. */
static int ask_waitid(const struct thrum_process *p, int *code) {
  siginfo_t info = {0};
  int error;
  do error = (int)QUIETLY(waitid((idtype_t)BY_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG));
  while (error == -EINTR);
  if (error) return error;
  if (!info.si_pid) return -EAGAIN;
  *code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
  return 0;
}

/* The kernel's pidfd_info, as of its first version. */
struct record {
  uint64_t mask, cgroup;
  uint32_t ids[11];
  int32_t exit_code;
};
#define GET_RECORD _IOWR(0xFF, 11, struct record)

static int ask_record(const struct thrum_process *p, int *code) {
  struct record record = {.mask = RECORD_HAS_EXIT};
  long error = QUIETLY(ioctl(p->pidfd, GET_RECORD, &record));
  if (error || !(record.mask & RECORD_HAS_EXIT)) return -ECHILD;
  *code = code_of_status(record.exit_code);
  return 0;
}

/* The last of the numbers in /proc/PID/stat is the status, of a zombie. 0: none, or it may not be seen. */
static int status_in(const char *text) {
  const char *state = strrchr(text, ')'),
             *last = strrchr(text, ' '); /* the name in brackets may hold anything */
  return state && last && strncmp(state, ") Z ", 4) == 0 ? atoi(last) : 0;
}

/* Nobody has reaped it yet. It is the one that the number names if it is there still after that. */
static int ask_zombie(const struct thrum_process *p, int *code) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
  int fd = (int)QUIETLY(open(path, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return -ECHILD;
  ssize_t n = (ssize_t)QUIETLY(read(fd, text, sizeof text - 1));
  close(fd);
  text[n > 0 ? n : 0] = 0;
  int status = status_in(text);
  if (!status || thrumi_pidfd_signal(p->pidfd, 0) != 0) return -ECHILD;
  *code = code_of_status(status);
  return 0;
}

/* It has ended, and nobody will say how of himself. Who reaps it may do so just between two of these. */
static int find_out(struct thrum_process *p, int *code) {
  if (ask_waitid(p, code) == 0 || ask_record(p, code) == 0 || ask_zombie(p, code) == 0) return 0;
  if (ask_record(p, code) == 0) return 0;
  int unread = thrumi_process_collect(p);
  (void)unread; /* the last word has no descriptor, but may lie behind one */
  if (!p->said_last) return -ECHILD;
  *code = p->last.value & 0xff;
  return 0;
}

static int ask_server(struct thrum_process *p, int *code) {
  struct thrumi_news news;
  struct thrumi_message message = {&news, sizeof news, NULL, 0};
  int error = p->server_gone ? -EPIPE : thrumi_message_receive(p->news, &message, false);
  if (!error && message.size == sizeof news) {
    *code = code_of_status(news.status);
    return 0;
  }
  if (error == -EAGAIN) return error;
  p->server_gone = true;
  if (!thrumi_pidfd_ended(p->pidfd)) return -EAGAIN;
  return find_out(p, code);
}

static int ask_kernel(struct thrum_process *p, int *code) {
  int error = ask_waitid(p, code);
  if (error != -ECHILD) return error;
  return thrumi_pidfd_ended(p->pidfd) ? find_out(p, code) : -EAGAIN;
}

/* Under the lock. True: its end is known, and the register's reference given up. */
static bool look_locked(struct thrum_process *p) {
  if (thrumi_load(&p->state) != THRUMI_PROCESS_RUNNING) return true;
  int code = 0, error = p->news >= 0 ? ask_server(p, &code) : ask_kernel(p, &code);
  if (error == -EAGAIN) return false;
  p->code = code;
  p->error = error;
  thrumi_store(&p->state, (uint32_t)THRUMI_PROCESS_ENDED);
  remove_locked(p);
  drop_locked(p);
  return true;
}

bool thrumi_process_look(struct thrum_process *p) {
  if (thrumi_load(&p->state) != THRUMI_PROCESS_RUNNING) return true;
  pthread_mutex_lock(&all.lock);
  bool ended = look_locked(p);
  pthread_mutex_unlock(&all.lock);
  return ended;
}

static struct thrum_process *find_locked(uint64_t serial) {
  struct thrum_process *p = all.first;
  while (p && p->serial != serial) p = p->next;
  return p;
}

void thrumi_register_note(uint64_t serial) {
  pthread_mutex_lock(&all.lock);
  struct thrum_process *p = find_locked(serial);
  if (p) p->late = true;
  pthread_mutex_unlock(&all.lock);
}

/* Without the lock its holder might close the pipe, and what has the number then be watched in its place. */
void thrumi_register_drain(uint64_t serial, int which) {
  pthread_mutex_lock(&all.lock);
  struct thrum_process *p = find_locked(serial);
  if (p && thrumi_capture_drain(p, which, AT_ONCE) != -EPIPE)
    thrumi_warden_watch_on(serial, which, p->source[which]);
  pthread_mutex_unlock(&all.lock);
}

bool thrumi_register_settle(void) {
  bool any = false;
  pthread_mutex_lock(&all.lock);
  for (struct thrum_process *p = all.first, *next; p; p = next) {
    next = p->next;
    if (p->late && !look_locked(p)) any = true;
  }
  pthread_mutex_unlock(&all.lock);
  return any;
}

/* ---- Waiting -------------------------------------------------------------------------------------------------------------- */

int thrumi_await_readable(int fd, thrum_time deadline) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  int n = thrum_poll_for(&one, 1, thrum_left(deadline));
  return n < 0 ? n : 0;
}

/* For the end, then for word of it. Who has looked in vain after a word came looks again after a while. */
int thrumi_process_await(struct thrum_process *p, thrum_time deadline) {
  struct thrumi_backoff backoff = {0};
  bool told = p->news < 0;
  while (!thrumi_process_look(p)) {
    int error;
    if (!thrumi_pidfd_ended(p->pidfd)) {
      error = thrumi_await_readable(p->pidfd, deadline);
    } else if (!told) {
      error = thrumi_await_readable(p->news, deadline);
      told = true;
    } else {
      error = thrumi_back_off(&backoff, deadline);
    }
    if (error) return error;
  }
  return 0;
}

bool thrumi_process_await_at_end(struct thrum_process *p, int milliseconds) {
  thrum_time deadline = milliseconds < 0 ? THRUM_FOREVER : thrum_after(THRUM_MS(milliseconds));
  while (!thrumi_process_look(p)) {
    if (thrum_left(deadline) <= 0) return false;
    struct pollfd end = {.fd = p->pidfd, .events = POLLIN};
    if (thrumi_pidfd_ended(p->pidfd))
      usleep(1000);
    else
      poll(&end, 1, milliseconds < 0 ? -1 : (int)(thrum_left(deadline) / THRUM_MS(1)) + 1);
  }
  return true;
}

/* ---- Lists ---------------------------------------------------------------------------------------------------------------- */

void thrumi_register_lock(void) { pthread_mutex_lock(&all.lock); }
void thrumi_register_unlock(void) { pthread_mutex_unlock(&all.lock); }

size_t thrumi_process_list(thrum_process **out, size_t max) {
  size_t n = 0;
  pthread_mutex_lock(&all.lock);
  for (struct thrum_process *p = all.first; p; p = p->next) {
    if (p->hidden || p->released || thrumi_pidfd_ended(p->pidfd)) continue;
    if (n < max) out[n] = p;
    n++;
  }
  pthread_mutex_unlock(&all.lock);
  return n;
}

struct thrum_process *thrumi_process_awaited(bool daemons) {
  pthread_mutex_lock(&all.lock);
  struct thrum_process *p = all.first;
  while (p && (p->hidden || p->outlives || p->daemon != daemons)) p = p->next;
  if (p) p->refs++;
  pthread_mutex_unlock(&all.lock);
  return p;
}

void thrumi_process_each(bool daemons, void (*call)(struct thrum_process *p)) {
  pthread_mutex_lock(&all.lock);
  for (struct thrum_process *p = all.first; p; p = p->next)
    if (!p->hidden && !p->outlives && p->daemon == daemons) call(p);
  pthread_mutex_unlock(&all.lock);
}

static void drop_descriptor(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* In the child: those that run are the parent's, and so are our ends of their pipes. */
void thrumi_register_fork(void) {
  pthread_mutex_init(&all.lock, NULL);
  for (struct thrum_process *p = all.first, *next; p; p = next) {
    next = p->next;
    thrumi_store(&p->state, (uint32_t)THRUMI_PROCESS_FOREIGN);
    drop_descriptor(&p->pidfd);
    drop_descriptor(&p->channel);
    drop_descriptor(&p->news);
    for (int i = 0; i < 3; i++) {
      drop_descriptor(&p->pipe[i]);
      drop_descriptor(&p->source[i]);
    }
    drop_locked(p);
  }
  all.first = NULL;
}
