/* Files of recordings. Programs that a traced program starts inherit THRUM_TRACE, and must not write over its file: the file is locked
 * (flock(2)) while it is written, and who comes to one that is takes the same name with its own PID. */
#include <core/fatal.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <trace/trace.h>
#include <unistd.h>

enum { TAKEN = -EWOULDBLOCK };

static int open_one(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
  if (fd < 0) return -errno;
  struct stat status;
  bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) return fd;
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 &&
      errno == EWOULDBLOCK) { /* where files cannot be locked it goes without */
    close(fd);
    return TAKEN;
  }
  int error = ftruncate(fd, 0) == 0 ? 0 : -errno;
  if (error) close(fd);
  return error ? error : fd;
}

int thrumi_trace_open(const char *path) {
  char own[sizeof thrumi_recorder.path + 16];
  int fd = open_one(path);
  if (fd != TAKEN) return fd;
  snprintf(own, sizeof own, "%s.%d", path, (int)getpid());
  fd = open_one(own);
  if (fd >= 0) thrumi_log("another process records to %s: this one does to %s", path, own);
  return fd;
}
