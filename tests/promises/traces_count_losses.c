/* Events that find no room are dropped, and counted: what is in the file and what is said to be lost make up all that was put. Who puts
 * them does not wait. A ring that is large enough loses nothing. */
#include "../support.h"
#include "../traced.h"

enum { MARKS = TESTS_SANITIZED ? 20000 : 200000, MARKERS = 4 };

static char path[64];

static intptr_t mark(void *arg) {
  for (int i = 0; i < MARKS; i++) thrum_trace_mark("one");
  return (intptr_t)arg;
}

static thrum_trace_stats figures(void) {
  thrum_trace_stats stats = {.size = sizeof stats};
  CHECK_EQ(thrum_trace_statistics(&stats), 0);
  return stats;
}

/* Marks alone are put by them; the rest of what happens is lost or not as it comes. */
static struct traced *record(size_t ring, thrum_trace_stats *stats) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  thrum_thread markers[MARKERS];
  options.file = path;
  options.ring = ring;
  CHECK_EQ(thrum_trace_start(&options), 0);
  for (int i = 0; i < MARKERS; i++) markers[i] = must_spawn(mark, NULL);
  for (int i = 0; i < MARKERS; i++) CHECK_EQ(must_join(markers[i]), 0);
  CHECK_EQ(run_outside(mark, NULL), 0); /* to the ring of strangers */
  CHECK_EQ(thrum_trace_stop(), 0);
  *stats = figures();
  CHECK(!stats->on && !stats->flight);
  return traced_read(path);
}

static void with_rings_of(size_t ring, bool loses) {
  thrum_trace_stats stats;
  struct traced *t = record(ring, &stats);
  CHECK(t->ended);
  CHECK_EQ(t->lost, stats.lost);
  CHECK_EQ(t->size, stats.written);
  CHECK_EQ(t->lost > 0, loses);
  CHECK(t->count <= stats.recorded); /* names of threads are events until they are written */
  size_t marks = traced_count(t, THRUMI_EVENT_MARK, 0), all = (size_t)MARKS * (MARKERS + 1);
  CHECK(marks <= all);
  CHECK(marks + t->lost >= all);
  CHECK_EQ(stats.recorded + stats.lost >= all, true);
  if (!loses) CHECK_EQ(marks, all);
  traced_free(t);
}

static void bad_calls(void) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  thrum_trace_stats stats = {0};
  CHECK_EQ(thrum_trace_start(NULL), -EINVAL);
  CHECK_EQ(thrum_trace_start(&options), -EINVAL);
  options.file = path;
  options.ring = 100;
  CHECK_EQ(thrum_trace_start(&options), -EINVAL);
  options.ring = 0;
  options.keep = -1;
  CHECK_EQ(thrum_trace_start(&options), -EINVAL);
  options.keep = 0;
  options.size--;
  CHECK_EQ(thrum_trace_start(&options), -EINVAL);
  CHECK_EQ(thrum_trace_statistics(&stats), -EINVAL);
  CHECK_EQ(thrum_trace_snapshot(NULL), -EINVAL);
  CHECK_EQ(thrum_trace_snapshot(path), -EPERM);
  CHECK_EQ(thrum_trace_stop(), -EPERM);
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/traces_count_losses.%d", (int)getpid());
  bad_calls();
  with_rings_of(2 << 10, true);
  with_rings_of((size_t)64 << 20, false);
  with_rings_of(4 << 10, true);
  CHECK_EQ(unlink(path), 0);
  return 0;
}
