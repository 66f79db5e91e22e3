/* How far a job is that finds its work while it does it. */
#ifndef TOUR_PROGRESS_H
#define TOUR_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include <thrum.h>

struct progress {
  thrum_time start;
  size_t files, bytes;             /* that are done */
  size_t files_found, bytes_found; /* so far */
  bool all_found;
  const char *note; /* comes last */
};

/* On a terminal: redraws one line, with a bar. Elsewhere: a line of its own, for each fifth call. */
void progress_show(const struct progress *p);

/* Before something else is printed. */
void progress_hide(void);

#endif
