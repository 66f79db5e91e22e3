/* Functions by name: exactly, of one file of several, by address; and what else might have been meant. */
#include "../command.h"
#include "dis.h"

#include <stdlib.h>
#include <string.h>

enum { CANDIDATES = 64, SUGGESTIONS = 5 };

/* ---- Candidates ------------------------------------------------------------------------------------------------------ */

/* gcc calls a function that it has changed for its callers "name.isra.0" and the like. */
static bool is_clone(const char *symbol, const char *name) {
  size_t length = strlen(name);
  if (strncmp(symbol, name, length) != 0 || symbol[length] != '.') return false;
  static const char *const kinds[] = {".constprop.", ".isra.", ".part.", ".lto_priv."};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strncmp(symbol + length, kinds[i], strlen(kinds[i])) == 0) return true;
  return false;
}

static bool is_cold(const char *symbol, const char *name) {
  size_t length = strlen(name);
  return strncmp(symbol, name, length) == 0 && strcmp(symbol + length, ".cold") == 0;
}

static bool in_file(const char *path, const char *file) {
  size_t length = strlen(path), wanted = strlen(file);
  if (length < wanted || strcmp(path + length - wanted, file) != 0) return false;
  return length == wanted || path[length - wanted - 1] == '/';
}

static struct place where(const struct image *image, uint64_t address) {
  struct place_finder finder;
  places_begin(&finder, image, address);
  return places_at(&finder, address);
}

static bool symbol_in_file(const struct image *image, const struct symbol *s, const char *file) {
  if (!file) return true;
  struct place place = where(image, s->address);
  if (place.file) return in_file(place.file, file);
  return s->file && in_file(s->file, base_name(file));
}

typedef bool match_fn(const char *symbol, const char *name);

static bool is_same(const char *symbol, const char *name) { return strcmp(symbol, name) == 0; }

/* At most CANDIDATES functions of that name, each address once. */
static size_t collect(const struct image *image, match_fn *matches, const char *name, const char *file,
                      const struct symbol **out) {
  size_t found = 0;
  for (size_t i = 0; i < image->symbol_count && found < CANDIDATES; i++) {
    const struct symbol *s = &image->symbols[i];
    if (!s->function || !matches(s->name, name)) continue;
    if (found && out[found - 1]->address == s->address) continue;
    if (symbol_in_file(image, s, file)) out[found++] = s;
  }
  return found;
}

/* ---- Near names ------------------------------------------------------------------------------------------------------- */

struct suggestion {
  const char *name;
  size_t distance;
};

static size_t how_near(const char *symbol, const char *name) {
  size_t d = letters_apart(symbol, name);
  if (d > 1 && strlen(name) >= 3 && strstr(symbol, name)) d = 1;
  return d;
}

static void insert(struct suggestion *best, const char *name, size_t d) {
  for (size_t k = 0; k < SUGGESTIONS; k++)
    if (best[k].name && strcmp(best[k].name, name) == 0) return;
  for (size_t k = 0; k < SUGGESTIONS; k++) {
    if (d >= best[k].distance) continue;
    memmove(&best[k + 1], &best[k], (SUGGESTIONS - k - 1) * sizeof *best);
    best[k] = (struct suggestion){name, d};
    return;
  }
}

/* ": near it are ..., ...", or "". */
static char *near_names(const struct image *image, const char *name) {
  struct suggestion best[SUGGESTIONS];
  size_t limit = strlen(name) / 3 + 2;
  for (size_t k = 0; k < SUGGESTIONS; k++) best[k] = (struct suggestion){NULL, limit};
  for (size_t i = 0; i < image->symbol_count; i++)
    if (image->symbols[i].function)
      insert(best, image->symbols[i].name, how_near(image->symbols[i].name, name));
  char *text = format_text("%s", "");
  for (size_t k = 0; k < SUGGESTIONS && best[k].name; k++) {
    char *longer = format_text("%s%s%s", text, k ? ", " : "; there is ", best[k].name);
    free(text);
    text = longer;
  }
  return text;
}

static int fail_elsewhere(const struct image *image, const char *wanted, const char *name,
                          const struct symbol *s) {
  struct place place = where(image, s->address);
  const char *file = place.file ? place.file : s->file;
  return fail("%s: no function `%s`; there is one called `%s` in %s", image->path, wanted, name,
              file ? file : "some other file");
}

static int fail_unknown(const struct image *image, const char *wanted, const char *name) {
  const struct symbol *elsewhere[CANDIDATES];
  if (collect(image, is_same, name, NULL, elsewhere) > 0)
    return fail_elsewhere(image, wanted, name, elsewhere[0]);
  if (!image->has_symbols)
    return fail("%s: no function `%s`: the file is stripped, and has the names of what it exports alone; "
                "link it without -s, do not strip it, or name the file that it was stripped from",
                image->path, wanted);
  char *near = near_names(image, name);
  int status =
      fail("%s: no function `%s`%s; one that was inlined everywhere is not there (-fno-inline keeps it)",
           image->path, wanted, near);
  free(near);
  return status;
}

static int fail_ambiguous(const struct image *image, const char *name, const struct symbol **found,
                          size_t n) {
  fail("%s: %zu functions are called `%s`; say which, as FILE:%s or by its address:", image->path, n, name,
       name);
  for (size_t i = 0; i < n; i++) {
    struct place place = where(image, found[i]->address);
    if (place.file)
      fprintf(stderr, "  0x%jx  %s:%d\n", (uintmax_t)found[i]->address, place.file, place.line);
    else
      fprintf(stderr, "  0x%jx  %s\n", (uintmax_t)found[i]->address, found[i]->file ? found[i]->file : "?");
  }
  return STATUS_FAILED;
}

/* ---- Finding ------------------------------------------------------------------------------------------------------------- */

static void add_part(const struct image *image, struct function *f, const struct symbol *s) {
  size_t there = 0;
  if (!image_bytes(image, s->address, &there)) there = 0;
  uint64_t size = s->size;
  /* Assembly may give no size: up to the next symbol. */
  if (size == 0 && s + 1 < image->symbols + image->symbol_count) size = s[1].address - s->address;
  f->part[f->parts].address = s->address;
  f->part[f->parts].size = size < there ? size : there;
  f->part[f->parts++].name = s->name;
}

static int take(const struct image *image, const struct symbol *s, struct function *out) {
  *out = (struct function){.name = s->name};
  add_part(image, out, s);
  if (out->part[0].size == 0)
    return fail("%s: `%s` has no instructions in the file: its symbol lies outside of it", image->path,
                s->name);
  const struct symbol *cold[CANDIDATES];
  size_t n = collect(image, is_cold, s->name, NULL, cold);
  for (size_t i = 0; i < n && out->parts < PARTS_MAX; i++) {
    bool same_file = cold[i]->file == s->file || !s->file || !cold[i]->file;
    if (same_file || n == 1) add_part(image, out, cold[i]);
  }
  return 0;
}

static int find_address(const struct image *image, const char *wanted, struct function *out) {
  char *end;
  uint64_t address = strtoull(wanted, &end, 16);
  const struct symbol *s = *end ? NULL : image_symbol(image, address, true);
  return s ? take(image, s, out) : fail("%s: no function at %s", image->path, wanted);
}

int function_find(const struct image *image, const char *wanted, struct function *out) {
  if (strncmp(wanted, "0x", 2) == 0) return find_address(image, wanted, out);
  const char *colon = strrchr(wanted, ':'), *name = colon ? colon + 1 : wanted;
  char *file = colon ? need_memory(strndup(wanted, (size_t)(colon - wanted))) : NULL;
  const struct symbol *found[CANDIDATES];
  size_t n = collect(image, is_same, name, file, found);
  if (n == 0) n = collect(image, is_clone, name, file, found);
  free(file);
  if (n == 0) return fail_unknown(image, wanted, name);
  if (n > 1) return fail_ambiguous(image, name, found, n);
  return take(image, found[0], out);
}
