/* The timeline as a page: one HTML file that needs nothing else, neither files nor a network.
 *
 * The page itself (cli/page/, joined when the command is built) is text around one place for the trace. There go two elements: its
 * text as JSON, and its numbers as base64 of a stream of variable-length integers, of which page/data.js says more: six to eight
 * bytes an interval, and read in a tenth of a second where as much JSON takes a second. The order in which things are put here is the
 * one in which data.js reads them.
 *
 * Names come from the program and may hold anything. What is no UTF-8 becomes U+FFFD; `<` is written as an escape, so that no text
 * ends the element that it stands in, nor begins a comment; and the page shows text as text only. */
#include "trace/model.h"

#include "page_text.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers ------------------------------------------------------------------------------------------------ */

struct numbers {
  FILE *to;
  unsigned char bytes[3]; /* that are not written yet */
  int count;
};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Four digits for three bytes; at the end for fewer, filled up with `=`. */
static void put_group(struct numbers *n) {
  unsigned v = (unsigned)n->bytes[0] << 16 | (unsigned)n->bytes[1] << 8 | n->bytes[2];
  for (int i = 0; i < 4; i++) putc_unlocked(i > n->count ? '=' : digits[v >> (18 - 6 * i) & 63], n->to);
  memset(n->bytes, 0, sizeof n->bytes);
  n->count = 0;
}

static void put_byte(struct numbers *n, uint64_t byte) {
  n->bytes[n->count++] = (unsigned char)byte;
  if (n->count == 3) put_group(n);
}

static void put(struct numbers *n, uint64_t value) {
  for (; value > 127; value >>= 7) put_byte(n, (value & 127) | 128);
  put_byte(n, value);
}

/* Never negative in a sound model; one that is becomes 0, not a huge number. */
static void put_time(struct numbers *n, int64_t ns) { put(n, ns > 0 ? (uint64_t)ns : 0); }

/* One that may be negative: 0, -1, 1, -2, ... */
static void put_signed(struct numbers *n, int64_t value) {
  put(n, (uint64_t)value << 1 ^ (value < 0 ? ~UINT64_C(0) : 0));
}

/* One that may be missing. */
static void put_thread(struct numbers *n, uint32_t thread) {
  put(n, thread == NOBODY ? 0 : (uint64_t)thread + 1);
}

static void put_threads(struct numbers *n, const struct model *m) {
  for (size_t i = 0; i < m->thread_count; i++) {
    const struct thread *t = &m->threads[i];
    put_thread(n, t->creator);
    put_time(n, t->born - m->from);
    put_time(n, t->ended - t->born);
    put(n, (t->born_before ? 1 : 0) | (t->lives_on ? 2 : 0) | (t->outside ? 4 : 0));
    put(n, t->count);
    put(n, t->runs);
    for (int s = 0; s < STATES; s++) put_time(n, t->total[s]);
    for (int r = 0; r < REASONS; r++) put(n, t->switches[r]);
  }
}

/* Its number among the model's objects, plus one; 0: none. */
static uint64_t object_number(const struct model *m, uint64_t address) {
  const struct object *o = address ? model_object(m, address) : NULL;
  return o ? (uint64_t)(o - m->objects) + 1 : 0;
}

static void put_interval(struct numbers *n, const struct model *m, const struct interval *i) {
  if (i->state == STATE_RUN) put(n, i->worker == NO_WORKER ? 0 : i->worker + 1u);
  if (i->state != STATE_BLOCKED) return;
  put(n, object_number(m, i->object));
  put(n, i->what);
  put_thread(n, i->waker);
}

/* A thread's intervals mostly follow each other, so the gap before one is mostly 0. */
static void put_intervals(struct numbers *n, const struct model *m) {
  for (size_t t = 0; t < m->thread_count; t++) {
    int64_t time = m->from;
    const struct interval *i = m->intervals + m->threads[t].first, *end = i + m->threads[t].count;
    for (; i < end; i++) {
      put(n, i->state | (unsigned)i->reason << 2);
      put_time(n, i->from - time);
      put_time(n, i->to - i->from);
      put_interval(n, m, i);
      time = i->to;
    }
  }
}

static void put_objects(struct numbers *n, const struct model *m) {
  for (size_t i = 0; i < m->object_count; i++) {
    const struct object *o = &m->objects[i];
    put(n, o->name);
    put(n, o->what);
    put(n, o->lock);
    put(n, o->waits);
    put(n, o->acquired);
    put_time(n, o->waited);
    put_time(n, o->longest);
    put_time(n, o->held);
    put_time(n, o->longest_held);
    put_time(n, o->most);
    put_thread(n, o->longest_by);
    put_thread(n, o->most_by);
    put_thread(n, o->holder);
  }
}

static void put_spans(struct numbers *n, const struct model *m) {
  int64_t time = m->from;
  put(n, m->span_count);
  for (size_t i = 0; i < m->span_count; i++) {
    const struct span *s = &m->spans[i];
    put(n, s->thread);
    put_signed(n, s->from - time);
    put_time(n, s->to - s->from);
    put(n, (uint64_t)s->depth << 1 | s->open);
    put(n, s->name);
    time = s->from;
  }
}

static void put_counters(struct numbers *n, const struct model *m) {
  int64_t time = m->from;
  put(n, m->counter_count);
  for (size_t i = 0; i < m->counter_count; i++) {
    put_signed(n, m->counters[i].time - time);
    put(n, m->counters[i].name);
    put_signed(n, m->counters[i].value);
    time = m->counters[i].time;
  }
}

static void put_marks(struct numbers *n, const struct model *m) {
  int64_t time = m->from;
  put(n, m->mark_count);
  for (size_t i = 0; i < m->mark_count; i++) {
    put_signed(n, m->marks[i].time - time);
    put_thread(n, m->marks[i].thread);
    put(n, m->marks[i].name);
    time = m->marks[i].time;
  }
}

static void put_critical(struct numbers *n, const struct model *m) {
  int64_t time = m->from, interval = 0;
  put(n, m->critical_count);
  for (size_t i = 0; i < m->critical_count; i++) {
    const struct step *s = &m->critical[i];
    put_signed(n, (int64_t)s->interval - interval);
    put_signed(n, s->from - time);
    put_time(n, s->to - s->from);
    interval = (int64_t)s->interval;
    time = s->to;
  }
}

static void put_numbers(FILE *to, const struct model *m) {
  struct numbers n = {.to = to};
  put_time(&n, m->to - m->from);
  put(&n, m->workers);
  put(&n, m->events);
  put(&n, m->lost);
  put_threads(&n, m);
  put_intervals(&n, m);
  put_objects(&n, m);
  put_spans(&n, m);
  put_counters(&n, m);
  put_marks(&n, m);
  put_critical(&n, m);
  if (n.count > 0) put_group(&n);
}

/* ---- Text --------------------------------------------------------------------------------------------------- */

/* How many bytes at `text` are one character in UTF-8; 0: none. */
static size_t character(const unsigned char *text) {
  static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (text[0] < 0x80) return 1;
  size_t size = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : text[0] >= 0xc0 ? 2 : 0;
  if (size == 0 || text[0] > 0xf4) return 0;
  uint32_t value = text[0] & (0x7fu >> size);
  for (size_t i = 1; i < size; i++) {
    if ((text[i] & 0xc0) != 0x80) return 0;
    value = value << 6 | (text[i] & 0x3f);
  }
  bool surrogate = value >= 0xd800 && value < 0xe000;
  return value < least[size] || value > 0x10ffff || surrogate ? 0 : size;
}

/* JSON's string of it; bytes that are no UTF-8 become U+FFFD. NULL: no memory. */
static struct json_object *text_of(const char *name) {
  const unsigned char *in = (const unsigned char *)name;
  char *text = malloc(3 * strlen(name) + 1), *out = text;
  if (!text) return NULL;
  while (*in) {
    size_t size = character(in);
    memcpy(out, size ? (const char *)in : "\xef\xbf\xbd", size ? size : 3);
    out += size ? size : 3;
    in += size ? size : 1;
  }
  struct json_object *json = json_object_new_string_len(text, (int)(out - text));
  free(text);
  return json;
}

/* Writes JSON of which nothing can end the element that it stands in: `<` is there within strings only. Takes `json`. */
static int write_json(FILE *to, struct json_object *json) {
  const char *text = json ? json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN) : NULL;
  for (const char *c = text; c && *c; c++)
    if (*c == '<')
      fputs("\\u003c", to);
    else
      putc_unlocked(*c, to);
  json_object_put(json);
  return text ? 0 : fail("no memory for the page");
}

static int write_name(FILE *to, const char *name) { return write_json(to, text_of(name)); }

static int write_texts(FILE *to, const char *key, const char *const *texts, size_t count) {
  fprintf(to, ",\n\"%s\":[", key);
  for (size_t i = 0; i < count; i++) {
    if (i > 0) fputc(',', to);
    if (write_name(to, texts[i])) return STATUS_FAILED;
  }
  fputc(']', to);
  return 0;
}

/* Ids and addresses are text: they may be larger than a number in JavaScript can be exactly. */
static int write_threads(FILE *to, const struct model *m) {
  fputs(",\n\"threads\":[", to);
  for (size_t i = 0; i < m->thread_count; i++) {
    fprintf(to, "%s[\"%llu\",", i ? "," : "", (unsigned long long)m->threads[i].id);
    if (write_name(to, m->threads[i].name)) return STATUS_FAILED;
    fputc(']', to);
  }
  fputc(']', to);
  return 0;
}

static void write_objects(FILE *to, const struct model *m) {
  fputs(",\n\"objects\":[", to);
  for (size_t i = 0; i < m->object_count; i++)
    fprintf(to, "%s\"0x%llx\"", i ? "," : "", (unsigned long long)m->objects[i].address);
  fputc(']', to);
}

static int write_text(FILE *to, const struct model *m) {
  fprintf(to, "{\"pid\":%u,\"wall\":%lld,\"flight\":%s,\"cut\":%s,\"file\":", m->pid,
          (long long)(m->began_wall / 1000000), m->flight ? "true" : "false", m->cut ? "true" : "false");
  if (write_name(to, m->path ? m->path : "") || write_texts(to, "strings", m->strings, m->string_count))
    return STATUS_FAILED;
  if (write_texts(to, "warnings", (const char *const *)m->warnings, m->warning_count)) return STATUS_FAILED;
  if (write_threads(to, m)) return STATUS_FAILED;
  write_objects(to, m);
  fputs("}\n", to);
  return 0;
}

int write_page(const struct model *m, struct output *out) {
  FILE *to = out->stream;
  fwrite(page_before, 1, sizeof page_before, to);
  fputs("<script type=\"application/json\" id=\"text\">\n", to);
  if (write_text(to, m)) return STATUS_FAILED;
  fputs("</script>\n<script type=\"application/octet-stream\" id=\"numbers\">\n", to);
  put_numbers(to, m);
  fputs("\n</script>\n", to);
  fwrite(page_after, 1, sizeof page_after, to);
  return 0; /* a stream that failed is told by output_close */
}
