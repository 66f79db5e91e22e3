/* thrum: the command. It finds the command that its first argument names, and hands the rest over. */
#include "command.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>

struct command {
  const char *name, *summary;
  command_fn *run;
};

/* In the order of --help. */
static const struct command commands[] = {
#ifdef HAVE_RUN
    {"run", "compile a C program and run it", run_command},
#endif
#ifdef HAVE_NEW
    {"new", "make a project that builds", new_command},
#endif
#ifdef HAVE_DOCTOR
    {"doctor", "say what this machine offers, and what to change", doctor_command},
#endif
#ifdef HAVE_TIMELINE
    {"timeline", "show what a program's threads did, from its trace", timeline_command},
#endif
#ifdef HAVE_DIS
    {"dis", "show where in a function a switch may fall", dis_command},
#endif
#ifdef HAVE_TOP
    {"top", "watch the threads of a running program", top_command},
#endif
#ifdef HAVE_DUMP
    {"dump", "print what each thread of a program does", dump_command},
#endif
    {NULL, NULL, NULL},
};

static void print_help(FILE *to) {
  fprintf(to, "Usage: thrum COMMAND [ARGUMENT...]\n\n");
  for (const struct command *c = commands; c->name; c++)
    fprintf(to, "  thrum %-9s %s\n", c->name, c->summary);
  fprintf(to, "\n`thrum COMMAND --help` tells more, with examples; `man thrum-COMMAND` all.\n");
}

static const struct command *find(const char *name) {
  for (const struct command *c = commands; c->name; c++)
    if (strcmp(c->name, name) == 0) return c;
  return NULL;
}

/* The one that was meant, if a slip or two make it that: NULL. */
static const struct command *nearest(const char *name) {
  const struct command *best = NULL;
  size_t least = 3;
  for (const struct command *c = commands; c->name; c++) {
    size_t d = letters_apart(c->name, name);
    if (d < least && d < strlen(c->name)) best = c, least = d;
  }
  return best;
}

static int unknown(const char *name) {
  const struct command *meant = nearest(name);
  fprintf(stderr, "thrum: there is no command `%s`", name);
  if (meant) fprintf(stderr, "; is `%s` meant?", meant->name);
  fprintf(stderr, "%s`thrum --help` lists them\n", meant ? " " : "; ");
  return STATUS_USAGE;
}

static int run(const struct command *c, int argc, char **argv) {
  char name[40];
  snprintf(name, sizeof name, "thrum %s", c->name);
  argv[0] = program_invocation_name = name;
  argp_err_exit_status = STATUS_USAGE;
  return c->run(argc, argv);
}

/* thrum help COMMAND is thrum COMMAND --help. */
static int help(const char *name) {
  const struct command *c = name ? find(name) : NULL;
  if (name && !c) return unknown(name);
  char option[] = "--help", *args[] = {NULL, option, NULL};
  if (c) return run(c, 2, args);
  print_help(stdout);
  return STATUS_OK;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_help(stderr);
    return STATUS_USAGE;
  }
  if (strcmp(argv[1], "help") == 0) return help(argv[2]);
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return help(NULL);
  if (strcmp(argv[1], "--version") == 0) {
    puts("thrum " VERSION);
    return STATUS_OK;
  }
  const struct command *c = find(argv[1]);
  return c ? run(c, argc - 1, argv + 1) : unknown(argv[1]);
}
