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
  int ends[2]; /* -1: there is none; the kernel writes them before there is one, for the child of a fork */
} line = {PTHREAD_MUTEX_INITIALIZER, {-1, -1}};

static void drop(void) {
  for (int i = 0; i < 2; i++) {
    if (line.ends[i] >= 0) close(line.ends[i]);
    line.ends[i] = -1;
  }
}

static int make(void) {
  int error = (int)QUIETLY(pipe2(line.ends, O_CLOEXEC));
  for (int i = 0; i < 2 && !error; i++) {
    if (line.ends[i] <= STDERR_FILENO) line.ends[i] = thrumi_os_beyond_standard(line.ends[i]);
    if (line.ends[i] < 0) error = line.ends[i];
  }
  if (error) drop();
  return error;
}

int thrumi_life_line(void) {
  pthread_mutex_lock(&line.lock);
  int error = line.ends[0] >= 0 ? 0 : make();
  pthread_mutex_unlock(&line.lock);
  return error ? error : line.ends[0];
}

/* In the child of a fork: the other end is the parent's alone; and the parent that it had is its parent's. */
void thrumi_life_fork(void) {
  struct thrumi_self_process *self = &thrumi_this_process;
  pthread_mutex_init(&line.lock, NULL);
  drop();
  if (self->life >= 0) close(self->life);
  if (self->channel >= 0) close(self->channel);
  self->life = self->channel = -1;
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
