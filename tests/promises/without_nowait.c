/* Runs a program as if on a kernel without preadv2 and pwritev2: `without_nowait PROGRAM`. */
#include "../check.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IF_CALL(number, then, otherwise) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(number), then, otherwise)

int main(int argc, char **argv) {
  CHECK_EQ(argc, 2);
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      IF_CALL(SYS_preadv2, 1, 0),
      IF_CALL(SYS_pwritev2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
    CHECK_SKIP("no system call filters here");
  execv(argv[1], argv + 1);
  return 1;
}
