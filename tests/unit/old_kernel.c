/* The OS operations on a kernel that lacks epoll_pwait2, membarrier and guard markers: a filter of system
 * calls refuses them. */
#define _GNU_SOURCE
#include "../check.h"

#include <os/os.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

enum { GUARD_INSTALL = 102, MS = 1000000 };

static const struct thrumi_os *const os = &thrumi_os_linux;

#define LOAD_FIELD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, value)
#define IF_EQUAL(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1) /* else the next is left out */

/* The low half of the third argument; both machines are little-endian. */
static const struct sock_filter filter[] = {
    LOAD_FIELD(nr),
    IF_EQUAL(SYS_epoll_pwait2),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    IF_EQUAL(SYS_membarrier),
    ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
    LOAD_FIELD(args[2]),
    IF_EQUAL(GUARD_INSTALL),
    ANSWER(SECCOMP_RET_ERRNO | EINVAL),
    ANSWER(SECCOMP_RET_ALLOW),
};

static void become_old(void) {
  struct sock_fprog program = {sizeof filter / sizeof *filter, (struct sock_filter *)(uintptr_t)filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    CHECK_SKIP("no filters of system calls here");
}

static void epoll_keeps_time(void) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = 99};
  int epoll = os->epoll_create(), fd = os->event_create();
  CHECK(epoll >= 0 && fd >= 0);
  CHECK_EQ(os->epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
  errno = 12345;
  for (int i = 0; i < 3; i++) {
    int64_t start = os->now();
    CHECK_EQ(os->epoll_wait(epoll, &event, 1, MS / 5), 0);
    CHECK(os->now() - start >= MS / 5);
  }
  CHECK_EQ(os->epoll_wait(epoll, &event, 1, 0), 0);
  uint64_t one = 1;
  CHECK_EQ(os->write(fd, &one, sizeof one), 8);
  memset(&event, 0, sizeof event);
  CHECK_EQ(os->epoll_wait(epoll, &event, 1, -1), 1);
  CHECK_EQ(event.data.u64, 99);
  CHECK_EQ(errno, 12345);
  CHECK_EQ(syscall(SYS_epoll_pwait2, epoll, &event, 1, NULL, NULL, 0), -1); /* it was the other way indeed */
  CHECK_EQ(errno, ENOSYS);
}

int main(void) {
  become_old();
  CHECK(!thrumi_os_start());
  CHECK_EQ(os->barrier(), -ENOSYS);
  char *start = os->reserve(4 * thrumi_os_page());
  CHECK(start);
  CHECK_EQ(os->guard(start, thrumi_os_page()), -EINVAL);
  CHECK_EQ(os->protect(start, thrumi_os_page()), 0);
  start[thrumi_os_page()] = 1;
  CHECK_EQ(os->discard(start, 4 * thrumi_os_page()), 0);
  CHECK_EQ(start[thrumi_os_page()], 0);
  epoll_keeps_time();
  return 0;
}
