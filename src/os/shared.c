/* Memory that processes share, and futexes in it. */
#define _GNU_SOURCE
#include <os/descriptors.h>
#include <os/quietly.h>
#include <os/shared.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u /* from 6.3 on; some systems are set to want it */
#endif

enum { SECOND = 1000000000 };

static struct timespec until(int64_t deadline) {
  if (deadline < 0) deadline = 0;
  return (struct timespec){.tv_sec = (time_t)(deadline / SECOND), .tv_nsec = (long)(deadline % SECOND)};
}

/* Without FUTEX_PRIVATE_FLAG: the kernel finds the word by its page, whoever maps that, wherever. */
int thrumi_os_shared_wait(thrumi_futex *word, uint32_t expected, int64_t deadline) {
  struct timespec then = until(deadline);
  return (int)QUIETLY(syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                              deadline == INT64_MAX ? NULL : &then, NULL, FUTEX_BITSET_MATCH_ANY));
}

/* The kernel's struct futex_waitv, which C libraries and headers of today lack; it takes times of 64 bits on every machine. */
struct waited_word {
  uint64_t value, address;
  uint32_t flags, reserved;
};
enum { WORD_OF_32_BITS = 2, WORD_IS_PRIVATE = 128 };

int thrumi_os_shared_wait_any(const struct thrumi_waited_word *words, size_t n, int64_t deadline) {
  struct waited_word waited[THRUMI_WAITED_MAX];
  struct timespec then = until(deadline);
  for (size_t i = 0; i < n; i++)
    waited[i] = (struct waited_word){.value = words[i].expected,
                                     .address = (uintptr_t)words[i].word,
                                     .flags = WORD_OF_32_BITS | (words[i].shared ? 0 : WORD_IS_PRIVATE)};
  return (int)QUIETLY(
      syscall(SYS_futex_waitv, waited, n, 0, deadline == INT64_MAX ? NULL : &then, CLOCK_MONOTONIC));
}

int thrumi_os_shared_wake(thrumi_futex *word, int count) {
  return (int)QUIETLY(syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0));
}

int thrumi_os_barrier_all(void) { return (int)QUIETLY(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0)); }

int thrumi_os_robust(void *head, size_t size) {
  return (int)QUIETLY(syscall(SYS_set_robust_list, head, size));
}

/* Sealed: nobody, in whatever process, can make a page go away under somebody who reads it. */
int thrumi_os_memory_create(size_t bytes) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = (int)QUIETLY(memfd_create("thrum", flags | MFD_NOEXEC_SEAL));
  if (fd == -EINVAL) fd = (int)QUIETLY(memfd_create("thrum", flags));
  fd = thrumi_os_beyond_standard(fd);
  if (fd < 0) return fd;
  int error = (int)QUIETLY(ftruncate(fd, (off_t)bytes));
  if (!error) error = (int)QUIETLY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
  if (!error) return fd;
  QUIETLY(close(fd));
  return error;
}

/* Of one that memory_create made; -EINVAL: of anything else. */
int64_t thrumi_os_memory_size(int fd) {
  long seals = QUIETLY(fcntl(fd, F_GET_SEALS));
  if (seals == -EBADF) return -EBADF;
  if (seals < 0 || ~seals & (F_SEAL_SHRINK | F_SEAL_GROW)) return -EINVAL;
  struct stat about;
  long error = QUIETLY(fstat(fd, &about));
  return error ? error : (int64_t)about.st_size;
}

int thrumi_os_memory_commit(int fd, size_t start, size_t bytes) {
  return (int)QUIETLY(fallocate(fd, 0, (off_t)start, (off_t)bytes));
}

void *thrumi_os_map(int fd, size_t bytes) {
  int errno_before = errno;
  void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  errno = errno_before;
  return start == MAP_FAILED ? NULL : start;
}

int thrumi_os_unmap(void *start, size_t bytes) { return (int)QUIETLY(munmap(start, bytes)); }

int thrumi_os_empty(void *start, size_t bytes) { return (int)QUIETLY(madvise(start, bytes, MADV_REMOVE)); }
