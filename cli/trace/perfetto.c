/* Perfetto's trace format: TrackEvents, a slice for each interval, packed by protobuf-c (perfetto.proto).
 *
 * Groups of tracks: workers, with who ran on each; threads, with their states; the program's spans, by thread; its counters. All
 * packets are of one sequence. Names are told once, as interned data, and go by their number from then on. A wake-up is an instant on
 * the waker's track, from which an arrow ("flow") leads to what the woken thread does next. Slices are written when they are
 * over, so the file is not in order of time; Perfetto sorts. */
#include "export.h"
#include "views.h"

#include "perfetto.pb-c.h"

#include <stdlib.h>

/* Tracks by kind and number, in few bytes: the groups are 1 to GROUPS. */
enum track { TRACK_WORKER, TRACK_THREAD, TRACK_SPAN, TRACK_COUNTER, TRACKS };

/* Numbers of interned names: our own, and then those of strings. */
enum { NAME_RUN = 1, NAME_READY, NAME_CALL, NAME_PARKED, NAME_WAKES, NAME_STRINGS };

enum { SEQUENCE = 1, ANNOTATION_UNTIL = 1, HEAD_MAX = 8, PACKET_MAX = 256 /* without its texts */ };

struct perfetto {
  struct export x;
  uint64_t *flows;          /* of threads: the arrow that leads to its next interval; 0: none */
  bool *spanned;            /* threads whose track of spans is there */
  size_t threads;           /* length of both */
  bool *interned, *counted; /* by string */
  uint64_t wakes;
};

static uint64_t uuid_of(enum track kind, uint64_t number) { return TRACKS + 1 + number * TRACKS + kind; }

static uint64_t group_of(enum track kind) { return 1 + (uint64_t)kind; }

/* ---- Packets ---------------------------------------------------------------------------------------------------- */

static size_t put_varint(uint8_t *to, uint64_t n) {
  size_t at = 0;
  for (; n >= 0x80; n >>= 7) to[at++] = (uint8_t)(n | 0x80);
  to[at++] = (uint8_t)n;
  return at;
}

/* A packet is a field of the trace: its number, its length, itself. */
static int put_packet(struct perfetto *p, Pf__TracePacket *packet, size_t texts) {
  uint8_t head[HEAD_MAX];
  packet->has_trusted_packet_sequence_id = 1;
  packet->trusted_packet_sequence_id = SEQUENCE;
  uint8_t *to = (uint8_t *)rows_room(&p->x.rows, HEAD_MAX + PACKET_MAX + texts);
  if (!to) return p->x.rows.status ? p->x.rows.status : fail("%s: a name is too long", p->x.trace->path);
  size_t size = pf__trace_packet__pack(packet, to + 2);
  head[0] = 1 << 3 | 2;
  size_t length = 1 + put_varint(head + 1, size);
  if (length != 2) memmove(to + length, to + 2, size);
  memcpy(to, head, length);
  p->x.rows.at += length + size;
  return 0;
}

static int put_track(struct perfetto *p, uint64_t uuid, uint64_t parent, const char *name, uint64_t rank,
                     bool counter) {
  Pf__CounterDescriptor counts = PF__COUNTER_DESCRIPTOR__INIT;
  Pf__TrackDescriptor track = PF__TRACK_DESCRIPTOR__INIT;
  Pf__TracePacket packet = PF__TRACE_PACKET__INIT;
  track.has_uuid = 1;
  track.uuid = uuid;
  track.has_parent_uuid = parent != 0;
  track.parent_uuid = parent;
  track.has_child_ordering = !parent;
  track.child_ordering = PF__TRACK_DESCRIPTOR__CHILD_TRACKS_ORDERING__EXPLICIT;
  track.has_sibling_order_rank = 1;
  track.sibling_order_rank = (int32_t)(rank < INT32_MAX ? rank : INT32_MAX);
  track.counter = counter ? &counts : NULL;
  size_t texts = strlen(name) + 1;
  char *plain = malloc(texts);
  if (!plain) return fail("%s: no memory", p->x.trace->path);
  track.name = (char *)(uintptr_t)plain_text(name, plain, texts, INT32_MAX, NULL);
  packet.track_descriptor = &track;
  int status = put_packet(p, &packet, texts);
  free(plain);
  return status;
}

static int put_event(struct perfetto *p, int64_t time, Pf__TrackEvent *event, uint64_t track, size_t texts) {
  Pf__TracePacket packet = PF__TRACE_PACKET__INIT;
  packet.has_timestamp = 1;
  packet.timestamp = (uint64_t)time;
  packet.has_sequence_flags = 1;
  packet.sequence_flags = PF__TRACE_PACKET__SEQUENCE_FLAGS__SEQ_NEEDS_INCREMENTAL_STATE;
  event->has_track_uuid = 1;
  event->track_uuid = track;
  event->has_type = 1;
  packet.track_event = event;
  return put_packet(p, &packet, texts);
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static int put_name(struct perfetto *p, uint64_t number, const char *name) {
  Pf__EventName event_name = PF__EVENT_NAME__INIT, *names[] = {&event_name};
  Pf__InternedData data = PF__INTERNED_DATA__INIT;
  Pf__TracePacket packet = PF__TRACE_PACKET__INIT;
  size_t texts = strlen(name) + 1;
  char *plain = malloc(texts);
  if (!plain) return fail("%s: no memory", p->x.trace->path);
  event_name.has_iid = 1;
  event_name.iid = number;
  event_name.name = (char *)(uintptr_t)plain_text(name, plain, texts, INT32_MAX, NULL);
  data.n_event_names = 1;
  data.event_names = names;
  packet.interned_data = &data;
  packet.has_sequence_flags = 1;
  packet.sequence_flags = PF__TRACE_PACKET__SEQUENCE_FLAGS__SEQ_NEEDS_INCREMENTAL_STATE;
  int status = put_packet(p, &packet, texts);
  free(plain);
  return status;
}

/* The number of the string's name, which is told before it is used first. */
static uint64_t name_of(struct perfetto *p, uint32_t string) {
  if (string >= p->x.trace->string_count) string = 0;
  if (!p->interned[string]) {
    p->interned[string] = true;
    if (put_name(p, NAME_STRINGS + string, trace_string(p->x.trace, string)))
      p->x.rows.status = STATUS_FAILED;
  }
  return NAME_STRINGS + string;
}

/* The sequence begins: what was numbered before it does not count, and these are our own names. */
static int put_beginning(struct perfetto *p) {
  static const char *const names[] = {[NAME_RUN] = "run",
                                      [NAME_READY] = "ready",
                                      [NAME_CALL] = "in a call",
                                      [NAME_PARKED] = "waiting",
                                      [NAME_WAKES] = "wakes"};
  static const char *const groups[] = {"workers", "threads", "spans", "counters"};
  Pf__DebugAnnotationName until = PF__DEBUG_ANNOTATION_NAME__INIT, *annotations[] = {&until};
  Pf__InternedData data = PF__INTERNED_DATA__INIT;
  Pf__TracePacket packet = PF__TRACE_PACKET__INIT;
  char text[] = "until";
  until.has_iid = 1;
  until.iid = ANNOTATION_UNTIL;
  until.name = text;
  data.n_debug_annotation_names = 1;
  data.debug_annotation_names = annotations;
  packet.interned_data = &data;
  packet.has_sequence_flags = 1;
  packet.sequence_flags = PF__TRACE_PACKET__SEQUENCE_FLAGS__SEQ_INCREMENTAL_STATE_CLEARED |
                          PF__TRACE_PACKET__SEQUENCE_FLAGS__SEQ_NEEDS_INCREMENTAL_STATE;
  int status = put_packet(p, &packet, sizeof text);
  for (uint64_t i = NAME_RUN; i < NAME_STRINGS && !status; i++) status = put_name(p, i, names[i]);
  for (int k = 0; k < TRACKS && !status; k++)
    status = put_track(p, group_of((enum track)k), 0, groups[k], (uint64_t)k, false);
  return status;
}

/* ---- What is told ----------------------------------------------------------------------------------------------- */

static const char *thread_name(const struct perfetto *p, uint32_t thread, char *buffer, size_t size) {
  if (p->x.names[thread]) return trace_string(p->x.trace, p->x.names[thread]);
  snprintf(buffer, size, "thread %u", thread + 1);
  return buffer;
}

/* Makes the arrays as long as there are threads. */
static int grow(struct perfetto *p) {
  if (p->threads >= p->x.threads) return 0;
  size_t more = p->x.room;
  uint64_t *flows = reallocarray(p->flows, more, sizeof *flows);
  if (flows) p->flows = flows;
  bool *spanned = reallocarray(p->spanned, more, sizeof *spanned);
  if (spanned) p->spanned = spanned;
  if (!flows || !spanned) return fail("%s: no memory", p->x.trace->path);
  memset(flows + p->threads, 0, (more - p->threads) * sizeof *flows);
  memset(spanned + p->threads, 0, (more - p->threads) * sizeof *spanned);
  p->threads = more;
  return 0;
}

static int told_thread(void *of, uint32_t number, uint64_t id, uint32_t creator, int64_t time) {
  struct perfetto *p = of;
  char buffer[32];
  (void)creator, (void)time;
  if (export_thread(&p->x, id) || grow(p)) return STATUS_FAILED;
  return put_track(p, uuid_of(TRACK_THREAD, number), group_of(TRACK_THREAD),
                   thread_name(p, number, buffer, sizeof buffer), number, false);
}

static int put_slice(struct perfetto *p, uint64_t track, int64_t from, int64_t to, Pf__TrackEvent *event,
                     size_t texts) {
  Pf__TrackEvent end = PF__TRACK_EVENT__INIT;
  event->type = PF__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN;
  if (put_event(p, from, event, track, texts)) return STATUS_FAILED;
  end.type = PF__TRACK_EVENT__TYPE__TYPE_SLICE_END;
  return put_event(p, to, &end, track, 0);
}

/* On its worker's track: who runs. */
static int put_run(struct perfetto *p, const struct interval *i) {
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  char buffer[32];
  if (i->worker == NO_WORKER) return 0;
  if (!p->x.workers[i->worker]) {
    p->x.workers[i->worker] = true;
    snprintf(buffer, sizeof buffer, "worker %u", i->worker);
    if (put_track(p, uuid_of(TRACK_WORKER, i->worker), group_of(TRACK_WORKER), buffer, i->worker, false))
      return STATUS_FAILED;
  }
  event.has_name_iid = p->x.names[i->thread] != 0;
  if (event.has_name_iid)
    event.name_iid = name_of(p, p->x.names[i->thread]);
  else
    event.name = (char *)(uintptr_t)thread_name(p, i->thread, buffer, sizeof buffer);
  return put_slice(p, uuid_of(TRACK_WORKER, i->worker), i->from, i->to, &event, sizeof buffer);
}

/* On its thread's track: the state. */
static int put_state(struct perfetto *p, const struct interval *i) {
  static const char *const ends[REASONS] = {"open", "yield", "preempt", "park", "call", "end"};
  static const uint64_t names[STATES] = {NAME_RUN, NAME_READY, NAME_PARKED, NAME_CALL};
  Pf__DebugAnnotation until = PF__DEBUG_ANNOTATION__INIT, *annotations[] = {&until};
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  uint32_t what = i->state == STATE_BLOCKED ? export_waits_for(&p->x, i) : 0;
  event.has_name_iid = 1;
  event.name_iid = what ? name_of(p, what) : names[i->state];
  if (i->state == STATE_RUN) {
    until.has_name_iid = 1;
    until.name_iid = ANNOTATION_UNTIL;
    until.string_value = (char *)(uintptr_t)ends[i->reason];
    event.n_debug_annotations = 1;
    event.debug_annotations = annotations;
  }
  if (p->flows[i->thread]) {
    event.n_terminating_flow_ids = 1;
    event.terminating_flow_ids = &p->flows[i->thread];
  }
  int status = put_slice(p, uuid_of(TRACK_THREAD, i->thread), i->from, i->to, &event, 0);
  p->flows[i->thread] = 0;
  return status;
}

static int put_wake(struct perfetto *p, const struct interval *i) {
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  uint64_t id = ++p->wakes;
  p->flows[i->thread] = id;
  event.type = PF__TRACK_EVENT__TYPE__TYPE_INSTANT;
  event.has_name_iid = 1;
  event.name_iid = NAME_WAKES;
  event.n_flow_ids = 1;
  event.flow_ids = &id;
  return put_event(p, i->to, &event, uuid_of(TRACK_THREAD, i->waker), 0);
}

static int told_interval(void *of, const struct interval *i) {
  struct perfetto *p = of;
  if (i->state == STATE_RUN && put_run(p, i)) return STATUS_FAILED;
  if (put_state(p, i)) return STATUS_FAILED;
  return i->state == STATE_BLOCKED && i->waker != NOBODY ? put_wake(p, i) : 0;
}

/* ---- What the program told -------------------------------------------------------------------------------------- */

static int begin_span(struct perfetto *p, const struct thrumi_event *e, uint32_t thread) {
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  uint64_t track = uuid_of(TRACK_SPAN, thread);
  char buffer[32];
  if (!p->spanned[thread]) {
    p->spanned[thread] = true;
    if (put_track(p, track, group_of(TRACK_SPAN), thread_name(p, thread, buffer, sizeof buffer), thread,
                  false))
      return STATUS_FAILED;
  }
  event.type = PF__TRACK_EVENT__TYPE__TYPE_SLICE_BEGIN;
  event.has_name_iid = 1;
  event.name_iid = name_of(p, e->detail);
  return put_event(p, e->time, &event, track, 0);
}

static int told_span(void *of, const struct span *s) {
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  event.type = PF__TRACK_EVENT__TYPE__TYPE_SLICE_END;
  return put_event(of, s->to, &event, uuid_of(TRACK_SPAN, s->thread), 0);
}

static int put_count(struct perfetto *p, const struct thrumi_event *e) {
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  uint32_t name = e->detail < p->x.trace->string_count ? e->detail : 0;
  uint64_t track = uuid_of(TRACK_COUNTER, name);
  if (!p->counted[name]) {
    p->counted[name] = true;
    if (put_track(p, track, group_of(TRACK_COUNTER), trace_string(p->x.trace, name), name, true))
      return STATUS_FAILED;
  }
  event.type = PF__TRACK_EVENT__TYPE__TYPE_COUNTER;
  event.has_counter_value = 1;
  event.counter_value = (int64_t)e->object;
  return put_event(p, e->time, &event, track, 0);
}

static int put_mark(struct perfetto *p, const struct thrumi_event *e, uint32_t thread) {
  Pf__TrackEvent event = PF__TRACK_EVENT__INIT;
  event.type = PF__TRACK_EVENT__TYPE__TYPE_INSTANT;
  event.has_name_iid = 1;
  event.name_iid = name_of(p, e->detail);
  return put_event(p, e->time, &event,
                   thread == NOBODY ? group_of(TRACK_THREAD) : uuid_of(TRACK_THREAD, thread), 0);
}

static int told_event(void *of, const struct thrumi_event *e, uint32_t thread) {
  switch (e->kind) {
  case THRUMI_EVENT_SPAN_BEGIN: return thread == NOBODY ? 0 : begin_span(of, e, thread);
  case THRUMI_EVENT_COUNTER: return put_count(of, e);
  case THRUMI_EVENT_MARK: return put_mark(of, e, thread);
  default: return 0;
  }
}

/* ---- All of it -------------------------------------------------------------------------------------------------- */

static int write_packets(struct perfetto *p) {
  const struct listener l = {
      .of = p, .thread = told_thread, .interval = told_interval, .span = told_span, .event = told_event};
  if (put_beginning(p)) return STATUS_FAILED;
  int status = chronicle_tell(p->x.trace, &l, &p->x.summary);
  return p->x.rows.status ? STATUS_FAILED : status;
}

int write_perfetto(struct trace *t, struct output *out) {
  struct perfetto *p = calloc(1, sizeof *p);
  size_t strings = t->string_count ? t->string_count : 1;
  if (!p) return fail("%s: no memory", out->path);
  p->x.trace = t;
  p->interned = calloc(strings, sizeof *p->interned);
  p->counted = calloc(strings, sizeof *p->counted);
  int status = p->interned && p->counted ? rows_open(&p->x.rows, out) : fail("%s: no memory", out->path);
  if (!status) status = write_packets(p);
  if (rows_close(&p->x.rows)) status = STATUS_FAILED;
  free(p->interned);
  free(p->counted);
  free(p->flows);
  free(p->spanned);
  free(p->x.names);
  free(p);
  return status;
}
