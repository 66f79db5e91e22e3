/* Workloads that are recorded while they run. */
#ifndef BENCH_TRACED_H
#define BENCH_TRACED_H

#include <thrum.h>

/* A recording to a file, which is removed when it ends. */
void bench_trace_begin(void);
thrum_trace_stats bench_trace_end(void);

/* Runs the workload under a recorder, and prints what share of the events was lost. */
void bench_traced(void (*run)(long n), long n);

#endif
