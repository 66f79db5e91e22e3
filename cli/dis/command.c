/* thrum dis PROGRAM FUNCTION: where in a function a switch may fall. */
#include "../command.h"
#include "dis.h"

#ifdef HAVE_RUN
#include "../run/build.h"
#include "../run/process.h"
#endif

#include <argp.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
  const char *program, *function;
  bool json, list_calls, no_source;
};

enum { OPTION_CALLS = 256, OPTION_NO_SOURCE };

static const struct argp_option option_list[] = {
    {"json", 'j', NULL, 0, "Print JSON", 0},
    {"no-source", OPTION_NO_SOURCE, NULL, 0, "Leave the text of source lines out", 0},
    {"list-calls", OPTION_CALLS, NULL, 0, "Print what is known of calls: which park, which block", 0},
    {0},
};

static const char documentation[] =
    "Disassembles a function, and says at each instruction where and why a switch may fall: calls of thrum that may park, calls "
    "into libc that block their worker, read-modify-writes that a switch or another worker can tear; atomic ones are safe."
    "\vFUNCTION is a name, FILE:NAME if several files have one, or an address in hexadecimal (0x401136). A PROGRAM "
    "that is a C file is compiled first, as `thrum run` does.\n\n"
    "Examples:\n"
    "  thrum dis ./server handle_request\n"
    "  thrum dis ./server parser.c:next\n"
    "  CFLAGS=-O0 thrum dis hello.c hello\n"
    "  thrum dis --json ./server main | jq .summary\n";

static error_t parse(int key, char *argument, struct argp_state *state) {
  struct options *o = state->input;
  switch (key) {
  case 'j': o->json = true; return 0;
  case OPTION_CALLS: o->list_calls = true; return 0;
  case OPTION_NO_SOURCE: o->no_source = true; return 0;
  case ARGP_KEY_ARG:
    if (state->arg_num > 1) argp_error(state, "one program and one function, and not also `%s`", argument);
    *(state->arg_num == 0 ? &o->program : &o->function) = argument;
    return 0;
  case ARGP_KEY_END:
    if (!o->list_calls && !o->function) argp_error(state, "name a program and one of its functions");
    return 0;
  default: return ARGP_ERR_UNKNOWN;
  }
}

static int show(struct listing *listing, const struct options *o, FILE *to) {
  listing_decode(listing);
  note_calls(listing);
  note_memory(listing);
  int status = 0;
  if (o->json)
    status = print_json(listing, to);
  else
    print_text(listing, to, !o->no_source);
  listing_free(listing);
  return status;
}

#ifdef HAVE_RUN
/* A source is compiled first, as `thrum run` does. *program is what was built, to be freed; NULL: nothing. */
static int build_source(const char *source, char **program) {
  enum source_kind kind = source_kind(source);
  *program = NULL;
  if (kind != SOURCE_C && kind != SOURCE_CXX) return 0;
  if (access(source, R_OK) != 0) return fail("%s: %m", source);
  struct build build = {0};
  words_add(&build.sources, source);
  process_begin();
  int status = build_program(&build);
  words_free(&build.sources);
  *program = build.program;
  return status;
}
#endif

static int disassemble_file(const struct options *o, const char *file, FILE *to) {
  struct image image;
  struct listing listing = {.image = &image};
  int status = image_open(&image, file);
  if (status) return status;
  image.path = o->program; /* what the caller calls it */
  status = function_find(&image, o->function, &listing.function);
  if (!status) status = show(&listing, o, to);
  image_close(&image);
  return status;
}

#ifdef HAVE_RUN
/* What was built is temporary: who prints it may be interrupted, or meet a closed pipe. */
struct built {
  const struct options *options;
  const char *file;
  FILE *to;
};

static int disassemble_built(void *arg) {
  const struct built *b = arg;
  int status = disassemble_file(b->options, b->file, b->to);
  struct output text = {.stream = b->to};
  return output_close(&text) ? STATUS_FAILED : status;
}

static int disassemble(const struct options *o, FILE *to) {
  char *file;
  int status = build_source(o->program, &file);
  if (!status && file)
    status = build_apart(disassemble_built, &(struct built){o, file, to});
  else if (!status)
    status = disassemble_file(o, o->program, to);
  free(file);
  return status;
}
#else
static int disassemble(const struct options *o, FILE *to) { return disassemble_file(o, o->program, to); }
#endif

int dis_command(int argc, char **argv) {
  struct options o = {0};
  const struct argp argp = {option_list, parse, "PROGRAM FUNCTION\n--list-calls", documentation, NULL,
                            NULL,        NULL};
  argp_parse(&argp, argc, argv, 0, NULL, &o);
  struct output out;
  if (output_open(&out, "-") != 0) return STATUS_FAILED;
  int status = o.list_calls ? print_calls(out.stream, o.json) : disassemble(&o, out.stream);
  return output_close(&out) != 0 ? STATUS_FAILED : status;
}
