/* A process that this one has started, from within; and the register of all that run. See docs/design/processes.md. */
#ifndef THRUMI_RECORD_OF_PROCESS_H
#define THRUMI_RECORD_OF_PROCESS_H

#include <core/atomic.h>
#include <os/os.h>
#include <process/message.h>
#include <thrum/process/process.h>
#include <thrum/thread.h>
#include <thrum/time.h>

/* state: who has it, and what may be read without the lock.
 *
 *   value     meaning                                        written by
 *   RUNNING   nobody has learnt of its end                   who makes it
 *   ENDED     code and error are there, for ever             who learns of it, under the register's lock
 *   FOREIGN   of the parent of a fork: nothing of it is here the child of that fork, while it has one thread */
enum thrumi_process_state { THRUMI_PROCESS_RUNNING, THRUMI_PROCESS_ENDED, THRUMI_PROCESS_FOREIGN };

/* What the child says over its channel, besides its plan: READY once, before the task, then REPORT, then LAST. */
enum thrumi_word_kind { THRUMI_WORD_READY = 1, THRUMI_WORD_REPORT, THRUMI_WORD_LAST };

struct thrumi_word {
  uint32_t kind;
  int32_t value; /* READY: 0 or why not; REPORT: what the task returned; LAST: what was given to exit */
  uint64_t
      size; /* of what follows, in the message or in a file in memory: the result, or the sentence of a failure */
};

/* What the fork server says of a child: first that it is there (with its pidfd), or why not; then how it ended. */
struct thrumi_news {
  int32_t error;
  pid_t pid;
  int32_t status; /* as of waitpid */
};

struct thrum_process {
  /* Under the register's lock. */
  struct thrum_process *next;       /* of those that run, or of the dead that are to be freed */
  uint32_t refs;                    /* the handle's, the register's */
  bool released, server_gone, late; /* late: its pidfd says that it has ended */
  bool has_report, said_last;
  struct thrumi_word report, last;
  struct thrumi_bytes result; /* data NULL: none; and if there should be one, there was no memory */
  struct thrumi_bytes output[3];
  int capture_error[3];

  _Atomic uint32_t state;
  int code, error;

  /* Fixed before anybody else knows of it. */
  uint64_t serial;
  pid_t pid;
  int pidfd;
  int channel; /* our end; -1: a command */
  int news;    /* the server's word of it; -1: it is our own child */
  bool daemon, outlives, hidden;
  char name[THRUM_NAME_MAX];

  int pipe[3];    /* our ends; -1: none, or given away */
  int source[3];  /* pipes whose contents are kept; -1: none */
  int capture[3]; /* and the files in memory where */
};

/* Makes one with nothing in it, of one reference, the caller's. NULL: no memory. */
struct thrum_process *thrumi_process_new(const char *name);

/* Now that the rest is there: into the register, and the warden looks after it. Never fails: it has started. */
void thrumi_process_add(struct thrum_process *p);

void thrumi_process_unref(struct thrum_process *p);

/* Whether its end is known by now; asks, without waiting. Not under the lock. */
bool thrumi_process_look(struct thrum_process *p);

/* Waits for that. 0, -ETIMEDOUT, -ECANCELED. */
int thrumi_process_await(struct thrum_process *p, thrum_time deadline);

/* Waits until there is something to read, or the end. 0, -ETIMEDOUT, -ECANCELED, -EBADF. */
int thrumi_await_readable(int fd, thrum_time deadline);

/* The same for who ends the program: no cancellation point. */
bool thrumi_process_await_at_end(struct thrum_process *p, int milliseconds);

/* The next word on a channel, if one has come: 0, -EAGAIN, or an error; -ENOMEM: it came, but not what follows; -EMFILE: it can be read
 * once a descriptor is free. */
int thrumi_word_read(int channel, struct thrumi_word *word, struct thrumi_bytes *bytes);
int thrumi_word_send(int channel, struct thrumi_word word, const void *bytes); /* does not wait */

/* Under the register's lock: all words that have come: 0, or -EMFILE: there are more. The bytes of a captured output. */
int thrumi_process_collect(struct thrum_process *p);
void thrumi_register_lock(void);
void thrumi_register_unlock(void);

/* Both under the register's lock. Keeps so many pieces at most of what has come: -EAGAIN: no more has; -EPIPE: no more will. The whole, once it has ended. */
int thrumi_capture_drain(struct thrum_process *p, int which, int chunks);
int thrumi_capture_map(struct thrum_process *p, int which);

/* For the warden: keeps what has come, and if there is more to come, watches on. */
void thrumi_register_drain(uint64_t serial, int which);

/* For the warden: that one has ended. And looks at those of which that was said: true: word of some is missing still. */
void thrumi_register_note(uint64_t serial);
bool thrumi_register_settle(void);

/* The first of those that run after `p` (NULL: of all) that the program's end waits for, with a reference. */
struct thrum_process *thrumi_process_awaited(bool daemons);
void thrumi_process_each(bool daemons, void (*call)(struct thrum_process *p)); /* under the lock */
size_t thrumi_process_list(thrum_process **out, size_t max);
void thrumi_register_fork(void); /* in the child */

bool thrumi_pidfd_ended(int pidfd);
int thrumi_pidfd_signal(int pidfd, int signo);

/* ---- The warden: a kernel thread ---------------------------------------------------------------------------------- */

int thrumi_warden_start(void);
int thrumi_warden_prepare(int source); /* a pipe will be watched: 0, or why it cannot be */
void thrumi_warden_watch(const struct thrum_process *p);
void thrumi_warden_watch_on(uint64_t serial, int which, int source);
void thrumi_warden_fork(void);

/* ---- Launchers: kernel threads -------------------------------------------------------------------------------------- */

/* An exec, by a launcher. */
struct thrumi_launch {
  struct thrumi_launch *next;
  const char *path; /* of this program; NULL: argv[0] is looked for in PATH */
  const char *const *argv;
  const char **script;            /* room for the shell's arguments, of thrumi_launch_start */
  const char *const *environment; /* NULL: this process's */
  const char *directory;          /* NULL: this process's */
  const void *affinity;
  size_t affinity_size;
  const int *from, *to; /* descriptors, and what they are to be there */
  size_t count;
  bool dies_with_parent;
  pid_t parent;
  int error; /* of the child, before its exec */
  pid_t pid;
  int pidfd;
  thrumi_futex done;
};

/* Starts it and waits for the exec; the warden runs from then on. 0: pid and pidfd are there. A negative errno. Parks the thread's kernel
 * thread only. */
int thrumi_launch_start(struct thrumi_launch *launch);
void thrumi_launchers_fork(void);

/* launch.c: the child's end, on a launcher. */
int thrumi_launch(struct thrumi_launch *launch, char *stack, size_t stack_size);

/* Of a kernel thread that is to run no handler of the program's. */
void thrumi_block_all_signals(void);

/* ---- The fork server ------------------------------------------------------------------------------------------------ */

/* Hands the child's end of the channel and the server's of the news to the fork server, which is started if need be. 0, or an error. */
struct thrumi_flight;
int thrumi_server_ask(struct thrumi_flight *f);
void thrumi_server_fork(void);

/* Starts this program anew with the descriptor as its number 3, to be what `role` says. */
int thrumi_launch_self(struct thrumi_launch *launch, const char *role, int fd);
#define THRUMI_ROLE_MARK "--thrum-process"

_Noreturn void thrumi_serve(int control); /* in the server */

/* ---- This process ------------------------------------------------------------------------------------------------------ */

struct thrumi_plan;

/* What it was told by who started it. All zero: it was not started by thrum. */
struct thrumi_self_process {
  bool child, daemon;
  bool main_called;
  pid_t pid, parent; /* its own, once it is a child; 0: none */
  char name[THRUM_NAME_MAX], identity[THRUM_NAME_MAX], parent_name[THRUM_NAME_MAX];
  int life;    /* readable when the parent is dead */
  int channel; /* to the starter */
  const int *inherited;
  size_t inherited_count;
  char *const *argv;
};
extern struct thrumi_self_process thrumi_this_process;

int thrumi_life_line(void); /* what children are to watch: made at the first use; or an error */
void thrumi_life_fork(void);

/* Becomes the process of the plan: 0, or why not. */
int thrumi_child_become(struct thrumi_plan *plan);
void thrumi_child_ready(int channel, int error); /* says so; with an error it ends */
_Noreturn void thrumi_child_run(const struct thrumi_plan *plan, const thrum_task *task);
_Noreturn void thrumi_child_main(int channel,
                                 int gate); /* of the server, which opens the gate; or of a spawn: -1 */

void thrumi_ends_start(void);

/* Says once that main must call thrum_process_main; -ENOTSUP. The path of the object that a task is from, or "". */
int thrumi_without_main(void);
const char *thrumi_object_of_task(const thrum_task *task);

#endif
