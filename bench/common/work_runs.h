/* The workloads that work_measure.h gives to its includer. */
#ifndef BENCH_WORK_RUNS_H
#define BENCH_WORK_RUNS_H

#ifdef __cplusplus
extern "C" {
#endif

void nqueens_run(long n);
void uts_run(long n);
void matmul_run(long n);
void for_run(long n);
void for_uneven_run(long n);
void reduce_run(long n);

#ifdef __cplusplus
}
#endif
#endif
