/* The workloads of the thrum program; each measures and prints. They run in a light thread. */
#ifndef BENCH_WORKLOADS_H
#define BENCH_WORKLOADS_H

void spawn_run(long n);
void scope_run(long n);
void cancel_run(long n);
void yield_run(long n);
void forkjoin_run(long n);
void skynet_run(long n);
void parked_run(long n);
void parked_default_run(long n);
void sleepers_run(long n);
void slice_run(long us);
void executor_run(long n);
void executor_1us_run(long n);
void executor_100us_run(long n);
void executor_map_run(long n);
void processes_run(long n);
void processes_chunked_run(long chunk);
void convoy_run(long hogs);
void convoy_malloc_run(long hogs);
void gil_convoy_run(long hogs);
void manager_call_run(long size);
void manager_queue_run(long size);
void pipe_run(long size);          /* in main: it forks first */
void shared_lock_run(long n);      /* likewise */
void process_queue_run(long size); /* likewise */
void process_forkserver_run(long n);
void process_spawn_run(long n);
void process_fork_run(long n);
void process_exec_run(long n);
void select_run(long queues);
void sieve_run(long primes);
void timers_run(long n);
void timers_random_run(long n);
void trace_event_run(long n);
void echo_overhead_run(long n);

#endif
