/* Workloads that are recorded while they run. */
#ifndef BENCH_TRACED_H
#define BENCH_TRACED_H

/* Runs the workload under a recorder, and prints what share of the events was lost. */
void bench_traced(void (*run)(long n), long n);

#endif
