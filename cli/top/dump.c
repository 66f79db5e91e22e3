/* thrum dump: of a running program by its inspect socket, of a core file by gdb (core.c). */
#include "../command.h"
#include "client.h"
#include "core.h"

#include <argp.h>
#include <string.h>
#include <unistd.h>

enum {
  PATIENCE = 60
}; /* seconds; a thread that does not answer takes 0.3 of them, and a page may have many */

static const char doc[] =
    "Prints what each thread of a program does: what it waits for and since when, who holds that, and its stack."
    "\vPID or NAME is a running program, with THRUM_INSPECT=1 in its environment, or that has called "
    "thrum_inspect(true). CORE is a core file, PROGRAM what left it; that needs gdb, and the debug information of "
    "libthrum.\n\n"
    "Examples:\n"
    "  thrum dump 4711\n"
    "  thrum dump server --json | jq '.threads[].name'\n"
    "  thrum dump core.4711 ./server";

struct arguments {
  const char *of[2];
  int count;
  int json;
};

static error_t read_option(int key, char *arg, struct argp_state *state) {
  struct arguments *a = state->input;
  if (key == 'j') {
    a->json = 1;
  } else if (key == ARGP_KEY_ARG) {
    if (a->count == 2) argp_error(state, "too many arguments");
    a->of[a->count++] = arg;
  } else if (key != ARGP_KEY_END) {
    return ARGP_ERR_UNKNOWN;
  }
  return 0;
}

/* ---- A running program ------------------------------------------------------------------------------------------ */

static int lost(const struct client *c, const char *why) {
  return fail("%s (process %d): %s", c->name, (int)c->pid, why);
}

static int print_text(struct client *c) {
  const char *why;
  for (int64_t next = 0, first = 1; first || next; first = 0) {
    json_object *page = client_ask(c, PATIENCE, &why, "dump %lld", (long long)next);
    if (!page) return lost(c, why);
    fputs(member_text(page, "text"), stdout);
    next = member_number(page, "next");
    json_object_put(page);
  }
  return STATUS_OK;
}

/* One thread with its stack; of one that has ended meanwhile there is none. */
static int print_thread(struct client *c, json_object *thread, const char **separator) {
  const char *why;
  json_object *answer = client_ask(c, PATIENCE, &why, "stack %lld", (long long)member_number(thread, "id"));
  if (!answer) return c->refused ? STATUS_OK : lost(c, why);
  json_object *threads = member(answer, "threads");
  if (list_length(threads) > 0) {
    printf("%s\n%s", *separator,
           json_object_to_json_string_ext(list_item(threads, 0), JSON_C_TO_STRING_PLAIN));
    *separator = ",";
  }
  json_object_put(answer);
  return STATUS_OK;
}

static int print_threads(struct client *c, json_object *threads, const char **separator) {
  int status = STATUS_OK;
  for (size_t i = 0; i < list_length(threads) && status == STATUS_OK; i++)
    status = print_thread(c, list_item(threads, i), separator);
  return status;
}

static int print_json(struct client *c) {
  const char *why, *separator = "";
  int status;
  json_object *stats = client_ask(c, PATIENCE, &why, "stats");
  if (!stats) return lost(c, why);
  printf("{\"stats\":%s,\"threads\":[", json_object_to_json_string_ext(stats, JSON_C_TO_STRING_PLAIN));
  json_object_put(stats);
  int64_t next = 0;
  do {
    json_object *page = client_ask(c, PATIENCE, &why, "threads %lld", (long long)next);
    if (!page) return lost(c, why);
    status = print_threads(c, member(page, "threads"), &separator);
    next = member_number(page, "next");
    json_object_put(page);
  } while (next && status == STATUS_OK);
  if (status == STATUS_OK) puts("]}");
  return status;
}

static int print_running(const struct arguments *a) {
  struct client c;
  int status = client_open(&c, a->of[0]);
  if (status != STATUS_OK) return status;
  status = a->json ? print_json(&c) : print_text(&c);
  client_close(&c);
  if (fflush(stdout) != 0 && status == STATUS_OK) status = fail("standard output: %m");
  return status;
}

int dump_command(int argc, char **argv) {
  static const struct argp_option options[] = {
      {"json", 'j', NULL, 0, "Print it as JSON, one object", 0},
      {0},
  };
  static const struct argp argp = {options, read_option, "PID|NAME\nCORE PROGRAM", doc, NULL, NULL, NULL};
  struct arguments a = {0};
  if (argp_parse(&argp, argc, argv, 0, NULL, &a) != 0) return STATUS_USAGE;
  if (a.count < 2) return print_running(&a);
  if (a.json) return fail("--json is for running programs");
  return print_core(a.of[0], a.of[1]);
}
