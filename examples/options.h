/* The options of a command line, by a table; each error is told exactly. */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <thrum/base.h>

enum option_kind {
  OPTION_FLAG,    /* --name: a bool */
  OPTION_TEXT,    /* --name=TEXT: a const char * */
  OPTION_NUMBER,  /* --name=N: an int64_t from `least` to `most` */
  OPTION_SECONDS, /* --name=S: a thrum_duration; S may have a fraction; from `least` to `most` seconds */
};

/* A table ends with a row of zeroes. */
struct option_row {
  const char *name;
  enum option_kind kind;
  void *to;
  int64_t least, most;
};

/* Reads the options, which come before the operands ("--" ends them), and checks that there are from `least` to `most` operands.
 * The index of the first operand; or it says on standard error what is wrong and how the program is used, and ends it
 * with status 2. With --help it prints `usage` and ends the program with status 0. */
int options_read(int argc, char **argv, const struct option_row *table, const char *usage, int least,
                 int most);

#endif
