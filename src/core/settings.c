#define _GNU_SOURCE
#include <core/settings.h>

#include <core/cgroup.h>

#include <ctype.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MS = 1000000, KERNEL_THREADS_LEAST = 16, KERNEL_THREADS_MOST = 1000 };

const char *thrumi_settings_root = "";

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
  return value < least ? least : value > most ? most : value;
}

/* ---- The machine --------------------------------------------------------------------------------------- */

static int64_t usable_cpus(void) {
  enum { CPUS = 8192 }; /* the most that Linux can be built for */
  cpu_set_t *set = CPU_ALLOC(CPUS);
  int64_t n = 0;
  if (set && sched_getaffinity(0, CPU_ALLOC_SIZE(CPUS), set) == 0) n = CPU_COUNT_S(CPU_ALLOC_SIZE(CPUS), set);
  CPU_FREE(set);
  return n > 0 ? n : sysconf(_SC_NPROCESSORS_ONLN);
}

static int64_t default_workers(void) {
  int64_t cpus = usable_cpus(), quota = thrumi_cgroup_cpus(thrumi_settings_root);
  return clamp(cpus < quota ? cpus : quota, 1, THRUMI_WORKERS_MAX);
}

/* Half of the limit: it counts the user's other processes, or the group's, too. */
static int64_t default_kernel_threads(void) {
  struct rlimit processes;
  int64_t limit = thrumi_cgroup_pids(thrumi_settings_root);
  if (getrlimit(RLIMIT_NPROC, &processes) == 0 && processes.rlim_cur < (rlim_t)limit)
    limit = (int64_t)processes.rlim_cur;
  return clamp(limit / 2, KERNEL_THREADS_LEAST, KERNEL_THREADS_MOST);
}

void thrumi_settings_default(struct thrumi_settings *settings) {
  *settings = (struct thrumi_settings){
      .workers = (int)default_workers(),
      .kernel_threads = (int)default_kernel_threads(),
      .stack_size = (size_t)256 << 10,
      .interval = 5 * MS,
  };
}

/* ---- The environment ----------------------------------------------------------------------------------- */

struct unit {
  const char *name;
  int64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit byte_units[] = {{"t", INT64_C(1) << 40}, {"g", 1 << 30}, {"m", 1 << 20},
                                         {"k", 1 << 10},          {"", 1},        {NULL, 0}};
static const struct unit time_units[] = {{"s", 1000 * MS}, {"ms", MS}, {"us", 1000}, {NULL, 0}};

struct variable {
  const char *name;
  const struct unit *units; /* the largest first */
  int64_t least, most;
  const char *allowed;
};

static const struct variable workers_variable = {
    .name = "THRUM_WORKERS",
    .units = no_units,
    .least = 1,
    .most = THRUMI_WORKERS_MAX,
    .allowed = "a number from 1 to 256",
};
static const struct variable interval_variable = {
    .name = "THRUM_INTERVAL",
    .units = time_units,
    .least = THRUMI_INTERVAL_MIN,
    .most = THRUMI_INTERVAL_MAX,
    .allowed = "a time from 100us to 10s, with us, ms or s after the number",
};
static const struct variable stack_variable = {
    .name = "THRUM_STACK",
    .units = byte_units,
    .least = (int64_t)THRUMI_STACK_SIZE_MIN,
    .most = (int64_t)THRUMI_STACK_SIZE_MAX,
    .allowed = "a size from 32k to 1t, in bytes or with k, m, g or t after the number",
};
static const struct variable kernel_threads_variable = {
    .name = "THRUM_KERNEL_THREADS",
    .units = no_units,
    .least = THRUMI_KERNEL_THREADS_MIN,
    .most = THRUMI_KERNEL_THREADS_MAX,
    .allowed = "a number from 4 to 100000",
};

/* Digits and a unit, and nothing else. False: not so, or outside of the limits. */
static bool parse(const struct variable *variable, const char *text, int64_t *out) {
  int64_t value = 0;
  if (!isdigit((unsigned char)*text)) return false;
  for (; isdigit((unsigned char)*text); text++)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *text - '0', &value))
      return false;
  const struct unit *unit = variable->units;
  while (unit->name && strcasecmp(unit->name, text) != 0) unit++;
  if (!unit->name || __builtin_mul_overflow(value, unit->factor, &value)) return false;
  *out = value;
  return value >= variable->least && value <= variable->most;
}

/* As one would write it in the variable: by the largest unit that needs no fraction. */
static void print_value(const struct variable *variable, int64_t value, char *text, size_t size) {
  const struct unit *unit = variable->units;
  while (unit[1].name && value % unit->factor != 0) unit++;
  snprintf(text, size, "%" PRId64 "%s", value / unit->factor, unit->name);
}

static void say_ignored(const char *name, const char *text, const char *allowed, const char *used,
                        void (*log)(const char *, size_t)) {
  char shown[41], line[256];
  snprintf(shown, sizeof shown, "%s", text);
  for (char *c = shown; *c; c++)
    if (!isprint((unsigned char)*c)) *c = '?';
  int length = snprintf(line, sizeof line, "thrum: %s=\"%s%s\" is ignored: it must be %s; using %s\n", name,
                        shown, strlen(text) < sizeof shown ? "" : "...", allowed, used);
  log(line, (size_t)length);
}

static void complain(const struct variable *variable, const char *text, int64_t kept,
                     void (*log)(const char *, size_t)) {
  char used[32];
  print_value(variable, kept, used, sizeof used);
  say_ignored(variable->name, text, variable->allowed, used, log);
}

/* Variables that name what is switched on, of which there is one thing each. */
enum { CHECK, INSPECT, PROFILE, STATS, SWITCHES };
static const struct {
  const char *name, *thing;
} switches[SWITCHES] = {[CHECK] = {"THRUM_CHECK", "locks"},
                        [INSPECT] = {"THRUM_INSPECT", "1"},
                        [PROFILE] = {"THRUM_PROFILE", "locks"},
                        [STATS] = {"THRUM_STATS", "1"}};

static bool read_switch(int which, void (*log)(const char *, size_t)) {
  const char *name = switches[which].name, *thing = switches[which].thing, *text = secure_getenv(name);
  if (!text || !*text) return false;
  if (strcasecmp(text, thing) == 0) return true;
  say_ignored(name, text, thing, "none", log);
  return false;
}

/* The variable's value, or `kept`. */
static int64_t read_variable(const struct variable *variable, int64_t kept,
                             void (*log)(const char *, size_t)) {
  int64_t value;
  const char *text = secure_getenv(variable->name);
  if (!text || !*text) return kept;
  if (parse(variable, text, &value)) return value;
  complain(variable, text, kept, log);
  return kept;
}

void thrumi_settings_environment(struct thrumi_settings *settings, void (*log)(const char *, size_t)) {
  settings->workers = (int)read_variable(&workers_variable, settings->workers, log);
  settings->interval = read_variable(&interval_variable, settings->interval, log);
  settings->stack_size = (size_t)read_variable(&stack_variable, (int64_t)settings->stack_size, log);
  settings->kernel_threads = (int)read_variable(&kernel_threads_variable, settings->kernel_threads, log);
  settings->check_locks = read_switch(CHECK, log);
  settings->profile_locks = read_switch(PROFILE, log);
  settings->stats = read_switch(STATS, log);
  settings->inspect = read_switch(INSPECT, log);
}

const char *thrumi_settings_objection(const char *name, const char *text) {
  const struct variable *const variables[] = {&workers_variable, &interval_variable, &stack_variable,
                                              &kernel_threads_variable};
  int64_t value;
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    if (strcmp(variables[i]->name, name) == 0)
      return parse(variables[i], text, &value) ? NULL : variables[i]->allowed;
  for (int i = 0; i < SWITCHES; i++)
    if (strcmp(switches[i].name, name) == 0)
      return strcasecmp(switches[i].thing, text) == 0 ? NULL : switches[i].thing;
  return NULL;
}
