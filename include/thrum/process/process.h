/* A process runs a task, or a command, beside this one.
 *
 *     THRUM_TASK(sum) { ... return thrum_out_write(out, &s, sizeof s); }      // executor.h
 *
 *     thrum_process_main(argc, argv);                                         // first in main
 *
 *     thrum_process *p;
 *     thrum_process_start(&p, NULL, &sum, numbers, sizeof numbers);
 *     thrum_process_join(p, &code);                                           // 0: it went well; -9: SIGKILL
 *     thrum_process_result(p, &data, &size);
 *     thrum_process_release(p);
 *
 * A child that runs a task is made in one of three ways:
 *
 *   THRUM_FORKSERVER   (the default) by a process that runs this program with one thread and forks when asked to
 *   THRUM_SPAWN        by starting this program anew: the slowest, and nothing is shared but what is handed over
 *   THRUM_FORK         by fork(2) of this process, threads and all: the fastest, and the child inherits everything. Thrum itself is
 *                      made whole in the child; what other threads of other libraries were in the midst of is not
 *
 * In all three it has the starter's directory, environment, output and error as they are at the start, /dev/null as its input, the
 * default action for all signals (a forked one: what fork leaves it) and none blocked. The first two have the descriptors
 * that are handed over and no others. The child ends when its task has returned and its threads that are no daemons have ended; atexit
 * functions run then (in a forked one the parent's too). A task that fails makes the exit code 1, and one line on standard error.
 *
 * A child that writes to a pipe that nobody reads any more, its output for one, dies of SIGPIPE, whose action is the default one. With
 * THRUM_FORK what is unflushed in a FILE other than stdout and stderr is written twice: the child has a copy, and ends by exit.
 *
 * A child dies with its parent (SIGKILL, by the kernel, also when the parent is killed) unless it is to outlive it. That holds for a task as
 * long as it has the descriptor by which it is told: not once it has called exec, or closed all descriptors, as closefrom(3) does; nor for
 * what it makes by fork(2). And not for a command with raised privileges (set-user-ID), from which the kernel takes it. When the
 * program ends in order it first joins those that are no daemons; daemons are terminated, and killed a second later.
 *
 * Nobody has to join: a child that has ended is reaped at once, by a kernel thread of thrum's. Nobody
 * else should: a program that waits for any child, waitpid(-1), or ignores SIGCHLD, may take an exit code away, and join says -ECHILD then.
 *
 * All calls may be made by threads of any kind. In the child of a fork the handles of its parent say -ECHILD. */
#ifndef THRUM_PROCESS_PROCESS_H
#define THRUM_PROCESS_PROCESS_H

#include <thrum/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct thrum_process thrum_process;

/* To be called first in main, before threads are started or anything is printed, with main's arguments. In a process that thrum has
 * started it runs what it was started for, and does not return. Else it returns 0. Does not start thrum. Without it the methods spawn
 * and forkserver refuse, with a line that says so. */
THRUM_API int thrum_process_main(int argc, char **argv);

enum { THRUM_METHOD_DEFAULT = 0, THRUM_FORKSERVER = 1, THRUM_SPAWN = 2, THRUM_FORK = 3 };

/* What a standard descriptor of the child is. */
enum {
  THRUM_STDIO_DEFAULT =
      0, /* of a task: its input is empty, the others are inherited; of a command: all are inherited */
  THRUM_STDIO_INHERIT = 1,
  THRUM_STDIO_NULL = 2,    /* /dev/null */
  THRUM_STDIO_PIPE = 3,    /* a pipe, whose other end thrum_process_pipe gives */
  THRUM_STDIO_CAPTURE = 4, /* output, error: kept in memory for thrum_process_output */
  THRUM_STDIO_OUTPUT = 5,  /* error: where the output goes */
  THRUM_STDIO_FIRST_FD = 16
};
#define THRUM_STDIO_FD(fd) (THRUM_STDIO_FIRST_FD + (fd)) /* that descriptor */

enum { THRUM_PROCESS_DESCRIPTORS_MAX = 200 }; /* so many may be handed over */

/* All-zero (with size set) means the defaults. */
typedef struct thrum_process_options {
  size_t size; /* sizeof(thrum_process_options) */
  const char *
      name; /* NULL or "": Process-N, its children Process-N:M; a command's: argv[0]; copied, 63 bytes at most */
  int method; /* THRUM_FORKSERVER, ...; of a task */
  bool
      daemon; /* terminated when this process ends, instead of being waited for; may start no tasks in processes itself */
  bool outlives;            /* does not die with this process, nor is it waited for */
  int input, output, error; /* THRUM_STDIO_x */
  const int *
      descriptors; /* to be handed over: a task asks thrum_inherited_fd(i); a command has them under the same */
  size_t descriptor_count;        /* numbers, above 2. At most THRUM_PROCESS_DESCRIPTORS_MAX */
  const char *directory;          /* to run in; NULL: this process's */
  const char *const *environment; /* "NAME=value", ..., NULL; NULL: this process's */
  const void *affinity;           /* a cpu_set_t, NULL: no other than it gets anyway */
  size_t affinity_size;           /* its bytes */
} thrum_process_options;

#define THRUM_PROCESS_OPTIONS_INIT \
  { sizeof(thrum_process_options), 0, 0, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* ---- Starting ------------------------------------------------------------------------------------------------ */

/* Starts a process that runs the task with a copy of `size` bytes at `in`. Flushes stdout and stderr first, so that nothing is
 * printed twice. Returns when the child has what it needs and is about to call the task. Switches; a cancellation point: -ECANCELED says that
 * the task has not run, and never will. One that was about to be called just then has been started, 0, and the cancellation is left to the next
 * point; if that came in the very moment of giving up, there is no result to be had of it (-EPIPE).
 * options may be NULL; out may be NULL: nobody will ask, and the program's end waits for it.
 *
 * The task is found by its name in the child, which loads the shared object that it is from, if need be: that may have been opened by a
 * relative path. With THRUM_FORK any task will do.
 *
 * -EINVAL: options that cannot be; a task that is not the one that its name finds. -ENOTSUP: thrum_process_main was not called first in
 * main, or the program runs with other privileges than its caller's (set-user-ID, capabilities), where only THRUM_FORK starts tasks.
 * -EPERM: this process is a daemon. -ENOENT: the child does not find the task; no such directory. -EBADF: a descriptor that is not open.
 * -EPIPE: the fork server has died again and again. -ETOOMANYREFS: too many descriptors are under way to children that do not receive
 * them. -ENOSPC: too many descriptors are watched for the captured output to be. -EAGAIN, -ENOMEM, -EMFILE, -ENFILE, and others of fork(2)
 * and execve(2). Nothing runs then. A child that was killed before it came to its task has been started: join tells. */
THRUM_API int thrum_process_start(thrum_process **out, const thrum_process_options *options,
                                  const thrum_task *task, const void *in, size_t size);

/* Starts a command: argv[0], which is looked for in PATH unless there is a slash in it, with arguments up to a NULL; relative paths, those in PATH too, are
 * from the `directory` in which it is to run. The rest as above.
 * -ENOENT, -EACCES and others of execve(2): it could not be started. */
THRUM_API int thrum_process_exec(thrum_process **out, const thrum_process_options *options,
                                 const char *const argv[]);

/* What begins with an exec (commands, THRUM_SPAWN, the fork server) is made by kernel threads of thrum's, each of which is suspended until the exec is through: there
 * are as many as were needed at once, 8 at most, and they stay. With 8 execs that take long (on a file system that does not answer) the next one waits for
 * one of them. */

/* Which method is meant by THRUM_METHOD_DEFAULT. -EINVAL: none of the three. */
THRUM_API int thrum_process_set_start_method(int method);
THRUM_API int thrum_process_start_method(void);

/* ---- Waiting for the end --------------------------------------------------------------------------------------- */

/* Waits until the process has ended, and stores its exit code in *exit_code (unless NULL): what it gave to exit, or minus the number of
 * the signal that killed it. Any number of threads, any number of times. Switches; a cancellation point (thrum_join is none): -ECANCELED.
 * -ECHILD: it has ended, and how cannot be known: somebody else has reaped it; or the fork server was killed while it ran, it was
 * killed as well, and reaped before thrum looked, and the kernel keeps no record (before Linux 6.15). Also in the child of a fork, whose
 * child it is not.
 * thrum_process_join_for also: -ETIMEDOUT (0 or less only asks). */
THRUM_API int thrum_process_join(thrum_process *p, int *exit_code);
THRUM_API THRUM_MUST_CHECK int thrum_process_join_for(thrum_process *p, int *exit_code,
                                                      thrum_duration timeout);

/* The same without waiting. -EAGAIN: it has not ended. */
THRUM_API int thrum_process_exit_code(thrum_process *p, int *exit_code);

/* False from when it has ended. */
THRUM_API bool thrum_process_is_alive(thrum_process *p);

/* A descriptor that is readable once the process has ended: for thrum_poll, thrum_case_readable, epoll. It stays thrum's, open until
 * thrum_process_release. -ECHILD in the child of a fork. */
THRUM_API int thrum_process_sentinel(thrum_process *p);

/* Gives the handle back; NULL does nothing. Neither waits for the process nor ends it; it is reaped all the same. */
THRUM_API void thrum_process_release(thrum_process *p);

/* ---- What comes out of it ---------------------------------------------------------------------------------------- */

/* What the task has written to its thrum_out, once the process has ended: borrowed until the release. 0. -EAGAIN: it has not ended.
 * The failure that the task returned; thrum_process_failure has its sentence, or "". -EPIPE: it ended otherwise than by
 * returning from the task: it was killed, or called exit. -EINVAL: a command. -ENOMEM: no room for the result. -EMFILE: a long one needs a descriptor for a
 * moment, and can be had once one is free. -ECHILD. */
THRUM_API int thrum_process_result(thrum_process *p, const void **data, size_t *size);
THRUM_API const char *thrum_process_failure(thrum_process *p);

/* This process's end of a pipe that the options asked for: 0, 1 or 2. From then on it is the caller's, to be closed by
 * thrum_close; one that nobody asks for is closed by the release. -EBADF: no pipe, or given away. -EINVAL. */
THRUM_API int thrum_process_pipe(thrum_process *p, int which);

/* What it wrote to its output (1) or error (2), if that was to be captured: once it has ended; borrowed until the release. A
 * captured output is read from a pipe by thrum, and kept: nobody need do so while it runs. What others that it leaves behind
 * write later is neither waited for nor had. -EAGAIN: it has not ended. -EINVAL: not captured. -ENOMEM: not all could be kept. -ECHILD. */
THRUM_API int thrum_process_output(thrum_process *p, int which, const void **data, size_t *size);

/* ---- Ending it ------------------------------------------------------------------------------------------------- */

/* SIGTERM, SIGKILL, SIGINT, or another one. One that has ended already: 0, and nobody else is met. Children of its
 * own are not killed by this, but die with it, unless they outlive it. -EINVAL: no signal. -EPERM. -ECHILD. */
THRUM_API int thrum_process_terminate(thrum_process *p);
THRUM_API int thrum_process_kill(thrum_process *p);
THRUM_API int thrum_process_interrupt(thrum_process *p);
THRUM_API int thrum_process_signal(thrum_process *p, int signo);

/* ---- Who is who -------------------------------------------------------------------------------------------------- */

THRUM_API pid_t thrum_process_pid(const thrum_process *p);
THRUM_API const char *thrum_process_name(const thrum_process *p); /* borrowed until the release */

/* Stores the handles of at most `max` processes that this one has started, that have not ended and not been released, and returns
 * how many there are. The handles stay their owners'. */
THRUM_API size_t thrum_processes(thrum_process **out, size_t max);

/* The name of this process: "MainProcess" if thrum has not started it. */
THRUM_API const char *thrum_current_process_name(void);

/* In a task's process: descriptor i of those that were handed over, under whatever number it has here. It stays open
 * until closed. -EINVAL: there are not so many. */
THRUM_API int thrum_inherited_fd(size_t i);

/* Who has started this process, by thrum_process_start: its number (0: nobody), its name (NULL), whether it is alive (false). The wait
 * is a cancellation point, as thrum_process_join_for: -ETIMEDOUT, -ECANCELED, -ECHILD: there is none. */
THRUM_API pid_t thrum_parent_pid(void);
THRUM_API const char *thrum_parent_name(void);
THRUM_API bool thrum_parent_is_alive(void);
THRUM_API THRUM_MUST_CHECK int thrum_parent_join_for(thrum_duration timeout);

#ifdef __cplusplus
}
#endif
#endif
