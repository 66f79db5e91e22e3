/* For tests that fork: under AddressSanitizer a child looks for no leaks. There are only the stacks of threads that are gone to hold what
 * was in use, and one of these may have held the allocator's lock. */
#ifndef TESTS_FORKED_H
#define TESTS_FORKED_H

#include "support.h"

#include <sys/wait.h>

#if TESTS_ASAN && !defined(TESTS_FORKED_ELSEWHERE) /* which all files but one of a program define */
static pid_t forked_from;
__attribute__((constructor)) static void note_who_forks(void) { forked_from = getpid(); }
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return getpid() != forked_from; }
#endif

static inline void in_a_process_of_its_own(int (*test)(void)) {
  int status = -1;
  pid_t child = fork();
  if (child == 0) exit(test());
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
}

#endif
