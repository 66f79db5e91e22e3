/* Lanes as text: a line for each worker and each thread over one scale of time, a character a column. Readable without colour;
 * colour says the same again. */
#include "units.h"
#include "views.h"

#include <stdlib.h>
#include <string.h>

enum {
  NAME_MAX_COLUMNS = 24,
  COLUMNS_MIN = 10,
  IDLE = STATES, /* of a worker */
  ABSENT,        /* of a thread: not born, ended, or not known */
  MARKS,
};

static const char *const colours[MARKS] = {
    [STATE_RUN] = "\033[32m",  [STATE_READY] = "\033[33m", [STATE_BLOCKED] = "\033[2m",
    [STATE_CALL] = "\033[36m", [IDLE] = "\033[2m",         [ABSENT] = "",
};

struct drawing {
  const struct model *m;
  FILE *to;
  const struct text_options *options;
  int columns, names;       /* of a lane; of the names before it */
  int64_t (*cells)[STATES]; /* ns of each state, by column */
};

/* ---- Text ------------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at `s`; 0: it is none, or a longer form of a shorter one, or half of a pair, or beyond the last. */
static size_t character(const unsigned char *s) {
  if (s[0] < 0x80) return 1;
  size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  uint32_t least = n == 4 ? 0x10000 : n == 3 ? 0x800 : 0x80, code = s[0] & (0x7fu >> n);
  if (s[0] < 0xc0 || s[0] > 0xf4) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3fu);
  }
  return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

const char *plain_text(const char *text, char *buffer, size_t size, int columns, int *taken) {
  const unsigned char *s = (const unsigned char *)text;
  size_t at = 0;
  int done = 0;
  while (*s && done < columns) {
    size_t n = character(s);
    bool shown = n > 1 ? !(s[0] == 0xc2 && s[1] < 0xa0) : n == 1 && *s >= ' ' && *s != 0x7f;
    size_t width = shown ? n : 1;
    if (at + width + 1 > size) break;
    memcpy(buffer + at, shown ? (const char *)s : "?", width);
    at += width;
    s += n ? n : 1;
    done++;
  }
  buffer[at] = 0;
  if (taken) *taken = done;
  return buffer;
}

/* ---- One lane --------------------------------------------------------------------------------------------------- */

static void clear(struct drawing *d) { memset(d->cells, 0, (size_t)d->columns * sizeof *d->cells); }

/* Where a column begins. */
static int64_t begin_of(const struct drawing *d, int column) {
  int64_t all = d->m->to - d->m->from;
  return d->m->from + (int64_t)((double)all / d->columns * column);
}

static void fill(struct drawing *d, const struct interval *v) {
  int64_t all = d->m->to - d->m->from;
  if (all <= 0) return;
  int column = (int)((double)(v->from - d->m->from) / (double)all * d->columns);
  if (column > 0) column--; /* whatever the rounding did */
  for (; column < d->columns && begin_of(d, column) < v->to; column++) {
    int64_t from = begin_of(d, column), to = column + 1 < d->columns ? begin_of(d, column + 1) : d->m->to;
    if (from < v->from) from = v->from;
    if (to > v->to) to = v->to;
    if (to > from) d->cells[column][v->state] += to - from;
  }
}

/* The mark of a column: who ran for half of it or more, `#`; who ran at all, `:`; else what took most of it. */
static char mark_of(const struct drawing *d, int column, int otherwise, int *state) {
  const int64_t *ns = d->cells[column];
  int64_t width = (d->m->to - d->m->from) / d->columns;
  int most = STATE_READY;
  for (int s = STATE_READY; s < STATES; s++)
    if (ns[s] > ns[most]) most = s;
  *state = ns[STATE_RUN] ? STATE_RUN : ns[most] ? most : otherwise;
  if (*state == STATE_RUN) return ns[STATE_RUN] * 2 >= width ? '#' : ':';
  return "#-.=. "[*state];
}

static void draw(struct drawing *d, const char *name, int otherwise) {
  char text[4 * NAME_MAX_COLUMNS + 1];
  int taken, last = ABSENT;
  plain_text(name, text, sizeof text, d->names, &taken);
  fprintf(d->to, "  %s%*s|", text, d->names - taken, "");
  for (int i = 0; i < d->columns; i++) {
    int state;
    char mark = mark_of(d, i, otherwise, &state);
    if (d->options->colour && state != last) fprintf(d->to, "\033[m%s", colours[state]);
    fputc(mark, d->to);
    last = state;
  }
  fprintf(d->to, "%s|\n", d->options->colour ? "\033[m" : "");
}

/* ---- All of them ------------------------------------------------------------------------------------------------ */

/* Draws that worker's lane. False: nobody ran on it. */
static bool draw_worker(struct drawing *d, uint16_t worker) {
  char name[32];
  bool used = false;
  clear(d);
  for (size_t i = 0; i < d->m->interval_count; i++) {
    const struct interval *v = &d->m->intervals[i];
    if (v->state != STATE_RUN || v->worker != worker) continue;
    fill(d, v);
    used = true;
  }
  snprintf(name, sizeof name, "worker %u", worker);
  if (used) draw(d, name, IDLE);
  return used;
}

static void draw_workers(struct drawing *d) {
  bool *used = calloc(NO_WORKER + 1, sizeof *used);
  size_t shown = 0, more = 0;
  if (!used) return;
  for (size_t i = 0; i < d->m->interval_count; i++) used[d->m->intervals[i].worker] = true;
  for (int w = 0; w < NO_WORKER; w++) {
    if (used[w] && shown < d->options->threads)
      shown += draw_worker(d, (uint16_t)w);
    else
      more += used[w];
  }
  if (more) fprintf(d->to, "  %zu more workers\n", more);
  free(used);
}

static int longest_run_first(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

/* Where there are more threads than lanes, those that ran longest are shown. */
static int64_t ran_least_to_be_shown(const struct drawing *d) {
  size_t count = d->m->thread_count;
  int64_t *ran = count > d->options->threads ? malloc(count * sizeof *ran) : NULL;
  if (!ran) return 0;
  for (size_t i = 0; i < count; i++) ran[i] = d->m->threads[i].total[STATE_RUN];
  qsort(ran, count, sizeof *ran, longest_run_first);
  int64_t least = d->options->threads ? ran[d->options->threads - 1] : INT64_MAX;
  free(ran);
  return least;
}

static void draw_threads(struct drawing *d) {
  int64_t least = ran_least_to_be_shown(d);
  size_t shown = 0;
  for (size_t i = 0; i < d->m->thread_count && shown < d->options->threads; i++) {
    const struct thread *t = &d->m->threads[i];
    if (t->total[STATE_RUN] < least) continue;
    clear(d);
    for (size_t v = t->first; v < t->first + t->count; v++) fill(d, &d->m->intervals[v]);
    draw(d, t->name, ABSENT);
    shown++;
  }
  if (shown < d->m->thread_count)
    fprintf(d->to, "  %zu more threads, which ran for less; --threads N shows N\n",
            d->m->thread_count - shown);
}

static int name_columns(const struct model *m) {
  int most = 9; /* "worker 0 " */
  for (size_t i = 0; i < m->thread_count; i++) {
    char text[4 * NAME_MAX_COLUMNS + 1];
    int taken;
    plain_text(m->threads[i].name, text, sizeof text, NAME_MAX_COLUMNS, &taken);
    if (taken + 1 > most) most = taken + 1;
  }
  return most > NAME_MAX_COLUMNS ? NAME_MAX_COLUMNS : most;
}

static void draw_scale(const struct drawing *d) {
  char length[UNITS_ROOM], column[UNITS_ROOM], text[64];
  int64_t all = d->m->to - d->m->from;
  units_time(all, length);
  snprintf(text, sizeof text, "a column is %s", units_time(all / d->columns, column));
  int space = d->columns - 1 - (int)strlen(length);
  fprintf(d->to, "  %*s 0%*s%s\n  %*s %s\n", d->names, "", space > 0 ? space : 1, "", length, d->names, "",
          text);
  fprintf(d->to, "  # runs  : runs for less than half of it  - ready  . waiting  = in a call\n");
}

void print_warnings(const struct model *m, FILE *to) {
  if (m->warning_count) fputc('\n', to);
  for (size_t i = 0; i < m->warning_count; i++) {
    char text[1024];
    fprintf(to, "  ! %s\n", plain_text(m->warnings[i], text, sizeof text, sizeof text, NULL));
  }
}

int write_lanes(const struct model *m, FILE *to, const struct text_options *options) {
  struct drawing d = {.m = m, .to = to, .options = options, .names = name_columns(m)};
  d.columns = options->width - d.names - 5; /* the last column of a terminal stays free */
  if (d.columns < COLUMNS_MIN) d.columns = COLUMNS_MIN;
  d.cells = malloc((size_t)d.columns * sizeof *d.cells);
  if (!d.cells) return fail("%s: no memory", m->path);
  if (m->interval_count) {
    draw_workers(&d);
    draw_threads(&d);
    draw_scale(&d);
  } else {
    fprintf(to, "  no thread ran in this trace\n");
  }
  print_warnings(m, to);
  free(d.cells);
  return 0;
}
