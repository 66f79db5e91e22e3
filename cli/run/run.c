/* thrum run: compiles a program and runs it. */
#include "../command.h"
#include "build.h"
#include "folder.h"
#include "process.h"

#include <argp.h>
#include <core/settings.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct run {
  struct build build;
  struct words args; /* the program's */
  const char *keep, *timeline;
};

/* ---- Arguments ---------------------------------------------------------------------------------------------- */

static const char doc[] =
    "Compiles a program in C or C++ with the flags that thrum needs, and runs it. What was built is removed afterwards. The exit "
    "status is the program's."
    "\v"
    "CC, CXX, CPPFLAGS, CFLAGS, CXXFLAGS, LDFLAGS, LDLIBS and PKG_CONFIG mean what they mean to make.\n"
    "\n"
    "Examples:\n"
    "  thrum run hello.c\n"
    "  thrum run --workers 1 main.c table.c -- --fast input.txt\n"
    "  thrum run --timeline hello.html hello.c\n"
    "  LDLIBS=-lcurl CFLAGS=-O3 thrum run --stats --keep fetch fetch.c\n";

static const struct argp_option options[] = {
    {"workers", 'w', "N", 0, "Run N threads at a time (THRUM_WORKERS)", 1},
    {"interval", 'i', "TIME", 0, "Let a thread run for TIME while others wait, such as 5ms (THRUM_INTERVAL)",
     1},
    {"check", 'c', "locks", 0, "Say when locks are taken in orders that can become a deadlock (THRUM_CHECK)",
     2},
    {"profile", 'p', "locks", 0, "Say at the end who waited for locks (THRUM_PROFILE)", 2},
    {"stats", 's', NULL, 0, "Say at the end what the runtime has counted (THRUM_STATS)", 2},
    {"timeline", 't', "FILE", 0,
     "Show afterwards what the threads did: a page if FILE ends in .html, a trace for other viewers if in .json or .pftrace, text "
     "on standard output if it is -",
     2},
    {"keep", 'k', "FILE", 0, "Keep the program as FILE", 3},
    {"verbose", 'v', NULL, 0, "Print the commands that compile it", 3},
    {0}};

/* The option sets a variable of the program's. */
static void set_variable(struct argp_state *state, const char *option, const char *name, const char *value) {
  const char *objection = thrumi_settings_objection(name, value);
  if (objection) argp_error(state, "--%s=%s: it must be %s", option, value, objection);
  setenv(name, value, 1);
}

static void add_argument(struct argp_state *state, struct run *run, const char *argument) {
  if (state->quoted && state->next > state->quoted) { /* after "--" */
    words_add(&run->args, argument);
    return;
  }
  if (source_kind(argument) == SOURCE_UNKNOWN)
    argp_error(state, "%s: not a file of C or C++ by its name; what is meant for the program goes after `--`",
               argument);
  words_add(&run->build.sources, argument);
}

#ifdef HAVE_TIMELINE
static const char *objection_to(const char *out) {
  return strcmp(out, "-") == 0 ? NULL : timeline_objection(out);
}

/* Said before the program runs, which may take long and not do twice what it does. */
static int check_timeline(const char *out) {
  struct output attempt;
  if (!out || strcmp(out, "-") == 0) return 0;
  if (output_open(&attempt, out)) return STATUS_FAILED;
  output_discard(&attempt);
  return 0;
}

struct showing {
  const char *trace, *called, *out;
};

static int show(void *arg) {
  const struct showing *s = arg;
  return timeline_show(s->trace, s->called, s->out);
}

/* The trace is called as the program is: it goes away with that. */
static int show_timeline(const char *trace, const struct run *run) {
  struct stat file;
  if (stat(trace, &file) != 0) return fail("%s: not written: the program did not use thrum", run->timeline);
  const char *slash = strrchr(run->build.program, '/');
  struct showing s = {trace, slash ? slash + 1 : run->build.program, run->timeline};
  return build_apart(show, &s);
}
#else
static const char *objection_to(const char *out) {
  (void)out;
  return "this `thrum` was built without `thrum timeline`";
}

static int check_timeline(const char *out) {
  (void)out;
  return 0;
}

static int show_timeline(const char *trace, const struct run *run) {
  (void)trace, (void)run;
  return STATUS_FAILED;
}
#endif

static void set_timeline(struct argp_state *state, struct run *run, const char *out) {
  const char *objection = objection_to(out);
  if (objection) argp_error(state, "--timeline=%s: %s", out, objection);
  run->timeline = out;
}

static error_t parse(int key, char *argument, struct argp_state *state) {
  struct run *run = state->input;
  switch (key) {
  case 'w': set_variable(state, "workers", "THRUM_WORKERS", argument); return 0;
  case 'i': set_variable(state, "interval", "THRUM_INTERVAL", argument); return 0;
  case 'c': set_variable(state, "check", "THRUM_CHECK", argument); return 0;
  case 'p': set_variable(state, "profile", "THRUM_PROFILE", argument); return 0;
  case 's': setenv("THRUM_STATS", "1", 1); return 0;
  case 't': set_timeline(state, run, argument); return 0;
  case 'k': run->keep = argument; return 0;
  case 'v': run->build.verbose = true; return 0;
  case ARGP_KEY_ARG: add_argument(state, run, argument); return 0;
  case ARGP_KEY_END:
    if (!run->build.sources.count) argp_error(state, "no source file was named");
    if (run->keep && strcmp(run->keep, "-") == 0) argp_error(state, "--keep=-: the program needs a file");
    return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

/* Compilers would say so too, but at length. */
static int check_sources(const struct words *sources) {
  for (size_t i = 0; i < sources->count; i++) {
    const char *path = sources->word[i];
    struct stat file;
    if (stat(path, &file) != 0 || access(path, R_OK) != 0) return fail("%s: %s", path, strerror(errno));
    if (S_ISDIR(file.st_mode)) return fail("%s: this is a folder, not a file", path);
  }
  return 0;
}

/* ---- Running ------------------------------------------------------------------------------------------------ */

static int run_program(const struct run *run, int *status) {
  const struct process_streams ours = {0};
  struct words command = {0};
  words_add(&command, run->build.program);
  words_add_all(&command, &run->args);
  int error = process_run(command.word, &ours, PROCESS_PROGRAM, status);
  if (error == -EACCES)
    fail("%s: may not be run there; TMPDIR names a folder where programs may", run->build.program);
  else if (error)
    fail("%s: does not start: %s", run->build.program, strerror(-error));
  words_free(&command);
  return error ? STATUS_FAILED : 0;
}

static int run_and_show(const struct run *run, int *ended) {
  char *trace = folder_path(".trace");
  if (run->timeline) setenv("THRUM_TRACE", trace, 1);
  int status = run_program(run, ended);
  if (!status && run->timeline) status = show_timeline(trace, run);
  free(trace);
  return status;
}

/* As the program ended, unless it did well and what was asked for besides could not be done. */
static int end_as(int ended, int status) {
  if (!WIFSIGNALED(ended)) return WEXITSTATUS(ended) ? WEXITSTATUS(ended) : status;
  folder_remove();
  process_die(WTERMSIG(ended));
}

int run_command(int argc, char **argv) {
  const struct argp argp = {
      .options = options, .parser = parse, .args_doc = "FILE... [-- ARGUMENT...]", .doc = doc};
  struct run run = {0};
  int ended = 0;
  argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &run);
  if (check_sources(&run.build.sources) || check_timeline(run.timeline)) return STATUS_FAILED;
  process_begin();
  int status = build_program(&run.build);
  if (!status && run.keep) status = build_keep(&run.build, run.keep);
  if (!status) status = run_and_show(&run, &ended);
  free(run.build.program);
  words_free(&run.build.sources);
  words_free(&run.args);
  return end_as(ended, status);
}
