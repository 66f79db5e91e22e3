/* What `thrum timeline` shows and writes, of a model or straight from the events. */
#ifndef THRUM_TRACE_VIEWS_H
#define THRUM_TRACE_VIEWS_H

#include "file.h"
#include "model.h"

struct text_options {
  int width;      /* of a line, in columns */
  size_t threads; /* lanes of threads at most */
  bool colour;
};

/* Lanes of workers and threads as text, what they mean, and warnings. */
int write_lanes(const struct model *m, FILE *to, const struct text_options *options);

/* Tables: threads, locks and other objects, the critical path. As text, or as JSON. 0, or STATUS_FAILED after a message. */
int write_stats(const struct model *m, FILE *to, const struct text_options *options);
int write_stats_json(const struct model *m, FILE *to);

/* A line for each warning, after an empty one. */
void print_warnings(const struct model *m, FILE *to);

/* Prints what contradicts itself in the trace, and how much was looked at. 0: nothing does; STATUS_FAILED. */
int check_trace(struct trace *t, FILE *to);

/* Exports: rows as the events come, with memory for the threads alone. */
int write_chrome(struct trace *t, struct output *out);
int write_perfetto(struct trace *t, struct output *out);

/* Text of the program's own goes to terminals without its control characters. Into `buffer` as far as it has room, at most `columns`
 * characters; returns it. Bytes that are no UTF-8 become `?`. Stores how many columns it takes, if `taken` is given. */
const char *plain_text(const char *text, char *buffer, size_t size, int columns, int *taken);

#endif
