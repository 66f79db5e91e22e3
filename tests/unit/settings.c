/* What the runtime starts with: control groups of all sorts in a made-up file system, and the environment. */
#define _GNU_SOURCE
#include "../check.h"

#include <core/cgroup.h>
#include <core/settings.h>

#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* ---- A tree of files ----------------------------------------------------------------------------------- */

static char root[] = "/tmp/thrum-settings-XXXXXX";

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk) {
  (void)status, (void)type, (void)walk;
  return remove(path);
}

static void remove_tree(void) { nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void new_tree(void) {
  remove_tree();
  CHECK_EQ(mkdir(root, 0700), 0);
}

static void put(const char *name, const char *text) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s%s", root, name);
  for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    mkdir(path, 0700);
  }
  FILE *file = fopen(path, "w");
  CHECK(file);
  fputs(text, file);
  fclose(file);
}

static void new_v2(const char *group) {
  char line[PATH_MAX];
  new_tree();
  snprintf(line, sizeof line, "0::%s\n", group);
  put("/proc/self/cgroup", line);
  put("/proc/self/mountinfo",
      "22 27 0:21 / /proc rw,nosuid - proc proc rw\n"
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
}

static void new_v1(const char *group, const char *mount_root) {
  char line[PATH_MAX];
  new_tree();
  snprintf(line, sizeof line, "9:name=systemd:/\n8:pids:%s\n7:cpuset:/other\n2:cpu,cpuacct:%s\n0::/\n", group,
           group);
  put("/proc/self/cgroup", line);
  snprintf(line, sizeof line,
           "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
           "32 31 0:29 %s /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
           "33 31 0:30 %s /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
           "34 31 0:31 %s /sys/fs/cgroup/pids rw shared:9 master:1 - cgroup cgroup rw,pids\n",
           mount_root, mount_root, mount_root);
  put("/proc/self/mountinfo", line);
}

static void v1_quota(const char *group, const char *quota, const char *period) {
  char name[PATH_MAX];
  snprintf(name, sizeof name, "/sys/fs/cgroup/cpu,cpuacct%s/cpu.cfs_quota_us", group);
  put(name, quota);
  snprintf(name, sizeof name, "/sys/fs/cgroup/cpu,cpuacct%s/cpu.cfs_period_us", group);
  put(name, period);
}

/* ---- Control groups ------------------------------------------------------------------------------------ */

static void no_groups_no_limits(void) {
  new_tree();
  CHECK_EQ(thrumi_cgroup_cpus(root), INT64_MAX);
  CHECK_EQ(thrumi_cgroup_pids(root), INT64_MAX);
  new_v2("/");
  CHECK_EQ(thrumi_cgroup_cpus(root), INT64_MAX);
  CHECK_EQ(thrumi_cgroup_pids(root), INT64_MAX);
}

static int64_t v2_cpus(const char *cpu_max) {
  new_v2("/app");
  put("/sys/fs/cgroup/app/cpu.max", cpu_max);
  return thrumi_cgroup_cpus(root);
}

static void v2_quota_is_rounded_up(void) {
  CHECK_EQ(v2_cpus("200000 100000\n"), 2);
  CHECK_EQ(v2_cpus("200001 100000\n"), 3);
  CHECK_EQ(v2_cpus("1000 100000\n"), 1);
  CHECK_EQ(v2_cpus("150000 50000\n"), 3);
  CHECK_EQ(v2_cpus("max 100000\n"), INT64_MAX);
}

static void v2_garbage_is_no_limit(void) {
  static const char *const garbage[] = {"",         "\n",  "-5 100000",  "0 100000", "100000",
                                        "100000 0", "x y", "100000 max", "100000 -1"};
  for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) CHECK_EQ(v2_cpus(garbage[i]), INT64_MAX);
}

static void lowest_of_all_ancestors_counts(void) {
  new_v2("/a/b/c");
  put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
  put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  put("/sys/fs/cgroup/a/b/pids.max", "77\n");
  put("/sys/fs/cgroup/a/b/c/pids.max", "max\n");
  put("/sys/fs/cgroup/x/cpu.max", "100000 100000\n"); /* a sibling */
  CHECK_EQ(thrumi_cgroup_cpus(root), 3);
  CHECK_EQ(thrumi_cgroup_pids(root), 77);
}

static void limit_at_the_mount_point_counts(void) {
  new_v2("/"); /* as in a container with a namespace of its own */
  put("/sys/fs/cgroup/cpu.max", "250000 100000\n");
  put("/cpu.max", "100000 100000\n"); /* above the mount point */
  CHECK_EQ(thrumi_cgroup_cpus(root), 3);
}

static void path_out_of_sight_is_the_mount_point(void) {
  new_v2("/../../elsewhere");
  put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), 4);
}

static void v1_is_understood(void) {
  new_v1("/a/b", "/");
  v1_quota("/a/b", "-1\n", "100000\n");
  v1_quota("/a", "350000\n", "100000\n");
  v1_quota("", "-1\n", "100000\n");
  put("/sys/fs/cgroup/pids/a/b/pids.max", "50\n");
  put("/sys/fs/cgroup/cpuset/other/cpu.cfs_quota_us", "100000\n");
  put("/sys/fs/cgroup/cpuset/other/cpu.cfs_period_us", "100000\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), 4);
  CHECK_EQ(thrumi_cgroup_pids(root), 50);
}

static void v1_garbage_is_no_limit(void) {
  new_v1("/a", "/");
  v1_quota("/a", "100000\n", "0\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), INT64_MAX);
  v1_quota("/a", "100000\n", "none\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), INT64_MAX);
  put("/proc/self/cgroup", "garbage\n::\n4:cpu\n\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), INT64_MAX);
  put("/proc/self/mountinfo", "garbage\n - \n - cgroup\n1 2 3 - cgroup cgroup rw,cpu\n");
  put("/proc/self/cgroup", "2:cpu,cpuacct:/a\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), INT64_MAX);
}

/* In a container the host's path is bind-mounted: the mount's root is the group. */
static void v1_mount_of_a_part(void) {
  new_v1("/docker/abc/x", "/docker/abc");
  v1_quota("/x", "600000\n", "100000\n");
  v1_quota("", "500000\n", "100000\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), 5);
  new_v1("/docker/abcdef", "/docker/abc"); /* not below it */
  v1_quota("", "200000\n", "100000\n");
  v1_quota("/def", "100000\n", "100000\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), 2);
}

static void hybrid_takes_the_lower(void) {
  new_v1("/a", "/");
  v1_quota("/a", "500000\n", "100000\n");
  put("/proc/self/cgroup", "2:cpu,cpuacct:/a\n0::/u\n");
  char line[PATH_MAX];
  snprintf(line, sizeof line,
           "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
           "34 31 0:31 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n");
  put("/proc/self/mountinfo", line);
  put("/sys/fs/cgroup/uni fied/u/cpu.max", "200000 100000\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), 2);
  v1_quota("/a", "100000\n", "100000\n");
  CHECK_EQ(thrumi_cgroup_cpus(root), 1);
}

/* ---- Defaults ------------------------------------------------------------------------------------------ */

static struct thrumi_settings defaults(void) {
  struct thrumi_settings settings;
  thrumi_settings_default(&settings);
  return settings;
}

static void workers_follow_affinity_and_quota(void) {
  new_tree();
  cpu_set_t all, one;
  CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  CHECK_EQ(defaults().workers, CPU_COUNT(&all) < 256 ? CPU_COUNT(&all) : 256);
  CHECK_EQ(defaults().interval, 5000000);
  CHECK_EQ(defaults().stack_size, 262144);
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
    if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
  CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  CHECK_EQ(defaults().workers, 1);
  CHECK_EQ(sched_setaffinity(0, sizeof all, &all), 0);
  v2_cpus("5000 100000\n");
  CHECK_EQ(defaults().workers, 1);
}

static int kernel_threads_with(const char *pids_max) {
  new_v2("/");
  put("/sys/fs/cgroup/pids.max", pids_max);
  return defaults().kernel_threads;
}

static void kernel_threads_follow_the_limits(void) {
  struct rlimit before, unlimited;
  CHECK_EQ(getrlimit(RLIMIT_NPROC, &before), 0);
  unlimited = before;
  unlimited.rlim_cur = before.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NPROC, &unlimited), 0);
  if (before.rlim_max == RLIM_INFINITY || before.rlim_max >= 2000) {
    CHECK_EQ(kernel_threads_with("max\n"), 1000);
    CHECK_EQ(kernel_threads_with("9999999\n"), 1000);
    CHECK_EQ(kernel_threads_with("300\n"), 150);
  }
  CHECK_EQ(kernel_threads_with("10\n"), 16);
  if (before.rlim_max >= 200) {
    struct rlimit low = {.rlim_cur = 200, .rlim_max = before.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_NPROC, &low), 0);
    CHECK_EQ(kernel_threads_with("max\n"), 100);
    CHECK_EQ(kernel_threads_with("60\n"), 30);
  }
  CHECK_EQ(setrlimit(RLIMIT_NPROC, &before), 0);
}

/* ---- The environment ----------------------------------------------------------------------------------- */

static char logged[4096];

static void log_line(const char *text, size_t length) {
  CHECK_EQ(strlen(text), length);
  CHECK(strlen(logged) + length < sizeof logged);
  strcat(logged, text);
}

static const struct thrumi_settings given = {
    .workers = 2, .kernel_threads = 500, .stack_size = 300 << 10, .interval = 1500000};

static struct thrumi_settings with(const char *name, const char *value) {
  struct thrumi_settings settings = given;
  logged[0] = 0;
  setenv(name, value, 1);
  thrumi_settings_environment(&settings, log_line);
  unsetenv(name);
  return settings;
}

static void good_values_are_taken(void) {
  CHECK_EQ(with("THRUM_WORKERS", "1").workers, 1);
  CHECK_EQ(with("THRUM_WORKERS", "256").workers, 256);
  CHECK_EQ(with("THRUM_WORKERS", "").workers, 2);
  CHECK_EQ(with("THRUM_INTERVAL", "100us").interval, 100000);
  CHECK_EQ(with("THRUM_INTERVAL", "7ms").interval, 7000000);
  CHECK_EQ(with("THRUM_INTERVAL", "10s").interval, INT64_C(10000000000));
  CHECK_EQ(with("THRUM_STACK", "32k").stack_size, 32 << 10);
  CHECK_EQ(with("THRUM_STACK", "2M").stack_size, 2 << 20);
  CHECK_EQ(with("THRUM_STACK", "1g").stack_size, 1 << 30);
  CHECK_EQ(with("THRUM_STACK", "1t").stack_size, INT64_C(1) << 40);
  CHECK_EQ(with("THRUM_STACK", "65536").stack_size, 65536);
  CHECK_EQ(with("THRUM_KERNEL_THREADS", "4").kernel_threads, 4);
  CHECK_EQ(with("THRUM_KERNEL_THREADS", "100000").kernel_threads, 100000);
  CHECK_STR(logged, "");
}

static void bad_values_are_named(void) {
  with("THRUM_WORKERS", "many");
  CHECK_STR(logged, "thrum: THRUM_WORKERS=\"many\" is ignored: it must be a number from 1 to 256; using 2\n");
  with("THRUM_INTERVAL", "5");
  CHECK_STR(logged,
            "thrum: THRUM_INTERVAL=\"5\" is ignored: it must be a time from 100us to 10s, with us, ms or s "
            "after the number; using 1500us\n");
  with("THRUM_STACK", "16k");
  CHECK_STR(
      logged,
      "thrum: THRUM_STACK=\"16k\" is ignored: it must be a size from 32k to 1t, in bytes or with k, m, g "
      "or t after the number; using 300k\n");
  with("THRUM_KERNEL_THREADS", "3");
  CHECK_STR(
      logged,
      "thrum: THRUM_KERNEL_THREADS=\"3\" is ignored: it must be a number from 4 to 100000; using 500\n");
  with("THRUM_WORKERS", "1\n\033[2J0123456789012345678901234567890123456789");
  CHECK_STR(logged,
            "thrum: THRUM_WORKERS=\"1??[2J0123456789012345678901234567890123...\" is ignored: it must be a "
            "number from 1 to 256; using 2\n");
}

static void bad_values_change_nothing(void) {
  static const char *const bad[] = {
      "0",       "-1", "257",    "1.5", " 1", "1 ",  "0x10", "99999999999999999999999", "10us", "99us", "11s",
      "10001ms", "5m", "100001", "5h",  "2t", "31k", "ms",   "18446744073709551617"};
  static const char *const names[] = {"THRUM_WORKERS", "THRUM_INTERVAL", "THRUM_KERNEL_THREADS",
                                      "THRUM_STACK"};
  for (size_t n = 0; n < 4; n++)
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
      bool allowed = (n == 2 && strcmp(bad[i], "257") == 0) || (n == 3 && strcmp(bad[i], "5m") == 0) ||
                     (n == 3 && strcmp(bad[i], "100001") == 0);
      struct thrumi_settings settings = with(names[n], bad[i]);
      CHECK_EQ(memcmp(&settings, &given, sizeof given) == 0, !allowed);
      CHECK_EQ(logged[0] != 0, !allowed);
      CHECK_EQ(thrumi_settings_objection(names[n], bad[i]) != NULL, !allowed);
    }
}

static void objections(void) {
  CHECK_STR(thrumi_settings_objection("THRUM_WORKERS", "many"), "a number from 1 to 256");
  CHECK_STR(thrumi_settings_objection("THRUM_CHECK", "1"), "locks");
  CHECK(!thrumi_settings_objection("THRUM_CHECK", "locks"));
  CHECK(!thrumi_settings_objection("THRUM_INTERVAL", "7ms"));
  CHECK(!thrumi_settings_objection("OTHER", "many"));
}

int main(void) {
  CHECK(mkdtemp(root));
  thrumi_settings_root = root;
  unsetenv("THRUM_WORKERS");
  unsetenv("THRUM_INTERVAL");
  unsetenv("THRUM_STACK");
  unsetenv("THRUM_KERNEL_THREADS");
  no_groups_no_limits();
  v2_quota_is_rounded_up();
  v2_garbage_is_no_limit();
  lowest_of_all_ancestors_counts();
  limit_at_the_mount_point_counts();
  path_out_of_sight_is_the_mount_point();
  v1_is_understood();
  v1_garbage_is_no_limit();
  v1_mount_of_a_part();
  hybrid_takes_the_lower();
  workers_follow_affinity_and_quota();
  kernel_threads_follow_the_limits();
  good_values_are_taken();
  bad_values_are_named();
  bad_values_change_nothing();
  objections();
  remove_tree();
  return 0;
}
