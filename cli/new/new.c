/* thrum new: makes a project that builds. Nothing that is there already is touched, and if something goes wrong, what was made is
 * removed again. */
#include "../command.h"
#include "../run/words.h"
#include "project.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct project {
  const char *folder;
  const char *name;
  struct words made; /* paths, in the order in which they were made */
};

/* ---- Arguments ---------------------------------------------------------------------------------------------- */

static const char doc[] =
    "Makes a project in DIR: a concurrent program, a test of it, and a build by Meson. Files that are there already are left alone: "
    "if one is in the way, nothing is made."
    "\v"
    "Examples:\n"
    "  thrum new counter && cd counter && meson setup build && ninja -C build test\n"
    "  thrum new --name word-count .\n";

static const struct argp_option options[] = {
    {"name", 'n', "NAME", 0, "The name of project and program; by default that of DIR", 0}, {0}};

static error_t parse(int key, char *argument, struct argp_state *state) {
  struct project *project = state->input;
  switch (key) {
  case 'n': project->name = argument; return 0;
  case ARGP_KEY_ARG:
    if (project->folder) argp_error(state, "%s: there is a DIR already: %s", argument, project->folder);
    project->folder = argument;
    return 0;
  case ARGP_KEY_END:
    if (!project->folder || !*project->folder) argp_error(state, "a DIR is needed");
    return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

/* ---- The name ----------------------------------------------------------------------------------------------- */

/* Meson and Ninja use these for targets of their own. */
static bool is_reserved(const char *name) {
  static const char *const names[] = {"all",     "benchmark", "clean",     "dist",        "distcheck",
                                      "install", "phony",     "PHONY",     "reconfigure", "scan-build",
                                      "test",    "uninstall", "test-count"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return true;
  return strncmp(name, "meson-", 6) == 0 || strncmp(name, "clean-", 6) == 0 ||
         strncmp(name, "coverage", 8) == 0 || strncmp(name, "clang-", 6) == 0;
}

static bool is_good_name(const char *name) {
  enum { LENGTH_MAX = 64 };
  if (!isalpha((unsigned char)*name) || strlen(name) > LENGTH_MAX || is_reserved(name)) return false;
  for (; *name; name++)
    if (!isalnum((unsigned char)*name) && *name != '-' && *name != '_') return false;
  return true;
}

/* The last part of DIR's path, which for "." is known only once the links are followed. */
static const char *name_of_folder(const char *folder) {
  static char path[PATH_MAX];
  if (!realpath(folder, path)) snprintf(path, sizeof path, "%s", folder);
  return basename(path);
}

static int choose_name(struct project *project) {
  if (!project->name) project->name = name_of_folder(project->folder);
  if (is_good_name(project->name)) return 0;
  if (is_reserved(project->name))
    fail("`%s` cannot be the name of a program: Meson uses it; --name gives another one", project->name);
  else
    fail(
        "`%s` cannot be the name of a program: letters, digits, - and _ make one, at most 64, a letter first; --name gives "
        "another one",
        project->name);
  return STATUS_USAGE;
}

/* ---- Making it ---------------------------------------------------------------------------------------------- */

/* DIR/path, as the last of the words. */
static const char *path_in(struct words *words, const struct project *project, const char *path) {
  struct words folder = {0};
  words_join(&folder, project->folder, "/");
  words_join(words, folder.word[0], path);
  words_free(&folder);
  return words->word[words->count - 1];
}

static int check_free(const struct project *project) {
  struct words paths = {0};
  int status = 0;
  for (const struct project_file *f = project_files; f->path && !status; f++) {
    const char *path = path_in(&paths, project, f->path);
    struct stat there;
    if (lstat(path, &there) == 0) status = fail("%s: is there already; nothing was made", path);
  }
  words_free(&paths);
  return status;
}

/* All folders on the way to the last part of the path. */
static int make_folders(struct project *project, const char *path) {
  char part[PATH_MAX];
  if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
    return fail("%s: %s", path, strerror(ENAMETOOLONG));
  for (char *slash = part + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    if (mkdir(part, 0777) == 0)
      words_add(&project->made, part);
    else if (errno != EEXIST)
      return fail("%s: cannot be made: %s", part, strerror(errno));
  }
  return 0;
}

static void write_text(FILE *out, const char *text, const char *name) {
  static const char mark[] = "@NAME@";
  for (const char *at; (at = strstr(text, mark)); text = at + sizeof mark - 1) {
    fwrite(text, 1, (size_t)(at - text), out);
    fputs(name, out);
  }
  fputs(text, out);
}

static int make_file(struct project *project, const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return fail("%s: cannot be made: %s", path, strerror(errno));
  words_add(&project->made, path);
  FILE *out = fdopen(fd, "w");
  if (!out) {
    close(fd);
    return fail("no memory");
  }
  write_text(out, text, project->name);
  bool bad = ferror(out);
  if (fclose(out) == 0 && !bad) return 0;
  return fail("%s: not written: %s", path, strerror(errno));
}

static int make_all(struct project *project) {
  struct words paths = {0};
  int status = 0;
  for (const struct project_file *f = project_files; f->path && !status; f++) {
    const char *path = path_in(&paths, project, f->path);
    status = make_folders(project, path);
    if (!status) status = make_file(project, path, f->text);
  }
  words_free(&paths);
  return status;
}

static void unmake(const struct project *project) {
  for (size_t i = project->made.count; i-- > 0;) remove(project->made.word[i]);
}

int new_command(int argc, char **argv) {
  const struct argp argp = {.options = options, .parser = parse, .args_doc = "DIR", .doc = doc};
  struct project project = {0};
  argp_parse(&argp, argc, argv, 0, NULL, &project);
  int status = choose_name(&project);
  if (!status) status = check_free(&project);
  if (status) return status;
  status = make_all(&project);
  if (status)
    unmake(&project);
  else
    printf("%s: made. Next: cd %s && meson setup build && ninja -C build test\n", project.folder,
           project.folder);
  words_free(&project.made);
  return status;
}
