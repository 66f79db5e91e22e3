/* What the tests of executors of processes share. */
#ifndef TESTS_PROCESS_POOLS_H
#define TESTS_PROCESS_POOLS_H

#include "../descriptors.h"
#include "../forked.h"
#include "executors.h"

#include <signal.h>
#include <sys/stat.h>

static inline thrum_executor *processes_with(thrum_processes_options o) {
  thrum_executor *x;
  CHECK_EQ(thrum_executor_processes(&x, &o), 0);
  return x;
}

static inline thrum_executor *processes_of(int processes) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = processes;
  return processes_with(o);
}

static inline thrum_future *must_submit(thrum_executor *x, const thrum_task *task, const void *in,
                                        size_t size) {
  thrum_future *f;
  CHECK_EQ(thrum_submit_task(x, &f, task, in, size), 0);
  return f;
}

static inline thrum_future *submit_number(thrum_executor *x, const thrum_task *task, int number) {
  return must_submit(x, task, &number, sizeof number);
}

/* Its failure, with a sentence that has `part` in it. */
static inline void take_failure(thrum_future *f, int failure, const char *part) {
  intptr_t result = 0;
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK_EQ(result, failure);
  CHECK_HAS(thrum_future_failure(f), part);
  thrum_future_release(f);
}

static inline void end_pool(thrum_executor *x) {
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  CHECK_EQ(stats_of(x).threads, 0);
  thrum_executor_release(x);
}

static inline int number_in(const void *in) {
  int n;
  memcpy(&n, in, sizeof n);
  return n;
}

static inline bool is_there(pid_t pid) { return kill(pid, 0) == 0; }

/* Makes an empty file of a name of its own, in place of the X's. It is there until somebody takes it away, which is what tasks wait for. */
static inline void make_temporary(char *path) {
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  CHECK_EQ(close(fd), 0);
}

/* Of a file into which tasks write a byte each when they are there; -1: there is none. */
static inline off_t size_of(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 ? s.st_size : -1;
}

#endif
