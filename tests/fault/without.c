/* Systems that lack a call: a filter refuses it from the start. The workload goes on without it, or the
 * program says what is missing and aborts. */
#include "../child.h"
#include "../support.h"

#include "workload.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

enum { ANY = -1 };

/* Refuses the call, if its first argument is that (or ANY), with an error. */
static void refuse(long call, long first, int error) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)first, 0, first == ANY ? 0 : 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
    CHECK_SKIP("no system call filters here");
}

static int work(void) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  setenv("THRUM_WORKERS", "2", 1);
  for (int round = 0; round < 3; round++)
    for (const struct step *step = workload; step->name; step++) {
      fprintf(stderr, "step: %s\n", step->name);
      CHECK_EQ(step->run(), 0);
    }
  return 0;
}

static int without_membarrier(void) {
  refuse(SYS_membarrier, ANY, ENOSYS);
  return work();
}

static int membarrier_forbidden(void) {
  refuse(SYS_membarrier, ANY, EPERM);
  return work();
}

static int without_epoll_pwait2(void) {
  refuse(SYS_epoll_pwait2, ANY, ENOSYS);
  return work();
}

static int epoll_pwait2_forbidden(void) {
  refuse(SYS_epoll_pwait2, ANY, EPERM);
  return work();
}

static int without_fault_handler(void) {
  refuse(SYS_rt_sigaction, SIGSEGV, EINVAL);
  return work();
}

static int without_dump_handler(void) {
  refuse(SYS_rt_sigaction, SIGQUIT, EINVAL);
  return work();
}

static int without_preemption_signal(void) {
  refuse(SYS_rt_sigaction, SIGURG, EINVAL);
  return work();
}

static int without_signal_stacks(void) {
  refuse(SYS_sigaltstack, ANY, ENOMEM);
  return work();
}

static int without_kernel_threads(void) {
  refuse(SYS_clone, ANY, EAGAIN);
  refuse(SYS_clone3, ANY, EAGAIN);
  return work();
}

static const struct child_case cases[] = {
    {"without-membarrier", without_membarrier},
    {"membarrier-forbidden", membarrier_forbidden},
    {"without-epoll-pwait2", without_epoll_pwait2},
    {"epoll-pwait2-forbidden", epoll_pwait2_forbidden},
    {"without-fault-handler", without_fault_handler},
    {"without-dump-handler", without_dump_handler},
    {"without-preemption-signal", without_preemption_signal},
    {"without-signal-stacks", without_signal_stacks},
    {"without-kernel-threads", without_kernel_threads},
    {0},
};

static void goes_on(const char *name) {
  struct child child = child_run(name);
  if (child.status == CHECK_SKIPPED) CHECK_SKIP("no system call filters here");
  if (child.status) fprintf(stderr, "%s\n", name);
  CHECK_STATUS(child, 0);
  child_free(&child);
}

static void aborts(const char *name, const char *message) {
  struct child child = child_run(name);
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, message);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  goes_on("without-membarrier");
  goes_on("membarrier-forbidden");
  goes_on("without-epoll-pwait2");
  goes_on("epoll-pwait2-forbidden");
  goes_on("without-dump-handler");
  aborts("without-preemption-signal", "thrum: signal 23 cannot be handled");
  aborts("without-kernel-threads", "thrum: no kernel threads to be had");
  if (TESTS_SANITIZED) return 0; /* they need these themselves */
  goes_on("without-fault-handler");
  goes_on("without-signal-stacks");
  return 0;
}
