/* thrum top: a live view of a program's threads; or one look, as text or JSON. */
#include "../command.h"
#include "client.h"
#include "screen.h"
#include "view.h"

#include <argp.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char doc[] =
    "Shows the threads of a running program: which run and how much of a CPU they use, which wait, for what, since when, "
    "and for whom; who owns locks; how full queues are."
    "\vThe program has THRUM_INSPECT=1 in its environment, or has called thrum_inspect(true). Without PID or NAME it is "
    "the only one that there is. Press h for what keys do.\n\n"
    "Examples:\n"
    "  THRUM_INSPECT=1 ./server &\n"
    "  thrum top server\n"
    "  thrum top 4711 --once\n"
    "  thrum top 4711 --json --once | jq '.threads[].name'";

struct arguments {
  const char *program;
  double interval;
  int once, json;
  enum order order;
};

static int read_order(const char *text, enum order *out) {
  static const char *const names[ORDERS] = {
      [BY_CPU] = "cpu", [BY_ID] = "id", [BY_NAME] = "name", [BY_STATE] = "state", [BY_WAIT] = "wait"};
  for (int i = 0; i < ORDERS; i++)
    if (strcmp(names[i], text) == 0) return *out = (enum order)i, 1;
  return 0;
}

static int read_seconds(const char *text, double *out) {
  char *end;
  *out = strtod(text, &end);
  return end != text && !*end && *out >= 0.1 && *out <= 3600;
}

static error_t read_option(int key, char *arg, struct argp_state *state) {
  struct arguments *a = state->input;
  switch (key) {
  case 'd':
    if (!read_seconds(arg, &a->interval)) argp_error(state, "%s: the interval is 0.1 to 3600 seconds", arg);
    return 0;
  case 's':
    if (!read_order(arg, &a->order)) argp_error(state, "%s: sort by cpu, id, name, state or wait", arg);
    return 0;
  case 'o': a->once = 1; return 0;
  case 'j': a->json = 1; return 0;
  case ARGP_KEY_ARG:
    if (a->program) argp_error(state, "one program at a time");
    a->program = arg;
    return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

/* ---- One look ---------------------------------------------------------------------------------------------------- */

static void print_page(const struct snapshot *s, enum page page) {
  char line[LINE_BYTES];
  json_object *objects = view_objects(s, page);
  if (!list_length(objects)) return;
  view_title(page, BY_CPU, line);
  printf("\n%s\n", line);
  for (size_t i = 0; i < list_length(objects); i++) {
    view_object(page, list_item(objects, i), line);
    puts(line);
  }
}

static int print_text(const struct snapshot *s, const struct client *c, enum order order) {
  char line[LINE_BYTES];
  const struct row **shown = calloc(s->count + 1, sizeof *shown);
  if (!shown) return fail("no memory");
  for (int i = 0; i < HEAD_LINES; i++) {
    view_head(s, c, i, line);
    puts(line);
  }
  view_title(PAGE_THREADS, order, line);
  printf("\n%s\n", line);
  size_t n = snapshot_select(s, NULL, order, false, shown);
  for (size_t i = 0; i < n; i++) {
    view_thread(shown[i], line);
    puts(line);
  }
  free(shown);
  print_page(s, PAGE_LOCKS);
  print_page(s, PAGE_QUEUES);
  return STATUS_OK;
}

static json_object *rates_of(const struct rates *r) {
  json_object *o = json_object_new_object();
  json_object_object_add(o, "switches", json_object_new_double(r->switches));
  json_object_object_add(o, "steals", json_object_new_double(r->steals));
  json_object_object_add(o, "preemptions", json_object_new_double(r->preemptions));
  json_object_object_add(o, "spawned", json_object_new_double(r->spawned));
  json_object_object_add(o, "cpu_percent", json_object_new_double(r->cpu));
  return o;
}

static void print_threads(const struct snapshot *s, enum order order, const struct row **shown) {
  size_t n = snapshot_select(s, NULL, order, false, shown);
  for (size_t i = 0; i < n; i++) {
    if (shown[i]->cpu >= 0)
      json_object_object_add(shown[i]->thread, "cpu_percent",
                             json_object_new_double(round(shown[i]->cpu * 10) / 10));
    printf("%s%s", i ? "," : "", json_object_to_json_string_ext(shown[i]->thread, JSON_C_TO_STRING_PLAIN));
  }
}

static void print_member(const char *key, json_object *o) {
  printf(",\"%s\":%s", key, json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

/* One object, one line. */
static int print_json(const struct snapshot *s, enum order order) {
  const struct row **shown = calloc(s->count + 1, sizeof *shown);
  json_object *rates = rates_of(&s->rates);
  if (!shown || !rates) return free(shown), fail("no memory");
  printf("{\"stats\":%s", json_object_to_json_string_ext(s->stats, JSON_C_TO_STRING_PLAIN));
  print_member("rates", rates);
  printf(",\"threads\":[");
  print_threads(s, order, shown);
  printf("]");
  print_member("locks", member(s->locks, "locks"));
  print_member("queues", member(s->queues, "queues"));
  puts("}");
  json_object_put(rates);
  free(shown);
  return STATUS_OK;
}

/* ---- Looks for scripts ---------------------------------------------------------------------------------------------- */

static void pause_for(double seconds) {
  struct timespec t = {.tv_sec = (time_t)seconds,
                       .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&t, &t) != 0) continue;
}

/* Rates and use need two looks; the first is not shown. */
static int print_looks(struct client *c, const struct arguments *a) {
  struct snapshot before, now;
  const char *why;
  int status = snapshot_take(&before, c, NULL, &why);
  for (int shown = 0; status == STATUS_OK && !(a->once && shown); shown = 1) {
    pause_for(a->interval);
    status = snapshot_take(&now, c, &before, &why);
    if (status != STATUS_OK) break;
    status = a->json ? print_json(&now, a->order) : print_text(&now, c, a->order);
    if (fflush(stdout) != 0) return fail("standard output: %m");
    snapshot_free(&before);
    before = now;
  }
  if (status == STATUS_OK)
    snapshot_free(&before);
  else
    fail("%s (process %d): %s", c->name, (int)c->pid, why);
  return status;
}

int top_command(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"interval", 'd', "SECONDS", 0, "Look so often; 1 unless it is given", 0},
      {"json", 'j', NULL, 0, "Print JSON, one object a line at each look", 0},
      {"once", 'o', NULL, 0, "Print what two looks have found, and end", 0},
      {"sort", 's', "COLUMN", 0, "Sort by cpu (as it is without), id, name, state or wait", 0},
      {0},
  };
  static const struct argp argp = {options, read_option, "[PID|NAME]", doc, NULL, NULL, NULL};
  struct arguments a = {.interval = 1, .order = BY_CPU};
  struct client c;
  if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0) return STATUS_USAGE;
  setlocale(LC_CTYPE, "");
  bool screen = !a.once && !a.json;
  int status = client_open(&c, a.program);
  if (status != STATUS_OK) return status;
  if (screen && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
    status = fail("this is no terminal; --once or --json print what it would show");
  else
    status = screen ? screen_run(&c, a.interval, a.order) : print_looks(&c, &a);
  client_close(&c);
  return status;
}
