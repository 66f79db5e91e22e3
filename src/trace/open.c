/* Files of recordings. Programs that a traced program starts inherit THRUM_TRACE, and must not write over its file: the file is locked
 * (flock(2)) while it is written, and who comes to one that is takes the same name with its own PID. */
#include <core/fatal.h>
#include <errno.h>
#include <fcntl.h>
#include <os/descriptors.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <trace/trace.h>
#include <unistd.h>

enum { TAKEN = -EWOULDBLOCK };

/* Waits for nobody: a pipe that nobody reads is -ENXIO. */
static int open_one(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
  if (fd < 0) return -errno;
  fd = thrumi_os_beyond_standard(fd);
  struct stat status;
  bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) return fd;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 &&
      errno == EWOULDBLOCK) { /* where files cannot be locked it goes without */
    close(fd);
    return TAKEN;
  }
  int error = !status.st_size || ftruncate(fd, 0) == 0 ? 0 : -errno;
  if (error) close(fd);
  return error ? error : fd;
}

/* In a crash, too. */
static void put_pid(char *end) {
  char digits[12];
  int n = 0;
  for (int pid = getpid(); pid; pid /= 10) digits[n++] = (char)('0' + pid % 10);
  *end++ = '.';
  while (n) *end++ = digits[--n];
  *end = 0;
}

int thrumi_trace_open(const char *path, char name[THRUMI_TRACE_PATH]) {
  size_t length = strlen(path);
  if (length + 16 > THRUMI_TRACE_PATH) return -ENAMETOOLONG;
  memmove(name, path, length + 1);
  int fd = open_one(name);
  if (fd != TAKEN) return fd;
  put_pid(name + length);
  fd = open_one(name);
  if (fd >= 0) thrumi_log("another process records to the file that is wanted: this one does to %s", name);
  return fd;
}

int thrumi_trace_may_be(const char *path) {
  char directory[THRUMI_TRACE_PATH];
  const char *slash = strrchr(path, '/');
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0) return 0;
  if (errno != ENOENT) return -errno;
  size_t length = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
  if (length >= sizeof directory) return -ENAMETOOLONG;
  memcpy(directory, path, length);
  directory[length] = 0;
  return faccessat(AT_FDCWD, length ? directory : ".", W_OK | X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

/* The number is forgotten first: once it is closed it may be another thread's, which the child of a fork must not close. */
void thrumi_trace_close(struct thrumi_trace_file *f) {
  int fd = f->fd;
  f->fd = -1;
  if (fd >= 0) close(fd);
}

void thrumi_trace_remove(const char *name, int fd) {
  struct stat status;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) unlink(name);
}
