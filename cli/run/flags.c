/* What a compiler has to be told: see flags.h.
 *
 * The library that belongs to this very command goes before any other: that of the build tree which it lies in, by the files that
 * Meson writes for such use, or that of the prefix which it is installed below, wherever that has been moved to. Only a command
 * that has no library beside it takes what pkg-config finds by itself. */
#include "flags.h"

#include "../command.h"
#include "build.h"
#include "folder.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the .pc files are that belong to this command. */
struct place {
  char folder[PATH_MAX]; /* "": there are none */
  char prefix[PATH_MAX]; /* "": as the files say */
};

static bool is_readable(const char *folder, const char *name) {
  char path[2 * PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return access(path, R_OK) == 0;
}

/* BUILD/cli/thrum: there are BUILD/meson-uninstalled/NAME-uninstalled.pc. */
static bool find_build_tree(const char *bin, struct place *out) {
  int length = snprintf(out->folder, sizeof out->folder, "%s/../meson-uninstalled", bin);
  return length < (int)sizeof out->folder && is_readable(out->folder, "thrum-uninstalled.pc");
}

/* PREFIX/BINDIR/thrum: there are PREFIX/LIBDIR/pkgconfig/NAME.pc. */
static bool find_installed(const char *bin, struct place *out) {
  size_t length = strlen(bin), end = strlen("/" BINDIR);
  if (length < end || strcmp(bin + length - end, "/" BINDIR) != 0) return false;
  snprintf(out->prefix, sizeof out->prefix, "%.*s", (int)(length - end), bin);
  int wrote = snprintf(out->folder, sizeof out->folder, "%s/" LIBDIR "/pkgconfig", out->prefix);
  return wrote < (int)sizeof out->folder && is_readable(out->folder, "thrum.pc");
}

static void find_place(struct place *out) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  const char *bin = dirname(path);
  *out = (struct place){0};
  if (find_build_tree(bin, out)) return;
  if (!find_installed(bin, out)) *out = (struct place){0};
}

/* ---- Asking pkg-config -------------------------------------------------------------------------------------- */

struct asking {
  struct words command; /* pkg-config, and what holds for each question */
  char *answer;         /* the file that it writes to */
};

enum { ANSWER_MAX = 16384 };

/* The answer goes to that file. */
static enum tool_end ask(const struct asking *asking, const char *what, const struct words *packages) {
  struct words command = {0};
  words_add_all(&command, &asking->command);
  words_add(&command, what);
  words_add_all(&command, packages);
  enum tool_end end = build_tool(&command, asking->answer, NULL,
                                 "install it (Debian: apt install pkg-config), or name it in PKG_CONFIG");
  words_free(&command);
  return end;
}

static enum tool_end ask_text(const struct asking *asking, const char *what, const struct words *packages,
                              char text[ANSWER_MAX]) {
  enum tool_end end = ask(asking, what, packages);
  FILE *file = fopen(asking->answer, "re");
  size_t length = file ? fread(text, 1, ANSWER_MAX - 1, file) : 0;
  while (length && text[length - 1] == '\n') length--;
  text[length] = 0;
  if (file) fclose(file);
  if (end == TOOL_FAILED) fail("pkg-config does not tell how to use thrum");
  return end;
}

static enum tool_end ask_words(const struct asking *asking, const char *what, const struct words *packages,
                               struct words *out) {
  char text[ANSWER_MAX];
  enum tool_end end = ask_text(asking, what, packages, text);
  words_split(out, text);
  return end;
}

/* The files for the build tree leave the folder of the public headers out, but tell where the sources are. */
static enum tool_end add_headers(const struct asking *asking, struct words *compile) {
  char source[ANSWER_MAX + sizeof "/include"];
  struct words thrum = {0};
  words_add(&thrum, "thrum");
  enum tool_end end = ask_text(asking, "--variable=srcdir", &thrum, source);
  words_free(&thrum);
  if (*source) words_join(compile, "-I", strcat(source, "/include"));
  return end;
}

/* A program finds its libraries where the linker did. */
static void add_run_paths(struct words *link) {
  for (size_t i = 0, count = link->count; i < count; i++)
    if (strncmp(link->word[i], "-L", 2) == 0) words_join(link, "-Wl,-rpath,", link->word[i] + 2);
}

/* Which of them are there. */
static enum tool_end find_packages(const struct asking *asking, struct words *out) {
  static const char *const names[] = {"thrum", "thrum-dump", "thrum-auth"};
  enum tool_end end = TOOL_OK;
  for (size_t i = 0; i < sizeof names / sizeof *names && end != TOOL_ABSENT; i++) {
    struct words one = {0};
    words_add(&one, names[i]);
    end = ask(asking, "--exists", &one);
    if (end == TOOL_OK) words_add_all(out, &one);
    words_free(&one);
  }
  if (end == TOOL_ABSENT) return end;
  if (out->count && strcmp(out->word[0], "thrum") == 0) return TOOL_OK;
  fail("pkg-config finds no thrum.pc: install thrum, or name the folder of that file in PKG_CONFIG_PATH");
  return TOOL_FAILED;
}

static int ask_all(const struct asking *asking, struct flags *out) {
  struct words packages = {0};
  bool good = find_packages(asking, &packages) == TOOL_OK && add_headers(asking, &out->compile) == TOOL_OK &&
              ask_words(asking, "--cflags", &packages, &out->compile) == TOOL_OK &&
              ask_words(asking, "--libs", &packages, &out->link) == TOOL_OK;
  add_run_paths(&out->link);
  words_free(&packages);
  return good ? 0 : STATUS_FAILED;
}

/* What the program itself gets as PKG_CONFIG_PATH is what we got. */
static int ask_in_place(const struct place *place, const struct asking *asking, struct flags *out) {
  const char *path = getenv("PKG_CONFIG_PATH");
  char *former = path ? strdup(path) : NULL, *with;
  if (asprintf(&with, "%s%s%s", place->folder, former ? ":" : "", former ? former : "") < 0)
    return fail("no memory");
  if (*place->folder) setenv("PKG_CONFIG_PATH", with, 1);
  int status = ask_all(asking, out);
  if (former)
    setenv("PKG_CONFIG_PATH", former, 1);
  else
    unsetenv("PKG_CONFIG_PATH");
  free(former);
  free(with);
  return status;
}

int flags_find(struct flags *out) {
  struct place place;
  struct asking asking = {.answer = folder_path(".flags")};
  const char *tool = getenv("PKG_CONFIG");
  find_place(&place);
  words_split(&asking.command, tool && *tool ? tool : "pkg-config");
  if (*place.prefix) words_join(&asking.command, "--define-variable=prefix=", place.prefix);
  int status = ask_in_place(&place, &asking, out);
  words_free(&asking.command);
  free(asking.answer);
  return status;
}
