#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command_line {
  const char *program, *usage;
};

static THRUM_NORETURN THRUM_PRINTF(2, 3) void refuse(const struct command_line *c, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "%s: ", c->program);
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n%s", c->usage);
  va_end(arguments);
  exit(2);
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static const struct option_row *find(const struct option_row *table, const char *name, size_t length) {
  for (; table->name; table++) {
    if (strlen(table->name) == length && memcmp(table->name, name, length) == 0) return table;
  }
  return NULL;
}

static void take_number(const struct command_line *c, const struct option_row *row, const char *value) {
  char *end;
  errno = 0;
  long long n = strtoll(value, &end, 10);
  if (end == value || *end || errno || n < row->least || n > row->most)
    refuse(c, "--%s=%s: not a whole number from %jd to %jd", row->name, value, (intmax_t)row->least,
           (intmax_t)row->most);
  *(int64_t *)row->to = n;
}

static void take_seconds(const struct command_line *c, const struct option_row *row, const char *value) {
  char *end;
  double s = strtod(value, &end);
  if (end == value || *end || !isfinite(s) || s < (double)row->least || s > (double)row->most)
    refuse(c, "--%s=%s: not a number of seconds from %jd to %jd", row->name, value, (intmax_t)row->least,
           (intmax_t)row->most);
  *(thrum_duration *)row->to = THRUM_S(s);
}

static void take(const struct command_line *c, const struct option_row *row, const char *value) {
  switch (row->kind) {
  case OPTION_FLAG: *(bool *)row->to = true; break;
  case OPTION_TEXT: *(const char **)row->to = value; break;
  case OPTION_NUMBER: take_number(c, row, value); break;
  case OPTION_SECONDS: take_seconds(c, row, value); break;
  }
}

/* Takes the option argv[at], and its value from the next argument if it has no '='. How many arguments it took. */
static int read_one(const struct command_line *c, const struct option_row *table, int at, char **argv) {
  const char *name = argv[at] + 2, *equals = strchr(name, '=');
  size_t length = equals ? (size_t)(equals - name) : strlen(name);
  const struct option_row *row = find(table, name, length);
  if (!row) refuse(c, "%s: no such option", argv[at]);
  if (row->kind == OPTION_FLAG && equals) refuse(c, "--%s takes no value", row->name);
  bool next = row->kind != OPTION_FLAG && !equals;
  if (next && !argv[at + 1]) refuse(c, "--%s lacks its value", row->name);
  take(c, row, next ? argv[at + 1] : equals ? equals + 1 : NULL);
  return next ? 2 : 1;
}

int options_read(int argc, char **argv, const struct option_row *table, const char *usage, int least,
                 int most) {
  struct command_line c = {base_name(argv[0]), usage};
  int at = 1;
  while (at < argc && strncmp(argv[at], "-", 1) == 0 && strcmp(argv[at], "--") != 0) {
    if (strcmp(argv[at], "--help") == 0) {
      printf("%s", usage);
      exit(0);
    }
    if (strncmp(argv[at], "--", 2) != 0) refuse(&c, "%s: no such option", argv[at]);
    at += read_one(&c, table, at, argv);
  }
  if (at < argc && strcmp(argv[at], "--") == 0) at++;
  if (argc - at < least) refuse(&c, "something is missing");
  if (argc - at > most) refuse(&c, "%s: one argument too many", argv[at + most]);
  return at;
}
