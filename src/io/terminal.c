/* A terminal has no flag for a call that is not to wait, and its mode belongs to all who share it. But opened once more it has a mode of
 * its own. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <io/terminal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* 0: it is none, or was hung up. Of a master it is that of the other side. */
static unsigned device_of(int fd) {
  unsigned device = 0;
  return ioctl(fd, TIOCGDEV, &device) == 0 ? device : 0;
}

bool thrumi_is_terminal(int fd) { return device_of(fd) != 0; }

static bool is_master(int fd) {
  unsigned number;
  return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* The standard numbers are the program's, also where it has closed them. */
static int beyond_standard(int fd) {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  close(fd);
  return moved;
}

/* A master opened anew would be another one's. And /dev/tty is what it is at this moment, which need not be what was opened. One that was
 * hung up before it was opened anew is not to be written to: it is the next session's. */
int thrumi_terminal_anew(int fd) {
  char path[sizeof "/proc/self/fd/" + 3 * sizeof fd];
  unsigned device = device_of(fd);
  int flags = fcntl(fd, F_GETFL);
  if (!device || is_master(fd) || flags < 0 || (flags & O_ACCMODE) == O_RDONLY) return -1;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int own = beyond_standard(open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (own < 0 || (device_of(own) == device && device_of(fd) == device)) return own;
  close(own);
  return -1;
}
