/* The fork server, from both sides.
 *
 * It is this program, started anew early, with one thread; thrum_process_main turns it into the server. A request is a message of one
 * byte and two descriptors: the child's channel, in which its plan lies already, and the socket for news. The server forks, says on
 * the news that the child is there, with a pidfd, and opens the gate at which the child waits until then; when the child has
 * ended, it says how. So it reads nothing of the request but descriptors, and never waits for a starter.
 *
 * The order of these decides what a server's death means:
 *
 *   killed before               the child                     the starter sees                        and
 *   it took the request         is not there                  the end of channel and news             asks again
 *   it forked                   is not there                  the same                                asks again
 *   it announced the child      finds no gate, and ends       the same                                asks again
 *   it opened the gate          finds no gate, and ends       the child's pidfd, the same             asks again
 *   the child is READY          goes on                       READY, behind the announcement          has started it
 *
 * The child says READY before it calls the task, and ends if nobody can hear it. So the task runs once, or the start fails.
 *
 * It ends when all its starter's ends of the control socket are closed, which is when the starter has ended.
 *
 * When it has been killed, the next request finds the control socket broken and starts another. Children that run go on. */
#define _GNU_SOURCE
#include <core/sanitize.h>
#include <fcntl.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <poll.h>
#include <process/flight.h>
#include <process/record.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thrum/io/file.h>
#include <thrum/sync/lock.h>
#include <unistd.h>

/* ---- The starter's side ------------------------------------------------------------------------------------------------------- */

static struct {
  thrum_lock lock;
  bool runs; /* as far as we know */
  int control;
} server;

/* A fork may see each single store: where it runs, `control` is its socket. */
static void forget_server(void) {
  int control = server.control;
  server.runs = false;
  atomic_signal_fence(memory_order_seq_cst);
  thrum_close(control);
}

void thrumi_server_fork(void) {
  if (server.runs) close(server.control);
  server.runs = false;
  memset(&server.lock, 0, sizeof server.lock); /* its holder is not there */
}

int thrumi_launch_self(struct thrumi_launch *l, const char *role, int fd) {
  char *const *argv = thrumi_this_process.argv;
  const char *const args[] = {argv && argv[0] ? argv[0] : "thrum", THRUMI_ROLE_MARK, role, NULL};
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return -*thrum_errno();
  /* Where a standard descriptor is closed, the null device keeps the place. */
  int from[] = {null, fcntl(1, F_GETFD) < 0 ? null : 1, fcntl(2, F_GETFD) < 0 ? null : 2, fd};
  static const int to[] = {0, 1, 2, 3};
  l->path = "/proc/self/exe";
  l->argv = args;
  l->from = from;
  l->to = to;
  l->count = 4;
  int error = thrumi_launch_start(l);
  close(null);
  return error;
}

/* The record is in the register for the warden alone, which reaps it. */
static int start_server(struct thrumi_flight *f) {
  struct thrum_process *p = thrumi_process_new("fork server");
  struct thrumi_launch l = {.dies_with_parent = true};
  int error = p ? thrumi_flight_pair(f, THRUMI_FLIGHT_CONTROL) : -ENOMEM;
  if (!error) error = thrumi_launch_self(&l, "server", f->fds[THRUMI_FLIGHT_CONTROL + 1]);
  thrumi_flight_close(f, THRUMI_FLIGHT_CONTROL + 1);
  if (!error) {
    p->pid = l.pid;
    p->pidfd = l.pidfd;
    p->hidden = true;
    thrumi_process_add(p);
    server.control = f->fds[THRUMI_FLIGHT_CONTROL];
    atomic_signal_fence(memory_order_seq_cst);
    server.runs = true;
    atomic_signal_fence(memory_order_seq_cst);
    thrumi_flight_take(f, THRUMI_FLIGHT_CONTROL);
  }
  thrumi_flight_close(f, THRUMI_FLIGHT_CONTROL);
  if (p) thrumi_process_unref(p);
  return error;
}

/* -EPIPE: it has ended. */
static int send_request(const struct thrumi_flight *f) {
  char byte = 1;
  struct iovec piece = {&byte, 1};
  int error, fds[] = {f->fds[THRUMI_FLIGHT_CHANNEL + 1], f->fds[THRUMI_FLIGHT_NEWS + 1]};
  while ((error = thrumi_message_send(server.control, &piece, 1, fds, 2)) == -EAGAIN) {
    struct pollfd room = {.fd = server.control, .events = POLLOUT};
    int n = thrum_poll(&room, 1);
    if (n < 0) return n;
  }
  return error == -ECONNRESET || error == -ENOTCONN ? -EPIPE : error;
}

/* With the lock. */
static int ask(struct thrumi_flight *f) {
  int error = 0;
  for (int tries = 0; tries < 2; tries++) {
    if (!server.runs) error = start_server(f);
    if (!error) error = send_request(f);
    if (error != -EPIPE) break;
    forget_server();
    error = 0;
    if (tries == 1) error = -EPIPE;
  }
  return error;
}

int thrumi_server_ask(struct thrumi_flight *f) {
  int refused = thrum_lock_acquire_for(&server.lock, THRUM_FOREVER); /* its holder may wait for the server */
  if (refused) return refused;
  thrumi_rely_on(&server); /* libtsan sees who uses the socket, and not the lock, which is inline here */
  int error = ask(f);
  thrumi_announce(&server);
  thrum_lock_release(&server.lock);
  return error;
}

/* ---- The server ------------------------------------------------------------------------------------------------------------------- */

struct kid {
  struct kid *next, **at;
  pid_t pid;
  int pidfd, news;
};

static struct {
  int control, epoll;
  struct kid *kids;
  struct rlimit files; /* as they are for children */
} serving;

/* What the terminal sends is for the starter, which ends us by its end. */
static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGPIPE};

static int say(int news, struct thrumi_news what, int pidfd) {
  struct iovec piece = {&what, sizeof what};
  if (pidfd < 0) return thrumi_message_send(news, &piece, 1, NULL, 0);
  return thrumi_message_send_file(news, &piece, 1, pidfd);
}

/* In the child: back to what it would be had it been started directly. Only what the server has opened is closed. */
static void leave_server(void) {
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_DFL);
  for (struct kid *k = serving.kids; k; k = k->next) {
    close(k->pidfd);
    close(k->news);
  }
  close(serving.control);
  close(serving.epoll);
  setrlimit(RLIMIT_NOFILE, &serving.files);
}

/* What the server keeps of a child. NULL: no memory, no descriptor: then the child is told nothing, and ends. */
static struct kid *add_kid(pid_t pid, int news, int *error) {
  struct kid *k = thrumi_os.allocate(sizeof *k);
  int pidfd = k ? thrumi_os.process_open(pid) : -ENOMEM;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
  *error = pidfd < 0 ? pidfd : thrumi_os.epoll_ctl(serving.epoll, EPOLL_CTL_ADD, pidfd, &event);
  if (*error) {
    if (pidfd >= 0) close(pidfd);
    if (k) thrumi_os.free(k);
    return NULL;
  }
  *k = (struct kid){.next = serving.kids, .at = &serving.kids, .pid = pid, .pidfd = pidfd, .news = news};
  if (k->next) k->next->at = &k->next;
  serving.kids = k;
  return k;
}

/* In the child. */
static void be_kid(int channel, int news, const int *gate) {
  close(news);
  close(gate[1]);
  leave_server();
  thrumi_child_main(channel, gate[0]);
}

static void drop_kid(struct kid *k) {
  thrumi_os.epoll_ctl(serving.epoll, EPOLL_CTL_DEL, k->pidfd, NULL); /* the starter has the same open file */
  close(k->news);
  close(k->pidfd);
  if (k->next) k->next->at = k->at;
  *k->at = k->next;
  thrumi_os.free(k);
}

/* In the server. Takes the news over. Who cannot be announced is killed at the gate; it is not reaped yet. */
static void announce(pid_t pid, int news, int gate) {
  int error;
  struct kid *k = add_kid(pid, news, &error);
  if (k) error = say(news, (struct thrumi_news){.pid = pid}, k->pidfd);
  if (!error) {
    while (thrumi_os.write(gate, "", 1) == -EINTR) continue;
    return;
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  say(news, (struct thrumi_news){.error = error}, -1);
  if (k)
    drop_kid(k);
  else
    close(news);
}

static void carry_out(int channel, int news) {
  int gate[2];
  int error = (int)QUIETLY(pipe2(gate, O_CLOEXEC));
  pid_t pid = error ? error : (pid_t)QUIETLY(fork());
  if (pid == 0) be_kid(channel, news, gate);
  close(channel);
  if (pid > 0) {
    announce(pid, news, gate[1]);
  } else {
    say(news, (struct thrumi_news){.error = pid}, -1);
    close(news);
  }
  if (error) return;
  close(gate[0]);
  close(gate[1]);
}

static void take_request(void) {
  char byte;
  int fds[2];
  struct thrumi_message message = {&byte, 1, fds, 2};
  int error = thrumi_message_receive(serving.control, &message, false);
  if (error == -EPIPE || error == -ECONNRESET) _exit(0);
  if (error) return;
  if (message.fd_count == 2)
    carry_out(fds[0], fds[1]);
  else if (message.fd_count == 1)
    close(fds[0]);
}

static void reap(struct kid *k) {
  struct thrumi_news news = {.pid = k->pid};
  if (waitpid(k->pid, &news.status, WNOHANG) != k->pid) { /* a debugger has it: we are told again */
    usleep(1000);
    return;
  }
  say(k->news, news, -1);
  drop_kid(k);
}

static int prepare(int control) {
  struct epoll_event event = {.events = EPOLLIN};
  for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++) signal(ignored[i], SIG_IGN);
  fflush(NULL); /* constructors may have printed */
  serving.control = control;
  fcntl(control, F_SETFD, FD_CLOEXEC);
  getrlimit(RLIMIT_NOFILE, &serving.files);
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){serving.files.rlim_max, serving.files.rlim_max});
  serving.epoll = thrumi_os.epoll_create();
  if (serving.epoll < 0) return serving.epoll;
  return thrumi_os.epoll_ctl(serving.epoll, EPOLL_CTL_ADD, control, &event);
}

void thrumi_serve(int control) {
  if (prepare(control) != 0) _exit(1);
  for (;;) {
    struct epoll_event event;
    int n = thrumi_os.epoll_wait(serving.epoll, &event, 1, -1);
    if (n < 0 && n != -EINTR) _exit(1);
    if (n != 1) continue;
    if (event.data.ptr)
      reap(event.data.ptr);
    else
      take_request();
  }
}
