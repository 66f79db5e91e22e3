/* The child: how a process becomes what its plan says, runs the task, and ends.
 *
 * Up to the task it has one thread and thrum has not started in it (a forked one has a thrum of its own already). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <future/executor.h>
#include <os/quietly.h>
#include <poll.h>
#include <process/plan.h>
#include <process/record.h>
#include <sched.h>
#include <sched/exit.h>
#include <sched/part.h>
#include <sched/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

struct thrumi_self_process thrumi_this_process = {.life = -1, .channel = -1};

/* ---- The way in -------------------------------------------------------------------------------------------------------- */

static bool has_other_ids(void) { return getuid() != geteuid() || getgid() != getegid(); }

/* Which all have that execute it. */
static bool has_capable_file(void) { return getxattr("/proc/self/exe", "security.capability", NULL, 0) > 0; }

/* What a child is to be, and which objects it opens, is said by whoever holds the other end of a socket. That is the caller of a program
 * that runs with other privileges than his (set-user-ID): such a one takes no part, and so starts none. (The kernel says AT_SECURE also
 * where a security module has changed the domain; that does not happen again when children are started, which are served. To those of a file
 * with capabilities it does.) */
int thrum_process_main(int argc, char **argv) {
  bool privileged = getauxval(AT_SECURE);
  thrumi_this_process.main_called = !(privileged && (has_other_ids() || has_capable_file()));
  thrumi_this_process.argv = argv;
  thrumi_store(&thrumi_task_places, true);
  if (argc != 3 || strcmp(argv[1], THRUMI_ROLE_MARK) != 0) return 0;
  int type = 0;
  socklen_t size = sizeof type;
  if (privileged || getsockopt(3, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
    fprintf(stderr, "%s: %s is for thrum's own use\n", argv[0], THRUMI_ROLE_MARK);
    _exit(2);
  }
  prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0); /* else it is "exe" */
  if (strcmp(argv[2], "server") == 0) thrumi_serve(3);
  fcntl(3, F_SETFD, FD_CLOEXEC);
  thrumi_child_main(3, -1);
}

/* ---- Becoming what the plan says ------------------------------------------------------------------------------------- */

/* The kernel kills us when the line breaks, which it does with the parent. Whom it tells belongs to the open file, so each child
 * opens the pipe anew. */
static int hold_line(int life, bool outlives) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", life);
  int own = (int)QUIETLY(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (own < 0) return own;
  thrumi_this_process.life = own;
  if (outlives) return 0;
  int error = (int)QUIETLY(fcntl(own, F_SETOWN, getpid()));
  if (!error) error = (int)QUIETLY(fcntl(own, F_SETSIG, SIGKILL));
  if (!error) error = (int)QUIETLY(fcntl(own, F_SETFL, O_NONBLOCK | O_ASYNC));
  struct pollfd line = {.fd = own};
  if (!error && thrumi_os.poll(&line, 1) > 0) _exit(127); /* it broke before we held it */
  return error;
}

static int set_standard(const int *fds) {
  for (int i = 0; i < 3; i++)
    if (fds[i] != i && QUIETLY(dup2(fds[i], i)) < 0) return -EBADF;
  return 0;
}

static int set_directory(const struct thrumi_plan *plan) {
  QUIETLY(fchdir(plan->fds[THRUMI_PLAN_DIRECTORY])); /* it may be one that cannot be entered any more */
  return plan->words.directory[0] ? (int)QUIETLY(chdir(plan->words.directory)) : 0;
}

static int set_variable(char *variable) {
  return strchr(variable, '=') && putenv(variable) != 0 ? -ENOMEM : 0;
}

/* A forked child has its starter's, unless there is another one. */
static int set_environment(const struct thrumi_plan *plan) {
  int error = 0;
  if (!plan->variables && !plan->environment) return 0;
  if (clearenv() != 0) return -ENOMEM;
  if (!plan->variables) {
    for (size_t i = 0; plan->environment[i] && !error; i++)
      error = set_variable((char *)(uintptr_t)plan->environment[i]);
    return error;
  }
  char *variable = plan->variables;
  for (uint32_t i = 0; i < plan->head.variables && !error; i++, variable += strlen(variable) + 1)
    error = set_variable(variable);
  return error;
}

static int set_affinity(const struct thrumi_plan *plan) {
  if (!plan->head.affinity_size) return 0;
  return (int)QUIETLY(sched_setaffinity(0, plan->head.affinity_size, plan->affinity));
}

static void unblock_signals(void) {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void introduce(const struct thrumi_plan *plan) {
  struct thrumi_self_process *self = &thrumi_this_process;
  thrumi_ends_start();
  self->child = true;
  self->daemon = plan->head.flags & THRUMI_PLAN_DAEMON;
  self->parent = plan->head.parent;
  /* The forked child's words are its parent's, which may be what `self` held. */
  snprintf(self->parent_name, sizeof self->parent_name, "%s", plan->words.parent_name);
  snprintf(self->name, sizeof self->name, "%s", plan->words.name);
  snprintf(self->identity, sizeof self->identity, "%s", plan->words.identity);
  self->inherited = plan->fds + THRUMI_PLAN_FDS;
  self->inherited_count = plan->head.descriptors;
}

/* The descriptors of the plan that have served are closed in any case. */
int thrumi_child_become(struct thrumi_plan *plan) {
  introduce(plan);
  int error = hold_line(plan->fds[THRUMI_PLAN_LIFE], plan->head.flags & THRUMI_PLAN_OUTLIVES);
  if (!error) error = set_standard(plan->fds + THRUMI_PLAN_STDIN);
  if (!error) error = set_directory(plan);
  if (!error) error = set_environment(plan);
  if (!error) error = set_affinity(plan);
  for (int i = 0; i < THRUMI_PLAN_FDS; i++)
    if (plan->fds[i] > 2) close(plan->fds[i]);
  unblock_signals();
  return error;
}

static const thrum_task *find_task(const struct thrumi_plan *plan) {
  const thrum_task *task = thrum_task_find(plan->words.task);
  if (task || !plan->words.object[0] || !dlopen(plan->words.object, RTLD_NOW | RTLD_LOCAL)) return task;
  return thrum_task_find(plan->words.task);
}

/* ---- The last word ---------------------------------------------------------------------------------------------------------- */

/* For when the fork server, which is to say how we ended, is gone by then. Registered first, it runs nearly last. */
#ifdef __GLIBC__
static void say_last(int status, void *unused) {
  (void)unused;
  struct thrumi_word last = {.kind = THRUMI_WORD_LAST, .value = status};
  if (thrumi_this_process.child && getpid() == thrumi_this_process.pid)
    thrumi_word_send(thrumi_this_process.channel, last, NULL);
}

static void promise_last_word(void) {
  if (on_exit(say_last, NULL) != 0) return; /* then nobody says it */
}
#else
static void promise_last_word(void) {} /* exit tells nobody its status */
#endif

/* ---- The task -------------------------------------------------------------------------------------------------------------- */

static void report(int result, const char *sentence, const struct thrum_out *out) {
  bool failed = thrum_failed(result);
  struct thrumi_word word = {.kind = THRUMI_WORD_REPORT, .value = result};
  const void *bytes = failed ? sentence : out->data;
  word.size = failed ? strlen(sentence) + 1 : out->size;
  int error = thrumi_word_send(thrumi_this_process.channel, word, bytes);
  if (!error || failed) return;
  word = (struct thrumi_word){.kind = THRUMI_WORD_REPORT, .value = error};
  thrumi_word_send(thrumi_this_process.channel, word, NULL);
}

static void complain(int failure, const char *sentence) {
  fflush(stdout);
  if (sentence[0])
    fprintf(stderr, "Process %s: %s (%s)\n", thrumi_this_process.name, sentence, strerror(-failure));
  else
    fprintf(stderr, "Process %s: %s\n", thrumi_this_process.name, strerror(-failure));
}

/* A task that has made no call of thrum's ends a process in which thrum, with its kernel threads, has never started. */
void thrumi_child_run(const struct thrumi_plan *plan, const thrum_task *task) {
  struct thrum_out out = {0};
  int result = task->fn(plan->input, plan->head.input_size, &out);
  if (out.error && !thrum_failed(result)) result = out.error;
  bool started = thrumi_load(&thrumi_sched.running_mode);
  const char *sentence = started ? thrumi_sentence_swap(thrumi_me(), NULL) : NULL;
  report(result, sentence ? sentence : "", &out);
  if (thrum_failed(result)) complain(result, sentence ? sentence : "");
  int status = thrum_failed(result) ? 1 : 0;
  if (started) thrumi_exit_main(status);
  exit(status);
}

void thrumi_child_ready(int channel, int error) {
  struct thrumi_word ready = {.kind = THRUMI_WORD_READY, .value = error};
  thrumi_this_process.channel = channel;
  thrumi_this_process.pid = getpid();
  if (thrumi_word_send(channel, ready, NULL) != 0 || error) _exit(127);
}

/* Until the server has announced us. */
static void pass(int gate) {
  char byte;
  ssize_t n;
  while ((n = thrumi_os.read(gate, &byte, 1)) == -EINTR) continue;
  close(gate);
  if (n != 1) _exit(127);
}

/* The plan is taken before: its descriptors count as under way until then, and the announcement has one as well. */
void thrumi_child_main(int channel, int gate) {
  struct thrumi_plan plan;
  if (thrumi_plan_receive(channel, &plan) != 0) _exit(127);
  if (gate >= 0) pass(gate);
  int error = thrumi_child_become(&plan);
  const thrum_task *task = error ? NULL : find_task(&plan);
  if (!error && !task) error = -ENOENT;
  promise_last_word();
  thrumi_child_ready(channel, error);
  thrumi_child_run(&plan, task);
}

/* ---- What it may ask -------------------------------------------------------------------------------------------------------------- */

const char *thrum_current_process_name(void) {
  return thrumi_this_process.child ? thrumi_this_process.name : "MainProcess";
}

int thrum_inherited_fd(size_t i) {
  const struct thrumi_self_process *self = &thrumi_this_process;
  return i < self->inherited_count ? self->inherited[i] : -EINVAL;
}
