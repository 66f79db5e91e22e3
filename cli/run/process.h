/* Child processes, one at a time: tools such as a compiler, and the program that is run.
 *
 * SIGINT, SIGQUIT, SIGTERM and SIGHUP are blocked here, and taken one by one while a child runs, so that none of them ends us
 * before what is temporary is gone. A tool is ended for them. A program gets them: the terminal sends its own to the whole group,
 * of which the program is one, and those that a process sends us are passed on. (Who sends to the whole group by kill(2)
 * reaches the program twice; it cannot be told from one who means us alone.) What came before a child was
 * started counts when the next one would be. A signal that was ignored when we were started stays so, for us and for children.
 * SIGPIPE is blocked
 * here, too, for the same reason. */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

enum process_kind { PROCESS_TOOL, PROCESS_PROGRAM };

/* The files that are a child's standard streams; NULL: ours are. */
struct process_streams {
  const char *in, *out, *err;
};

/* To be called once, before anything that must be undone. */
void process_begin(void);

/* Runs argv[0], found by PATH, to its end; *status is as waitpid gives it. A tool that was interrupted, and one that was not started
 * any more, counts as killed by that signal. 0, or a negative errno: it could not be started. */
int process_run(char *const argv[], const struct process_streams *streams, enum process_kind kind,
                int *status);

/* Calls work(arg) in a child of this process, which ends by what that returns, or by a signal as any process does: for what takes
 * long, or writes to what may be closed, while something temporary is there. *status and the result are as of a tool's process_run. */
int process_do(int (*work)(void *), void *arg, int *status);

/* Whether it was one of the signals by which somebody asks us to end. */
int process_is_interrupt(int signal);

/* Ends this process as a child ended: by that signal, without a dump of its memory. */
void process_die(int signal) __attribute__((noreturn));

#endif
