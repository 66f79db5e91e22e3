#include <thrum.h>

#include "bench.h"
#include "io_runs.h"
#include "queue_runs.h"
#include "sync_runs.h"
#include "traced.h"
#include "work_runs.h"
#include "workloads.h"

typedef struct call {
  void (*run)(long n);
  long n;
} call;

static intptr_t body(void *arg) {
  const call *c = arg;
  c->run(c->n);
  return 0;
}

/* The main thread is bound; what is measured are light threads, so the workload runs in one. */
static void run_light(void (*run)(long n), long n) {
  call c = {run, n};
  bench_check((int)thrum_run(body, &c), "thrum_run");
}

#define LIGHT(name) \
  static void name##_light(long n) { run_light(name##_run, n); }
LIGHT(spawn)
LIGHT(scope)
LIGHT(cancel)
LIGHT(yield)
LIGHT(forkjoin)
LIGHT(skynet)
LIGHT(parked)
LIGHT(parked_default)
LIGHT(sleepers)
LIGHT(slice)
LIGHT(convoy)
LIGHT(convoy_malloc)
LIGHT(gil_convoy)
LIGHT(sync_lock)
LIGHT(sync_lock_100ns)
LIGHT(sync_lock_10us)
LIGHT(sync_rwlock)
LIGHT(sync_cond)
LIGHT(sync_sem)
LIGHT(sync_barrier)
LIGHT(sync_event)
LIGHT(queue)
LIGHT(queue_fill)
LIGHT(queue_priority)
LIGHT(pingpong)
LIGHT(select)
LIGHT(sieve)
LIGHT(timers)
LIGHT(timers_random)
LIGHT(echo)
LIGHT(idle_connection)
LIGHT(manager_call)
LIGHT(manager_queue)
LIGHT(file_read)
LIGHT(file_pread)
LIGHT(executor)
LIGHT(executor_1us)
LIGHT(executor_100us)
LIGHT(executor_map)
LIGHT(processes)
LIGHT(processes_chunked)
LIGHT(process_forkserver)
LIGHT(process_spawn)
LIGHT(process_fork)
LIGHT(process_exec)
LIGHT(nqueens)
LIGHT(uts)
LIGHT(matmul)
LIGHT(for)
LIGHT(for_uneven)
LIGHT(reduce)
LIGHT(trace_event)
LIGHT(echo_overhead)

/* The same, recorded. */
#define TRACED(name) \
  static void name##_traced(long n) { bench_traced(name##_light, n); }
TRACED(echo)
TRACED(pingpong)
TRACED(skynet)

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  static const bench_workload table[] = {{"spawn", spawn_light},
                                         {"scope", scope_light},
                                         {"cancel", cancel_light},
                                         {"yield", yield_light},
                                         {"forkjoin", forkjoin_light},
                                         {"skynet", skynet_light},
                                         {"parked", parked_light},
                                         {"parked-default", parked_default_light},
                                         {"sleepers", sleepers_light},
                                         {"slice", slice_light},
                                         {"convoy", convoy_light},
                                         {"convoy-malloc", convoy_malloc_light},
                                         {"gil-convoy", gil_convoy_light},
                                         {"lock", sync_lock_light},
                                         {"lock-100ns", sync_lock_100ns_light},
                                         {"lock-10us", sync_lock_10us_light},
                                         {"rwlock", sync_rwlock_light},
                                         {"cond", sync_cond_light},
                                         {"sem", sync_sem_light},
                                         {"barrier", sync_barrier_light},
                                         {"event", sync_event_light},
                                         {"executor", executor_light},
                                         {"executor-1us", executor_1us_light},
                                         {"executor-100us", executor_100us_light},
                                         {"executor-map", executor_map_light},
                                         {"processes", processes_light},
                                         {"processes-chunked", processes_chunked_light},
                                         {"queue", queue_light},
                                         {"queue-fill", queue_fill_light},
                                         {"queue-priority", queue_priority_light},
                                         {"pingpong", pingpong_light},
                                         {"manager-call", manager_call_light},
                                         {"manager-queue", manager_queue_light},
                                         {"pipe", pipe_run},
                                         {"shared-lock", shared_lock_run},
                                         {"process-queue", process_queue_run},
                                         {"process-forkserver", process_forkserver_light},
                                         {"process-spawn", process_spawn_light},
                                         {"process-fork", process_fork_light},
                                         {"process-exec", process_exec_light},
                                         {"select", select_light},
                                         {"sieve", sieve_light},
                                         {"timers", timers_light},
                                         {"timers-random", timers_random_light},
                                         {"echo", echo_light},
                                         {"idle-connection", idle_connection_light},
                                         {"file-read", file_read_light},
                                         {"file-pread", file_pread_light},
                                         {"nqueens", nqueens_light},
                                         {"uts", uts_light},
                                         {"matmul", matmul_light},
                                         {"for", for_light},
                                         {"for-uneven", for_uneven_light},
                                         {"reduce", reduce_light},
                                         {"trace-event", trace_event_light},
                                         {"echo-overhead", echo_overhead_light},
                                         {"echo-traced", echo_traced},
                                         {"pingpong-traced", pingpong_traced},
                                         {"skynet-traced", skynet_traced},
                                         {NULL, NULL}};
  return bench_main(argc, argv, table, thrum_set_workers);
}
