/* What the tests of processes share. */
#ifndef TESTS_PROCESSES_H
#define TESTS_PROCESSES_H

#include "../support.h"

#include <signal.h>
#include <sys/wait.h>

static const int methods[] = {THRUM_FORKSERVER, THRUM_SPAWN, THRUM_FORK};
#define EACH_METHOD(m) (int m##_at = 0, m = methods[0]; m##_at < 3; m = methods[++m##_at < 3 ? m##_at : 0])

static inline thrum_process_options with_method(int method) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.method = method;
  return o;
}

static inline thrum_process *must_start_with(const thrum_process_options *o, const thrum_task *task,
                                             const void *in, size_t size) {
  thrum_process *p = NULL;
  CHECK_EQ(thrum_process_start(&p, o, task, in, size), 0);
  CHECK(p);
  return p;
}

static inline thrum_process *must_start(int method, const thrum_task *task, const void *in, size_t size) {
  thrum_process_options o = with_method(method);
  return must_start_with(&o, task, in, size);
}

/* Its exit code; the handle stays. */
static inline int must_end(thrum_process *p) {
  int code = -1000;
  CHECK_EQ(thrum_process_join(p, &code), 0);
  return code;
}

/* Joins it, wants `code`, and releases it. */
static inline void must_end_with(thrum_process *p, int code) {
  CHECK_EQ(must_end(p), code);
  thrum_process_release(p);
}

#endif
