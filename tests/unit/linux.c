/* The OS operations against the kernel that this runs on. */
#define _GNU_SOURCE
#include "../check.h"

#include <os/os.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { MS = 1000000, ERRNO_BEFORE = 12345 };

static const struct thrumi_os *const os = &thrumi_os_linux;

/* Waits for a state; a test that hangs is ended by its runner. */
#define AWAIT(condition) \
  while (!(condition)) sched_yield()

/* The value of a call that must leave errno alone. */
#define QUIET(call) (errno = ERRNO_BEFORE, quiet(call))

static long quiet(long result) {
  CHECK_EQ(errno, ERRNO_BEFORE);
  return result;
}

/* ---- Time and sleeping --------------------------------------------------------------------------------- */

static void futex_returns_what_happened(void) {
  thrumi_futex word = 7;
  CHECK_EQ(QUIET(os->futex_wait(&word, 8, INT64_MAX)), -EAGAIN);
  int64_t deadline = os->now() + 2 * MS;
  CHECK_EQ(QUIET(os->futex_wait(&word, 7, deadline)), -ETIMEDOUT);
  CHECK(os->now() >= deadline);
  CHECK_EQ(QUIET(os->futex_wait(&word, 7, 0)), -ETIMEDOUT);
  CHECK_EQ(QUIET(os->futex_wait(&word, 7, -1)), -ETIMEDOUT);
  CHECK_EQ(QUIET(os->futex_wake(&word, 1)), 0);
}

static thrumi_futex gate;
static _Atomic bool passed;

static void *wait_at_gate(void *unused) {
  (void)unused;
  while (atomic_load(&gate) == 0) os->futex_wait(&gate, 0, INT64_MAX);
  atomic_store(&passed, true);
  return NULL;
}

static void futex_wakes(void) {
  pthread_t thread;
  atomic_store(&gate, 0);
  CHECK_EQ(QUIET(os->create(&thread, wait_at_gate, NULL, 0)), 0);
  atomic_store(&gate, 1);
  os->futex_wake(&gate, 1);
  AWAIT(atomic_load(&passed));
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static int faults_at(volatile char *address) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    *address = 1;
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  return WIFSIGNALED(status);
}

static void reserved_memory_is_zero_again_after_discard(void) {
  size_t page = thrumi_os_page(), bytes = 1024 * page;
  char *start = os->reserve(bytes);
  CHECK(start);
  for (size_t i = 0; i < bytes; i += page) CHECK_EQ(start[i], 0);
  memset(start, 1, 2 * page);
  CHECK_EQ(QUIET(os->discard(start, page)), 0);
  CHECK_EQ(start[0], 0);
  CHECK_EQ(start[page], 1);
  CHECK_EQ(QUIET(os->release(start, bytes)), 0);
  errno = ERRNO_BEFORE;
  CHECK(!os->reserve((size_t)1 << 62));
  CHECK_EQ(errno, ERRNO_BEFORE);
}

static void guards_stop_writes(void) {
  size_t page = thrumi_os_page();
  char *start = os->reserve(8 * page);
  CHECK(start);
  int error = (int)QUIET(os->guard(start, page));
  CHECK(error == 0 || error == -EINVAL);
  CHECK_EQ(faults_at(start), error == 0);
  CHECK_EQ(QUIET(os->guard(start, page)), error); /* the answer stays */
  CHECK_EQ(QUIET(os->protect(start + 4 * page, page)), 0);
  CHECK(faults_at(start + 4 * page));
  CHECK(!faults_at(start + page));
  CHECK(!faults_at(start + 5 * page));
  os->release(start, 8 * page);
}

static void allocated_memory_is_zero(void) {
  char *block = os->allocate(1000);
  CHECK(block);
  for (int i = 0; i < 1000; i++) CHECK_EQ(block[i], 0);
  os->free(block);
}

/* ---- Kernel threads ------------------------------------------------------------------------------------ */

static sigset_t mask_seen;
static void *_Atomic argument_seen; /* the last that its thread writes: nobody joins it */

static void *note_mask(void *value) {
  pthread_sigmask(SIG_SETMASK, NULL, &mask_seen);
  atomic_store(&argument_seen, value);
  return NULL;
}

/* Those that its own code causes must reach it: blocked, they would kill the process past its handlers. */
static bool is_synchronous(int signo) {
  return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL || signo == SIGTRAP ||
         signo == SIGSYS || signo == SIGABRT;
}

static void created_threads_block_signals(void) {
  sigset_t before, after;
  pthread_t thread;
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  CHECK_EQ(QUIET(os->create(&thread, note_mask, &mask_seen, SIGURG)), 0);
  AWAIT(atomic_load(&argument_seen));
  CHECK(atomic_load(&argument_seen) == &mask_seen);
  for (int signo = 1; signo < 32; signo++) {
    if (signo == SIGKILL || signo == SIGSTOP) continue;
    CHECK_EQ(sigismember(&mask_seen, signo), signo != SIGURG && !is_synchronous(signo));
  }
  pthread_sigmask(SIG_SETMASK, NULL, &after);
  for (int signo = 1; signo < 32; signo++) CHECK_EQ(sigismember(&after, signo), sigismember(&before, signo));
}

static _Atomic pid_t worker_tid;
static _Atomic int worker_stop;
static thrumi_futex worker_gate;

static void *spin_then_wait(void *unused) {
  (void)unused;
  atomic_store(&worker_tid, thrumi_os_tid());
  thrumi_os_name_thread("spins-and-then-waits");
  while (!atomic_load(&worker_stop)) continue;
  while (atomic_load(&worker_gate) == 0) os->futex_wait(&worker_gate, 0, INT64_MAX);
  return NULL;
}

static void kernel_tells_what_a_thread_does(void) {
  pthread_t thread;
  CHECK_EQ(os->create(&thread, spin_then_wait, NULL, 0), 0);
  AWAIT(atomic_load(&worker_tid));
  pid_t tid = atomic_load(&worker_tid);
  int threads = (int)QUIET(os->thread_count()); /* emulators and sanitizers have some of their own */
  CHECK(threads >= 2);
  AWAIT(QUIET(os->activity(tid)) == THRUMI_ACTIVITY_RUNNING);
  int64_t burnt = QUIET(os->cpu_time(tid));
  CHECK(burnt >= 0);
  AWAIT(os->cpu_time(tid) > burnt + MS);
  atomic_store(&worker_stop, 1);
  AWAIT(QUIET(os->activity(tid)) == THRUMI_ACTIVITY_BLOCKED);
  AWAIT((burnt = os->cpu_time(tid)) == os->cpu_time(tid)); /* it says that it sleeps shortly before it does */
  atomic_store(&worker_gate, 1);
  os->futex_wake(&worker_gate, 1);
  AWAIT(os->thread_count() < threads);
  AWAIT(QUIET(os->cpu_time(tid)) < 0);
  CHECK_EQ(QUIET(os->activity(tid)), THRUMI_ACTIVITY_UNKNOWN);
  CHECK_EQ(QUIET(os->signal(tid, 0)), -ESRCH);
}

static void names_are_cut(void) {
  char name[16];
  errno = ERRNO_BEFORE;
  thrumi_os_name_thread("a name that is too long");
  CHECK_EQ(errno, ERRNO_BEFORE);
  CHECK_EQ(prctl(PR_GET_NAME, name), 0);
  CHECK_STR(name, "a name that is ");
}

static void barrier_works_once_started(void) {
  if (!thrumi_os_start()) return; /* a kernel or an emulator without it: the caller is told */
  CHECK_EQ(QUIET(os->barrier()), 0);
  CHECK(thrumi_os_start());
}

/* ---- Signals ------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t handled, chained;
static sigset_t mask_in_handler;

static void on_signal(int signo, siginfo_t *info, void *context) {
  CHECK(context);
  CHECK_EQ(info->si_signo, signo);
  CHECK_EQ(info->si_pid, getpid());
  pthread_sigmask(SIG_SETMASK, NULL, &mask_in_handler);
  handled = signo;
}

static void on_plain(int signo) { chained = signo; }

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WRAPPED 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WRAPPED 1
#endif

/* ThreadSanitizer puts a handler of its own around each that libc installs; past libc there is no such thing.
 * */
static void former_handler_is_handed_over(void) {
#ifndef WRAPPED
  struct sigaction plain = {.sa_handler = on_plain}, old;
  sigaddset(&plain.sa_mask, SIGUSR2);
  CHECK_EQ(sigaction(SIGURG, &plain, NULL), 0);
  CHECK_EQ(QUIET(thrumi_os_handle(SIGURG, on_signal, &old)), 0);
  CHECK(!(old.sa_flags & SA_SIGINFO));
  CHECK_EQ(sigismember(&old.sa_mask, SIGUSR2), 1);
  old.sa_handler(SIGURG);
  CHECK_EQ(chained, SIGURG);
  CHECK_EQ(sigaction(SIGURG, NULL, &plain), 0);
  CHECK_EQ(plain.sa_flags & (SA_RESTART | SA_ONSTACK | SA_SIGINFO), SA_RESTART | SA_ONSTACK | SA_SIGINFO);
#else
  on_plain(0);
#endif
}

static void handler_runs_and_returns(void) {
  struct sigaction old;
  CHECK_EQ(QUIET(thrumi_os_handle(SIGURG, on_signal, NULL)), 0);
  CHECK_EQ(QUIET(os->signal(thrumi_os_tid(), SIGURG)), 0);
  CHECK_EQ(handled, SIGURG);
  CHECK_EQ(sigismember(&mask_in_handler, SIGTERM), 1);
  CHECK_EQ(sigismember(&mask_in_handler, SIGALRM), 1);
  CHECK_EQ(sigismember(&mask_in_handler, SIGSEGV), 0);
  CHECK_EQ(QUIET(thrumi_os_handle(SIGURG, on_signal, &old)), 0);
  CHECK(old.sa_flags & SA_SIGINFO);
  CHECK(old.sa_sigaction == on_signal);
  CHECK_EQ(QUIET(thrumi_os_handle(SIGKILL, on_signal, NULL)), -EINVAL);
}

/* ---- Descriptors --------------------------------------------------------------------------------------- */

static void epoll_keeps_time(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 99};
  int epoll = os->epoll_create(), fd = os->event_create();
  CHECK(epoll >= 0 && fd >= 0);
  CHECK_EQ(QUIET(os->epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)), 0);
  CHECK_EQ(QUIET(os->epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)), -EEXIST);
  CHECK_EQ(QUIET(os->epoll_wait(epoll, &event, 1, 0)), 0);
  int64_t start = os->now();
  CHECK_EQ(QUIET(os->epoll_wait(epoll, &event, 1, 300000)), 0);
  CHECK(os->now() - start >= 300000);
  uint64_t one = 1;
  CHECK_EQ(QUIET(os->write(fd, &one, sizeof one)), 8);
  memset(&event, 0, sizeof event);
  CHECK_EQ(QUIET(os->epoll_wait(epoll, &event, 1, -1)), 1);
  CHECK_EQ(event.data.u64, 99);
  CHECK_EQ(QUIET(os->read(fd, &one, sizeof one)), 8);
  CHECK_EQ(QUIET(os->read(fd, &one, sizeof one)), -EAGAIN);
  close(fd);
  close(epoll);
  CHECK_EQ(QUIET(os->epoll_wait(epoll, &event, 1, 0)), -EBADF);
}

static bool sigpipe_pending(void) {
  sigset_t set;
  sigpending(&set);
  return sigismember(&set, SIGPIPE);
}

static ssize_t write_one(int fd) {
  struct iovec piece = {(char[]){'x'}, 1};
  return QUIET(os->writev(fd, &piece, 1, true));
}

static void check_broken(int fd) {
  CHECK_EQ(write_one(fd), -EPIPE); /* SIGPIPE has its default action: it would end this test */
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, &before);
  CHECK_EQ(write_one(fd), -EPIPE);
  CHECK(!sigpipe_pending());
  pthread_kill(pthread_self(), SIGPIPE); /* one of somebody else is left to them */
  CHECK_EQ(write_one(fd), -EPIPE);
  CHECK(sigpipe_pending());
  int taken;
  CHECK_EQ(sigwait(&set, &taken), 0);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void writing_raises_no_sigpipe(void) {
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(write_one(fds[1]), 1);
  close(fds[0]);
  check_broken(fds[1]);
  close(fds[1]);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  char text[4] = "";
  CHECK_EQ(QUIET(os->send(fds[1], "hi", 2, 0)), 2);
  CHECK_EQ(QUIET(os->recv(fds[0], text, sizeof text, 0)), 2);
  CHECK_STR(text, "hi");
  close(fds[0]);
  CHECK_EQ(QUIET(os->send(fds[1], "hi", 2, 0)), -EPIPE);
  check_broken(fds[1]);
  close(fds[1]);
  CHECK_EQ(write_one(-1), -EBADF);
  CHECK_EQ(QUIET(os->read(-1, text, 1)), -EBADF);
}

/* Whatever the mode of the descriptor. Where the kernel cannot, it says so. */
static void transfers_need_not_wait(void) {
  int fds[2];
  static char block[1 << 20];
  CHECK_EQ(pipe(fds), 0);
  struct iovec piece = {block, sizeof block};
  ssize_t n = QUIET(os->readv(fds[0], &piece, 1, false));
  CHECK(n == -EAGAIN || n == -EOPNOTSUPP);
  n = QUIET(os->writev(fds[1], &piece, 1, false));
  CHECK((n > 0 && (size_t)n < sizeof block) || n == -EOPNOTSUPP);
  if (n > 0) CHECK_EQ(QUIET(os->writev(fds[1], &piece, 1, false)), -EAGAIN);
  close(fds[0]);
  if (n > 0) CHECK_EQ(QUIET(os->writev(fds[1], &piece, 1, false)), -EPIPE);
  close(fds[1]);
}

static int ready(int fd, short events) {
  struct pollfd asked = {fd, events, 0};
  int n = (int)QUIET(os->poll(&asked, 1));
  CHECK_EQ(n, asked.revents != 0);
  return asked.revents;
}

static void poll_does_not_wait(void) {
  int fds[2];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(ready(fds[0], POLLIN), 0);
  CHECK_EQ(ready(fds[1], POLLOUT), POLLOUT);
  CHECK_EQ(os->write(fds[1], "x", 1), 1);
  CHECK_EQ(ready(fds[0], POLLIN), POLLIN);
  close(fds[1]);
  CHECK_EQ(ready(fds[0], POLLIN), POLLIN | POLLHUP);
  close(fds[0]);
  CHECK_EQ(ready(fds[0], POLLIN), POLLNVAL);
}

int main(void) {
  futex_returns_what_happened();
  futex_wakes();
  reserved_memory_is_zero_again_after_discard();
  guards_stop_writes();
  allocated_memory_is_zero();
  created_threads_block_signals();
  kernel_tells_what_a_thread_does();
  names_are_cut();
  barrier_works_once_started();
  former_handler_is_handed_over();
  handler_runs_and_returns();
  epoll_keeps_time();
  writing_raises_no_sigpipe();
  transfers_need_not_wait();
  poll_does_not_wait();
  return 0;
}
