/* Messages, colours, and files that are whole or not there: see command.h. */
#include "command.h"

#include <errno.h>
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

/* ---- Output ------------------------------------------------------------------------------------------------- */

int output_open(struct output *out, const char *path) {
  *out = (struct output){.stream = stdout, .path = path};
  if (strcmp(path, "-") == 0) return 0;
  if (asprintf(&out->temporary, "%s.XXXXXX", path) < 0) return fail("%s: no memory", path);
  int fd = mkstemp(out->temporary);
  out->stream = fd < 0 ? NULL : fdopen(fd, "w");
  if (out->stream) return 0;
  int error = errno;
  if (fd >= 0) {
    close(fd);
    unlink(out->temporary);
  }
  free(out->temporary);
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
  free(out->temporary);
  out->temporary = NULL;
  return error ? fail("%s: not written: %s", out->path, strerror(error)) : 0;
}

void output_discard(struct output *out) {
  if (!out->temporary) return;
  fclose(out->stream);
  unlink(out->temporary);
  free(out->temporary);
  *out = (struct output){0};
}
