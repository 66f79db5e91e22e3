/* The events of all rings in order of time. Each ring is in order by itself: a heap of rings by their next event's time gives the
 * whole, with a buffer for each and no more. Events of one time come in the order of their rings, so each run gives the same. */
#include "file.h"

#include "../command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_EVENTS = 2048 };

/* The clock of one CPU may be behind that of another one by so much, and a ring's worker has moved. More is a damage. */
#define STEP_BACK INT64_C(1000000)

/* Whoever lived so long after the machine started has other worries; sums of times stay far from the end of int64_t. */
#define TIME_MAX (INT64_C(100) * 366 * 86400 * 1000000000 / 2)

static bool comes_before(const struct ring *a, const struct ring *b) {
  int64_t x = a->buffer[a->at].time, y = b->buffer[b->at].time;
  return x != y ? x < y : a->id < b->id;
}

static void sift_down(struct trace *t, size_t i) {
  struct ring *moved = t->heap[i];
  for (size_t child; (child = 2 * i + 1) < t->heap_count; i = child) {
    if (child + 1 < t->heap_count && comes_before(t->heap[child + 1], t->heap[child])) child++;
    if (!comes_before(t->heap[child], moved)) break;
    t->heap[i] = t->heap[child];
  }
  t->heap[i] = moved;
}

/* Of the event at that place of the `got` that were read last. */
static uint64_t offset_of(const struct ring *r, uint32_t got, uint32_t at) {
  return r->extents[r->extent].offset + (uint64_t)(r->read - got + at) * sizeof(struct thrumi_event);
}

/* In order, as the contract has it; a small step back is taken for none. */
static int check_times(struct trace *t, struct ring *r) {
  for (uint32_t i = 0; i < r->got; i++) {
    struct thrumi_event *e = &r->buffer[i];
    if (e->time < 0 || e->time > TIME_MAX || e->time < r->last - STEP_BACK) {
      uint32_t got = r->got;
      r->got = i;
      return trace_damaged(t, offset_of(r, got, i), "ring %u: an event at %lld ns after one at %lld ns",
                           r->id, (long long)e->time, (long long)r->last);
    }
    if (e->time < r->last) e->time = r->last;
    r->last = e->time;
  }
  return 0;
}

static int read_events(struct trace *t, struct ring *r, uint32_t count) {
  size_t size = count * sizeof(struct thrumi_event), done = 0;
  uint64_t offset = r->extents[r->extent].offset + (uint64_t)r->read * sizeof(struct thrumi_event);
  while (done < size) {
    ssize_t got = pread(t->fd, (char *)r->buffer + done, size - done, (off_t)(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      r->got = 0;
      return fail("%s: cannot be read at offset %llu: %s", t->path, (unsigned long long)(offset + done),
                  got ? strerror(errno) : "it was cut short meanwhile; is it being recorded anew?");
    }
    done += (size_t)got;
  }
  r->read += count;
  r->got = count;
  r->at = 0;
  return check_times(t, r);
}

/* What a block says to be lost was so somewhere from the last event before that block on to the first event of what was taken from the
 * ring next: a full ring loses what is new. What is taken at once becomes several blocks if it is much, all as large as can be but
 * for the last. */
static void enter_extent(struct trace *t, struct ring *r) {
  r->read = 0;
  if (r->extent == r->extent_count || !r->extents[r->extent].lost) return;
  r->gap_end = r->extent;
  while (r->gap_end < r->extent_count && r->extents[r->gap_end].count == r->largest) r->gap_end++;
  r->gap_end++;
  t->gaps += !r->gap;
  r->gap = true;
}

/* What was read before the damage is good enough: the ring ends there. */
static int give_up(struct trace *t, struct ring *r) {
  if (!t->partial) return -1;
  warn("%s: the events of ring %u end there", t->path, r->id);
  t->cut = true;
  r->extent_count = r->extent + 1;
  r->extents[r->extent].count = r->read;
  return r->got > 0;
}

/* 1: r has a next event; 0: it has no more; -1 after a message. */
static int refill(struct trace *t, struct ring *r) {
  while (r->extent < r->extent_count && r->read == r->extents[r->extent].count) {
    r->extent++;
    enter_extent(t, r);
  }
  if (r->extent == r->extent_count) return 0;
  uint32_t left = r->extents[r->extent].count - r->read;
  return read_events(t, r, left < BUFFER_EVENTS ? left : BUFFER_EVENTS) ? give_up(t, r) : 1;
}

/* Past the event that was given last, which the first ring of the heap gave. */
static int advance(struct trace *t) {
  struct ring *r = t->heap[0];
  if (r->gap && r->extent >= r->gap_end) {
    r->gap = false;
    t->gaps--;
  }
  if (++r->at == r->got) {
    int more = refill(t, r);
    if (more < 0) return -1;
    if (!more) t->heap[0] = t->heap[--t->heap_count];
  }
  if (t->heap_count > 1) sift_down(t, 0);
  return 0;
}

int trace_next(struct trace *t, struct thrumi_event *e) {
  if (t->given && advance(t)) return -1;
  t->given = t->heap_count > 0;
  if (!t->given) return 0;
  *e = t->heap[0]->buffer[t->heap[0]->at];
  return 1;
}

int trace_rewind(struct trace *t) {
  t->heap = calloc(t->ring_count + 1, sizeof *t->heap);
  if (!t->heap) return fail("%s: no memory", t->path);
  for (size_t i = 0; i < t->ring_count; i++) {
    struct ring *r = &t->rings[i];
    r->buffer = malloc(BUFFER_EVENTS * sizeof *r->buffer);
    if (!r->buffer) return fail("%s: no memory", t->path);
    enter_extent(t, r);
    if (t->header.flags & THRUMI_TRACE_FLIGHT && !r->gap) { /* each ring kept what it had room for */
      r->gap = true;
      t->gaps++;
    }
    int more = refill(t, r);
    if (more < 0) return STATUS_FAILED;
    if (more) t->heap[t->heap_count++] = r;
  }
  for (size_t i = t->heap_count; i-- > 0;) sift_down(t, i);
  return 0;
}
