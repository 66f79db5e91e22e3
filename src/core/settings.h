/* What the runtime starts with: from the machine, and on top of that from the environment.
 *
 *   variable              allowed                             default
 *   THRUM_WORKERS         1 to 256                            the CPUs of the affinity mask, at most the
 *                                                             cgroup's CPU quota rounded up
 *   THRUM_INTERVAL        100us to 10s, with us, ms or s      5ms
 *   THRUM_STACK           32k to 1t, bytes or k, m, g, t      256k
 *   THRUM_KERNEL_THREADS  4 to 100000                         half of what RLIMIT_NPROC and pids.max allow,
 *                                                             from 16 to 1000
 *   THRUM_CHECK           locks                               nothing is checked
 *   THRUM_PROFILE         locks                               nothing is profiled
 *   THRUM_STATS           1                                   the counters are not printed at the end
 *   THRUM_INSPECT         1                                   no socket for `thrum top`
 *
 * A variable that is set to nothing counts as not set. A program with raised privileges reads none. */
#ifndef THRUMI_SETTINGS_H
#define THRUMI_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  THRUMI_WORKERS_MAX = 256,
  THRUMI_KERNEL_THREADS_MIN = 4,
  THRUMI_KERNEL_THREADS_MAX = 100000,
};
#define THRUMI_INTERVAL_MIN INT64_C(100000) /* ns */
#define THRUMI_INTERVAL_MAX INT64_C(10000000000)
#define THRUMI_STACK_SIZE_MIN ((size_t)32 << 10)
#define THRUMI_STACK_SIZE_MAX ((size_t)1 << 40)

struct thrumi_settings {
  int workers;
  int kernel_threads;
  size_t stack_size;
  int64_t interval; /* ns */
  bool check_locks, profile_locks;
  bool stats; /* print the counters when the program ends */
  bool inspect;
};

void thrumi_settings_default(struct thrumi_settings *settings);

/* A value that cannot be right leaves the setting as it is, and `log` is told in one line. */
void thrumi_settings_environment(struct thrumi_settings *settings,
                                 void (*log)(const char *text, size_t length));

/* What the variable of that name must be, if the value is not right for it; NULL: it is, or there is no such variable. */
const char *thrumi_settings_objection(const char *name, const char *text);

/* Goes before /proc and /sys/fs/cgroup and every other path read here: "" but in tests. */
extern const char *thrumi_settings_root;

#endif
