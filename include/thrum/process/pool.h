/* An executor whose tasks run in processes: what one of them crashes, leaks or spoils stays there.
 *
 *     THRUM_TASK(resize) { ... return thrum_out_write(out, picture, bytes); }     // executor.h
 *
 *     thrum_process_main(argc, argv);                                             // process.h: first in main
 *
 *     thrum_executor *pool;
 *     thrum_executor_processes(&pool, NULL);
 *     thrum_submit_task(pool, &f, &resize, file, size);
 *     thrum_future_bytes(f, &data, &length);
 *
 * It is used as every executor (executor.h): thrum_submit_task, thrum_map_start_task, futures, thrum_as_completed, shutdown, statistics.
 * A task is found there by its name, in the program or in the shared object that it is from; one that is not there fails with
 * -ENOENT. thrum_submit and thrum_map_start, whose function and pointer mean nothing in another process, say -ENOTSUP.
 *
 * Processes are started when tasks find none idle, `processes` at most, and stay until the shutdown. The bytes in, the bytes out and the
 * sentence of a failure are copied, of any length.
 *
 * When a process dies (of a signal, by exit in a task, for want of memory) only the task that ran in it is affected. It is given to another
 * process as often as `retries` says; then its future fails with -EOWNERDEAD, and the sentence says how the process ended. No other
 * task, begun or not, is lost or run twice, and another process takes its place when there is something to do. A task that was retried
 * may have done part of its work before.
 *
 * SIGINT and SIGHUP, which a terminal sends to all processes of its group, do nothing to these processes, so that a program that ends in order on
 * Ctrl-C gets the results of what runs; they die with the program. A task, or the initializer, may set another action. What a task
 * execs has the default one.
 *
 * Long arguments and results (tens of KiB) take a descriptor each on their way. While this process has none free they wait until it has; but once the
 * executor has been shut down, or the program ends, for about a second only: then the task fails with -EMFILE. A process whose tasks have left it
 * without any is replaced.
 *
 * While all processes are busy, short tasks are sent ahead to them, a few hundred at most for each: this is what makes them
 * fast. Such a task says that it runs (thrum_future_running), and cannot be cancelled by thrum_future_cancel; but a process that has
 * nothing to do takes it away from one that is busy, and thrum_executor_shutdown with `cancel_pending` cancels it. So tasks
 * begin about in the order in which they were submitted.
 *
 * Callbacks of futures run in threads of this process, made for it; while there is no memory for one they wait, until the end of the executor if
 * need be, where they are called one after the other. What a task prints goes where this process's output goes. */
#ifndef THRUM_PROCESS_POOL_H
#define THRUM_PROCESS_POOL_H

#include <thrum/process/process.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All-zero (with size set) means the defaults. */
typedef struct thrum_processes_options {
  size_t size;       /* sizeof(thrum_processes_options) */
  const char *name;  /* of its processes, before -0, -1, ...; NULL or "": processes-K for the K-th; copied */
  int processes;     /* as many at once; 0: as many as this process has workers */
  int method;        /* THRUM_FORKSERVER, ...: how they are started; 0: the default */
  bool pinned;       /* each may run on one CPU only, of those of this process, one after the other */
  size_t stack_size; /* bytes of the stack that tasks have there, 0: the default */
  unsigned tasks_per_process; /* a process ends after so many tasks, and another one comes; 0: no limit */
  unsigned retries; /* so often a task is given to another process when the one that ran it has died */
  const thrum_task
      *initializer; /* each process calls it first. If it fails the executor is broken, as in executor.h */
  const void *initializer_in; /* its bytes; copied */
  size_t initializer_size;
} thrum_processes_options;

#define THRUM_PROCESSES_OPTIONS_INIT \
  { sizeof(thrum_processes_options), 0, 0, 0, false, 0, 0, 0, 0, 0, 0 }

/* Makes one; nothing is started yet. options may be NULL. A process that cannot be started is no error of a submit, since others may do the
 * work: if there are none, what is queued fails with the error of thrum_process_start, or with -EPIPE where they die before they
 * take a task, and the next submit tries anew.
 * -EINVAL: a negative number, a stack size that thrum_spawn_with would not take, no such method, an initializer that is not the task that its
 * name finds, another version's options. -ENOTSUP: thrum_process_main was not called first in main, and the method is not
 * THRUM_FORK. -EPERM: in a process that is a daemon. -ENOMEM. Does not switch. */
THRUM_API int thrum_executor_processes(thrum_executor **out, const thrum_processes_options *options);

/* Stores the numbers of its processes, `max` at most, and returns how many there are. Any of them may end at any moment. -ENOTSUP: not an executor of
 * processes. */
THRUM_API ssize_t thrum_executor_pids(thrum_executor *executor, pid_t *out, size_t max);

/* Shuts it down, cancels what has not begun, and sends the signal to each of its processes: what runs in those that it ends fails with
 * -EOWNERDEAD, and is not retried. SIGINT and SIGHUP end none (see above). Does not wait: thrum_executor_shutdown does. Again: the signal goes to those that are left. 0; -EINVAL: no
 * signal; -ENOTSUP: not an executor of processes. */
THRUM_API int thrum_executor_signal(thrum_executor *executor, int signo);

#ifdef __cplusplus
}
#endif
#endif
