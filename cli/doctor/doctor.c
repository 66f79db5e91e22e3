/* thrum doctor: what this machine offers to thrum, and what to change. */
#include "doctor.h"

#include "../command.h"

#include <argp.h>
#include <core/settings.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const struct {
  const char *name;
  check_fn *check;
} checks[] = {
    {"kernel", check_kernel},
    {"guard markers", check_guards},
    {"membarrier", check_membarrier},
    {"futex_waitv", check_waitv},
    {"pidfd", check_pidfd},
    {"memfd", check_memfd},
    {"io_uring", check_io_uring},
    {"CPUs", check_cpus},
    {"CPU quota", check_quota},
    {"clock", check_clock},
    {"large pages", check_large_pages},
    {"overcommit", check_overcommit},
    {"mappings", check_maps},
    {"kernel threads", check_kernel_threads},
    {"open files", check_descriptors},
    {"pending signals", check_signals},
    {"stack", check_stack},
    {"address space", check_address_space},
    {"core files", check_cores},
    {"ptrace", check_ptrace},
    {"perf", check_perf},
};
enum { CHECKS = sizeof checks / sizeof *checks };

static const char *const mark_names[] = {"ok", "slow", "missing"};

/* ---- What checks use ---------------------------------------------------------------------------------------- */

static const char *root = ""; /* goes before paths */

bool read_line(const char *path, char *out, size_t size) {
  char below[4096];
  if (snprintf(below, sizeof below, "%s%s", root, path) >= (int)sizeof below) return false;
  FILE *file = fopen(below, "re");
  bool read = file && fgets(out, (int)size, file);
  if (file) fclose(file);
  if (read) out[strcspn(out, "\n")] = 0;
  return read;
}

bool read_number(const char *path, long long *out) {
  char line[64], *end;
  if (!read_line(path, line, sizeof line)) return false;
  *out = strtoll(line, &end, 10);
  return end != line && !*end;
}

void set_value(struct finding *f, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(f->value, sizeof f->value, format, args);
  va_end(args);
}

/* ---- As text ------------------------------------------------------------------------------------------------ */

static void print_finding(const struct finding *f) {
  static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};
  bool colour = wants_colour(stdout);
  printf("%s%-7s%s  %-15s  %s: %s", colour ? colours[f->mark] : "", mark_names[f->mark],
         colour ? "\033[0m" : "", f->name, f->value, f->meaning);
  if (f->remedy) printf("; to change: %s", f->remedy);
  putchar('\n');
}

static void print_text(const struct finding found[CHECKS], const struct utsname *machine) {
  int count[3] = {0};
  printf("thrum " VERSION " on %s\n", machine->machine);
  for (int i = 0; i < CHECKS; i++) {
    print_finding(&found[i]);
    count[found[i].mark]++;
  }
  printf("%d ok, %d slow, %d missing\n", count[MARK_OK], count[MARK_SLOW], count[MARK_MISSING]);
}

/* ---- As JSON ------------------------------------------------------------------------------------------------ */

static void add_text(struct json_object *object, const char *key, const char *text) {
  json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

static void print_json(const struct finding found[CHECKS], const struct utsname *machine) {
  struct json_object *all = json_object_new_object(), *list = json_object_new_array();
  add_text(all, "version", VERSION);
  add_text(all, "machine", machine->machine);
  for (int i = 0; i < CHECKS; i++) {
    struct json_object *one = json_object_new_object();
    add_text(one, "name", found[i].name);
    add_text(one, "mark", mark_names[found[i].mark]);
    add_text(one, "value", found[i].value);
    add_text(one, "meaning", found[i].meaning);
    add_text(one, "remedy", found[i].remedy);
    json_object_array_add(list, one);
  }
  json_object_object_add(all, "findings", list);
  puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
  json_object_put(all);
}

/* ---- The command -------------------------------------------------------------------------------------------- */

static const char doc[] =
    "Says, a line each, what this machine and this user's limits offer to programs that use thrum. A line begins with `ok`, with "
    "`slow` for what works less well than it could, or with `missing` for what does not work, and says what that means and what "
    "to change."
    "\v"
    "Examples:\n"
    "  thrum doctor\n"
    "  thrum doctor | grep -v ^ok\n"
    "  thrum doctor --json | jq -r '.findings[] | select(.mark != \"ok\") | .remedy'\n";

static const struct argp_option options[] = {{"json", 'j', NULL, 0, "Print it as JSON", 0}, {0}};

static error_t parse(int key, char *argument, struct argp_state *state) {
  bool *json = state->input;
  switch (key) {
  case 'j': *json = true; return 0;
  case ARGP_KEY_ARG: argp_error(state, "%s: no argument is needed", argument); return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

int doctor_command(int argc, char **argv) {
  const struct argp argp = {.options = options, .parser = parse, .doc = doc};
  const char *other_root = getenv("THRUM_DOCTOR_ROOT");
  struct finding found[CHECKS];
  struct utsname machine;
  bool json = false;
  argp_parse(&argp, argc, argv, 0, NULL, &json);
  if (other_root) root = thrumi_settings_root = other_root;
  uname(&machine);
  for (int i = 0; i < CHECKS; i++) {
    found[i] = (struct finding){.name = checks[i].name};
    checks[i].check(&found[i]);
  }
  (json ? print_json : print_text)(found, &machine);
  return fflush(stdout) == 0 ? STATUS_OK : fail("standard output: it cannot be written");
}
