/* What recording costs: an event by itself, and workloads that are recorded to a file while they run. */
#include "traced.h"

#include <stdio.h>
#include <stdlib.h>
#include <thrum.h>
#include <unistd.h>

#include "bench.h"
#include "workloads.h"

enum { BATCH = 1000 };

static char path[256];

static const char *trace_file(void) {
  const char *directory = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/thrum-bench-%d.trace", directory ? directory : "/tmp", (int)getpid());
  return path;
}

void bench_trace_begin(void) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  options.file = trace_file();
  bench_check(thrum_trace_start(&options), "thrum_trace_start");
}

thrum_trace_stats bench_trace_end(void) {
  thrum_trace_stats stats = {.size = sizeof stats};
  bench_check(thrum_trace_stop(), "thrum_trace_stop");
  bench_check(thrum_trace_statistics(&stats), "thrum_trace_statistics");
  unlink(path);
  return stats;
}

void bench_traced(void (*run)(long n), long n) {
  bench_trace_begin();
  run(n);
  thrum_trace_stats stats = bench_trace_end();
  bench_print("trace-lost", 100.0 * (double)stats.lost / (double)(stats.lost + stats.recorded), "%");
}

static double time_marks(void) {
  int64_t begun = bench_now(), now;
  long done = 0;
  do {
    for (int i = 0; i < BATCH; i++) thrum_trace_mark("mark");
    done += BATCH;
    now = bench_now();
  } while (now - begun < bench_budget());
  return (double)(now - begun) / (double)done;
}

/* A flight recorder's ring is never full, so each event is really put. */
void trace_event_run(long n) {
  (void)n;
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  options.flight = true;
  double off = time_marks();
  bench_check(thrum_trace_start(&options), "thrum_trace_start");
  double on = time_marks();
  bench_check(thrum_trace_stop(), "thrum_trace_stop");
  bench_print("trace-event", on, "ns");
  bench_print("trace-off", off, "ns");
}
