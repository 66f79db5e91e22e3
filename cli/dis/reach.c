/* What functions of the program's own come to call: breadth first, so that the nearest call is told. Calls through pointers, and
 * what other files define, are not followed; nor is libc, where it is linked in, which would come to nearly everything. */
#include "dis.h"

enum { FUNCTIONS_MOST = 500, INSTRUCTIONS_MOST = 20000 };

struct search {
  const struct image *image;
  const struct symbol *queue[FUNCTIONS_MOST];
  size_t done, count;
  struct reach *out;
};

/* What the program's author can look at: in a program with libc in it, what has debug info. */
static bool is_followed(const struct image *image, const struct symbol *function) {
  if (!image->has_libc) return true;
  struct place_finder finder;
  places_begin(&finder, image, function->address);
  return finder.has_unit;
}

static void enqueue(struct search *s, const struct symbol *function) {
  if (s->count == FUNCTIONS_MOST) return;
  for (size_t i = 0; i < s->count; i++)
    if (s->queue[i]->address == function->address) return;
  if (is_followed(s->image, function)) s->queue[s->count++] = function;
}

static void look_at_call(struct search *s, const struct effect *e, const char *caller) {
  const struct symbol *own;
  const char *name = image_callee(s->image, e, &own);
  const struct call_group *group = name ? call_find(name) : NULL;
  if (group && call_is_own(s->image, group, own)) group = NULL;
  if (!group && own) enqueue(s, own);
  if (!group) return;
  if (group->kind == CALL_PARKS && !s->out->parks) {
    s->out->parks = name;
    s->out->parks_by = caller;
  }
  if (group->kind == CALL_BLOCKS && !s->out->blocks) {
    s->out->blocks = name;
    s->out->blocks_by = caller;
  }
}

static void look_through(struct search *s, const struct symbol *function) {
  size_t there;
  uint64_t address = function->address, end = address + function->size;
  const uint8_t *bytes = image_bytes(s->image, address, &there);
  size_t left = bytes && there > function->size ? function->size : bytes ? there : 0;
  size_t unit = image_is_arm(s->image) ? 4 : 1;
  for (int n = 0; left >= unit && n < INSTRUCTIONS_MOST; n++) {
    cs_insn *cs = NULL;
    size_t size = unit;
    if (cs_disasm(s->image->detail, bytes, left, address, 1, &cs) == 1) {
      struct effect e;
      machine_effect(s->image, cs, &e);
      size = cs->size;
      bool inside = e.direct && e.target >= function->address && e.target < end;
      if (effect_jumps(&e) && (e.flow == FLOW_CALL || !inside)) look_at_call(s, &e, function->name);
      cs_free(cs, 1);
    }
    address += size;
    bytes += size;
    left -= size;
  }
}

void reach_find(const struct image *image, const struct symbol *function, struct reach *out) {
  *out = (struct reach){0};
  struct search s = {.image = image, .out = out};
  enqueue(&s, function);
  while (s.done < s.count && !(out->parks && out->blocks)) look_through(&s, s.queue[s.done++]);
}
