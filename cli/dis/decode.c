/* The instructions of a function: where they begin, where they go, and how they are written. */
#include "../command.h"
#include "dis.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *need_memory(void *memory) {
  if (!memory) exit(fail("no memory"));
  return memory;
}

char *format_text(const char *format, ...) {
  char *text = NULL;
  va_list args;
  va_start(args, format);
  if (vasprintf(&text, format, args) < 0) text = NULL;
  va_end(args);
  return need_memory(text);
}

/* ---- Instructions --------------------------------------------------------------------------------------------------------- */

static struct line *add_line(struct listing *listing, size_t *room) {
  if (listing->count == *room) {
    *room = *room ? 2 * *room : 256;
    listing->lines = need_memory(realloc(listing->lines, *room * sizeof *listing->lines));
  }
  struct line *line = &listing->lines[listing->count++];
  *line = (struct line){0};
  return line;
}

static char *written(const cs_insn *cs) {
  return *cs->op_str ? format_text("%-7s %s", cs->mnemonic, cs->op_str) : format_text("%s", cs->mnemonic);
}

/* What is no instruction is shown as data: a byte, or four. */
static char *as_data(const struct image *image, const uint8_t *bytes, size_t size) {
  if (image_is_arm(image) && size == 4)
    return format_text("%-7s 0x%02x%02x%02x%02x", ".inst", bytes[3], bytes[2], bytes[1], bytes[0]);
  return format_text("%-7s 0x%02x", ".byte", bytes[0]);
}

static void read_instruction(const struct image *image, const uint8_t *bytes, size_t left,
                             struct line *line) {
  cs_insn *text = NULL;
  line->bytes = bytes;
  if (cs_disasm(image->detail, bytes, left, line->address, 1, &line->cs) == 1 &&
      cs_disasm(image->text, bytes, left, line->address, 1, &text) == 1 && text->size == line->cs->size) {
    line->size = (uint8_t)line->cs->size;
    line->text = written(text);
    machine_effect(image, line->cs, &line->effect);
  } else {
    if (line->cs) cs_free(line->cs, 1);
    line->cs = NULL;
    line->size = image_is_arm(image) && left >= 4 ? 4 : 1;
    line->text = image_is_arm(image) ? arm64_atomic_text(bytes, line->size) : NULL;
    if (line->text) line->effect.atomic = ATOMIC_WHOLE;
    if (!line->text) line->text = as_data(image, bytes, line->size);
  }
  if (text) cs_free(text, 1);
}

static int read_part(struct listing *listing, int part, size_t *room) {
  uint64_t address = listing->function.part[part].address, size = listing->function.part[part].size;
  size_t there;
  const uint8_t *bytes = image_bytes(listing->image, address, &there);
  if (!bytes) return 0;
  size_t left = size < there ? size : there;
  while (left > 0) {
    struct line *line = add_line(listing, room);
    line->address = address;
    line->part = part;
    read_instruction(listing->image, bytes, left, line);
    address += line->size;
    bytes += line->size;
    left -= line->size;
  }
  return 0;
}

/* ---- Where they are ----------------------------------------------------------------------------------------------------------- */

/* Lines of a part are in order of their addresses. */
static long find_in_part(const struct listing *listing, int part, uint64_t address) {
  size_t low = 0, high = listing->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const struct line *line = &listing->lines[middle];
    if (line->part < part || (line->part == part && line->address < address))
      low = middle + 1;
    else
      high = middle;
  }
  bool found =
      low < listing->count && listing->lines[low].part == part && listing->lines[low].address == address;
  return found ? (long)low : NOWHERE;
}

long listing_at(const struct listing *listing, uint64_t address) {
  for (size_t p = 0; p < listing->function.parts; p++) {
    uint64_t begin = listing->function.part[p].address;
    if (address < begin || address - begin >= listing->function.part[p].size) continue;
    long found = find_in_part(listing, (int)p, address);
    if (found != NOWHERE) return found;
  }
  return NOWHERE;
}

/* From the beginning of its part. */
uint64_t listing_offset(const struct listing *listing, size_t i) {
  const struct line *line = &listing->lines[i];
  return line->address - listing->function.part[line->part].address;
}

/* ---- Targets --------------------------------------------------------------------------------------------------------------- */

static void mark_leaders(struct listing *listing) {
  bool begins = true;
  for (size_t i = 0; i < listing->count; i++) {
    struct line *line = &listing->lines[i];
    line->leader = line->leader || begins || (i > 0 && listing->lines[i - 1].part != line->part);
    enum flow flow = line->effect.flow;
    begins = !line->cs || flow == FLOW_BRANCH || flow == FLOW_JUMP || flow == FLOW_RETURN;
    if (!line->effect.direct || (flow != FLOW_BRANCH && flow != FLOW_JUMP)) continue;
    long target = listing_at(listing, line->effect.target);
    if (target == NOWHERE) continue;
    listing->lines[target].leader = true;
    listing->lines[target].label = 1;
  }
}

static void number_labels(struct listing *listing) {
  int labels = 0;
  for (size_t i = 0; i < listing->count; i++)
    if (listing->lines[i].label) listing->lines[i].label = ++labels;
}

/* ---- Names ------------------------------------------------------------------------------------------------------------------ */

/* A stub of the procedure linkage table jumps to what a slot holds: by its name. */
static const char *stub_target(const struct image *image, uint64_t address) {
  size_t left;
  const uint8_t *bytes = image_bytes(image, address, &left);
  uint64_t page = 0;
  for (int n = 0; bytes && n < 5; n++) {
    cs_insn *cs = NULL;
    if (cs_disasm(image->detail, bytes, left, address, 1, &cs) != 1) return NULL;
    uint64_t slot = machine_stub_slot(image, cs, &page);
    struct effect effect;
    machine_effect(image, cs, &effect);
    bool ends = effect.flow != FLOW_NEXT;
    bytes += cs->size;
    left -= cs->size;
    address += cs->size;
    cs_free(cs, 1);
    const char *name = slot ? image_slot(image, slot) : NULL;
    if (name || ends) return name;
  }
  return NULL;
}

const char *image_callee(const struct image *image, const struct effect *e, const struct symbol **own) {
  *own = NULL;
  if (!e->direct) {
    bool by_slot = e->access.absolute && e->access.index == NO_REGISTER;
    return by_slot ? image_slot(image, (uint64_t)e->access.offset) : NULL;
  }
  const char *name = stub_target(image, e->target);
  if (name) {
    *own = image_function(image, name);
    return name;
  }
  const struct symbol *s = image_symbol(image, e->target, true);
  if (!s) s = image_symbol(image, e->target, false);
  if (!s || s->address != e->target) return NULL;
  *own = s;
  return s->name;
}

bool effect_jumps(const struct effect *e) {
  return e->flow == FLOW_CALL || e->flow == FLOW_JUMP || e->flow == FLOW_BRANCH;
}

static void name_callee(const struct listing *listing, struct line *line) {
  const struct effect *e = &line->effect;
  if (!effect_jumps(e) || (e->flow != FLOW_CALL && e->direct && listing_at(listing, e->target) != NOWHERE))
    return;
  line->callee = image_callee(listing->image, e, &line->own);
}

/* The text with its last number replaced by a name. */
static void rewrite_target(struct listing *listing, struct line *line) {
  const struct effect *e = &line->effect;
  if (!e->direct) return;
  char *at = strrchr(line->text, '0');
  for (char *p = line->text; (p = strstr(p, "0x")) != NULL; p++) at = p;
  if (!at || strncmp(at, "0x", 2) != 0) return;
  long target = line->callee ? NOWHERE : listing_at(listing, e->target);
  int before = (int)(at - line->text);
  if (before > 0 && line->text[before - 1] == '#') before--;
  char *text = NULL;
  if (line->callee)
    text = format_text("%.*s%s", before, line->text, line->callee);
  else if (target != NOWHERE && listing->lines[target].label)
    text = format_text("%.*sL%d", before, line->text, listing->lines[target].label);
  if (!text) return;
  free(line->text);
  line->text = text;
}

char *listing_place_name(const struct listing *listing, uint64_t address) {
  const char *slot = image_slot(listing->image, address);
  if (slot) return format_text("%s@got", slot);
  const struct symbol *s = image_symbol(listing->image, address, false);
  if (!s) s = image_symbol(listing->image, address, true);
  if (!s) return NULL;
  if (s->address == address) return format_text("%s", s->name);
  return format_text("%s+%" PRIu64, s->name, address - s->address);
}

/* What is written there, if that is a text: behind the instruction, cut if it is long. */
static void append_string(const struct image *image, struct line *line) {
  enum { SHOWN = 24 };
  size_t size;
  const uint8_t *at = image_bytes(image, line->effect.relative, &size);
  char text[2 * SHOWN + 8] = "";
  size_t used = 0, n = 0;
  for (; at && n < size && n < SHOWN && at[n]; n++) {
    if (at[n] != '\n' && (at[n] < 0x20 || at[n] > 0x7e)) return;
    if (at[n] == '\n' || at[n] == '"' || at[n] == '\\') text[used++] = '\\';
    text[used++] = at[n] == '\n' ? 'n' : (char)at[n];
  }
  if (n < 2 || n == size) return;
  char *longer = format_text("%s  # \"%s\"%s", line->text, text, at[n] ? "..." : "");
  free(line->text);
  line->text = longer;
}

/* 0x2ee4(%rip) becomes counter(%rip). */
static void rewrite_memory(const struct listing *listing, struct line *line) {
  char *rip = strstr(line->text, "(%rip)");
  if (!rip || !line->cs || !line->effect.relative) return;
  char *begin = rip;
  while (begin > line->text && strchr("0123456789abcdefx-", begin[-1])) begin--;
  char *name = listing_place_name(listing, line->effect.relative);
  if (!name) {
    if (line->cs->id == X86_INS_LEA) append_string(listing->image, line);
    return;
  }
  char *text = format_text("%.*s%s%s", (int)(begin - line->text), line->text, name, rip);
  free(name);
  free(line->text);
  line->text = text;
}

static void name_all(struct listing *listing) {
  struct place_finder finder;
  int part = NOWHERE;
  for (size_t i = 0; i < listing->count; i++) {
    struct line *line = &listing->lines[i];
    if (line->part != part) places_begin(&finder, listing->image, line->address);
    if (i == 0) listing->directory = places_directory(&finder);
    part = line->part;
    line->place = places_at(&finder, line->address);
    if (!line->cs) continue;
    name_callee(listing, line);
    rewrite_target(listing, line);
    rewrite_memory(listing, line);
  }
  if (listing->count && listing->lines[0].place.file) {
    listing->file = listing->lines[0].place.file;
    listing->line = listing->lines[0].place.line;
  }
}

int listing_decode(struct listing *listing) {
  size_t room = 0;
  for (size_t p = 0; p < listing->function.parts; p++) read_part(listing, (int)p, &room);
  mark_leaders(listing);
  number_labels(listing);
  name_all(listing);
  return 0;
}

void listing_free(struct listing *listing) {
  for (size_t i = 0; i < listing->count; i++) {
    struct line *line = &listing->lines[i];
    for (struct note *note = line->notes, *next; note; note = next) {
      next = note->next;
      free(note->text);
      free(note);
    }
    if (line->cs) cs_free(line->cs, 1);
    free(line->text);
  }
  free(listing->lines);
}

/* ---- Notes ------------------------------------------------------------------------------------------------------------------ */

const char *const note_names[NOTE_KINDS] = {"parks", "ends",   "blocks", "unknown",
                                            "split", "shared", "atomic"};

/* Behind those that are there. */
void listing_note(struct listing *listing, size_t i, enum note_kind kind, long other, const char *format,
                  ...) {
  struct note *note = need_memory(calloc(1, sizeof *note));
  va_list args;
  va_start(args, format);
  if (vasprintf(&note->text, format, args) < 0) note->text = NULL;
  va_end(args);
  need_memory(note->text);
  note->kind = kind;
  note->other = other;
  struct note **at = &listing->lines[i].notes;
  while (*at) at = &(*at)->next;
  *at = note;
  listing->notes[kind]++;
}
