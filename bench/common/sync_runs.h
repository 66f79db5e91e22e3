/* The workloads that sync.h gives to its includer, and their rows in a table. */
#ifndef BENCH_SYNC_RUNS_H
#define BENCH_SYNC_RUNS_H

#ifdef __cplusplus
extern "C" {
#endif

void sync_lock_run(long threads);
void sync_lock_100ns_run(long threads);
void sync_lock_10us_run(long threads);
void sync_rwlock_run(long threads);
void sync_cond_run(long threads);
void sync_sem_run(long threads);
void sync_barrier_run(long threads);
void sync_event_run(long threads);

#ifdef __cplusplus
}
#endif
#endif
