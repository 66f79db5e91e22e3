/* From the options of a start to the descriptors and names that the child gets. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <process/prepare.h>
#include <stdio.h>
#include <unistd.h>

static bool is_open(int fd) { return QUIETLY(fcntl(fd, F_GETFD)) >= 0; }

/* ---- Checking --------------------------------------------------------------------------------------------------------- */

static int check_standard(int kind, int which) {
  if (kind < 0) return -EINVAL;
  if (kind >= THRUM_STDIO_FIRST_FD) return is_open(kind - THRUM_STDIO_FIRST_FD) ? 0 : -EBADF;
  bool good = kind <= THRUM_STDIO_PIPE || (kind == THRUM_STDIO_CAPTURE && which > 0) ||
              (kind == THRUM_STDIO_OUTPUT && which == 2);
  return good ? 0 : -EINVAL;
}

static int check_descriptors(const thrum_process_options *o, bool command) {
  if (o->descriptor_count > THRUM_PROCESS_DESCRIPTORS_MAX) return -EINVAL;
  if (o->descriptor_count && !o->descriptors) return -EINVAL;
  for (size_t i = 0; i < o->descriptor_count; i++) {
    if (command && o->descriptors[i] >= 0 && o->descriptors[i] <= STDERR_FILENO) return -EINVAL;
    if (o->descriptors[i] < 0 || !is_open(o->descriptors[i])) return -EBADF;
  }
  return 0;
}

int thrumi_options_check(const thrum_process_options *o, bool command) {
  if (o->size != sizeof *o || o->method < 0 || o->method > THRUM_FORK) return -EINVAL;
  if (command && o->method) return -EINVAL;
  if (!o->affinity != !o->affinity_size) return -EINVAL;
  int error = check_standard(o->input, 0);
  if (!error) error = check_standard(o->output, 1);
  if (!error) error = check_standard(o->error, 2);
  return error ? error : check_descriptors(o, command);
}

/* ---- Standard descriptors ------------------------------------------------------------------------------------------------- */

static int open_null(struct thrumi_flight *f, int which) {
  int fd = thrumi_os_beyond_standard((int)QUIETLY(open("/dev/null", O_RDWR | O_CLOEXEC)));
  return f->fds[THRUMI_FLIGHT_STANDARD + which] = fd;
}

static int open_pipe(struct thrumi_flight *f, struct thrum_process *p, int which) {
  int error = thrumi_flight_pipe(f, THRUMI_FLIGHT_PIPE);
  if (error) return error;
  int ours = THRUMI_FLIGHT_PIPE + (which == 0), theirs = THRUMI_FLIGHT_PIPE + (which != 0);
  p->pipe[which] = f->fds[ours];
  f->fds[ours] = -1;
  int fd = f->fds[THRUMI_FLIGHT_STANDARD + which] = f->fds[theirs];
  f->fds[theirs] = -1;
  return fd;
}

/* Our end is the warden's, which does not wait. */
static int open_capture(struct thrumi_flight *f, struct thrum_process *p, int which) {
  int file = thrumi_memory_file("thrum-output", NULL, 0);
  if (file < 0) return file;
  p->capture[which] = file;
  int fd = open_pipe(f, p, which);
  if (fd < 0) return fd;
  p->source[which] = p->pipe[which];
  p->pipe[which] = -1;
  int error = (int)QUIETLY(fcntl(p->source[which], F_SETFL, O_NONBLOCK));
  if (!error) error = thrumi_warden_prepare(p->source[which]);
  return error ? error : fd;
}

static int open_standard(struct thrumi_flight *f, struct thrum_process *p, int which, int kind, int output) {
  if (kind >= THRUM_STDIO_FIRST_FD) return kind - THRUM_STDIO_FIRST_FD;
  switch (kind) {
  case THRUM_STDIO_PIPE: return open_pipe(f, p, which);
  case THRUM_STDIO_CAPTURE: return open_capture(f, p, which);
  case THRUM_STDIO_OUTPUT: return output;
  case THRUM_STDIO_INHERIT: return is_open(which) ? which : open_null(f, which);
  default: return open_null(f, which);
  }
}

int thrumi_standard_open(struct thrumi_flight *f, int *fds, struct thrum_process *p,
                         const thrum_process_options *o, bool command) {
  int kind[] = {o->input, o->output, o->error};
  for (int i = 0; i < 3; i++) {
    if (kind[i] == THRUM_STDIO_DEFAULT) kind[i] = i || command ? THRUM_STDIO_INHERIT : THRUM_STDIO_NULL;
    fds[i] = open_standard(f, p, i, kind[i], fds[1]);
    if (fds[i] < 0) return fds[i];
  }
  return 0;
}

/* ---- Names -------------------------------------------------------------------------------------------------------------------- */

static _Atomic uint32_t started;

void thrumi_process_number(char *name, char *identity) {
  unsigned n = thrumi_add(&started, 1u) + 1;
  const char *prefix = thrumi_this_process.identity;
  snprintf(identity, THRUM_NAME_MAX, "%.48s%s%u", prefix, prefix[0] ? ":" : "", n);
  snprintf(name, THRUM_NAME_MAX, "Process-%.54s", identity);
}

void thrumi_prepare_fork(void) { thrumi_store(&started, 0); }
