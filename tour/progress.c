/* The line that tells how far a job is: done, found, the rate since the start, and what that makes of the rest. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 24 };

static void draw_bar(char *bar, double share) {
  int full = (int)(share * BAR);
  memset(bar, '.', BAR);
  memset(bar, '#', full > BAR ? BAR : full);
  bar[BAR] = '\0';
}

/* A file may be longer now than it was when it was found, and a pipe has no length. */
static size_t at_least(size_t found, size_t done) { return found > done ? found : done; }

void progress_show(const struct progress *p) {
  static int calls;
  bool terminal = isatty(STDOUT_FILENO);
  if (!terminal && ++calls % 5 != 0) return;
  size_t bytes_found = at_least(p->bytes_found, p->bytes), files_found = at_least(p->files_found, p->files);
  double rate = (double)p->bytes * 1e9 / (double)(thrum_now() - p->start + 1);
  double share = bytes_found ? (double)p->bytes / (double)bytes_found : 0;
  const char *unless_all_found = p->all_found ? "" : "at least ";
  char bar[BAR + 1];
  draw_bar(bar, share);
  if (terminal) thrum_print("\r\033[K  %s", bar);
  thrum_print("  %d %%, %zu of %s%zu files, %.0f MB/s", (int)(share * 100), p->files, unless_all_found,
              files_found, rate / 1e6);
  if (p->bytes > 0) thrum_print(", %s%.1f s left", unless_all_found, (double)(bytes_found - p->bytes) / rate);
  thrum_print(", %s%s", p->note, terminal ? "" : "\n");
  fflush(stdout); /* stdio would keep a line that has no end yet, and all that goes to a pipe */
}

void progress_hide(void) {
  if (isatty(STDOUT_FILENO)) thrum_print("\r\033[K");
}
