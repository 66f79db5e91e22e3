/* What this user's processes may do. A limit is the soft one, which programs start with. */
#include "doctor.h"

#include <core/settings.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* In the finding's value, as "ulimit -X" says it: divided by `unit`. Returns the limit; RLIM_INFINITY: none. */
static rlim_t read_limit(struct finding *f, int resource, rlim_t unit, const char *of) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0) limit.rlim_cur = RLIM_INFINITY;
  if (limit.rlim_cur == RLIM_INFINITY)
    set_value(f, "unlimited");
  else
    set_value(f, "%ju %s", (uintmax_t)(limit.rlim_cur / unit), of);
  return limit.rlim_cur;
}

static void slow(struct finding *f, const char *meaning, const char *remedy) {
  f->mark = MARK_SLOW;
  f->meaning = meaning;
  f->remedy = remedy;
}

static void missing(struct finding *f, const char *meaning, const char *remedy) {
  slow(f, meaning, remedy);
  f->mark = MARK_MISSING;
}

/* Of the limits for processes and of pids.max the library takes half. */
void check_kernel_threads(struct finding *f) {
  enum { ENOUGH = 1000 };
  struct thrumi_settings settings;
  thrumi_settings_default(&settings);
  set_value(f, "%d for thrum", settings.kernel_threads);
  f->meaning = "so many threads may be preempted or blocked in plain calls at a time";
  if (settings.kernel_threads < ENOUGH)
    slow(
        f,
        "when so many threads have been preempted or block in plain calls, no other one is preempted until one of them goes on",
        "ulimit -u, pids.max of the cgroup, or THRUM_KERNEL_THREADS");
}

void check_descriptors(struct finding *f) {
  enum { ENOUGH = 4096 };
  f->meaning = "a server can hold so many connections";
  if (read_limit(f, RLIMIT_NOFILE, 1, "open files") < ENOUGH)
    slow(f, "a server can hold no more connections than that",
         "ulimit -n 65536, or LimitNOFILE= of its service");
}

void check_signals(struct finding *f) {
  enum { ENOUGH = 64 };
  f->meaning = "signals that a program queues arrive";
  if (read_limit(f, RLIMIT_SIGPENDING, 1, "pending signals") < ENOUGH)
    slow(f, "preemption works, but signals from SIGRTMIN on may be lost", "ulimit -i 1000");
}

void check_stack(struct finding *f) {
  enum { ENOUGH = 1 << 20 };
  f->meaning = "that of main; light threads have stacks of their own";
  if (read_limit(f, RLIMIT_STACK, 1024, "KiB") < ENOUGH)
    slow(f, "main overflows its stack early, which light threads do not: they have stacks of their own",
         "ulimit -s 8192");
}

void check_address_space(struct finding *f) {
  f->meaning = "the runtime reserves tables and stacks long before it uses them";
  if (read_limit(f, RLIMIT_AS, 1 << 20, "MiB") != RLIM_INFINITY)
    slow(f, "the runtime reserves tables and stacks long before it uses them, so there can be fewer threads",
         "ulimit -v unlimited; what limits use is memory.max of the cgroup");
}

void check_cores(struct finding *f) {
  char pattern[100];
  rlim_t limit = read_limit(f, RLIMIT_CORE, 1024, "KiB");
  if (!read_line("/proc/sys/kernel/core_pattern", pattern, sizeof pattern))
    snprintf(pattern, sizeof pattern, "core");
  bool piped = *pattern == '|'; /* then the limit does not count, unless it is 1 */
  set_value(f, "%s%s",
            limit == 0 && !piped ? "none, would be "
            : piped              ? "go to "
                                 : "",
            piped ? pattern + 1 : pattern);
  f->meaning = "after a crash every thread can be looked at";
  if (limit == 0 && !piped) missing(f, "after a crash there is nothing to look at", "ulimit -c unlimited");
}

void check_ptrace(struct finding *f) {
  long long scope;
  f->meaning = "debuggers may attach to programs that run";
  if (!read_number("/proc/sys/kernel/yama/ptrace_scope", &scope)) scope = 0;
  set_value(f, "kernel.yama.ptrace_scope=%lld", scope);
  if (scope == 1)
    slow(f, "gdb -p and strace -p attach for root only; others start the program in the debugger",
         "sysctl kernel.yama.ptrace_scope=0");
  if (scope > 1)
    missing(f, scope == 2 ? "debuggers are for root only" : "debuggers do not work",
            scope == 2 ? "sysctl kernel.yama.ptrace_scope=0"
                       : "kernel.yama.ptrace_scope below 3 from the start: it cannot be lowered");
}

void check_perf(struct finding *f) {
  long long paranoid;
  f->meaning = "perf sees where the time goes";
  if (!read_number("/proc/sys/kernel/perf_event_paranoid", &paranoid)) {
    set_value(f, "not in this kernel");
    missing(f, "perf does not work", "a kernel with CONFIG_PERF_EVENTS");
    return;
  }
  set_value(f, "kernel.perf_event_paranoid=%lld", paranoid);
  if (paranoid == 2)
    slow(f, "perf sees programs, but not what the kernel does for them, unless root runs it",
         "sysctl kernel.perf_event_paranoid=1");
  if (paranoid > 2) missing(f, "perf is for root only", "sysctl kernel.perf_event_paranoid=1");
}
