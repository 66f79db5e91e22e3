/* What a process writes to an output that is to be kept: it has a pipe there, as it might have from anybody else; the warden reads that
 * and writes it to a file in memory. So the process never waits for long, and nobody need read while it runs.
 *
 * Not a file in memory at once: whoever opens /dev/stdout anew, as shell scripts do, would cut it off.
 *
 * When the process has ended, what it has written is in the file or in the pipe, and is had without waiting for the pipe's end, which may
 * be held by others that it has left behind. All of this is under the register's lock. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/quietly.h>
#include <process/record.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

static int keep(int file, const char *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = (ssize_t)QUIETLY(write(file, data + done, size - done));
    if (n == -EINTR) continue;
    if (n < 0) return (int)n;
    done += (size_t)n;
  }
  return 0;
}

/* What cannot be kept is dropped: the process is not to wait. */
int thrumi_capture_drain(struct thrum_process *p, int which, int chunks) {
  static char data[CHUNK];
  while (chunks-- > 0 && p->source[which] >= 0) {
    ssize_t n;
    do n = thrumi_os.read(p->source[which], data, sizeof data);
    while (n == -EINTR);
    if (n < 0) return (int)n;
    if (n == 0) return -EPIPE;
    int error = keep(p->capture[which], data, (size_t)n);
    if (error && !p->capture_error[which]) p->capture_error[which] = error;
  }
  return 0;
}

/* What the process itself has written is there by now; others whom it has left behind may write for ever. */
static void drain_the_rest(struct thrum_process *p, int which) {
  int there = 0;
  if (p->source[which] < 0 || QUIETLY(ioctl(p->source[which], FIONREAD, &there)) != 0) return;
  thrumi_capture_drain(p, which, (there + CHUNK - 1) / CHUNK);
}

int thrumi_capture_map(struct thrum_process *p, int which) {
  struct stat file;
  if (p->output[which].data) return 0;
  drain_the_rest(p, which);
  if (p->capture_error[which]) return p->capture_error[which];
  int error = (int)QUIETLY(fstat(p->capture[which], &file));
  if (error) return error;
  p->output[which] = thrumi_bytes_map(p->capture[which], (size_t)file.st_size);
  return p->output[which].data ? 0 : -ENOMEM;
}
