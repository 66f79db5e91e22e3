/* The parent, as its child knows it: by the line, a pipe whose writing end the parent alone holds. It is readable when the parent is
 * dead, whatever process has got its number by then. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <poll.h>
#include <process/record.h>
#include <thrum/io/file.h>
#include <unistd.h>

/* ---- The line that this process holds for its children ------------------------------------------------------------------ */

static struct {
  pthread_mutex_t lock;
  bool made;
  int ends[2];
} line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int make(void) {
  int ends[2];
  int error = (int)QUIETLY(pipe2(ends, O_CLOEXEC));
  if (error) return error;
  for (int i = 0; i < 2; i++) {
    line.ends[i] = thrumi_os_beyond_standard(ends[i]);
    if (line.ends[i] < 0) error = line.ends[i];
  }
  for (int i = 0; error && i < 2; i++)
    if (line.ends[i] >= 0) close(line.ends[i]);
  return error;
}

int thrumi_life_line(void) {
  pthread_mutex_lock(&line.lock);
  int error = line.made ? 0 : make();
  if (!error) line.made = true;
  pthread_mutex_unlock(&line.lock);
  return error ? error : line.ends[0];
}

/* In the child of a fork: the other end is the parent's alone, and so is the parent. */
void thrumi_life_fork(void) {
  struct thrumi_self_process *self = &thrumi_this_process;
  pthread_mutex_init(&line.lock, NULL);
  if (line.made) {
    close(line.ends[0]);
    close(line.ends[1]);
  }
  line.made = false;
  if (self->life >= 0) close(self->life);
  self->life = -1;
  self->parent = 0;
}

/* ---- The parent ------------------------------------------------------------------------------------------------------------ */

pid_t thrum_parent_pid(void) { return thrumi_this_process.parent; }

const char *thrum_parent_name(void) {
  return thrumi_this_process.parent ? thrumi_this_process.parent_name : NULL;
}

bool thrum_parent_is_alive(void) {
  struct pollfd line_end = {.fd = thrumi_this_process.life};
  return thrumi_this_process.parent && thrumi_os.poll(&line_end, 1) == 0;
}

int thrum_parent_join_for(thrum_duration timeout) {
  if (!thrumi_this_process.parent) return -ECHILD;
  struct pollfd line_end = {.fd = thrumi_this_process.life};
  int n = thrum_poll_for(&line_end, 1, timeout);
  return n < 0 ? n : 0;
}
