/* The operating system, as one table.
 *
 * What the scheduler does to wait, to tell the time, and to get memory and kernel threads goes through thrumi_os, and what parks in src/io
 * tries and polls so, so that a test can give it another clock, make the Nth call fail, or choose what happens next. Not behind it:
 * - what is read once or for a report, and what is written there: affinity, limits and cgroups (core/settings.c, cgroup.c), symbols
 *   (core/symbol.c), stacks (sched/dump.c, stack.c), messages (core/fatal.c, sched/report.c);
 * - libc's own locks and streams: pthread mutexes (sched/start.c, core/backtrace.c and others), the fwrite of thrum_print;
 * - in src/io, plain files, and descriptors that are made or closed;
 * - much of src/process, src/inspect, src/trace and src/dump: children and their sockets, files, and some waits.
 *
 * The table is set before the first thread starts and does not change while threads run.
 *
 * Calls return 0 or a count, or a negative errno; errno is left alone where the caller may be a handler. */
#ifndef THRUMI_OS_H
#define THRUMI_OS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

struct addrinfo;
struct iovec;
struct pollfd;

typedef _Atomic uint32_t thrumi_futex;

/* One of the words that are waited for at once. */
struct thrumi_waited_word {
  thrumi_futex *word;
  uint32_t expected;
  bool shared; /* with other processes, in memory that they map too */
};
enum { THRUMI_WAITED_MAX = 128 }; /* the kernel's own bound */

/* What the kernel says a kernel thread does at this moment. */
enum thrumi_activity { THRUMI_ACTIVITY_UNKNOWN, THRUMI_ACTIVITY_RUNNING, THRUMI_ACTIVITY_BLOCKED };

struct thrumi_os {
  /* Time. The monotonic clock in nanoseconds. */
  int64_t (*now)(void);

  /* Sleeping. `deadline` is a point of that clock, INT64_MAX for ever.
   * 0: woken or spurious. -EAGAIN: *word was not `expected`. -ETIMEDOUT. -EINTR. */
  int (*futex_wait)(thrumi_futex *word, uint32_t expected, int64_t deadline);
  int (*futex_wake)(thrumi_futex *word, int count);

  /* Memory. Reserved memory reads as zero and costs nothing until touched. NULL: none to be had. */
  void *(*reserve)(size_t bytes);
  int (*release)(void *start, size_t bytes);
  int (*discard)(void *start, size_t bytes); /* contents become zero, pages go back */
  int (*guard)(void *start, size_t bytes);   /* guard markers; -EINVAL where the kernel has none */
  int (*protect)(void *start, size_t bytes); /* no access, at the price of mappings */
  void *(*allocate)(size_t bytes);           /* zeroed, from the C library; NULL */
  void (*free)(void *block);

  /* Kernel threads. create starts fn(arg) with all asynchronous signals blocked but `unblocked` (0: none). */
  int (*create)(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked);
  int (*signal)(pid_t tid, int signo);
  int (*barrier)(void);           /* expedited membarrier: every running thread of ours passes a full fence */
  int64_t (*cpu_time)(pid_t tid); /* what it has burnt so far, in ns; negative if unknown */
  enum thrumi_activity (*activity)(pid_t tid);
  int (*thread_count)(void); /* kernel threads of this process; negative if unknown */

  /* Descriptors. */
  int (*epoll_create)(void);
  int (*epoll_ctl)(int epoll, int operation, int fd, struct epoll_event *event);
  int (*epoll_wait)(int epoll, struct epoll_event *events, int max, int64_t timeout); /* ns, -1 for ever */
  int (*event_create)(void);                                                          /* an eventfd */
  ssize_t (*read)(int fd, void *buffer, size_t size);
  ssize_t (*write)(int fd, const void *buffer, size_t size);
  int (*poll)(struct pollfd *fds, size_t count); /* without waiting */

  /* Without `wait` -EAGAIN where it would block, whatever the descriptor's mode, and -EOPNOTSUPP where that cannot be had. No
   * SIGPIPE, nor by the next ones. */
  ssize_t (*readv)(int fd, const struct iovec *pieces, int count, bool wait);
  ssize_t (*writev)(int fd, const struct iovec *pieces, int count, bool wait);
  ssize_t (*pread_now)(int fd, void *buffer, size_t size, int64_t offset); /* likewise */
  ssize_t (*recv)(int fd, void *buffer, size_t size, int flags);
  ssize_t (*send)(int fd, const void *buffer, size_t size, int flags);
  ssize_t (*recvmsg)(int fd, struct msghdr *message, int flags);
  ssize_t (*sendmsg)(int fd, const struct msghdr *message, int flags);
  int (*accept)(int fd, struct sockaddr *address, socklen_t *length); /* non-blocking, closed on exec */
  int (*connect)(int fd, const struct sockaddr *address, socklen_t length);
  ssize_t (*sendfile)(int out, int in, int64_t *offset, size_t size);

  /* A counter as a descriptor: readable while it is above 0; a read of 8 bytes takes 1 from it. The second adds 1; it is
   * async-signal-safe. */
  int (*counter_create)(void);
  int (*count)(int fd);

  /* Children. A descriptor that is readable once the process has ended; -ENOSYS, -EPERM: not here. And what waitpid(2) says
   * without waiting. */
  int (*process_open)(pid_t pid);
  pid_t (*reap)(pid_t pid, int *status);

  /* Memory that processes share. As futex_wait and futex_wake, for words there. */
  int (*shared_wait)(thrumi_futex *word, uint32_t expected, int64_t deadline);
  int (*shared_wake)(thrumi_futex *word, int count);
  /* For n <= THRUMI_WAITED_MAX words at once: the index of the one that was woken, or -EAGAIN, -ETIMEDOUT, -EINTR as above;
   * -EFAULT: one of the words is not mapped; -ENOSYS: a kernel before 5.16. */
  int (*shared_wait_any)(const struct thrumi_waited_word *words, size_t n, int64_t deadline);
  int (*barrier_all)(
      void); /* every kernel thread that runs, of any process, has passed through the kernel; takes some ms */
  int (*robust)(void *head, size_t size); /* the kernel's robust list of the calling kernel thread */

  /* A descriptor of so many zeroes, whose size stays; its size, -EINVAL: it is no such thing; memory for a part of it at once, -ENOSPC;
   * mapped, NULL: not; no more; a part of what is mapped becomes zero for all, and its pages go back. */
  int (*memory_create)(size_t bytes);
  int64_t (*memory_size)(int fd);
  int (*memory_commit)(int fd, size_t start, size_t bytes);
  void *(*map)(int fd, size_t bytes);
  int (*unmap)(void *start, size_t bytes);
  int (*empty)(void *start, size_t bytes);

  /* getaddrinfo(3), which may wait for long; *error: the errno, negative, that goes with EAI_SYSTEM. */
  int (*look_up)(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                 int *error);
};

extern struct thrumi_os thrumi_os;

/* The table as the kernel gives it, for tests that replace a part. */
extern const struct thrumi_os thrumi_os_linux;

/* Asks once what this kernel can do: registers for membarrier. False: no membarrier, so fences are needed. */
bool thrumi_os_start(void);

pid_t thrumi_os_tid(void);
size_t thrumi_os_page(void);

/* Asks for pages of 2 MB for reserved memory that nobody has touched yet, of which start and size are multiples. */
void thrumi_os_large_pages(void *start, size_t bytes);
void thrumi_os_name_thread(const char *name); /* the calling kernel thread's, cut to 15 bytes */

/* Lets a kernel thread run on the caller's present CPU only, or (tid 0: the caller) where the process may again. */
void thrumi_os_bring_here(pid_t tid);
void thrumi_os_roam(void);

/* Asks the kernel for short slices of CPU for the calling kernel thread, which it may start sooner; kernels before
 * 6.12 do not know them. */
void thrumi_os_short_slice(int64_t ns);

#if THRUMI_TSAN
/* New pages in place of those there, mapped as `reserve` maps: what ThreadSanitizer knew of the range is forgotten. */
bool thrumi_os_map_afresh(void *start, size_t bytes);
#endif

/* Whether the caller may be a signal handler on a kernel thread that blocks neither `unblocked` nor any signal that an
 * instruction causes. (A handler blocks its own signal, unless it was installed with SA_NODEFER.) */
bool thrumi_os_may_be_handler(int unblocked);

/* Whether any signal but these two, and those that an instruction causes, has a handler. */
bool thrumi_os_has_handler(int but, int nor);

/* Installs a handler past libc (ThreadSanitizer would defer it): with SA_SIGINFO, SA_ONSTACK, SA_RESTART and
 * all asynchronous signals masked in it. The former action goes to *old. */
int thrumi_os_handle(int signo, void (*handler)(int, siginfo_t *, void *), struct sigaction *old);

/* Whether a program may catch it: not SIGKILL and SIGSTOP, those that an instruction causes, and those that are libc's own. */
bool thrumi_os_may_catch(int signo);

/* The present action; and one that was got so, back in its place. Also past libc. */
int thrumi_os_action(int signo, struct sigaction *out);
int thrumi_os_set_action(int signo, const struct sigaction *action);

#endif
