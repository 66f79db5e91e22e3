/* The warden: a kernel thread of its own, made with the first process and gone with the program, which
 *
 *   - makes the children that begin with an exec, because the kernel takes its end for the parent's death (launch.c); light
 *     threads' kernel threads come and go;
 *   - watches all children's pidfds, so that each is reaped when it ends, whether or not anybody waits for it;
 *   - keeps what they write where that is to be captured (capture.c).
 *
 * It is one of the runtime's kernel threads, which the verdict on deadlocks knows, and runs no thread of thrum's: it never enters. It waits in epoll, for its bell and for the others, each once. A child that has ended and of whose end no
 * word has come yet is looked at again after a while.
 *
 * asked    launches that wait, in order, under the lock; each is its starter's, who waits for `done` to become 1
 * `done`   0: the warden's; 1: the starter's, and the warden touches it no more but by a futex wake of its address */
#define _GNU_SOURCE
#include <os/quietly.h>
#include <process/record.h>
#include <sched/self.h>
#include <unistd.h>

enum { STACK = 256 * 1024, GUARD = 64 * 1024, EVERY = 5000000 /* ns */ };

static struct {
  pthread_mutex_t lock;
  bool started;
  int epoll, bell;
  char *stack; /* for children up to their exec, with what cannot be touched below it */
  struct thrumi_launch *first, **end;
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

/* ---- Launching --------------------------------------------------------------------------------------------------------------- */

static struct thrumi_launch *next_launch(void) {
  pthread_mutex_lock(&warden.lock);
  struct thrumi_launch *l = warden.first;
  if (l && !(warden.first = l->next)) warden.end = &warden.first;
  pthread_mutex_unlock(&warden.lock);
  return l;
}

static void serve(void) {
  uint64_t rings;
  while (thrumi_os.read(warden.bell, &rings, sizeof rings) == -EINTR) continue;
  for (struct thrumi_launch *l; (l = next_launch());) {
    l->error = thrumi_launch(l, warden.stack + GUARD, STACK);
    atomic_store(&l->done, 1);
    thrumi_os.futex_wake(&l->done, 1);
  }
}

static void block_all_signals(void) {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static void *keep(void *kthread) {
  thrumi_os_name_thread("thrum-warden");
  thrumi_kthread_adopt(kthread);
  block_all_signals();
  for (bool late = false;;) {
    struct epoll_event event;
    int n = thrumi_os.epoll_wait(warden.epoll, &event, 1, late ? EVERY : -1);
    if (n == 1 && event.data.u64) heed(event.data.u64);
    if (n == 1 && !event.data.u64) serve();
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

static int make_stack(void) {
  char *stack = thrumi_os.reserve(GUARD + STACK);
  if (!stack) return -ENOMEM;
  int error = thrumi_os.protect(stack, GUARD);
  if (error)
    thrumi_os.release(stack, GUARD + STACK);
  else
    warden.stack = stack;
  return error;
}

static int start_locked(void) {
  struct epoll_event bell = {.events = EPOLLIN};
  int error = 0;
  warden.end = &warden.first;
  warden.bell = warden.epoll = -1;
  if (!warden.stack && (error = make_stack()) != 0) return error;
  if ((warden.epoll = thrumi_os.epoll_create()) < 0) error = warden.epoll;
  if (!error && (warden.bell = thrumi_os.event_create()) < 0) error = warden.bell;
  if (!error) error = thrumi_os.epoll_ctl(warden.epoll, EPOLL_CTL_ADD, warden.bell, &bell);
  if (!error) error = start_thread();
  if (!error) return 0;
  if (warden.epoll >= 0) close(warden.epoll);
  if (warden.bell >= 0) close(warden.bell);
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

static intptr_t wait_for_warden(void *arg) {
  struct thrumi_launch *l = arg;
  while (!atomic_load(&l->done)) thrumi_os.futex_wait(&l->done, 0, INT64_MAX);
  return 0;
}

/* For a command that turns out to be a script without a first line that says whose: "/bin/sh", its path, its arguments. There may be many,
 * and the child has a small stack. */
static int make_script(struct thrumi_launch *l) {
  size_t n = 0;
  while (l->argv[n]) n++;
  l->script = thrumi_os.allocate((n + 2) * sizeof *l->script);
  if (!l->script) return -ENOMEM;
  l->script[0] = "/bin/sh";
  for (size_t i = 1; i <= n; i++) l->script[i + 1] = l->argv[i];
  return 0;
}

static int launch(struct thrumi_launch *l) {
  const uint64_t one = 1;
  l->next = NULL;
  pthread_mutex_lock(&warden.lock);
  *warden.end = l;
  warden.end = &l->next;
  pthread_mutex_unlock(&warden.lock);
  while (thrumi_os.write(warden.bell, &one, sizeof one) == -EINTR) continue;
  thrum_blocking(wait_for_warden, l);
  return l->error;
}

int thrumi_warden_launch(struct thrumi_launch *l) {
  int error = thrumi_warden_start();
  if (!error && !l->path) error = make_script(l);
  if (error) return error;
  error = launch(l);
  if (l->script) thrumi_os.free(l->script);
  return error;
}

/* In the child of a fork, which has no warden. */
void thrumi_warden_fork(void) {
  pthread_mutex_init(&warden.lock, NULL);
  if (!warden.started) return;
  warden.started = false;
  warden.first = NULL;
  close(warden.epoll);
  close(warden.bell);
}
