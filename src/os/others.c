/* Signals, children, names of hosts. */
#define _GNU_SOURCE
#include <os/descriptors.h>
#include <os/others.h>
#include <os/quietly.h>

#include <errno.h>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

int thrumi_os_counter_create(void) {
  return thrumi_os_beyond_standard((int)QUIETLY(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)));
}

/* Past libc: the handler may have interrupted ThreadSanitizer. */
int thrumi_os_count(int fd) {
  const uint64_t one = 1;
  long n = QUIETLY(syscall(SYS_write, fd, &one, sizeof one));
  return n < 0 ? (int)n : 0;
}

int thrumi_os_process_open(pid_t pid) {
  return thrumi_os_beyond_standard((int)QUIETLY(syscall(SYS_pidfd_open, pid, 0)));
}

pid_t thrumi_os_reap(pid_t pid, int *status) { return (pid_t)QUIETLY(waitpid(pid, status, WNOHANG)); }

int thrumi_os_look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out,
                      int *error) {
  int errno_before = errno;
  int result = getaddrinfo(host, port, hints, out);
  *error = result == EAI_SYSTEM ? -errno : 0;
  errno = errno_before;
  return result;
}
