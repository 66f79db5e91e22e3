/* Signals as something to wait for: a counter a signal, which its handler counts up and who waits counts down.
 *
 * The counter is an eventfd with EFD_SEMAPHORE: the handler needs nothing but one write; who waits for several signals waits
 * for several descriptors; and a read takes 1, from the one that reads, so one delivery is one wait's. It is made when
 * the signal is caught for the first time and kept for ever: a handler on another kernel thread may be about to write to it, and
 * the number must not be another file's then.
 *
 * Deliveries count. The kernel itself merges a signal that comes while the same one is pending for the process (but for the
 * real-time ones, which it queues); what it did deliver is not merged once more. So nothing depends on how fast somebody waits.
 *
 * Words, by signal:
 *
 *   word         values                                            written by
 *   fd           0: no counter yet; else its number plus 1         who catches, under the lock; the child of a fork
 *   chained      the handler of before, with bit 63 if it takes    who catches, under the lock, before it installs the handler
 *                a siginfo; 0: none
 *   caught, early (bits of all signals, bit signo-1)
 *     caught     the handler is installed                          who catches or releases, under the lock
 *     early      came in the child of a fork before its counter    the handler; who has made the counter takes the bit and counts
 *                was there (several count as one)                  it
 *   pid          of the process whose counters these are           the first to catch; the child of a fork
 *
 * fork. The child inherits handlers and counters, but the counters are the parent's too. Between the fork and the child's hook
 * a handler may run: it sees that the pid is another one, and leaves the signal in `early`. The hook makes counters
 * anew under the same numbers (dup3), says whose they are, and then counts what came early. What fails there (no
 * descriptor) is done by the next catch, or wait.
 *
 * Rejected: signalfd, which wants the signals blocked in all threads, those of other libraries too, and whose reads depend
 * on who reads. A thread in sigwaitinfo: the same, and a kernel thread more. A pipe: it can be full. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/attempt.h>
#include <io/process.h>
#include <os/os.h>
#include <poll.h>
#include <sched/self.h>
#include <thrum/io/file.h>
#include <thrum/io/signal.h>
#include <thrum/time.h>
#include <unistd.h>

enum { SIGNALS = 64 };                                /* the kernel's */
static const uint64_t TAKES_INFO = UINT64_C(1) << 63; /* no address has it */

struct source {
  _Atomic int fd;
  _Atomic uint64_t chained;
  struct sigaction former; /* under the lock */
};

static struct {
  struct thrumi_spin lock;
  _Atomic pid_t pid;
  _Atomic uint64_t caught, early;
  struct source of[SIGNALS + 1];
} signals;

static uint64_t bit(int signo) { return UINT64_C(1) << (signo - 1); }

int thrumi_signal_counter(int signo) { return thrumi_load(&signals.of[signo].fd) - 1; }

bool thrumi_is_signal_counter(int fd) {
  if (fd < 0 || !thrumi_load(&signals.pid)) return false; /* none was ever caught */
  for (int signo = 1; signo <= SIGNALS; signo++)
    if (thrumi_signal_counter(signo) == fd) return true;
  return false;
}

/* ---- The handler ------------------------------------------------------------------------------------------------------ */

static void chain(int signo, siginfo_t *info, void *context) {
  uint64_t chained = thrumi_load(&signals.of[signo].chained);
  uintptr_t address = (uintptr_t)(chained & ~TAKES_INFO);
  if (chained & TAKES_INFO)
    ((void (*)(int, siginfo_t *, void *))address)(signo, info, context);
  else if (address)
    ((void (*)(int))address)(signo);
}

static bool is_ours(int signo) {
  return thrumi_signal_counter(signo) >= 0 && getpid() == thrumi_load(&signals.pid);
}

/* Counts what came early, if it can be counted by now. Whoever makes that so calls this after it, and whoever adds to `early`,
 * both by changing that word: so the later of the two sees what the other did. */
static void settle_early(int signo) {
  if (is_ours(signo) && thrumi_and(&signals.early, ~bit(signo)) & bit(signo))
    thrumi_os.count(thrumi_signal_counter(signo));
}

static void on_signal(int signo, siginfo_t *info, void *context) {
  if (is_ours(signo)) {
    thrumi_os.count(thrumi_signal_counter(signo));
  } else {
    thrumi_or(&signals.early, bit(signo));
    settle_early(signo);
  }
  chain(signo, info, context);
}

static uint64_t chained_by(const struct sigaction *former) {
  if (former->sa_flags & SA_SIGINFO) {
    bool own = former->sa_sigaction == on_signal; /* a program that saved it puts it back */
    return own ? 0 : (uintptr_t)former->sa_sigaction | TAKES_INFO;
  }
  return former->sa_handler == SIG_DFL || former->sa_handler == SIG_IGN ? 0 : (uintptr_t)former->sa_handler;
}

/* ---- Counters, under the lock ------------------------------------------------------------------------------------------ */

/* Its counter is there, and what came early is in it. */
static int make_counter(int signo) {
  if (thrumi_signal_counter(signo) < 0) {
    int fd = thrumi_os.counter_create();
    if (fd < 0) return fd;
    thrumi_store(&signals.of[signo].fd, fd + 1);
  }
  settle_early(signo);
  return 0;
}

/* In the child of a fork. */
static void make_anew(int signo) {
  int old = thrumi_signal_counter(signo), new = thrumi_os.counter_create();
  if (new >= 0 && dup3(new, old, O_CLOEXEC) == old) {
    close(new);
    return;
  }
  thrumi_store(&signals.of[signo].fd, 0);
  close(old);
  if (new >= 0) close(new);
}

static void forked(void) {
  signals.lock = (struct thrumi_spin){0};
  for (int signo = 1; signo <= SIGNALS; signo++)
    if (thrumi_signal_counter(signo) >= 0) make_anew(signo);
  thrumi_store(&signals.pid, getpid());
  for (int signo = 1; signo <= SIGNALS; signo++) settle_early(signo);
}

/* Takes one delivery, if there is one. */
bool thrumi_signal_take(int signo) {
  uint64_t one;
  int fd = thrumi_signal_counter(signo);
  if (fd < 0) return false;
  ssize_t n;
  while ((n = thrumi_os.read(fd, &one, sizeof one)) == -EINTR) continue;
  return n == sizeof one;
}

static void forget(int signo) {
  while (thrumi_signal_take(signo)) continue;
}

static bool is_installed(int signo) {
  struct sigaction present;
  return thrumi_os_action(signo, &present) == 0 && present.sa_flags & SA_SIGINFO &&
         present.sa_sigaction == on_signal;
}

static int install(int signo) {
  struct source *source = &signals.of[signo];
  int error = thrumi_os_action(signo, &source->former);
  if (error) return error;
  thrumi_store(&source->chained, chained_by(&source->former));
  error = thrumi_os_handle(signo, on_signal, NULL);
  if (!error) thrumi_or(&signals.caught, bit(signo));
  return error;
}

/* Unless the program has put another handler in its place since. */
static void uninstall(int signo) {
  if (is_installed(signo)) thrumi_os_set_action(signo, &signals.of[signo].former);
  thrumi_and(&signals.caught, ~bit(signo));
}

/* `look`: whether the handler is still there is asked, which a wait does not. */
static int catch_one(int signo, bool look) {
  if (thrumi_load(&signals.caught) & bit(signo)) return look && !is_installed(signo) ? install(signo) : 0;
  forget(signo); /* what came before it was released, and of handlers that were late then */
  return install(signo);
}

static int catch_locked(uint64_t set, bool look) {
  thrumi_store(&signals.pid, getpid());
  int error = 0;
  for (int signo = 1; signo <= SIGNALS && !error; signo++)
    if (set & bit(signo)) error = make_counter(signo);
  for (int signo = 1; signo <= SIGNALS && !error; signo++)
    if (set & bit(signo)) error = catch_one(signo, look);
  return error;
}

static void release_locked(uint64_t set) {
  set &= thrumi_load(&signals.caught);
  for (int signo = 1; signo <= SIGNALS; signo++)
    if (set & bit(signo)) uninstall(signo);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------------ */

/* In the runtime's time: what the signal of preemption is, is settled then. */
static bool may_catch(int signo) {
  return thrumi_os_may_catch(signo) && signo != thrumi_sched.preempt_signal;
}

static int bits_of(const sigset_t *set, uint64_t *out) {
  *out = 0;
  if (!set) return -EINVAL;
  for (int signo = 1; signo <= SIGNALS; signo++) {
    if (sigismember(set, signo) != 1) continue;
    if (!may_catch(signo)) return -EINVAL;
    *out |= bit(signo);
  }
  return 0;
}

static int catch_bits(uint64_t wanted, bool look) {
  thrumi_enter();
  thrumi_hooks.signal_fork = forked; /* before the lock is held: a child must free it */
  thrumi_spin_lock(&signals.lock);
  int error = catch_locked(wanted, look);
  thrumi_spin_unlock(&signals.lock);
  thrumi_leave(thrumi_self());
  return error;
}

int thrum_signal_catch(const sigset_t *set) {
  uint64_t wanted;
  thrumi_leave(thrumi_enter()); /* the runtime has started */
  int error = bits_of(set, &wanted);
  return error ? error : catch_bits(wanted, true);
}

int thrumi_signal_start(int signo) {
  thrumi_leave(thrumi_enter());
  return may_catch(signo) ? catch_bits(bit(signo), false) : -EINVAL;
}

int thrum_signal_release(const sigset_t *set) {
  uint64_t wanted;
  thrumi_leave(thrumi_enter());
  int error = bits_of(set, &wanted);
  if (error) return error;
  thrumi_enter();
  thrumi_spin_lock(&signals.lock);
  release_locked(wanted);
  thrumi_spin_unlock(&signals.lock);
  thrumi_leave(thrumi_self());
  return 0;
}

/* The lowest of them that has come, taken; 0: none has. */
static int take_one(uint64_t set) {
  for (int signo = 1; signo <= SIGNALS; signo++)
    if (set & bit(signo) && thrumi_signal_take(signo)) return signo;
  return 0;
}

/* Until one of the counters may be above 0. */
static int wait_for_counters(uint64_t set, thrum_duration timeout) {
  struct pollfd fds[SIGNALS];
  size_t n = 0;
  for (int signo = 1; signo <= SIGNALS; signo++)
    if (set & bit(signo)) fds[n++] = (struct pollfd){.fd = thrumi_signal_counter(signo), .events = POLLIN};
  return thrum_poll_for(fds, n, timeout);
}

int thrum_signal_wait_for(const sigset_t *set, thrum_duration timeout) {
  thrum_time deadline = thrum_after(timeout);
  uint64_t wanted;
  int result = thrumi_cancelled();
  if (!result) result = bits_of(set, &wanted);
  if (!result) result = wanted ? catch_bits(wanted, false) : -EINVAL;
  while (result >= 0) {
    int signo = take_one(wanted);
    if (signo) return signo;
    result = wait_for_counters(wanted, thrum_left(deadline));
  }
  return result;
}

int thrum_signal_wait(const sigset_t *set) { return thrum_signal_wait_for(set, THRUM_FOREVER); }
