#include <core/symbol.h>
#include <sched/record.h>
#include <sched/self.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <trace/drain.h>
#include <trace/names.h>
#include <unistd.h>

static int64_t wall_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * THRUM_S(1) + t.tv_nsec;
}

void thrumi_drain_begin(struct thrumi_drain *d) {
  memset(d->ring, 0, sizeof d->ring);
  memset(d->object, 0, sizeof d->object);
  d->began = thrumi_tick();
  d->line = d->former = (struct thrumi_line){d->began, d->began};
  d->since = INT64_MIN;
  d->plain = false;
  for (uint32_t i = 0; i < THRUMI_RINGS; i++) {
    struct thrumi_ring *ring = thrumi_ring_at(i);
    if (!ring) continue;
    d->ring[i].at = d->ring[i].began = thrumi_load(&ring->head);
    d->ring[i].lost = d->ring[i].lost_before = thrumi_load_relaxed(&ring->lost);
  }
}

void thrumi_drain_rewind(struct thrumi_drain *d, int64_t keep) {
  d->since = thrumi_os.now() - keep;
  for (uint32_t i = 0; i < THRUMI_RINGS; i++) {
    d->ring[i].at = d->ring[i].began;
    d->ring[i].last = INT64_MIN;
    d->ring[i].fresh = true;
  }
}

/* ---- Events ---------------------------------------------------------------------------------------------------- */

/* The time of each event is at least that of the one before it in its ring: a put may have been held up between its stamp and its slot. */
static int64_t time_of(struct thrumi_drain *d, uint32_t i, double rate, uint64_t stamp) {
  bool late = (int64_t)(stamp - d->line.from.stamp) < 0;
  int64_t time = late ? thrumi_to_ns(&d->former, stamp) : thrumi_at_rate(&d->line.from, rate, stamp);
  if (time < d->ring[i].last) time = d->ring[i].last;
  return d->ring[i].last = time;
}

static void take_name(struct thrumi_drain *d, uint32_t i, const struct thrumi_event *event) {
  if (event->kind == THRUMI_EVENT_NAME)
    thrumi_drain_name(d, event);
  else if (thrumi_pieces_add(&d->ring[i].name, event))
    thrumi_file_thread(&d->file, event->thread, d->ring[i].name.text);
}

/* What must be in the file before it. */
static void precede(struct thrumi_drain *d, const struct thrumi_event *event) {
  switch (event->kind) {
  case THRUMI_EVENT_PARK: thrumi_drain_object(d, event->object, event->detail); /* fall through */
  case THRUMI_EVENT_SPAN_BEGIN:
  case THRUMI_EVENT_COUNTER:
  case THRUMI_EVENT_MARK: thrumi_file_tell(&d->file, event->detail); break;
  default: break;
  }
}

/* Names are worth having of any time; events are not kept from before `since`, nor are those of a recording before this one. Each is put where it
 * will stay if it is kept. */
static void keep_chunk(struct thrumi_drain *d, uint32_t i, size_t n) {
  double rate = thrumi_rate(&d->line);
  for (size_t at = 0; at < n; at++) {
    struct thrumi_event *event = thrumi_file_place(&d->file);
    memcpy(event, d->chunk[at], sizeof *event);
    uint64_t stamp = d->chunk[at][0];
    bool early = (int64_t)(stamp - d->began.stamp) < 0;
    event->time = time_of(d, i, rate, stamp);
    if (event->kind >= THRUMI_EVENT_NAME) {
      take_name(d, i, event);
    } else if (!early && event->time >= d->since) {
      precede(d, event);
      d->file.gathered++;
    }
  }
}

/* Events from `at` to this go's end, and a chunk at most. */
static size_t left(const struct thrumi_drain *d, uint32_t i, uint64_t at) {
  int64_t events = (int64_t)(d->ring[i].end - at);
  if (events <= 0) return 0;
  return events < THRUMI_DRAIN_CHUNK ? (size_t)events : THRUMI_DRAIN_CHUNK;
}

static size_t next_chunk(struct thrumi_drain *d, struct thrumi_ring *ring, uint32_t i) {
  if (!d->flight) return thrumi_ring_take(ring, d->chunk, left(d, i, thrumi_load_relaxed(&ring->tail)));
  uint64_t before = d->ring[i].at, *at = &d->ring[i].at;
  if (!left(d, i, before)) return 0;
  size_t n = thrumi_ring_copy(ring, at, d->chunk, left(d, i, before));
  if (n > left(d, i, *at)) n = left(d, i, *at); /* it went on behind what was written over */
  if (!d->ring[i].fresh)
    d->file.head.b += *at - before; /* written over while it was read; what was so before is no loss */
  d->ring[i].fresh = false;
  *at += n;
  return n;
}

/* A ring may be of the other sort: by a worker that came late, and was held up between the making and the publishing while one recording
 * stopped and the next began. */
static void drain_ring(struct thrumi_drain *d, struct thrumi_ring *ring, uint32_t i) {
  if (thrumi_ring_is_endless(ring) != d->flight) thrumi_ring_begin(ring, d->flight);
  uint64_t lost = thrumi_load_relaxed(&ring->lost);
  thrumi_file_ring(&d->file, thrumi_ring_number(i), lost - d->ring[i].lost);
  d->ring[i].lost = lost;
  for (size_t n; (n = next_chunk(d, ring, i)) > 0;) {
    keep_chunk(d, i, n);
    thrumi_store_relaxed(&d->written, d->file.bytes);
  }
  thrumi_file_flush(&d->file);
}

/* First where each ring ends, and then the line: so what is taken lies on it, or on the one before. Of what is put behind its end one ring would tell in this
 * go, and another one, whose turn had been, in the next: on two lines, and an effect could come out before its cause. And a busy
 * worker's ring may never be found empty. */
static void begin_go(struct thrumi_drain *d) {
  d->lookups = 0;
  for (uint32_t i = 0; i < THRUMI_RINGS; i++) {
    struct thrumi_ring *ring = thrumi_ring_at(i);
    if (ring) d->ring[i].end = thrumi_load(&ring->head);
  }
  d->line.to = thrumi_tick();
}

void thrumi_drain_events(struct thrumi_drain *d) {
  begin_go(d);
  for (uint32_t i = 0; i < THRUMI_RINGS && !d->file.error; i++) {
    struct thrumi_ring *ring = thrumi_ring_at(i);
    if (!ring) continue; /* of one that came meanwhile nothing is taken yet */
    drain_ring(d, ring, i);
  }
  if (!d->flight) d->former = d->line, d->line.from = d->line.to;
  thrumi_store_relaxed(&d->written, d->file.bytes);
}

uint32_t thrumi_drain_look(bool *enough) {
  uint64_t fullest = 0;
  *enough = false;
  for (uint32_t i = 0; i < THRUMI_RINGS; i++) {
    struct thrumi_ring *ring = thrumi_ring_at(i);
    if (!ring) continue;
    uint64_t there = thrumi_load(&ring->head) - thrumi_load_relaxed(&ring->tail);
    if (there >= THRUMI_FILE_EVENTS || there >= ring->size / 16) *enough = true;
    if (there * 256 / ring->size > fullest) fullest = there * 256 / ring->size;
  }
  return (uint32_t)fullest;
}

/* ---- The file -------------------------------------------------------------------------------------------------- */

/* The oldest event that a flight recorder has and will keep. */
static int64_t oldest(struct thrumi_drain *d) {
  int64_t first = d->line.to.now;
  for (uint32_t i = 0; i < THRUMI_RINGS; i++) {
    struct thrumi_ring *ring = thrumi_ring_at(i);
    uint64_t at = d->ring[i].began;
    if (!ring || !thrumi_ring_copy(ring, &at, d->chunk, 1)) continue;
    int64_t time = thrumi_to_ns(&d->line, d->chunk[0][0]);
    if (time < first) first = time;
  }
  return first > d->since ? first : d->since;
}

/* Lines of flight recorders begin where the recording did. */
void thrumi_drain_open(struct thrumi_drain *d, int fd) {
  d->line.to = thrumi_tick();
  struct thrumi_trace_header header = {
      .version = THRUMI_TRACE_VERSION,
      .event_size = sizeof(struct thrumi_event),
      .began = d->flight ? oldest(d) : d->began.now,
      .pid = (uint32_t)getpid(),
      .workers = thrumi_load(&thrumi_sched.workers),
      .flags = d->flight ? THRUMI_TRACE_FLIGHT : 0,
  };
  memcpy(header.magic, THRUMI_TRACE_MAGIC, sizeof header.magic);
  if (d->flight) d->since = header.began; /* a stamp taken ahead of its event may be older */
  header.began_wall = wall_now() - (thrumi_os.now() - header.began);
  thrumi_file_begin(&d->file, fd, &header);
}

void thrumi_drain_finish(struct thrumi_drain *d) {
  thrumi_drain_living(d);
  if (!d->plain) thrumi_drain_objects(d);
  thrumi_file_flush(&d->file);
  thrumi_file_end(&d->file);
  thrumi_store_relaxed(&d->written, d->file.bytes);
}
