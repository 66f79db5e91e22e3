/* The counters of thrum_statistics with their names, and as text for programs that end with THRUM_STATS=1 in the environment. */
#include <inttypes.h>
#include <sched/report.h>
#include <string.h>
#include <thrum/runtime.h>

void thrumi_counters(struct thrumi_counter out[THRUMI_COUNTERS]) {
  thrum_stats s = {.size = sizeof s};
  thrum_statistics(&s);
#define COUNTER(name, of) \
  { #name, of, s.name }
  const struct thrumi_counter all[] = {
      COUNTER(spawned, "threads started"),
      COUNTER(switches, "switches from one thread to another"),
      COUNTER(steals, "threads that went to another worker's queue"),
      COUNTER(preemptions, "preemptions of threads that had run for a whole interval"),
      COUNTER(wakeup_preemptions, "preemptions for a thread that was woken"),
      COUNTER(leases_lost, "workers taken from threads that blocked in a plain call"),
      COUNTER(signals, "preemption signals sent"),
      COUNTER(signals_blocked, "of these met a thread that had just blocked"),
      COUNTER(preempts_refused, "preemptions refused for want of a kernel thread"),
      COUNTER(workers, "workers"),
      COUNTER(kernel_threads, "kernel threads"),
      COUNTER(kernel_threads_peak, "kernel threads at most"),
      COUNTER(kernel_threads_max, "kernel threads allowed"),
      COUNTER(stacks, "stacks mapped"),
      COUNTER(stacks_marked, "of these guarded by markers"),
      COUNTER(stacks_protected, "of these guarded by mappings"),
      COUNTER(stacks_unguarded, "of these not guarded"),
  };
#undef COUNTER
  _Static_assert(sizeof all == THRUMI_COUNTERS * sizeof *all, "each field of thrum_stats");
  memcpy(out, all, sizeof all);
}

void thrumi_say_statistics(void) {
  struct thrumi_sink sink = {.fd = THRUMI_SINK_LOG};
  struct thrumi_counter rows[THRUMI_COUNTERS];
  thrumi_counters(rows);
  thrumi_say(&sink, "thrum: what the runtime has counted:\n");
  for (int i = 0; i < THRUMI_COUNTERS; i++)
    thrumi_say(&sink, "%12" PRIu64 "  %s\n", rows[i].count, rows[i].of);
}
