/* The warden: a kernel thread of its own, made with the first process and gone with the program, which
 *
 *   - watches all children's pidfds, so that each is reaped when it ends, whether or not anybody waits for it;
 *   - keeps what they write where that is to be captured (capture.c).
 *
 * It does nothing that may take long; so children are made by others (launcher.c). It is one of the runtime's kernel threads, which the
 * verdict on deadlocks knows, and runs no thread of thrum's: it never enters. It waits in epoll, for each thing once. A child that has
 * ended and of whose end no word has come yet is looked at again after a while. */
#define _GNU_SOURCE
#include <os/quietly.h>
#include <process/record.h>
#include <sched/self.h>
#include <unistd.h>

enum { EVERY = 5000000 /* ns */ };

static struct {
  pthread_mutex_t lock;
  bool started;
  int epoll;
} warden = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- Looking after children -------------------------------------------------------------------------------------------------- */

/* What an event is of: a process by its serial number, which is not 0, and which of its descriptors: 0: the pidfd; 1, 2: its output. */
static uint64_t name_of(uint64_t serial, int which) { return serial << 2 | (unsigned)which; }

static int watch(int operation, int fd, uint32_t events, uint64_t name) {
  struct epoll_event event = {.events = events | EPOLLONESHOT, .data.u64 = name};
  return thrumi_os.epoll_ctl(warden.epoll, operation, fd, &event);
}

/* Before there is a process: it may be refused (the kernel limits how many descriptors a user watches), and who writes to a pipe that
 * nobody reads waits for ever. An event comes only when it hangs up, is of nobody (serial 0), and comes again once it is asked for. */
int thrumi_warden_prepare(int source) {
  int error = thrumi_warden_start();
  return error ? error : watch(EPOLL_CTL_ADD, source, 0, name_of(0, 1));
}

void thrumi_warden_watch_on(uint64_t serial, int which, int source) {
  watch(EPOLL_CTL_MOD, source, EPOLLIN, name_of(serial, which));
}

/* A process that cannot be watched is reaped by who waits for it. */
void thrumi_warden_watch(const struct thrum_process *p) {
  for (int which = 1; which < 3; which++)
    if (p->source[which] >= 0) thrumi_warden_watch_on(p->serial, which, p->source[which]);
  watch(EPOLL_CTL_ADD, p->pidfd, EPOLLIN, name_of(p->serial, 0));
}

/* Once the process has ended, its holder reads the rest. */
static void heed(uint64_t name) {
  int which = (int)(name & 3);
  if (which == 0) {
    thrumi_register_note(name >> 2);
    return;
  }
  thrumi_register_drain(name >> 2, which);
}

/* ---- The thread --------------------------------------------------------------------------------------------------------------- */

void thrumi_block_all_signals(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void *keep(void *kthread) {
  thrumi_os_name_thread("thrum-warden");
  thrumi_kthread_adopt(kthread);
  thrumi_block_all_signals();
  for (bool late = false;;) {
    struct epoll_event event;
    int n = thrumi_os.epoll_wait(warden.epoll, &event, 1, late ? EVERY : -1);
    if (n == 1) heed(event.data.u64);
    if (n == 1 || late) late = thrumi_register_settle();
  }
  return NULL;
}

static int start_thread(void) {
  struct thrumi_kthread *k = thrumi_kthread_new(THRUMI_ROLE_MONITOR);
  int error = k ? thrumi_kthread_start(k, keep) : -EAGAIN;
  if (k && error) thrumi_kthread_discard(k);
  return error;
}

static int start_locked(void) {
  warden.epoll = thrumi_os.epoll_create();
  if (warden.epoll < 0) return warden.epoll;
  int error = start_thread();
  if (error) close(warden.epoll);
  return error;
}

/* The caller is known to the runtime, and so the runtime is started, before the lock is taken. */
int thrumi_warden_start(void) {
  thrumi_leave(thrumi_enter());
  pthread_mutex_lock(&warden.lock);
  int error = warden.started ? 0 : start_locked();
  if (!error) warden.started = true;
  pthread_mutex_unlock(&warden.lock);
  return error;
}

/* In the child of a fork, which has no warden. */
void thrumi_warden_fork(void) {
  pthread_mutex_init(&warden.lock, NULL);
  if (!warden.started) return;
  warden.started = false;
  close(warden.epoll);
}
