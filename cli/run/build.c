/* From source files to a program.
 *
 * Each source is compiled by itself and the objects are linked, by the C compiler, or by the C++ compiler if there is C++ among them.
 * Programs are built for being looked at: with lines for debuggers and dumps, with frame pointers, without the optimisations that
 * make their steps unrecognisable, and with warnings. CC, CFLAGS and the like mean what they mean to make, and come last, so
 * that they win.
 *
 * Rejected: keeping what was built, found again by a hash of its sources. Headers that they include would have to be part of the
 * hash, which only the compiler knows; CC="ccache cc" does it right. */
#include "build.h"

#include "../command.h"
#include "flags.h"
#include "folder.h"
#include "process.h"

#include <errno.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum source_kind source_kind(const char *path) {
  static const struct {
    const char *suffix;
    enum source_kind kind;
  } suffixes[] = {
      {".c", SOURCE_C},      {".s", SOURCE_C},      {".S", SOURCE_C},       {".cc", SOURCE_CXX},
      {".cpp", SOURCE_CXX},  {".cxx", SOURCE_CXX},  {".c++", SOURCE_CXX},   {".C", SOURCE_CXX},
      {".o", SOURCE_OBJECT}, {".a", SOURCE_OBJECT}, {".so", SOURCE_OBJECT},
  };
  const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
  for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
    if (strcmp(dot, suffixes[i].suffix) == 0) return suffixes[i].kind;
  return SOURCE_UNKNOWN;
}

/* ---- Tools -------------------------------------------------------------------------------------------------- */

static _Noreturn void die(int signal) {
  folder_remove();
  process_die(signal);
}

static enum tool_end crashed(const char *tool, int signal) {
  if (process_is_interrupt(signal)) die(signal);
  fail("%s was killed by signal %d (%s)", tool, signal, strsignal(signal));
  return TOOL_ABSENT;
}

enum tool_end build_tool(const struct words *command, const char *out, const char *err, const char *remedy) {
  const struct process_streams streams = {.in = "/dev/null", .out = out, .err = err};
  const char *tool = command->word[0];
  int status, error = process_run(command->word, &streams, PROCESS_TOOL, &status);
  if (error) {
    fail("%s does not start: %s; %s", tool, strerror(-error), remedy);
    return TOOL_ABSENT;
  }
  if (WIFSIGNALED(status)) return crashed(tool, WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? TOOL_OK : TOOL_FAILED;
}

int build_apart(int (*work)(void *), void *arg) {
  int status, error = process_do(work, arg, &status);
  if (error) return fail("no process for what is to be done: %s", strerror(-error));
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  int signal = WTERMSIG(status);
  if (process_is_interrupt(signal) || signal == SIGPIPE) die(signal);
  return fail("was killed by signal %d (%s)", signal, strsignal(signal));
}

/* ---- Compiling ---------------------------------------------------------------------------------------------- */

/* Of C and of C++. */
struct language {
  const char *variable, *compiler, *flags, *remedy;
};

static const struct language languages[] = {
    [SOURCE_C] = {"CC", "cc", "CFLAGS", "install a C compiler (Debian: apt install gcc), or name it in CC"},
    [SOURCE_CXX] = {"CXX", "c++", "CXXFLAGS",
                    "install a C++ compiler (Debian: apt install g++), or name it in CXX"},
};

/* The compiler with what both of its uses need. */
static void begin(const struct language *language, struct words *command) {
  const char *named = getenv(language->variable);
  words_split(command, named);
  if (!command->count) words_add(command, language->compiler);
  words_split(command, "-g -O1 -fno-omit-frame-pointer -pthread " SANITIZE);
}

static enum tool_end run(const struct build *build, const struct language *language,
                         const struct words *command, const char *err) {
  if (build->verbose) {
    char *text = words_text(command);
    fprintf(stderr, "%s\n", text);
    free(text);
  }
  return build_tool(command, NULL, err, language->remedy);
}

static int compile(const struct build *build, const char *source, const struct flags *flags,
                   const char *object) {
  const struct language *language = &languages[source_kind(source)];
  struct words command = {0};
  begin(language, &command);
  words_split(&command, "-Wall -Wextra");
  words_add_all(&command, &flags->compile);
  words_split(&command, getenv("CPPFLAGS"));
  words_split(&command, getenv(language->flags));
  words_split(&command, "-c -o");
  words_add(&command, object);
  words_add(&command, source);
  enum tool_end end = run(build, language, &command, NULL);
  words_free(&command);
  if (end == TOOL_FAILED) fail("%s does not compile", source);
  return end == TOOL_OK ? 0 : STATUS_FAILED;
}

/* ---- Linking ------------------------------------------------------------------------------------------------ */

static const struct language *linker(const struct build *build) {
  for (size_t i = 0; i < build->sources.count; i++)
    if (source_kind(build->sources.word[i]) == SOURCE_CXX) return &languages[SOURCE_CXX];
  return &languages[SOURCE_C];
}

/* What the linker said, and what to do about it. */
static void explain(const char *messages) {
  char *line = NULL;
  size_t room = 0;
  bool no_main = false, undefined = false;
  FILE *file = fopen(messages, "re");
  while (file && getline(&line, &room, file) > 0) {
    fputs(line, stderr);
    bool here = strstr(line, "undefined reference to") || strstr(line, "undefined symbol");
    undefined |= here;
    no_main |= here && (strstr(line, "`main'") || strstr(line, ": main\n"));
  }
  if (file) fclose(file);
  free(line);
  if (no_main)
    fail("no file that was named has a function main; name the one that has it, too");
  else if (undefined)
    fail(
        "something that the program uses is not defined; name its file too, or its library in LDLIBS, such as "
        "LDLIBS=-lcurl");
  else
    fail("the program cannot be linked");
}

/* What the linker complains of is looked at, so it speaks English. */
static enum tool_end run_linker(const struct build *build, const struct language *language,
                                const struct words *command, const char *messages) {
  const char *locale = getenv("LC_ALL");
  char *former = locale ? strdup(locale) : NULL;
  setenv("LC_ALL", "C", 1);
  enum tool_end end = run(build, language, command, messages);
  if (former)
    setenv("LC_ALL", former, 1);
  else
    unsetenv("LC_ALL");
  free(former);
  return end;
}

static int link_program(const struct build *build, const struct words *objects, const struct flags *flags) {
  const struct language *language = linker(build);
  char *messages = folder_path(".messages");
  struct words command = {0};
  begin(language, &command);
  words_split(&command, getenv(language->flags));
  words_split(&command, getenv("LDFLAGS"));
  words_add(&command, "-o");
  words_add(&command, build->program);
  words_add_all(&command, objects);
  words_split(&command, getenv("LDLIBS"));
  words_add_all(&command, &flags->link);
  words_add(&command, "-lm");
  enum tool_end end = run_linker(build, language, &command, messages);
  if (end == TOOL_FAILED) explain(messages);
  words_free(&command);
  free(messages);
  return end == TOOL_OK ? 0 : STATUS_FAILED;
}

/* ---- All of it ---------------------------------------------------------------------------------------------- */

/* The name of the first file, without its suffix. */
static char *name_program(const char *source) {
  char *copy = strdup(source), *name = copy ? basename(copy) : NULL;
  if (!name) exit(fail("no memory"));
  char *dot = strrchr(name, '.');
  if (dot && dot > name) *dot = 0;
  char *program = folder_path(name);
  free(copy);
  return program;
}

static int compile_all(const struct build *build, const struct flags *flags, struct words *objects) {
  int status = 0;
  for (size_t i = 0; i < build->sources.count && !status; i++) {
    const char *source = build->sources.word[i];
    char name[32];
    snprintf(name, sizeof name, ".%zu.o", i);
    char *object = folder_path(name);
    bool is_object = source_kind(source) == SOURCE_OBJECT;
    words_add(objects, is_object ? source : object);
    if (!is_object) status = compile(build, source, flags, object);
    free(object);
  }
  return status;
}

int build_program(struct build *build) {
  struct flags flags = {0};
  struct words objects = {0};
  int status = folder_make();
  if (status) return status;
  build->program = name_program(build->sources.word[0]);
  status = flags_find(&flags);
  if (!status) status = compile_all(build, &flags, &objects);
  if (!status) status = link_program(build, &objects, &flags);
  words_free(&objects);
  words_free(&flags.compile);
  words_free(&flags.link);
  return status;
}

static bool copy(FILE *from, FILE *to) {
  char part[65536];
  for (size_t n; (n = fread(part, 1, sizeof part, from)) > 0;)
    if (fwrite(part, 1, n, to) != n) break;
  return !ferror(from) && !ferror(to);
}

int build_keep(const struct build *build, const char *path) {
  struct output out;
  int status = output_open(&out, path);
  if (status) return status;
  FILE *from = fopen(build->program, "re");
  if (!from || (!copy(from, out.stream) && ferror(from))) {
    output_discard(&out);
    status = fail("%s: cannot be read: %s", build->program, strerror(errno));
  }
  if (from) fclose(from);
  if (!status) status = output_close(&out);
  struct stat made;
  if (!status && (stat(path, &made) != 0 || chmod(path, made.st_mode | (made.st_mode & 0444) >> 2) != 0))
    status = fail("%s: cannot be made executable: %s", path, strerror(errno));
  return status;
}
