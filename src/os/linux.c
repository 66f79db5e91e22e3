/* The table of OS operations as Linux gives it.
 *
 * A call made here may come from a signal handler, or just before a thread goes on in user code that looks at
 * errno: so each leaves errno as it found it and returns the error. Where an old kernel lacks a call
 * (epoll_pwait2 before 5.11, guard markers before 6.13) the absence is noticed once and remembered. */
#define _GNU_SOURCE
#include <os/descriptors.h>
#include <os/ignore.h>
#include <os/os.h>
#include <os/others.h>
#include <os/quietly.h>
#include <os/shared.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

enum { SECOND = 1000000000 };

static struct timespec timespec_of(int64_t ns) {
  return (struct timespec){.tv_sec = (time_t)(ns / SECOND), .tv_nsec = (long)(ns % SECOND)};
}

/* ---- Time and sleeping --------------------------------------------------------------------------------- */

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int futex_wait(thrumi_futex *word, uint32_t expected, int64_t deadline) {
  /* The bitset form takes a point of the monotonic clock; the plain form a duration. */
  struct timespec until = timespec_of(deadline < 0 ? 0 : deadline);
  return (int)QUIETLY(syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                              deadline == INT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY));
}

static int futex_wake(thrumi_futex *word, int count) {
  return (int)QUIETLY(syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0));
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static void *reserve(size_t bytes) {
  int errno_before = errno;
  void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) start = NULL;
  /* A huge page would make the first touch of one stack pay for eight. Kernels without them refuse: fine. */
  else
    madvise(start, bytes, MADV_NOHUGEPAGE);
  errno = errno_before;
  return start;
}

#if THRUMI_TSAN
bool thrumi_os_map_afresh(void *start, size_t bytes) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  long mapped = QUIETLY(mmap(start, bytes, PROT_READ | PROT_WRITE, flags, -1, 0));
  QUIETLY(madvise(start, bytes,
                  MADV_NOHUGEPAGE)); /* like its neighbours, so that it stays one mapping with them */
  return mapped == (long)(intptr_t)start;
}
#endif

static int release(void *start, size_t bytes) { return (int)QUIETLY(munmap(start, bytes)); }

static int discard(void *start, size_t bytes) { return (int)QUIETLY(madvise(start, bytes, MADV_DONTNEED)); }

/* Emulators such as qemu-user accept any advice and do nothing. So the first marker is tried: a system call
 * that reads there must fail. (On a page without marker it reads an empty path.) */
static bool marker_works(void *start) {
  return QUIETLY(syscall(SYS_faccessat, AT_FDCWD, start, F_OK)) == -EFAULT;
}

static int guard(void *start, size_t bytes) {
  static _Atomic int works; /* 0: not tried, 1: yes, -1: no */
  int known = atomic_load_explicit(&works, memory_order_relaxed);
  if (known < 0) return -EINVAL;
  int error = (int)QUIETLY(madvise(start, bytes, MADV_GUARD_INSTALL));
  if (known == 0 && error == 0) {
    known = marker_works(start) ? 1 : -1;
    atomic_store_explicit(&works, known, memory_order_relaxed);
  }
  return known < 0 ? -EINVAL : error;
}

static int protect(void *start, size_t bytes) { return (int)QUIETLY(mprotect(start, bytes, PROT_NONE)); }

static void *allocate(size_t bytes) {
  int errno_before = errno;
  thrumi_ignore_begin(); /* libc's locks order nothing that the program may rely on */
  void *block = calloc(1, bytes);
  thrumi_ignore_end();
  errno = errno_before;
  return block;
}

static void free_block(void *block) {
  int errno_before = errno; /* older C libraries change it */
  thrumi_ignore_begin();
  free(block);
  thrumi_ignore_end();
  errno = errno_before;
}

/* ---- Kernel threads ------------------------------------------------------------------------------------ */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || THRUMI_TSAN /* for ThreadSanitizer this file is compiled without it */
#define SANITIZED 1
#endif

/* A kernel thread of ours runs the scheduler alone; light threads have stacks of their own. */
#ifdef SANITIZED
enum { KERNEL_STACK = 1024 * 1024 };
#else
enum { KERNEL_STACK = 128 * 1024 };
#endif
enum { KERNEL_STACK_MOST = 64 * 1024 * 1024 };

static int add_tls(struct dl_phdr_info *info, size_t info_size, void *sum) {
  (void)info_size;
  for (int i = 0; i < info->dlpi_phnum; i++)
    if (info->dlpi_phdr[i].p_type == PT_TLS)
      *(size_t *)sum += info->dlpi_phdr[i].p_memsz + info->dlpi_phdr[i].p_align;
  return 0;
}

/* C libraries take the thread-locals of the program and its libraries out of the stack. */
static size_t kernel_stack_size(void) {
  static _Atomic size_t known;
  size_t size = atomic_load_explicit(&known, memory_order_relaxed);
  if (size == 0) {
    dl_iterate_phdr(add_tls, &size);
    size_t page = thrumi_os_page();
    size = (KERNEL_STACK + size + page - 1) / page * page;
    atomic_store_explicit(&known, size, memory_order_relaxed);
  }
  return size;
}

static int create_with(pthread_t *out, void *(*fn)(void *), void *arg) {
  pthread_attr_t attributes;
  int error = pthread_attr_init(&attributes);
  if (error) return -error;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED); /* nobody joins them */
  /* EINVAL: too small for what the C library puts there beside the thread-locals that we know of. */
  error = EINVAL;
  for (size_t size = kernel_stack_size(); error == EINVAL && size <= KERNEL_STACK_MOST; size *= 2) {
    error = pthread_attr_setstacksize(&attributes, size);
    if (!error) error = pthread_create(out, &attributes, fn, arg);
  }
  pthread_attr_destroy(&attributes);
  return -error;
}

static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
enum { SYNCHRONOUS = sizeof synchronous / sizeof *synchronous };

/* All but those that a thread's own code causes: blocked, these would kill the process past its handlers. */
static sigset_t asynchronous_signals(void) {
  sigset_t set;
  sigfillset(&set);
  for (size_t i = 0; i < SYNCHRONOUS; i++) sigdelset(&set, synchronous[i]);
  return set;
}

bool thrumi_os_may_catch(int signo) {
  for (size_t i = 0; i < SYNCHRONOUS; i++)
    if (signo == synchronous[i]) return false;
  if (signo == SIGKILL || signo == SIGSTOP) return false;
  return (signo > 0 && signo < 32) || (signo >= SIGRTMIN && signo <= SIGRTMAX);
}

bool thrumi_os_may_be_handler(int unblocked) {
  sigset_t mask;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  bool blocked = sigismember(&mask, unblocked);
  for (size_t i = 0; i < SYNCHRONOUS; i++) blocked |= sigismember(&mask, synchronous[i]);
  return blocked;
}

bool thrumi_os_has_handler(int but, int nor) {
  sigset_t set = asynchronous_signals();
  for (int signo = 1; signo < NSIG; signo++) {
    struct sigaction action;
    if (signo == but || signo == nor || !sigismember(&set, signo)) continue;
    if (sigaction(signo, NULL, &action) != 0) continue; /* libc's own */
    if (action.sa_flags & SA_SIGINFO || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN))
      return true;
  }
  return false;
}

/* The new thread inherits the mask, so no signal finds it with another one. */
static int create(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked) {
  sigset_t mask = asynchronous_signals(), before;
  int errno_before = errno;
  if (unblocked) sigdelset(&mask, unblocked);
  pthread_sigmask(SIG_SETMASK, &mask, &before);
  int error = create_with(out, fn, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = errno_before;
  return error;
}

static int send_signal(pid_t tid, int signo) {
  return (int)QUIETLY(syscall(SYS_tgkill, getpid(), tid, signo));
}

static int barrier(void) {
  return (int)QUIETLY(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
}

/* The number by which the kernel knows the CPU clock of a thread: pthread_getcpuclockid without the
 * pthread_t, which may be of a thread that has ended. */
static int64_t cpu_time(pid_t tid) {
  enum { PER_THREAD = 4, SCHEDULED_TIME = 2 };
  clockid_t clock = (clockid_t)(~(unsigned)tid << 3 | PER_THREAD | SCHEDULED_TIME);
  struct timespec t;
  long error = QUIETLY(clock_gettime(clock, &t));
  return error ? error : (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static ssize_t read_proc(const char *path, char *text, size_t size) {
  int fd = (int)QUIETLY(open(path, O_RDONLY | O_CLOEXEC));
  if (fd < 0) return fd;
  ssize_t length = (ssize_t)QUIETLY(read(fd, text, size - 1));
  QUIETLY(close(fd));
  text[length > 0 ? length : 0] = 0;
  return length;
}

static enum thrumi_activity activity(pid_t tid) {
  char path[64], text[256];
  /* "running", or the number of the system call that it is in, or -1 if blocked outside of one. */
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
  if (read_proc(path, text, sizeof text) > 0)
    return strncmp(text, "running", 7) == 0 ? THRUMI_ACTIVITY_RUNNING : THRUMI_ACTIVITY_BLOCKED;
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
  if (read_proc(path, text, sizeof text) <= 0) return THRUMI_ACTIVITY_UNKNOWN;
  const char *state = strrchr(text, ')'); /* the name before it may hold anything */
  if (!state || state[1] != ' ') return THRUMI_ACTIVITY_UNKNOWN;
  return state[2] == 'R' ? THRUMI_ACTIVITY_RUNNING : THRUMI_ACTIVITY_BLOCKED;
}

static int thread_count(void) {
  static const char key[] = "\nThreads:";
  char text[4096];
  if (read_proc("/proc/self/status", text, sizeof text) <= 0) return -ENOENT;
  const char *found = strstr(text, key);
  return found ? atoi(found + sizeof key - 1) : -ENOENT;
}

/* ---- The table ----------------------------------------------------------------------------------------- */

#define LINUX_TABLE \
  { \
    .now = now, .futex_wait = futex_wait, .futex_wake = futex_wake, .reserve = reserve, .release = release, \
    .discard = discard, .guard = guard, .protect = protect, .allocate = allocate, .free = free_block, \
    .create = create, .signal = send_signal, .barrier = barrier, .cpu_time = cpu_time, .activity = activity, \
    .thread_count = thread_count, THRUMI_OS_DESCRIPTORS, THRUMI_OS_OTHERS, THRUMI_OS_SHARED, \
  }

struct thrumi_os thrumi_os = LINUX_TABLE;
const struct thrumi_os thrumi_os_linux = LINUX_TABLE;

/* ---- What never needs replacing ------------------------------------------------------------------------ */

bool thrumi_os_start(void) {
  long commands = QUIETLY(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0));
  if (commands < 0 || !(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return false;
  return QUIETLY(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)) == 0;
}

pid_t thrumi_os_tid(void) { return (pid_t)syscall(SYS_gettid); }

void thrumi_os_large_pages(void *start, size_t bytes) { QUIETLY(madvise(start, bytes, MADV_HUGEPAGE)); }

size_t thrumi_os_page(void) {
  static _Atomic size_t known;
  size_t page = atomic_load_explicit(&known, memory_order_relaxed);
  if (page == 0) {
    page = (size_t)sysconf(_SC_PAGESIZE);
    atomic_store_explicit(&known, page, memory_order_relaxed);
  }
  return page;
}

void thrumi_os_name_thread(const char *name) { QUIETLY(prctl(PR_SET_NAME, name, 0, 0, 0)); }

/* Where the process may run, as it was when it was first asked. */
static const cpu_set_t *allowed_cpus(void) {
  static cpu_set_t cpus;
  static _Atomic int known; /* 0: no, 1: somebody asks, 2: yes */
  int no = 0;
  if (atomic_compare_exchange_strong(&known, &no, 1)) {
    QUIETLY(sched_getaffinity(getpid(), sizeof cpus, &cpus));
    atomic_store(&known, 2);
  }
  return atomic_load(&known) == 2 ? &cpus : NULL;
}

void thrumi_os_bring_here(pid_t tid) {
  cpu_set_t here;
  unsigned cpu;
  if (!allowed_cpus() || QUIETLY(syscall(SYS_getcpu, &cpu, NULL, NULL)) < 0 || cpu >= CPU_SETSIZE) return;
  CPU_ZERO(&here);
  CPU_SET(cpu, &here);
  QUIETLY(sched_setaffinity(tid, sizeof here, &here));
}

void thrumi_os_roam(void) { QUIETLY(sched_setaffinity(0, sizeof(cpu_set_t), allowed_cpus())); }

void thrumi_os_short_slice(int64_t ns) {
  struct { /* the kernel's sched_attr, version 0 */
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attributes = {.size = sizeof attributes,
                  .nice = getpriority(PRIO_PROCESS, (id_t)thrumi_os_tid()),
                  .runtime = (uint64_t)ns};
  QUIETLY(syscall(SYS_sched_setattr, 0, &attributes, 0));
}

/* The kernel's sigaction; the C library's differs in order and in the size of the mask. */
struct kernel_action {
  union {
    void (*plain)(int);
    void (*info)(int, siginfo_t *, void *);
  } handler;
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

#if defined(__x86_64__)
void thrumi_os_restorer(void);
#define RESTORER thrumi_os_restorer
#define RESTORER_FLAG \
  0x04000000ul /* SA_RESTORER: the kernel's headers and the C library's cannot both be had */
#else
#define RESTORER NULL
#define RESTORER_FLAG 0ul
#endif

/* All but those that an instruction causes: blocked, these would kill the process past its handlers. libc
 * keeps the signals that it uses itself out of any set, so setuid works while threads sleep in a handler. */
static uint64_t asynchronous_mask(void) {
  sigset_t set = asynchronous_signals();
  uint64_t mask;
  memcpy(&mask, &set, sizeof mask);
  return mask;
}

static void from_kernel(const struct kernel_action *from, struct sigaction *to) {
  *to = (struct sigaction){.sa_flags = (int)(from->flags & ~RESTORER_FLAG)};
  if (from->flags & SA_SIGINFO)
    to->sa_sigaction = from->handler.info;
  else
    to->sa_handler = from->handler.plain;
  memcpy(&to->sa_mask, &from->mask, sizeof from->mask);
}

static int set_action(int signo, const struct kernel_action *new, struct kernel_action *former) {
  return (int)QUIETLY(syscall(SYS_rt_sigaction, signo, new, former, sizeof new->mask));
}

int thrumi_os_handle(int signo, void (*handler)(int, siginfo_t *, void *), struct sigaction *old) {
  struct kernel_action action = {
      .handler.info = handler,
      .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART | RESTORER_FLAG,
      .restorer = RESTORER,
      .mask = asynchronous_mask(),
  };
  struct kernel_action former;
  int error = set_action(signo, &action, &former);
  if (!error && old) from_kernel(&former, old);
  return error;
}

int thrumi_os_action(int signo, struct sigaction *out) {
  struct kernel_action present;
  int error = set_action(signo, NULL, &present);
  if (!error) from_kernel(&present, out);
  return error;
}

int thrumi_os_set_action(int signo, const struct sigaction *action) {
  struct kernel_action new = {.flags = (unsigned)action->sa_flags | RESTORER_FLAG, .restorer = RESTORER};
  if (action->sa_flags & SA_SIGINFO)
    new.handler.info = action->sa_sigaction;
  else
    new.handler.plain = action->sa_handler;
  memcpy(&new.mask, &action->sa_mask, sizeof new.mask);
  return set_action(signo, &new, NULL);
}
