/* What the kernel can do, found out by asking it for it, through the operations that the library uses itself: a filter in a container
 * may forbid what its version has. */
#include "doctor.h"

#include <errno.h>
#include <os/os.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif

void check_kernel(struct finding *f) {
  char release[80];
  int major = 0, minor = 0;
  if (!read_line("/proc/sys/kernel/osrelease", release, sizeof release)) strcpy(release, "unknown");
  sscanf(release, "%d.%d", &major, &minor);
  int version = major * 1000 + minor;
  set_value(f, "Linux %s", release);
  f->meaning = "has all that thrum knows how to use";
  if (version >= 6013) return;
  f->mark = version >= 5004 ? MARK_SLOW : MARK_MISSING;
  f->meaning =
      version >= 5004
          ? "stacks need a mapping for their guard before 6.13, and threads that wake up wait longer for a CPU "
            "that others use before 6.12"
          : "processes of thrum need 5.4";
  f->remedy = "a newer kernel";
}

void check_guards(struct finding *f) {
  size_t page = thrumi_os_page();
  void *start = thrumi_os.reserve(page);
  int error = start ? thrumi_os.guard(start, page) : -ENOMEM;
  if (start) thrumi_os.release(start, page);
  f->meaning = "stacks of light threads are guarded without a mapping each";
  set_value(f, "MADV_GUARD_INSTALL works");
  if (!error) return;
  set_value(f, "MADV_GUARD_INSTALL: %s", strerror(-error));
  f->mark = MARK_SLOW;
  f->meaning = "guards cost mappings, so stacks beyond 30,000 have none, and an overflow there is not caught";
  f->remedy = "Linux 6.13";
}

void check_membarrier(struct finding *f) {
  bool works = thrumi_os_start();
  f->meaning = "entering and leaving the runtime needs no fence";
  set_value(f, works ? "works" : "not here, or forbidden");
  if (works) return;
  f->mark = MARK_SLOW;
  f->meaning = "each entry of the runtime needs a fence";
  f->remedy = "Linux 4.14, and a container whose filter allows membarrier(2)";
}

/* A word that has another value than expected is told at once, if the call is there. */
void check_waitv(struct finding *f) {
  thrumi_futex word = 1;
  const struct thrumi_waited_word waited = {.word = &word, .expected = 0, .shared = true};
  int error = thrumi_os.shared_wait_any(&waited, 1, 0);
  f->meaning = "shared locks hear of the death of their holder at once";
  set_value(f, "works");
  if (error == -EAGAIN) return;
  set_value(f, "%s", strerror(-error));
  f->mark = MARK_SLOW;
  f->meaning = "who waits for a shared lock or condition looks each millisecond";
  f->remedy = "Linux 5.16, and a container whose filter allows futex_waitv(2)";
}

void check_pidfd(struct finding *f) {
  int fd = thrumi_os.process_open(getpid());
  if (fd >= 0) close(fd);
  f->meaning = "processes are waited for without a thread each";
  set_value(f, "works");
  if (fd >= 0) return;
  set_value(f, "%s", strerror(-fd));
  f->mark = MARK_MISSING;
  f->meaning = "processes of thrum do not start";
  f->remedy = "Linux 5.4, and a container whose filter allows pidfd_open(2)";
}

void check_memfd(struct finding *f) {
  int fd = thrumi_os.memory_create(thrumi_os_page());
  if (fd >= 0) close(fd);
  f->meaning = "processes can share memory, however small /dev/shm is";
  set_value(f, "works");
  if (fd >= 0) return;
  set_value(f, "%s", strerror(-fd));
  f->mark = MARK_MISSING;
  f->meaning = "there is no shared memory, nor what lies in it";
  f->remedy = "a container whose filter allows memfd_create(2)";
}

void check_io_uring(struct finding *f) {
  long error = syscall(SYS_io_uring_setup, 0, NULL) < 0 ? errno : 0;
  set_value(f, error == ENOSYS ? "not in this kernel" : error == EPERM ? "forbidden" : "allowed");
  f->meaning = "thrum does without it";
}
