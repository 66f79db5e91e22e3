/* The workloads that queue.h gives to its includer. */
#ifndef BENCH_QUEUE_RUNS_H
#define BENCH_QUEUE_RUNS_H

#ifdef __cplusplus
extern "C" {
#endif

void queue_run(long most);
void queue_fill_run(long n);
void queue_priority_run(long n);
void pingpong_run(long unused);

#ifdef __cplusplus
}
#endif
#endif
