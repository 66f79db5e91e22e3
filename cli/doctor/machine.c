/* The machine, and how much of it there is for us. */
#include "doctor.h"

#include <core/cgroup.h>
#include <core/settings.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int affinity(void) {
  enum { CPUS = 8192 }; /* the most that Linux can be built for */
  cpu_set_t *set = CPU_ALLOC(CPUS);
  int n = 0;
  if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS), set) == 0) n = CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS), set);
  CPU_FREE(set);
  return n;
}

void check_cpus(struct finding *f) {
  struct thrumi_settings settings;
  thrumi_settings_default(&settings);
  set_value(f, "%d of %ld usable, %d worker%s", affinity(), sysconf(_SC_NPROCESSORS_ONLN), settings.workers,
            settings.workers == 1 ? "" : "s");
  f->meaning = "so many threads run at once";
  if (settings.workers > 1) return;
  f->mark = MARK_SLOW;
  f->meaning = "threads take turns, and never run at once";
  f->remedy = "more CPUs: see taskset(1) and the CPU quota";
}

void check_quota(struct finding *f) {
  int64_t quota = thrumi_cgroup_cpus(thrumi_settings_root);
  f->meaning = "workers are not stopped by it";
  set_value(f, "none");
  if (quota == INT64_MAX) return;
  set_value(f, "%" PRId64 " CPU%s, rounded up", quota, quota == 1 ? "" : "s");
  f->meaning = "thrum starts no more workers than that";
  if (quota >= affinity()) return;
  f->mark = MARK_SLOW;
  f->meaning =
      "thrum starts no more workers than that, but what else runs in the group can use the quota up, and then all stop";
  f->remedy = "a larger quota (cpu.max of the cgroup), or the affinity mask in its place";
}

/* Those that the vDSO reads. */
static bool is_fast_clock(const char *name) {
  static const char *const fast[] = {"tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page"};
  for (size_t i = 0; i < sizeof fast / sizeof *fast; i++)
    if (strcmp(name, fast[i]) == 0) return true;
  return false;
}

void check_clock(struct finding *f) {
  char name[64];
  f->meaning = "asking for the time costs no system call";
  if (!read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", name, sizeof name))
    strcpy(name, "unknown");
  set_value(f, "%s", name);
  if (is_fast_clock(name)) return;
  f->mark = MARK_SLOW;
  f->meaning = "each look at the clock is a system call, so timers, deadlines and traces cost more";
  f->remedy = "why the kernel left the TSC is in dmesg; tsc=reliable on its command line keeps it";
}

/* The file has all choices, the one that holds in brackets. */
void check_large_pages(struct finding *f) {
  char line[120], *chosen = NULL;
  if (read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line)) chosen = strchr(line, '[');
  f->meaning = "the tables of a million threads take few faults";
  set_value(f, "%.*s", chosen ? (int)strcspn(chosen + 1, "]") : 4, chosen ? chosen + 1 : "none");
  if (chosen && strncmp(chosen, "[never]", 7) != 0) return;
  f->mark = MARK_SLOW;
  f->meaning = "the first use of each 4 KiB of the runtime's tables is a fault";
  f->remedy = "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled";
}

void check_overcommit(struct finding *f) {
  long long mode;
  f->meaning = "stacks cost memory only where they were used";
  if (!read_number("/proc/sys/vm/overcommit_memory", &mode)) mode = 0;
  set_value(f, "vm.overcommit_memory=%lld", mode);
  if (mode != 2) return;
  f->mark = MARK_SLOW;
  f->meaning = "each light thread counts as its whole stack of 256 KiB, so far fewer can be started";
  f->remedy = "sysctl vm.overcommit_memory=0, or smaller stacks by THRUM_STACK";
}

void check_maps(struct finding *f) {
  enum { USUAL = 65530 };
  long long count;
  f->meaning = "more than thrum needs for a million threads with guard markers, or 30,000 without";
  if (!read_number("/proc/sys/vm/max_map_count", &count)) count = USUAL;
  set_value(f, "vm.max_map_count=%lld", count);
  if (count >= USUAL) return;
  f->mark = MARK_SLOW;
  f->meaning = "without guard markers each stack takes two of these, and programs need some themselves";
  f->remedy = "sysctl vm.max_map_count=65530";
}
