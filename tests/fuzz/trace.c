/* Trace files: whatever is in one, it is refused by one line or read whole; and of what is read each thread is in one state at a time,
 * its intervals follow each other, and no number leads nowhere. */
#include "fuzz.h"

#include "../../cli/trace/chronicle.h"
#include "../../cli/trace/model.h"
#include "../../cli/trace/views.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t refusals;

static void note(const char *format, va_list args) {
  char line[1000];
  int length = vsnprintf(line, sizeof line, format, args);
  CHECK(length > 0 && length < (int)sizeof line);
  CHECK(!strchr(line, '\n'));
}

/* The command's own print. */
int fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  note(format, args);
  va_end(args);
  refusals++;
  return STATUS_FAILED;
}

void warn(const char *format, ...) {
  va_list args;
  va_start(args, format);
  note(format, args);
  va_end(args);
}

/* ---- A file, mostly of the right form --------------------------------------------------------------------------- */

struct file {
  uint8_t bytes[1 << 15];
  size_t size;
};

static void put(struct file *f, const void *data, size_t size) {
  if (f->size + size > sizeof f->bytes) return;
  memcpy(f->bytes + f->size, data, size);
  f->size += size;
}

static void put_block(struct file *f, uint32_t kind, uint64_t a, uint64_t b, const void *payload,
                      uint32_t bytes) {
  struct thrumi_trace_block block = {kind, bytes, a, b};
  put(f, &block, sizeof block);
  put(f, payload, bytes);
  put(f, "\0\0\0\0\0\0\0", -bytes % 8u);
}

static struct thrumi_event decide_event(struct decisions *d, int64_t *now) {
  static const uint16_t kinds[] = {1,  2,  2,  2,  3,  4,  4,  5,  5,  6,  7,  8,  9, 10,
                                   16, 17, 18, 19, 20, 21, 22, 23, 64, 65, 66, 67, 99};
  *now += decide(d) % 16;
  return (struct thrumi_event){.time = *now,
                               .thread = decide(d) % 5,
                               .object = decide(d) % 5,
                               .kind = kinds[decide(d) % (sizeof kinds / sizeof *kinds)],
                               .worker = decide(d) % 8 ? decide(d) % 3 : NO_WORKER,
                               .detail = decide(d) % 4};
}

static uint32_t put_events(struct file *f, struct decisions *d, int64_t *now) {
  struct thrumi_event events[16];
  uint32_t count = decide(d) % 16;
  for (uint32_t i = 0; i < count; i++) events[i] = decide_event(d, now);
  put_block(f, THRUMI_TRACE_EVENTS, decide(d) % 3, decide(d) % 8 ? 0 : decide(d), events,
            count * (uint32_t)sizeof *events);
  return count;
}

static void make(struct file *f, struct decisions *d) {
  struct thrumi_trace_header h = {
      .version = 1, .event_size = sizeof(struct thrumi_event), .began = 100, .flags = decide(d) % 4 == 0};
  int64_t now = 100;
  uint64_t events = 0;
  memcpy(h.magic, THRUMI_TRACE_MAGIC, sizeof h.magic);
  put(f, &h, sizeof h);
  put_block(f, THRUMI_TRACE_STRING, 1, 0, "lock", 4);
  put_block(f, THRUMI_TRACE_THREAD, 1, 1, "", 0);
  put_block(f, THRUMI_TRACE_OBJECT, 2, 1, "", 0);
  while (any_left(d)) {
    events += put_events(f, d, &now);
    if (decide(d) % 16 == 0) now -= decide(d);
  }
  if (decide(d) % 8) put_block(f, THRUMI_TRACE_END, events, 0, "", 0);
}

/* One file in two has some bytes changed; one in eight is cut off. */
static void spoil(struct file *f, uint64_t how) {
  for (uint64_t n = how % 8 < 4 ? how % 8 : 0; n > 0; n--)
    f->bytes[(how >> (8 * n)) % f->size] ^= (uint8_t)(how >> 40 | 1);
  if (how >> 61 == 0) f->size = (how >> 16) % f->size;
}

/* ---- What must be so -------------------------------------------------------------------------------------------- */

static void check_interval(const struct model *m, const struct interval *i) {
  char buffer[100];
  CHECK(i->from <= i->to && i->from >= m->from && i->to <= m->to);
  CHECK(i->state < STATES && i->reason < REASONS);
  CHECK(i->waker == NOBODY || i->waker < m->thread_count);
  CHECK(i->what < m->string_count);
  CHECK(model_waits_for(m, i, buffer, sizeof buffer) != NULL);
}

static void check_thread(const struct model *m, uint32_t number) {
  const struct thread *t = &m->threads[number];
  int64_t at = m->from, total[STATES] = {0};
  CHECK(t->name && *t->name);
  CHECK(t->creator == NOBODY || t->creator < m->thread_count);
  CHECK(t->first + t->count <= m->interval_count);
  for (size_t i = t->first; i < t->first + t->count; i++) {
    const struct interval *v = &m->intervals[i];
    CHECK_EQ(v->thread, number);
    CHECK(v->from >= at);
    check_interval(m, v);
    total[v->state] += v->to - v->from;
    at = v->to;
  }
  for (int s = 0; s < STATES; s++) CHECK_EQ(total[s], t->total[s]);
}

static void check_model(const struct model *m) {
  size_t intervals = 0;
  for (uint32_t i = 0; i < m->thread_count; i++) {
    check_thread(m, i);
    intervals += m->threads[i].count;
  }
  CHECK_EQ(intervals, m->interval_count);
  for (size_t i = 0; i < m->critical_count; i++) {
    const struct step *s = &m->critical[i];
    CHECK(s->interval < m->interval_count);
    CHECK(s->from < s->to && s->from >= m->intervals[s->interval].from &&
          s->to <= m->intervals[s->interval].to);
    CHECK(!i || m->critical[i - 1].to <= s->from);
  }
  for (size_t i = 0; i < m->span_count; i++) CHECK(m->spans[i].from <= m->spans[i].to);
}

static void try_all(const char *path, bool partial) {
  struct model m;
  struct trace t;
  FILE *null = fopen("/dev/null", "w");
  struct output out = {.stream = null, .path = "out"};
  const struct text_options options = {.width = 60, .threads = 3};
  CHECK(null);
  refusals = 0;
  int status = model_read(&m, path, path, partial);
  CHECK_EQ(status != 0, refusals > 0 && !partial ? 1 : status != 0);
  if (!status) {
    check_model(&m);
    CHECK_EQ(write_lanes(&m, null, &options), 0);
    CHECK_EQ(write_stats(&m, null, &options), 0);
    CHECK_EQ(write_stats_json(&m, null), 0);
    model_free(&m);
  }
  if (trace_open(&t, path, path, partial) == 0) {
    write_chrome(&t, &out);
    trace_close(&t);
  }
  if (trace_open(&t, path, path, partial) == 0) {
    check_trace(&t, null);
    trace_close(&t);
  }
  fclose(null);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct file f;
  struct decisions d = {data, data + size};
  char path[40];
  uint64_t how = decide_u64(&d);
  f.size = 0;
  make(&f, &d);
  spoil(&f, how);
  int fd = memfd_create("trace", 0);
  CHECK(fd >= 0);
  CHECK_EQ(write(fd, f.bytes, f.size), (ssize_t)f.size);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  try_all(path, how >> 8 & 1);
  close(fd);
  return 0;
}
