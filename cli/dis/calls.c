/* Calls: what is known of them, and what the listing says of them. */
#include "../command.h"
#include "dis.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* ---- Looking names up ------------------------------------------------------------------------------------------- */

/* A name that ends in '*' stands for all that begin so. */
static bool names_it(const char *listed, size_t length, const char *name) {
  if (length > 0 && listed[length - 1] == '*') return strncmp(listed, name, length - 1) == 0;
  return strncmp(listed, name, length) == 0 && name[length] == '\0';
}

static bool group_has(const struct call_group *group, const char *name) {
  for (const char *at = group->names; *at;) {
    size_t length = strcspn(at, " ");
    if (names_it(at, length, name)) return true;
    at += length;
    at += strspn(at, " ");
  }
  return false;
}

static const struct call_group *find_exactly(const char *name) {
  for (size_t i = 0; i < call_group_count; i++)
    if (group_has(&call_groups[i], name)) return &call_groups[i];
  return NULL;
}

static bool cut_end(char *name, const char *end) {
  size_t length = strlen(name), cut = strlen(end);
  if (length <= cut || strcmp(name + length - cut, end) != 0) return false;
  name[length - cut] = '\0';
  return true;
}

/* libc's names have many forms: __printf_chk, __isoc99_scanf, __libc_read, pread64, read@plt. */
static const char *plain_form(char *name) {
  static const char *const beginnings[] = {"__isoc99_", "__isoc23_", "__libc_", "__GI___",
                                           "__GI_",     "__",        "_IO_"};
  name[strcspn(name, "@")] = '\0';
  cut_end(name, "_chk");
  cut_end(name, "_nocancel");
  cut_end(name, "64");
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
    size_t length = strlen(beginnings[i]);
    if (strncmp(name, beginnings[i], length) == 0 && name[length]) return name + length;
  }
  return name;
}

const struct call_group *call_find(const char *name) {
  const struct call_group *group = find_exactly(name);
  if (group) return group;
  char copy[256];
  if (strlen(name) >= sizeof copy) return NULL;
  group = find_exactly(plain_form(strcpy(copy, name)));
  /* thrum's own names have one form, and are nobody else's. */
  return group && group->kind == CALL_BLOCKS ? group : NULL;
}

/* ---- Notes ---------------------------------------------------------------------------------------------------------- */

static void note_known(struct listing *listing, size_t i, const struct call_group *group) {
  const char *inlined = listing->lines[i].place.inlined;
  switch (group->kind) {
  case CALL_PARKS:
    listing_note(listing, i, NOTE_PARKS, NOWHERE, "may park: %s%s%s%s", group->why, inlined ? " (of " : "",
                 inlined ? inlined : "", inlined ? ")" : "");
    break;
  case CALL_ENDS: listing_note(listing, i, NOTE_ENDS, NOWHERE, "%s", group->why); break;
  case CALL_BLOCKS:
    listing_note(listing, i, NOTE_BLOCKS, NOWHERE, "blocks: %s; its worker is lost meanwhile (%s)",
                 group->why, group->instead);
    break;
  case CALL_ATOMIC: listing_note(listing, i, NOTE_ATOMIC, NOWHERE, "atomic: %s", group->why); break;
  default: break;
  }
}

bool call_is_own(const struct image *image, const struct call_group *group, const struct symbol *own) {
  return group->kind == CALL_BLOCKS && own && !image->has_libc && strncmp(own->name, "thrum", 5) != 0;
}

/* What functions of the program's own come to call has been looked up for the last few of them. */
struct known_reach {
  const struct symbol *function;
  struct reach reach;
};

enum { REACHES = 64 };

static const struct reach *reach_of(const struct image *image, const struct symbol *function,
                                    struct known_reach *known) {
  struct known_reach *at = &known[function->address / 16 % REACHES];
  if (at->function != function) {
    at->function = function;
    reach_find(image, function, &at->reach);
  }
  return &at->reach;
}

static void note_own(struct listing *listing, size_t i, const struct reach *reach) {
  if (reach->parks)
    listing_note(listing, i, NOTE_PARKS, NOWHERE, "may park within: %s calls %s", reach->parks_by,
                 reach->parks);
  if (reach->blocks)
    listing_note(listing, i, NOTE_BLOCKS, NOWHERE, "may block within: %s calls %s", reach->blocks_by,
                 reach->blocks);
}

static bool leaves(const struct listing *listing, const struct effect *e) {
  return e->flow == FLOW_CALL || ((e->flow == FLOW_JUMP || e->flow == FLOW_BRANCH) && e->direct &&
                                  listing_at(listing, e->target) == NOWHERE);
}

static void note_call(struct listing *listing, size_t i, struct known_reach *known) {
  const struct line *line = &listing->lines[i];
  const struct call_group *group = line->callee ? call_find(line->callee) : NULL;
  if (group && call_is_own(listing->image, group, line->own)) group = NULL;
  if (group)
    note_known(listing, i, group);
  else if (line->own)
    note_own(listing, i, reach_of(listing->image, line->own, known));
  else if (leaves(listing, &line->effect) && !line->callee)
    listing_note(listing, i, NOTE_UNKNOWN, NOWHERE,
                 "calls what is only known when it runs: switches if that does");
}

void note_calls(struct listing *listing) {
  struct known_reach *known = need_memory(calloc(REACHES, sizeof *known));
  for (size_t i = 0; i < listing->count; i++) {
    const struct line *line = &listing->lines[i];
    if (line->effect.flow == FLOW_SYSCALL)
      listing_note(listing, i, NOTE_BLOCKS, NOWHERE,
                   "a system call: if it waits in the kernel, its worker is lost meanwhile (thrum_blocking)");
    if (line->cs && effect_jumps(&line->effect)) note_call(listing, i, known);
  }
  free(known);
}

/* ---- What is known of calls ------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"plain", "never", "parks", "ends", "blocks", "atomic"};

static void print_group(FILE *to, const struct call_group *group, struct json_object *all) {
  for (const char *at = group->names; *at;) {
    size_t length = strcspn(at, " ");
    if (all) {
      struct json_object *one = json_object_new_object();
      json_object_object_add(one, "name", json_object_new_string_len(at, (int)length));
      json_object_object_add(one, "kind", json_object_new_string(kind_names[group->kind]));
      json_object_object_add(one, "why", json_object_new_string(group->why));
      json_object_object_add(one, "instead", group->instead ? json_object_new_string(group->instead) : NULL);
      json_object_array_add(all, one);
    } else {
      fprintf(to, "%-6s  %-38.*s  %s\n", kind_names[group->kind], (int)length, at, group->why);
    }
    at += length;
    at += strspn(at, " ");
  }
}

int print_calls(FILE *to, bool json) {
  struct json_object *all = json ? json_object_new_array() : NULL;
  for (size_t i = 0; i < call_group_count; i++) print_group(to, &call_groups[i], all);
  if (!all) return 0;
  fprintf(to, "%s\n",
          json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
  json_object_put(all);
  return 0;
}
