/* The listing as JSON. Fields are told in thrum-dis(1). */
#include "../command.h"
#include "dis.h"

#include <json-c/json.h>

static void add(struct json_object *to, const char *name, struct json_object *value) {
  json_object_object_add(to, name, value);
}

static struct json_object *text_or_null(const char *text) {
  return text ? json_object_new_string(text) : NULL;
}

static struct json_object *address_text(uint64_t address) {
  char text[24];
  snprintf(text, sizeof text, "0x%jx", (uintmax_t)address);
  return json_object_new_string(text);
}

static struct json_object *bytes_text(const struct line *line) {
  char text[2 * 16 + 1] = "";
  for (int k = 0; k < line->size && k < 16; k++) sprintf(text + 2 * k, "%02x", line->bytes[k]);
  return json_object_new_string(text);
}

static struct json_object *notes_of(const struct listing *listing, const struct line *line) {
  struct json_object *all = json_object_new_array();
  for (const struct note *note = line->notes; note; note = note->next) {
    struct json_object *one = json_object_new_object();
    add(one, "kind", json_object_new_string(note_names[note->kind]));
    add(one, "text", json_object_new_string(note->text));
    if (note->other != NOWHERE) add(one, "with", address_text(listing->lines[note->other].address));
    json_object_array_add(all, one);
  }
  return all;
}

static struct json_object *instruction(const struct listing *listing, size_t i) {
  const struct line *line = &listing->lines[i];
  struct json_object *one = json_object_new_object();
  bool jumps = line->effect.direct;
  add(one, "address", address_text(line->address));
  add(one, "offset", json_object_new_int64((int64_t)listing_offset(listing, i)));
  add(one, "part", json_object_new_string(listing->function.part[line->part].name));
  add(one, "bytes", bytes_text(line));
  add(one, "text", json_object_new_string(line->text));
  add(one, "file", text_or_null(line->place.file));
  add(one, "line", line->place.file ? json_object_new_int(line->place.line) : NULL);
  add(one, "inlined", text_or_null(line->place.inlined));
  add(one, "is_jump_target", json_object_new_boolean(line->label != 0));
  add(one, "label", line->label ? json_object_new_int(line->label) : NULL);
  add(one, "target", jumps ? address_text(line->effect.target) : NULL);
  add(one, "callee", text_or_null(line->callee));
  add(one, "notes", notes_of(listing, line));
  return one;
}

static struct json_object *summary(const struct listing *listing) {
  struct json_object *counts = json_object_new_object();
  add(counts, "instructions", json_object_new_int64((int64_t)listing->count));
  for (int k = 0; k < NOTE_KINDS; k++)
    add(counts, note_names[k],
        json_object_new_int64((int64_t)(k == NOTE_SPLIT ? listing->notes[k] / 2 : listing->notes[k])));
  return counts;
}

int print_json(const struct listing *listing, FILE *to) {
  struct json_object *all = json_object_new_object(), *list = json_object_new_array();
  add(all, "program", json_object_new_string(listing->image->path));
  add(all, "machine", json_object_new_string(image_is_arm(listing->image) ? "aarch64" : "x86-64"));
  add(all, "function", json_object_new_string(listing->function.name));
  add(all, "address", address_text(listing->function.part[0].address));
  add(all, "size", json_object_new_int64((int64_t)listing->function.part[0].size));
  add(all, "file", text_or_null(listing->file));
  add(all, "line", listing->file ? json_object_new_int(listing->line) : NULL);
  add(all, "preemptible", json_object_new_boolean(true));
  for (size_t i = 0; i < listing->count; i++) json_object_array_add(list, instruction(listing, i));
  add(all, "instructions", list);
  add(all, "summary", summary(listing));
  fprintf(to, "%s\n",
          json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
  json_object_put(all);
  return 0;
}
