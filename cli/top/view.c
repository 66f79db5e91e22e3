#include "view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* ---- Columns --------------------------------------------------------------------------------------------------- */

/* One character at `text`: how many bytes it has, and columns; what cannot be shown counts as one '?'. */
static size_t character(const char *text, int *columns, bool *shown) {
  wchar_t c;
  mbstate_t state = {0};
  size_t n = mbrtowc(&c, text, strlen(text), &state);
  *shown = n != (size_t)-1 && n != (size_t)-2 && iswprint((wint_t)c) && wcwidth(c) >= 0;
  *columns = *shown ? wcwidth(c) : 1;
  return n == (size_t)-1 || n == (size_t)-2 ? 1 : n;
}

/* Cuts to so many columns, of which *left are not used. Returns how many bytes that takes. */
static size_t cut(char *out, const char *text, int columns, int *left) {
  size_t used = 0;
  while (*text && columns > 0 && used < LINE_BYTES - 8) {
    int width;
    bool shown;
    size_t n = character(text, &width, &shown);
    if (width > columns) break;
    if (shown)
      memcpy(out + used, text, n);
    else
      out[used] = '?';
    used += shown ? n : 1;
    columns -= width;
    text += n;
  }
  out[used] = 0;
  *left = columns;
  return used;
}

void view_fit(char *out, const char *text, int columns) {
  int left;
  size_t used = cut(out, text, columns, &left);
  while (left-- > 0 && used < LINE_BYTES - 1) out[used++] = ' ';
  out[used] = 0;
}

/* A text of so many columns at the end of a line. */
static void add(char *line, int columns, const char *text) {
  char fitted[LINE_BYTES];
  size_t used = strlen(line);
  view_fit(fitted, text, columns);
  snprintf(line + used, LINE_BYTES - used, "%s", fitted);
}

/* As much as there is room for, with nothing in it that would confuse a terminal. */
__attribute__((format(printf, 2, 3))) static void addf(char *line, const char *format, ...) {
  char text[LINE_BYTES], clean[LINE_BYTES];
  int left;
  size_t used = strlen(line);
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  cut(clean, text, LINE_BYTES, &left);
  snprintf(line + used, LINE_BYTES - used, "%s", clean);
}

/* ---- Amounts --------------------------------------------------------------------------------------------------- */

static const char *duration(int64_t ns, char out[16]) {
  double s = (double)ns / 1e9;
  if (s < 1)
    snprintf(out, 16, "%.0f ms", s * 1e3);
  else if (s < 100)
    snprintf(out, 16, "%.1f s", s);
  else if (s < 6000)
    snprintf(out, 16, "%.0f min", s / 60);
  else
    snprintf(out, 16, "%.0f h", s / 3600);
  return out;
}

static const char *rate(double n, char out[16]) {
  if (n < 0)
    snprintf(out, 16, "-");
  else if (n < 1e4)
    snprintf(out, 16, "%.0f", n);
  else if (n < 1e7)
    snprintf(out, 16, "%.1fk", n / 1e3);
  else
    snprintf(out, 16, "%.1fM", n / 1e6);
  return out;
}

/* ---- The head -------------------------------------------------------------------------------------------------- */

static void say_program(const struct snapshot *s, const struct client *c, char *out) {
  char up[16];
  addf(out, "%s", c->name);
  addf(out, " (process %d)  up %s  thrum %s", (int)c->pid, duration(member_number(s->stats, "uptime_ns"), up),
       member_text(s->stats, "version"));
}

static void say_workers(const struct snapshot *s, char *out) {
  addf(out, "workers %lld, %lld busy  kernel threads %lld of at most %lld  CPU %.0f %%",
       (long long)member_number(s->stats, "workers"), (long long)member_number(s->stats, "busy"),
       (long long)member_number(s->stats, "kernel_threads"),
       (long long)member_number(s->stats, "kernel_threads_max"), s->rates.cpu);
}

static void say_threads(const struct snapshot *s, char *out) {
  static const char *const states[] = {"running", "ready", "waiting", "blocked", "new"};
  json_object *counts = member(s->stats, "states");
  int64_t all = 0;
  for (int i = 0; i < 5; i++) all += member_number(counts, states[i]);
  addf(out, "threads %lld:", (long long)all);
  for (int i = 0; i < 5; i++)
    addf(out, "%s %lld %s", i ? "," : "", (long long)member_number(counts, states[i]), states[i]);
  if (s->more) addf(out, "  (the first %d are shown)", (int)s->count);
}

static void say_rates(const struct snapshot *s, char *out) {
  char a[16], b[16], c[16], d[16];
  addf(out, "a second: %s switches, %s steals, %s preemptions, %s threads started",
       rate(s->rates.switches, a), rate(s->rates.steals, b), rate(s->rates.preemptions, c),
       rate(s->rates.spawned, d));
}

void view_head(const struct snapshot *s, const struct client *c, int line, char *out) {
  *out = 0;
  switch (line) {
  case 0: say_program(s, c, out); break;
  case 1: say_workers(s, out); break;
  case 2: say_threads(s, out); break;
  default: say_rates(s, out); break;
  }
}

/* ---- Tables ---------------------------------------------------------------------------------------------------- */

/* The column by which it is sorted has a mark. */
static void add_title(char *out, int columns, const char *text, bool sorted) {
  char marked[64];
  snprintf(marked, sizeof marked, "%s%s", text, sorted ? "*" : "");
  add(out, columns, marked);
}

void view_title(enum page page, enum order order, char *out) {
  *out = 0;
  if (page == PAGE_LOCKS) {
    addf(out, "%-8s %-28s %-28s %7s %9s", "KIND", "OBJECT", "OWNER", "WAITERS", "LONGEST");
  } else if (page == PAGE_QUEUES) {
    addf(out, "%-28s %9s %9s %7s %7s %7s %9s", "QUEUE", "DEPTH", "CAPACITY", "GETTERS", "PUTTERS", "JOINERS",
         "LONGEST");
  } else {
    add_title(out, 13, "ID", order == BY_ID);
    add_title(out, 25, "NAME", order == BY_NAME);
    add_title(out, 8, "KIND", false);
    add_title(out, 9, "STATE", order == BY_STATE);
    add_title(out, 7, "CPU %", order == BY_CPU);
    add_title(out, 9, "SINCE", order == BY_WAIT);
    addf(out, "WAITS FOR");
  }
}

static void add_wait(char *out, json_object *waits) {
  if (!waits) return;
  addf(out, "%s", member_text(waits, "for"));
  if (member(waits, "object")) addf(out, " %s", member_text(waits, "object"));
  if (member(waits, "owner_name") && member(waits, "address"))
    addf(out, " of %s", member_text(waits, "owner_name"));
}

void view_thread(const struct row *r, char *out) {
  char text[32], since[16];
  json_object *waits = member(r->thread, "waits");
  *out = 0;
  snprintf(text, sizeof text, "%lld", (long long)r->id);
  add(out, 13, text);
  add(out, 24, r->name);
  add(out, 1, "");
  add(out, 8, member_text(r->thread, "kind"));
  add(out, 9, r->state);
  if (r->cpu < 0)
    snprintf(text, sizeof text, "-");
  else
    snprintf(text, sizeof text, "%5.1f", r->cpu);
  add(out, 7, text);
  add(out, 9, waits ? duration(r->waits_ns, since) : "");
  add_wait(out, waits);
}

static void add_lock(char *out, json_object *lock) {
  char longest[16];
  add(out, 9, member_text(lock, "kind"));
  add(out, 28, member_text(lock, "object"));
  add(out, 1, "");
  add(out, 28, member(lock, "owner_name") ? member_text(lock, "owner_name") : "?");
  addf(out, " %7lld %9s", (long long)member_number(lock, "waiters"),
       member_number(lock, "waiters") ? duration(member_number(lock, "longest_ns"), longest) : "");
}

static void add_amount(char *out, json_object *o, const char *key, const char *otherwise) {
  if (member(o, key))
    addf(out, " %9lld", (long long)member_number(o, key));
  else
    addf(out, " %9s", otherwise);
}

static void add_queue(char *out, json_object *queue) {
  char longest[16];
  int64_t ns = member_number(queue, "longest_ns");
  add(out, 28, member_text(queue, "object"));
  add_amount(out, queue, "depth", "?");
  add_amount(out, queue, "capacity", member(queue, "depth") ? "no bound" : "?");
  addf(out, " %7lld %7lld %7lld %9s", (long long)member_number(queue, "getters"),
       (long long)member_number(queue, "putters"), (long long)member_number(queue, "joiners"),
       ns ? duration(ns, longest) : "");
}

void view_object(enum page page, json_object *object, char *out) {
  *out = 0;
  if (page == PAGE_LOCKS)
    add_lock(out, object);
  else
    add_queue(out, object);
}

void view_frame(json_object *frame, char *out) {
  const char *function = member_text(frame, "function");
  *out = 0;
  addf(out, "  %-30s ", *function ? function : "?");
  if (member(frame, "line"))
    addf(out, "%s:%lld", member_text(frame, "file"), (long long)member_number(frame, "line"));
  else
    addf(out, "%s [%s]", member_text(frame, "file"), member_text(frame, "pc"));
}

json_object *view_objects(const struct snapshot *s, enum page page) {
  return page == PAGE_LOCKS ? member(s->locks, "locks") : member(s->queues, "queues");
}
