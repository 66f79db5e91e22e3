/* What the commands of `thrum` have in common.
 *
 * Each command is a function in a file of its own, found by its name in main.c. It reads its arguments by argp, whose
 * --help shows examples; prints results on standard output, and on failure one message on standard error: what is wrong with
 * which object, and what to do. */
#ifndef THRUM_COMMAND_H
#define THRUM_COMMAND_H

#include <stdio.h>

enum exit_status {
  STATUS_OK = 0,
  STATUS_FAILED = 1, /* what was asked for could not be done */
  STATUS_USAGE = 2,  /* it was not understood */
};

/* argv[0] is "thrum NAME", for messages. Returns the exit status. */
typedef int command_fn(int argc, char **argv);

command_fn dis_command, doctor_command, dump_command, new_command, run_command, timeline_command, top_command;

/* Why no timeline can be written to that path, in words that stay until the next call: its suffix. NULL: one can. */
const char *timeline_objection(const char *path);

/* Shows the trace as `thrum timeline` would: in `out`, or as text on standard output if that is "-". What comes before a damage or
 * a missing end is shown. Messages name the trace as it is `called`. 0, or STATUS_FAILED after a message. */
int timeline_show(const char *trace, const char *called, const char *out);

/* Prints "thrum NAME: message" and a newline on standard error; always STATUS_FAILED. NAME is the running command's. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for a warning after which the command goes on. */
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How many letters must be changed, added or dropped to make one name the other; SIZE_MAX for names of more than 63. */
size_t letters_apart(const char *a, const char *b);

/* A file that is whole or not there at all: written beside its place under a name of its own, and moved there at the end. A
 * signal that ends the process has that one removed before. A path of "-" is standard output. */
struct output {
  FILE *stream; /* to write to */
  const char *path;
  char *temporary;     /* NULL: standard output */
  struct output *next; /* of those that are open */
};

/* 0, or STATUS_FAILED after a message. */
int output_open(struct output *out, const char *path);

/* All is written: puts the file in its place. 0, or STATUS_FAILED after a message (a full disk); then nothing is left behind. */
int output_close(struct output *out);

/* Gives up: nothing is left behind. May follow a failed output_close. */
void output_discard(struct output *out);

/* Whether to use colours on that stream: a terminal, and NO_COLOR is not set. */
int wants_colour(FILE *stream);

#endif
