/* thrum timeline: what a program's threads did, from its trace.
 *
 * Without an output, lanes as text. Outputs are written by suffix; each is whole or not there. The Chrome and Perfetto forms come
 * straight from the events, so a trace of any length goes into them; the others need the model in memory. */
#include "trace/views.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { OUTPUTS_MAX = 16, WIDTH = 100, WIDTH_MAX = 1000, THREADS = 40, THREADS_MAX = 100000 };

enum { OPTION_STATS = 256, OPTION_CHECK, OPTION_PARTIAL, OPTION_WIDTH };

struct request {
  const char *trace, *called, *outputs[OUTPUTS_MAX]; /* `called` is for messages */
  int output_count;
  bool stats, json, check, partial;
  struct text_options text;
};

/* ---- Outputs ---------------------------------------------------------------------------------------------------- */

/* Each format needs the model or the events; the other function is NULL. */
struct format {
  const char *suffix;
  int (*from_model)(const struct model *, struct output *);
  int (*from_events)(struct trace *, struct output *);
};

static const struct format formats[] = {
#ifdef HAVE_PAGE
    {".html", write_page, NULL},
#endif
    {".json", NULL, write_chrome},
#ifdef HAVE_PERFETTO
    {".pftrace", NULL, write_perfetto},
#endif
    {NULL, NULL, NULL},
};

static const struct format *format_of(const char *path) {
  size_t length = strlen(path);
  for (const struct format *f = formats; f->suffix; f++) {
    size_t n = strlen(f->suffix);
    if (length > n && strcmp(path + length - n, f->suffix) == 0) return f;
  }
  return NULL;
}

const char *timeline_objection(const char *path) {
  static char objection[100];
  if (format_of(path)) return NULL;
  strcpy(objection, "no form has that suffix; there are");
  for (const struct format *f = formats; f->suffix; f++) {
    strcat(objection, " ");
    strcat(objection, f->suffix);
  }
  return objection;
}

static int write_from_events(const struct format *f, const struct request *r, struct output *out) {
  struct trace t;
  if (trace_open(&t, r->trace, r->called, r->partial)) return STATUS_FAILED;
  int status = f->from_events(&t, out);
  trace_close(&t);
  return status;
}

static int write_output(const struct request *r, const char *path, const struct model *m) {
  const struct format *f = format_of(path);
  struct output out;
  if (output_open(&out, path)) return STATUS_FAILED;
  setvbuf(out.stream, NULL, _IOFBF, 1 << 20);
  if (f->from_model ? f->from_model(m, &out) : write_from_events(f, r, &out)) {
    output_discard(&out);
    return STATUS_FAILED;
  }
  return output_close(&out);
}

/* ---- What is asked for ------------------------------------------------------------------------------------------ */

static bool needs_model(const struct request *r) {
  bool needs = r->stats || r->json || (!r->output_count && !r->check);
  for (int i = 0; i < r->output_count; i++) needs = needs || format_of(r->outputs[i])->from_model;
  return needs;
}

static int check(const struct request *r) {
  struct trace t;
  if (trace_open(&t, r->trace, r->called, r->partial)) return STATUS_FAILED;
  int status = check_trace(&t, stdout);
  trace_close(&t);
  return status;
}

static int show(const struct request *r, const struct model *m) {
  int status = 0;
  if (r->json)
    status = write_stats_json(m, stdout);
  else if (r->stats)
    status = write_stats(m, stdout, &r->text);
  else if (!r->output_count && !r->check)
    status = write_lanes(m, stdout, &r->text);
  for (int i = 0; i < r->output_count && !status; i++) status = write_output(r, r->outputs[i], m);
  return status;
}

static int serve(const struct request *r) {
  struct model m = {0};
  int checked = r->check ? check(r) : 0;
  if (r->check && !r->output_count && !r->stats && !r->json) return checked;
  if (needs_model(r) && model_read(&m, r->trace, r->called, r->partial)) return STATUS_FAILED;
  int status = show(r, &m);
  model_free(&m);
  struct output text = {.stream = stdout};
  return output_close(&text) || status || checked ? STATUS_FAILED : STATUS_OK;
}

/* ---- Arguments -------------------------------------------------------------------------------------------------- */

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0,
     "Write FILE, in the form of its suffix: .html (a page that needs nothing else), .json (Chrome's, for chrome://tracing and "
     "ui.perfetto.dev), .pftrace (Perfetto's). May be given several times",
     0},
    {"stats", OPTION_STATS, 0, 0, "Print tables: threads, locks, the critical path", 1},
    {"json", 'j', 0, 0, "Print the tables as JSON", 1},
    {"check", OPTION_CHECK, 0, 0, "Print what contradicts itself in the trace; status 1 if anything does", 1},
    {"partial", OPTION_PARTIAL, 0, 0,
     "Show what comes before the damage in a file that is cut off or damaged", 2},
    {"threads", 'n', "N", 0, "Show N threads at most (40)", 2},
    {"width", OPTION_WIDTH, "N", 0, "Draw lanes for lines of N columns (the terminal's width)", 2},
    {0}};

static long number_in(struct argp_state *state, const char *text, const char *what, long min, long max) {
  char *end;
  long n = strtol(text, &end, 10);
  if (end == text || *end || n < min || n > max)
    argp_error(state, "%s: `%s` is no number from %ld to %ld", what, text, min, max);
  return n;
}

static void add_output(struct argp_state *state, struct request *r, const char *path) {
  if (r->output_count == OUTPUTS_MAX) argp_error(state, "more than %d outputs", OUTPUTS_MAX);
  const char *objection = timeline_objection(path);
  if (objection) argp_error(state, "%s: %s", path, objection);
  r->outputs[r->output_count++] = path;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  struct request *r = state->input;
  switch (key) {
  case 'o': add_output(state, r, arg); return 0;
  case 'n': r->text.threads = (size_t)number_in(state, arg, "--threads", 1, THREADS_MAX); return 0;
  case OPTION_WIDTH: r->text.width = (int)number_in(state, arg, "--width", 20, WIDTH_MAX); return 0;
  case OPTION_STATS: r->stats = true; return 0;
  case 'j': r->json = true; return 0;
  case OPTION_CHECK: r->check = true; return 0;
  case OPTION_PARTIAL: r->partial = true; return 0;
  case ARGP_KEY_ARG:
    if (r->trace) argp_error(state, "one trace at a time; `%s` is another one", arg);
    r->trace = r->called = arg;
    return 0;
  case ARGP_KEY_NO_ARGS:
    argp_error(state, "which trace? Record one by THRUM_TRACE=FILE PROGRAM");
    return EINVAL;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static int terminal_width(void) {
  struct winsize w;
  const char *columns = getenv("COLUMNS");
  int width = columns ? atoi(columns) : 0;
  if (width <= 0 && isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0) width = w.ws_col;
  return width < 20 ? WIDTH : width > WIDTH_MAX ? WIDTH_MAX : width;
}

static struct text_options default_text(void) {
  return (struct text_options){.width = terminal_width(), .threads = THREADS, .colour = wants_colour(stdout)};
}

int timeline_show(const char *trace, const char *called, const char *out) {
  bool as_text = strcmp(out, "-") == 0;
  struct request r = {.trace = trace,
                      .called = called,
                      .outputs = {out},
                      .output_count = !as_text,
                      .partial = true,
                      .text = default_text()};
  return serve(&r);
}

int timeline_command(int argc, char **argv) {
  static const struct argp argp = {
      options,
      parse,
      "TRACE",
      "Shows what the threads of a program did, from the trace that it recorded.\v"
      "Examples:\n"
      "  THRUM_TRACE=a.trace ./server        records\n"
      "  thrum timeline a.trace              lanes on the terminal\n"
      "  thrum timeline a.trace -o a.html    a page for the browser\n"
      "  thrum timeline a.trace -o a.json -o a.pftrace\n"
      "  thrum timeline a.trace --stats      who ran, who waited for what\n"
      "  thrum timeline a.trace --check      whether the trace is consistent\n",
      0,
      0,
      0};
  struct request r = {.text = default_text()};
  argp_parse(&argp, argc, argv, 0, 0, &r);
  return serve(&r);
}
