/* The listing as text, in the manner of Python's dis:
 *
 *   LINE  >>  LABEL  OFFSET  BYTES  INSTRUCTION  NOTE
 *
 * A terminal's width is kept: bytes go first, then notes go below their instruction, and are broken between words. */
#include "../command.h"
#include "dis.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE_WIDTH = 5, LABEL_WIDTH = 5, BYTES_MOST = 10, NARROW = 90, UNLIMITED = 100000 };

struct printer {
  const struct listing *listing;
  FILE *to;
  bool colour, with_bytes, with_source;
  int width, offset_digits, bytes_width, text_width, notes_at;
  char **source; /* lines of the function's file */
  size_t source_count;
};

/* ---- Colours ----------------------------------------------------------------------------------------------------------------- */

enum style { STYLE_PLAIN, STYLE_DIM, STYLE_BOLD, STYLE_LABEL, STYLE_NOTES };

static const char *const styles[STYLE_NOTES + NOTE_KINDS] = {
    [STYLE_DIM] = "\033[2m",
    [STYLE_BOLD] = "\033[1m",
    [STYLE_LABEL] = "\033[36m",
    [STYLE_NOTES + NOTE_PARKS] = "\033[1;33m",
    [STYLE_NOTES + NOTE_ENDS] = "\033[1;33m",
    [STYLE_NOTES + NOTE_BLOCKS] = "\033[1;31m",
    [STYLE_NOTES + NOTE_UNKNOWN] = "\033[33m",
    [STYLE_NOTES + NOTE_SPLIT] = "\033[1;35m",
    [STYLE_NOTES + NOTE_SHARED] = "\033[35m",
    [STYLE_NOTES + NOTE_ATOMIC] = "\033[32m",
};

static void set_style(const struct printer *p, int style) {
  if (p->colour && styles[style]) fputs(styles[style], p->to);
}

static void end_style(const struct printer *p, int style) {
  if (p->colour && styles[style]) fputs("\033[0m", p->to);
}

/* ---- Width ------------------------------------------------------------------------------------------------------------------- */

/* COLUMNS goes before what the terminal says; what is not a terminal has no width. */
static int terminal_width(FILE *to) {
  const char *columns = getenv("COLUMNS");
  int asked = columns ? atoi(columns) : 0;
  if (asked > 0) return asked < 40 ? 40 : asked;
  struct winsize size;
  if (!isatty(fileno(to)) || ioctl(fileno(to), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return UNLIMITED;
  return size.ws_col < 40 ? 40 : size.ws_col;
}

static void measure(struct printer *p) {
  size_t most_bytes = 0, most_text = 0;
  uint64_t most_offset = 0;
  for (size_t i = 0; i < p->listing->count; i++) {
    const struct line *line = &p->listing->lines[i];
    size_t text = strlen(line->text);
    if (line->size > most_bytes) most_bytes = line->size;
    if (text > most_text && line->notes) most_text = text;
    if (listing_offset(p->listing, i) > most_offset) most_offset = listing_offset(p->listing, i);
  }
  if (most_bytes > BYTES_MOST) most_bytes = BYTES_MOST;
  if (most_text > 44) most_text = 44;
  p->offset_digits = snprintf(NULL, 0, "+0x%" PRIx64, most_offset);
  p->with_bytes = p->width >= NARROW;
  p->bytes_width = p->with_bytes ? (int)(3 * most_bytes) + 1 : 0;
  p->text_width = (int)most_text;
  p->notes_at = LINE_WIDTH + 4 + LABEL_WIDTH + p->offset_digits + 2 + p->bytes_width + p->text_width + 2;
}

/* ---- Source ------------------------------------------------------------------------------------------------------------------- */

static FILE *open_source(const struct listing *listing) {
  if (!listing->file) return NULL;
  bool relative = listing->file[0] != '/' && listing->directory;
  char *path = format_text("%s%s%s", relative ? listing->directory : "", relative ? "/" : "", listing->file);
  FILE *file = fopen(path, "re");
  free(path);
  return file;
}

static void read_source(struct printer *p) {
  FILE *file = p->with_source ? open_source(p->listing) : NULL;
  if (!file) return;
  char *text = NULL;
  size_t room = 0, lines_room = 0;
  ssize_t length;
  while ((length = getline(&text, &room, file)) >= 0) {
    if (p->source_count == lines_room) {
      lines_room = lines_room ? 2 * lines_room : 256;
      p->source = need_memory(realloc(p->source, lines_room * sizeof *p->source));
    }
    while (length > 0 && strchr("\r\n", text[length - 1])) text[--length] = '\0';
    for (char *c = text; *c; c++)
      if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = ' ';
    p->source[p->source_count++] = need_memory(strdup(text));
  }
  free(text);
  fclose(file);
}

static void free_source(struct printer *p) {
  for (size_t i = 0; i < p->source_count; i++) free(p->source[i]);
  free(p->source);
}

static bool in_own_file(const struct printer *p, const struct place *place) {
  return place->file && p->listing->file && strcmp(place->file, p->listing->file) == 0;
}

static void print_source(const struct printer *p, const struct place *place) {
  bool own = in_own_file(p, place), there = own && place->line > 0 && (size_t)place->line <= p->source_count;
  set_style(p, STYLE_BOLD);
  fprintf(p->to, "%*d", LINE_WIDTH, place->line);
  end_style(p, STYLE_BOLD);
  if (!own) fprintf(p->to, "  in %s", base_name(place->file));
  if (place->inlined) fprintf(p->to, "  inlined %s", place->inlined);
  if (there) {
    set_style(p, STYLE_DIM);
    fprintf(p->to, "  %.*s", p->width - LINE_WIDTH - 2, p->source[place->line - 1]);
    end_style(p, STYLE_DIM);
  }
  fputc('\n', p->to);
}

/* ---- Notes -------------------------------------------------------------------------------------------------------------------- */

/* Breaks between words; the first line begins where the cursor is. */
static void print_wrapped(const struct printer *p, const char *text, int at, int indent) {
  int used = at;
  while (*text) {
    int length = (int)strcspn(text, " ");
    if (used > indent && used + 1 + length > p->width) {
      fprintf(p->to, "\n%*s", indent, "");
      used = indent;
    } else if (used > at || (used > indent && at == indent)) {
      fputc(' ', p->to);
      used++;
    }
    fprintf(p->to, "%.*s", length, text);
    used += length;
    text += length;
    text += strspn(text, " ");
  }
}

static void print_notes(const struct printer *p, const struct line *line, int at) {
  int room = p->width - p->notes_at;
  bool beside = room >= 40 && at < p->notes_at;
  int column = beside ? p->notes_at : p->notes_at - p->text_width;
  for (const struct note *note = line->notes; note; note = note->next) {
    if (note == line->notes && beside)
      fprintf(p->to, "%*s", column - at, "");
    else
      fprintf(p->to, "\n%*s", column, "");
    set_style(p, STYLE_NOTES + (int)note->kind);
    fputs("<- ", p->to);
    print_wrapped(p, note->text, column + 3, column + 3);
    end_style(p, STYLE_NOTES + (int)note->kind);
  }
}

/* ---- Instructions -------------------------------------------------------------------------------------------------------------- */

static void print_bytes(const struct printer *p, const struct line *line) {
  char text[3 * 16 + 1] = "";
  for (int k = 0; k < line->size && k < 16; k++) sprintf(text + 3 * k, "%02x ", line->bytes[k]);
  if (!p->with_bytes) return;
  set_style(p, STYLE_DIM);
  fprintf(p->to, "%-*s", p->bytes_width, text);
  end_style(p, STYLE_DIM);
}

static void print_line(const struct printer *p, size_t i) {
  const struct line *line = &p->listing->lines[i];
  char label[16] = "", offset[24];
  if (line->label) snprintf(label, sizeof label, "L%d:", line->label);
  snprintf(offset, sizeof offset, "+0x%" PRIx64, listing_offset(p->listing, i));
  fprintf(p->to, "%*s", LINE_WIDTH, "");
  set_style(p, STYLE_LABEL);
  fprintf(p->to, " %2s %-*s", line->label ? ">>" : "", LABEL_WIDTH, label);
  end_style(p, STYLE_LABEL);
  fprintf(p->to, "%*s  ", p->offset_digits, offset);
  print_bytes(p, line);
  fputs(line->text, p->to);
  int bytes = 3 * line->size + 1 > p->bytes_width && p->with_bytes ? 3 * line->size : p->bytes_width;
  int at = LINE_WIDTH + 4 + LABEL_WIDTH + p->offset_digits + 2 + bytes + (int)strlen(line->text);
  print_notes(p, line, at);
  fputc('\n', p->to);
}

static bool same_place(const struct place *a, const struct place *b) {
  bool same_path =
      a->inlined == b->inlined || (a->inlined && b->inlined && strcmp(a->inlined, b->inlined) == 0);
  return a->line == b->line && same_path && a->file && b->file && strcmp(a->file, b->file) == 0;
}

static void print_lines(const struct printer *p) {
  const struct place *shown = NULL;
  int part = 0;
  for (size_t i = 0; i < p->listing->count; i++) {
    const struct line *line = &p->listing->lines[i];
    if (line->part != part)
      fprintf(p->to, "\n%s, which seldom runs:\n", p->listing->function.part[line->part].name);
    part = line->part;
    if (line->place.file && line->place.line > 0 && (!shown || !same_place(shown, &line->place))) {
      print_source(p, &line->place);
      shown = &line->place;
    }
    print_line(p, i);
  }
}

/* ---- Head and end ---------------------------------------------------------------------------------------------------------------- */

static void print_paragraph(const struct printer *p, const char *text) {
  print_wrapped(p, text, 0, 0);
  fputc('\n', p->to);
}

static void print_head(const struct printer *p) {
  const struct listing *l = p->listing;
  set_style(p, STYLE_BOLD);
  fprintf(p->to, "%s", l->function.name);
  end_style(p, STYLE_BOLD);
  fprintf(p->to, " in %s at 0x%" PRIx64 ", %" PRIu64 " bytes", l->image->path, l->function.part[0].address,
          l->function.part[0].size);
  if (l->file) fprintf(p->to, ", %s:%d", base_name(l->file), l->line);
  fputc('\n', p->to);
  if (!l->file)
    print_paragraph(
        p, l->image->dwarf
               ? "The debug info knows nothing of it, so there are no lines: compile its file with -g."
               : "There is no debug info, so there are no lines: compile with -g.");
  print_paragraph(
      p,
      "A thread may be preempted before each of these instructions. Notes say where else a switch may fall, "
      "and what it can tear if no lock keeps others out.");
  fputc('\n', p->to);
}

static void print_count(const struct printer *p, size_t n, const char *one, const char *many) {
  if (n) fprintf(p->to, "  %4zu %s\n", n, n == 1 ? one : many);
}

static void print_end(const struct printer *p) {
  const size_t *n = p->listing->notes;
  fprintf(p->to, "\n  %4zu instruction%s, preemptible everywhere\n", p->listing->count,
          p->listing->count == 1 ? "" : "s");
  print_count(p, n[NOTE_PARKS], "call that may park", "calls that may park");
  print_count(p, n[NOTE_ENDS], "call that does not return", "calls that do not return");
  print_count(p, n[NOTE_BLOCKS], "call that may block its worker", "calls that may block their worker");
  print_count(p, n[NOTE_UNKNOWN], "call of what is not known here", "calls of what is not known here");
  print_count(p, n[NOTE_SPLIT] / 2, "load and store that a switch or another worker can tear apart",
              "loads and stores that a switch or another worker can tear apart");
  print_count(p, n[NOTE_SHARED], "read-modify-write in one instruction that another worker can tear",
              "read-modify-writes in one instruction that another worker can tear");
  print_count(p, n[NOTE_ATOMIC], "atomic instruction", "atomic instructions");
}

void print_text(const struct listing *listing, FILE *to, bool with_source) {
  struct printer p = {.listing = listing,
                      .to = to,
                      .colour = wants_colour(to),
                      .with_source = with_source,
                      .width = terminal_width(to)};
  measure(&p);
  read_source(&p);
  print_head(&p);
  print_lines(&p);
  print_end(&p);
  free_source(&p);
}
