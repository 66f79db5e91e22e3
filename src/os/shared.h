/* The part of the table of OS operations that concerns memory which processes share, as Linux gives it. */
#ifndef THRUMI_SHARED_H
#define THRUMI_SHARED_H

#include <os/os.h>

int thrumi_os_shared_wait(thrumi_futex *word, uint32_t expected, int64_t deadline);
int thrumi_os_shared_wake(thrumi_futex *word, int count);
int thrumi_os_shared_wait_any(const struct thrumi_waited_word *words, size_t n, int64_t deadline);
int thrumi_os_barrier_all(void);
int thrumi_os_robust(void *head, size_t size);
int thrumi_os_memory_create(size_t bytes);
int64_t thrumi_os_memory_size(int fd);
int thrumi_os_memory_commit(int fd, size_t start, size_t bytes);
void *thrumi_os_map(int fd, size_t bytes);
int thrumi_os_unmap(void *start, size_t bytes);
int thrumi_os_empty(void *start, size_t bytes);

#define THRUMI_OS_SHARED \
  .shared_wait = thrumi_os_shared_wait, .shared_wake = thrumi_os_shared_wake, \
  .shared_wait_any = thrumi_os_shared_wait_any, .barrier_all = thrumi_os_barrier_all, \
  .robust = thrumi_os_robust, .memory_create = thrumi_os_memory_create, \
  .memory_size = thrumi_os_memory_size, .memory_commit = thrumi_os_memory_commit, .map = thrumi_os_map, \
  .unmap = thrumi_os_unmap, .empty = thrumi_os_empty

#endif
