/* Messages, colours, and files that are whole or not there: see command.h. */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *kind, const char *format, va_list args) {
  fprintf(stderr, "%s: %s", program_invocation_name, kind);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
}

int fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  say("", format, args);
  va_end(args);
  return STATUS_FAILED;
}

void warn(const char *format, ...) {
  va_list args;
  va_start(args, format);
  say("warning: ", format, args);
  va_end(args);
}

int wants_colour(FILE *stream) {
  const char *no = getenv("NO_COLOR");
  return isatty(fileno(stream)) && !(no && *no);
}

/* ---- Names that are nearly right ------------------------------------------------------------------------------ */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t letters_apart(const char *a, const char *b) {
  size_t row[64], la = strlen(a), lb = strlen(b);
  if (la > 63 || lb > 63) return SIZE_MAX;
  for (size_t j = 0; j <= lb; j++) row[j] = j;
  for (size_t i = 1; i <= la; i++) {
    size_t before = row[0];
    row[0] = i;
    for (size_t j = 1; j <= lb; j++) {
      size_t changed = before + (a[i - 1] != b[j - 1]);
      before = row[j];
      row[j] = smaller(changed, smaller(row[j], row[j - 1]) + 1);
    }
  }
  return row[lb];
}

/* ---- What is temporary, when a signal ends us ----------------------------------------------------------------- */

static const int ends[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ};
enum { ENDS = sizeof ends / sizeof *ends };

static struct output *unfinished; /* changed while those signals are blocked */

/* Sent again, it comes when this returns: it is blocked as long. */
static void on_end(int signo) {
  for (struct output *o = unfinished; o; o = o->next) unlink(o->temporary);
  signal(signo, SIG_DFL);
  raise(signo);
}

/* Those that are ignored, or already somebody's, stay so. */
static void handle_ends(void) {
  static int handled;
  struct sigaction now, ours = {.sa_handler = on_end};
  if (handled++) return;
  sigemptyset(&ours.sa_mask);
  for (int i = 0; i < ENDS; i++) sigaddset(&ours.sa_mask, ends[i]);
  for (int i = 0; i < ENDS; i++)
    if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(ends[i], &ours, NULL);
}

static void block_ends(sigset_t *before) {
  sigset_t all;
  sigemptyset(&all);
  for (int i = 0; i < ENDS; i++) sigaddset(&all, ends[i]);
  sigprocmask(SIG_BLOCK, &all, before);
}

/* A file of that name, which a signal does not leave behind: -1 with errno. */
static int make_temporary(struct output *out) {
  sigset_t before;
  handle_ends();
  block_ends(&before);
  int fd = mkstemp(out->temporary), error = errno;
  if (fd >= 0) {
    out->next = unfinished;
    unfinished = out;
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return fd;
}

/* It is in its place, or removed. */
static void forget_temporary(struct output *out) {
  sigset_t before;
  struct output **at = &unfinished;
  block_ends(&before);
  while (*at && *at != out) at = &(*at)->next;
  if (*at) *at = out->next;
  sigprocmask(SIG_SETMASK, &before, NULL);
  free(out->temporary);
  out->temporary = NULL;
}

/* ---- Output ------------------------------------------------------------------------------------------------- */

int output_open(struct output *out, const char *path) {
  *out = (struct output){.stream = stdout, .path = path};
  if (strcmp(path, "-") == 0) return 0;
  if (asprintf(&out->temporary, "%s.XXXXXX", path) < 0) return fail("%s: no memory", path);
  int fd = make_temporary(out);
  out->stream = fd < 0 ? NULL : fdopen(fd, "w");
  if (out->stream) return 0;
  int error = errno;
  if (fd >= 0) {
    close(fd);
    unlink(out->temporary);
  }
  forget_temporary(out);
  return fail("%s: cannot be written: %s", path, strerror(error));
}

/* mkstemp's are for the owner alone; a new file is as the umask has it. */
static int give_mode(int fd) {
  mode_t mask = umask(0);
  umask(mask);
  return fchmod(fd, 0666 & ~mask);
}

int output_close(struct output *out) {
  int error = 0;
  if (fflush(out->stream) != 0 || ferror(out->stream)) error = errno;
  if (!out->temporary) return error ? fail("standard output: %s", strerror(error)) : 0;
  if (!error && give_mode(fileno(out->stream)) != 0) error = errno;
  if (fclose(out->stream) != 0 && !error) error = errno;
  out->stream = NULL;
  if (!error && rename(out->temporary, out->path) != 0) error = errno;
  if (error) unlink(out->temporary);
  forget_temporary(out);
  return error ? fail("%s: not written: %s", out->path, strerror(error)) : 0;
}

void output_discard(struct output *out) {
  if (!out->temporary) return;
  fclose(out->stream);
  unlink(out->temporary);
  forget_temporary(out);
  *out = (struct output){0};
}
