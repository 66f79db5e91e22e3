/* The counters of thrum_statistics as text, for programs that end with THRUM_STATS=1 in the environment. */
#include <inttypes.h>
#include <sched/report.h>
#include <thrum/runtime.h>

void thrumi_say_statistics(void) {
  struct thrumi_sink sink = {.fd = THRUMI_SINK_LOG};
  thrum_stats s = {.size = sizeof s};
  if (thrum_statistics(&s) != 0) return;
  const struct {
    uint64_t count;
    const char *of;
  } rows[] = {
      {s.spawned, "threads started"},
      {s.switches, "switches from one thread to another"},
      {s.steals, "threads that went to another worker's queue"},
      {s.preemptions, "preemptions of threads that had run for a whole interval"},
      {s.wakeup_preemptions, "preemptions for a thread that was woken"},
      {s.leases_lost, "workers taken from threads that blocked in a plain call"},
      {s.signals, "preemption signals sent"},
      {s.signals_blocked, "of these met a thread that had just blocked"},
      {s.preempts_refused, "preemptions refused for want of a kernel thread"},
      {s.workers, "workers"},
      {s.kernel_threads_peak, "kernel threads at most"},
      {s.kernel_threads_max, "kernel threads allowed"},
      {s.stacks, "stacks mapped"},
      {s.stacks_marked, "of these guarded by markers"},
      {s.stacks_protected, "of these guarded by mappings"},
      {s.stacks_unguarded, "of these not guarded"},
  };
  thrumi_say(&sink, "thrum: what the runtime has counted:\n");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    thrumi_say(&sink, "%12" PRIu64 "  %s\n", rows[i].count, rows[i].of);
}
