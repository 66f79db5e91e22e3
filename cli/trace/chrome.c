/* Chrome's trace format, which chrome://tracing and ui.perfetto.dev open.
 *
 * Three groups ("processes"): workers, with who ran on each; threads, with their states; and the program's own spans, by thread,
 * with its counters. A wake-up is an arrow from the waker to the woken thread. Names are made JSON once each. Times are us with
 * three places, counted from the beginning of the trace. */
#include "export.h"
#include "views.h"

#include <json-c/json.h>
#include <stdlib.h>

enum { GROUP_WORKERS = 1, GROUP_THREADS, GROUP_SPANS };

struct chrome {
  struct export x;
  char **texts;  /* of strings, as JSON; NULL: not needed so far */
  bool *spanned; /* threads that have a lane of spans; as long as x.names */
  size_t spanned_count;
  uint64_t wakes;
};

/* ---- Pieces of rows --------------------------------------------------------------------------------------------- */

/* As a JSON string with its quotes, for the caller to free. NULL: no memory. */
static char *to_json(const char *text) {
  char *plain = malloc(strlen(text) + 1), *json = NULL;
  if (!plain) return NULL;
  json_object *o = json_object_new_string(plain_text(text, plain, strlen(text) + 1, INT32_MAX, NULL));
  if (o)
    json = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
  json_object_put(o);
  free(plain);
  return json;
}

static void put_string(struct chrome *c, uint32_t number) {
  if (number >= c->x.trace->string_count) number = 0;
  if (!c->texts[number]) c->texts[number] = to_json(trace_string(c->x.trace, number));
  if (c->texts[number])
    rows_bytes(&c->x.rows, c->texts[number], strlen(c->texts[number]));
  else
    c->x.rows.status = fail("%s: no memory", c->x.rows.out->path);
}

static void put_thread_name(struct chrome *c, uint32_t thread) {
  if (c->x.names[thread]) {
    put_string(c, c->x.names[thread]);
    return;
  }
  ROWS_TEXT(&c->x.rows, "\"thread ");
  rows_number(&c->x.rows, (uint64_t)thread + 1);
  ROWS_TEXT(&c->x.rows, "\"");
}

static void put_lane(struct chrome *c, int group, uint32_t lane) {
  struct rows *r = &c->x.rows;
  ROWS_TEXT(r, ",\"pid\":");
  rows_number(r, (uint64_t)group);
  ROWS_TEXT(r, ",\"tid\":");
  rows_number(r, lane);
}

static void put_time(struct chrome *c, int64_t time) {
  ROWS_TEXT(&c->x.rows, ",\"ts\":");
  rows_us(&c->x.rows, time - c->x.summary.from);
}

/* A row of a span of time, up to its name. */
static void begin_slice(struct chrome *c, int group, uint32_t lane, int64_t from, int64_t to) {
  ROWS_TEXT(&c->x.rows, ",\n{\"ph\":\"X\"");
  put_lane(c, group, lane);
  put_time(c, from);
  ROWS_TEXT(&c->x.rows, ",\"dur\":");
  rows_us(&c->x.rows, to - from);
  ROWS_TEXT(&c->x.rows, ",\"name\":");
}

static void end_row(struct chrome *c) { ROWS_TEXT(&c->x.rows, "}"); }

/* A row that names a lane, up to the name. */
static void begin_lane(struct chrome *c, int group, uint32_t lane) {
  struct rows *r = &c->x.rows;
  ROWS_TEXT(r, ",\n{\"ph\":\"M\"");
  put_lane(c, group, lane);
  ROWS_TEXT(r, ",\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":");
  rows_number(r, lane);
  ROWS_TEXT(r, "}},\n{\"ph\":\"M\"");
  put_lane(c, group, lane);
  ROWS_TEXT(r, ",\"name\":\"thread_name\",\"args\":{\"name\":");
}

static void end_lane(struct chrome *c) { ROWS_TEXT(&c->x.rows, "}}"); }

/* ---- What is told ----------------------------------------------------------------------------------------------- */

static int told_thread(void *of, uint32_t number, uint64_t id, uint32_t creator, int64_t time) {
  struct chrome *c = of;
  (void)creator, (void)time;
  if (export_thread(&c->x, id)) return STATUS_FAILED;
  begin_lane(c, GROUP_THREADS, number);
  put_thread_name(c, number);
  end_lane(c);
  return c->x.rows.status;
}

static void put_run(struct chrome *c, const struct interval *i) {
  struct rows *r = &c->x.rows;
  if (i->worker == NO_WORKER) return;
  if (!c->x.workers[i->worker]) {
    c->x.workers[i->worker] = true;
    begin_lane(c, GROUP_WORKERS, i->worker);
    ROWS_TEXT(r, "\"worker ");
    rows_number(r, i->worker);
    ROWS_TEXT(r, "\"");
    end_lane(c);
  }
  begin_slice(c, GROUP_WORKERS, i->worker, i->from, i->to);
  put_thread_name(c, i->thread);
  end_row(c);
}

static void put_state(struct chrome *c, const struct interval *i) {
  static const char *const ends[REASONS] = {"open", "yield", "preempt", "park", "call", "end"};
  struct rows *r = &c->x.rows;
  begin_slice(c, GROUP_THREADS, i->thread, i->from, i->to);
  switch (i->state) {
  case STATE_RUN:
    ROWS_TEXT(r, "\"run\",\"cname\":\"thread_state_running\",\"args\":{\"until\":\"");
    rows_bytes(r, ends[i->reason], strlen(ends[i->reason]));
    ROWS_TEXT(r, "\"}");
    break;
  case STATE_READY: ROWS_TEXT(r, "\"ready\",\"cname\":\"thread_state_runnable\""); break;
  case STATE_CALL: ROWS_TEXT(r, "\"in a call\",\"cname\":\"thread_state_iowait\""); break;
  default: {
    uint32_t what = export_waits_for(&c->x, i);
    if (what)
      put_string(c, what);
    else
      ROWS_TEXT(r, "\"waiting\"");
    ROWS_TEXT(r, ",\"cname\":\"thread_state_sleeping\"");
  }
  }
  end_row(c);
}

static void put_wake_end(struct chrome *c, uint32_t thread, int64_t time) {
  put_lane(c, GROUP_THREADS, thread);
  put_time(c, time);
  ROWS_TEXT(&c->x.rows, ",\"name\":\"wake\",\"cat\":\"wake\",\"id\":");
  rows_number(&c->x.rows, c->wakes);
  end_row(c);
}

static void put_wake(struct chrome *c, const struct interval *i) {
  c->wakes++;
  ROWS_TEXT(&c->x.rows, ",\n{\"ph\":\"s\"");
  put_wake_end(c, i->waker, i->to);
  ROWS_TEXT(&c->x.rows, ",\n{\"ph\":\"f\",\"bp\":\"e\"");
  put_wake_end(c, i->thread, i->to);
}

static int told_interval(void *of, const struct interval *i) {
  struct chrome *c = of;
  if (i->state == STATE_RUN) put_run(c, i);
  put_state(c, i);
  if (i->state == STATE_BLOCKED && i->waker != NOBODY) put_wake(c, i);
  return c->x.rows.status;
}

/* Spans have lanes of their own: they last over several runs, and slices of one lane must nest. */
static int open_span_lane(struct chrome *c, uint32_t thread) {
  if (thread >= c->spanned_count) {
    size_t count = c->x.room;
    bool *more = realloc(c->spanned, count * sizeof *more);
    if (!more) return fail("%s: no memory", c->x.trace->path);
    memset(more + c->spanned_count, 0, count - c->spanned_count);
    c->spanned = more;
    c->spanned_count = count;
  }
  if (c->spanned[thread]) return 0;
  c->spanned[thread] = true;
  begin_lane(c, GROUP_SPANS, thread);
  put_thread_name(c, thread);
  end_lane(c);
  return 0;
}

static int told_span(void *of, const struct span *s) {
  struct chrome *c = of;
  if (open_span_lane(c, s->thread)) return STATUS_FAILED;
  begin_slice(c, GROUP_SPANS, s->thread, s->from, s->to);
  put_string(c, s->name);
  end_row(c);
  return c->x.rows.status;
}

static int told_event(void *of, const struct thrumi_event *e, uint32_t thread) {
  struct chrome *c = of;
  struct rows *r = &c->x.rows;
  if (e->kind == THRUMI_EVENT_COUNTER) {
    ROWS_TEXT(r, ",\n{\"ph\":\"C\"");
    put_lane(c, GROUP_SPANS, 0);
    put_time(c, e->time);
    ROWS_TEXT(r, ",\"args\":{\"value\":");
    rows_signed(r, (int64_t)e->object);
    ROWS_TEXT(r, "},\"name\":");
  } else if (e->kind == THRUMI_EVENT_MARK) {
    if (thread == NOBODY)
      ROWS_TEXT(r, ",\n{\"ph\":\"i\",\"s\":\"g\"");
    else
      ROWS_TEXT(r, ",\n{\"ph\":\"i\",\"s\":\"t\"");
    put_lane(c, GROUP_THREADS, thread == NOBODY ? 0 : thread);
    put_time(c, e->time);
    ROWS_TEXT(r, ",\"name\":");
  } else {
    return 0;
  }
  put_string(c, e->detail);
  end_row(c);
  return r->status;
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

static void begin_file(struct chrome *c) {
  struct rows *r = &c->x.rows;
  ROWS_TEXT(r, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"lost events\":\"");
  rows_number(r, c->x.trace->lost);
  ROWS_TEXT(r, "\",\"cut off\":\"");
  if (c->x.trace->cut)
    ROWS_TEXT(r, "yes");
  else
    ROWS_TEXT(r, "no");
  ROWS_TEXT(r, "\"},\"traceEvents\":[\n"
               "{\"ph\":\"M\",\"pid\":1,\"name\":\"process_name\",\"args\":{\"name\":\"workers\"}},\n"
               "{\"ph\":\"M\",\"pid\":2,\"name\":\"process_name\",\"args\":{\"name\":\"threads\"}},\n"
               "{\"ph\":\"M\",\"pid\":3,\"name\":\"process_name\",\"args\":{\"name\":\"spans\"}}");
}

static int write_rows(struct chrome *c) {
  const struct listener l = {
      .of = c, .thread = told_thread, .interval = told_interval, .span = told_span, .event = told_event};
  begin_file(c);
  int status = chronicle_tell(c->x.trace, &l, &c->x.summary);
  ROWS_TEXT(&c->x.rows, "\n]}\n");
  return status;
}

int write_chrome(struct trace *t, struct output *out) {
  struct chrome *c = calloc(1, sizeof *c);
  size_t strings = t->string_count ? t->string_count : 1;
  if (!c) return fail("%s: no memory", out->path);
  c->x.trace = t;
  c->texts = calloc(strings, sizeof *c->texts);
  int status = c->texts ? rows_open(&c->x.rows, out) : fail("%s: no memory", out->path);
  if (!status) status = write_rows(c);
  if (rows_close(&c->x.rows)) status = STATUS_FAILED;
  for (size_t i = 0; c->texts && i < strings; i++) free(c->texts[i]);
  free(c->texts);
  free(c->spanned);
  free(c->x.names);
  free(c);
  return status;
}
