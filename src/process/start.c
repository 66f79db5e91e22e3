/* Starting: a task by one of three methods, or a command.
 *
 *   method       who makes the child       its parent in the kernel   how its end is learnt
 *   forkserver   the fork server, fork     the fork server            news, then what register.c says
 *   spawn        the warden, exec          this process               waitid
 *   fork         the caller, fork          this process               waitid
 *   a command    the warden, exec          this process               waitid
 *
 * From its birth on the record is in the register, hidden, so that the warden reaps the child also if the start fails after
 * that. The start ends when the child has said READY, or why not, or has ended: a child that was killed before that has been started
 * all the same, and its exit code says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <io/attempt.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <poll.h>
#include <process/prepare.h>
#include <stdio.h>
#include <string.h>
#include <core/fatal.h>
#include <sys/wait.h>
#include <thrum/io/file.h>
#include <unistd.h>

enum { TRIES = 10 };

struct start {
  struct thrum_process *p;
  struct thrumi_plan plan;
  struct thrumi_standard standard;
  const thrum_task *task;
  char identity[THRUM_NAME_MAX];
};

static _Atomic int default_method = THRUM_FORKSERVER;

int thrum_process_set_start_method(int method) {
  if (method < THRUM_FORKSERVER || method > THRUM_FORK) return -EINVAL;
  thrumi_store(&default_method, method);
  return 0;
}

int thrum_process_start_method(void) { return thrumi_load(&default_method); }

/* ---- A child that is there ----------------------------------------------------------------------------------------------- */

static void publish(struct thrum_process *p) {
  thrumi_register_lock();
  p->hidden = false;
  thrumi_register_unlock();
}

static int wait_readable(int fd) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  int n = thrum_poll(&one, 1);
  return n < 0 ? n : 0;
}

/* READY, or why not. A child that died in between is started, and over. */
static int await_ready(struct thrum_process *p) {
  struct thrumi_word word;
  struct thrumi_bytes bytes = {0};
  int error = wait_readable(p->channel);
  if (error) return error;
  error = thrumi_word_read(p->channel, &word, &bytes);
  thrumi_bytes_free(&bytes);
  if (error == -EPIPE || error == -ECONNRESET) return 0;
  return error ? error : word.kind == THRUMI_WORD_READY ? word.value : -EPROTO;
}

static void born(struct thrum_process *p, pid_t pid, int pidfd, int channel) {
  p->pid = pid;
  p->pidfd = pidfd;
  p->channel = channel;
  thrumi_process_add(p);
}

/* The same from here on for all three; plan NULL: it has it. */
static int hand_over(struct thrum_process *p, struct thrumi_plan *plan) {
  int error = plan ? thrumi_plan_send(p->channel, plan) : 0;
  if (error == -EPIPE || error == -ECONNRESET) error = 0;
  if (!error) error = await_ready(p);
  if (error)
    thrumi_pidfd_signal(p->pidfd, SIGKILL);
  else
    publish(p);
  return error;
}

/* ---- By the fork server ----------------------------------------------------------------------------------------------------- */

/* -EPIPE: the server has ended before it said anything. */
static int await_birth(int socket, struct thrumi_news *news, int *pidfd) {
  int error = wait_readable(socket);
  if (error) return error;
  struct thrumi_message message = {news, sizeof *news, pidfd, 1};
  *pidfd = -1;
  error = thrumi_message_receive(socket, &message, false);
  if (error == -ECONNRESET) return -EPIPE;
  if (!error && news->error) error = news->error;
  if (!error && !message.fd_count) error = -EPROTO;
  if (error && *pidfd >= 0) close(*pidfd);
  return error;
}

static int ask_once(struct thrum_process *p) {
  int channel[2], news[2], pidfd;
  struct thrumi_news birth;
  int error = thrumi_message_pair(channel);
  if (error) return error;
  if ((error = thrumi_message_pair(news)) != 0) {
    close(channel[0]);
    close(channel[1]);
    return error;
  }
  error = thrumi_server_ask(channel[1], news[1]);
  close(channel[1]);
  close(news[1]);
  if (!error) error = await_birth(news[0], &birth, &pidfd);
  if (error) {
    thrum_close(channel[0]);
    thrum_close(news[0]);
    return error;
  }
  p->news = news[0];
  born(p, birth.pid, thrumi_os_beyond_standard(pidfd), channel[0]);
  return 0;
}

static int start_by_server(struct start *s) {
  int error = -EPIPE;
  for (int i = 0; i < TRIES && error == -EPIPE; i++) error = ask_once(s->p);
  return error ? error : hand_over(s->p, &s->plan);
}

/* ---- By starting the program anew ---------------------------------------------------------------------------------------------- */

static int start_by_spawn(struct start *s) {
  int channel[2];
  struct thrumi_launch l = {0};
  int error = thrumi_message_pair(channel);
  if (error) return error;
  error = thrumi_launch_self(&l, "child", channel[1]);
  close(channel[1]);
  if (error) {
    close(channel[0]);
    return error;
  }
  born(s->p, l.pid, l.pidfd, channel[0]);
  return hand_over(s->p, &s->plan);
}

/* ---- By fork ---------------------------------------------------------------------------------------------------------------------- */

/* All out of the way of the standard descriptors. What was handed over has the numbers that it had. */
static _Noreturn void be_forked(struct start *s, int channel) {
  int error = 0;
  for (int i = 0; i < 3; i++)
    if (s->p->pipe[i] >= 0) close(s->p->pipe[i]);
  for (int i = 0; i < THRUMI_PLAN_FDS && !error; i++) {
    s->plan.fds[i] = (int)QUIETLY(fcntl(s->plan.fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (s->plan.fds[i] < 0) error = s->plan.fds[i];
  }
  thrumi_standard_close(&s->standard);
  if (!error) error = thrumi_child_become(&s->plan);
  thrumi_this_process.pid = getpid();
  struct thrumi_word ready = {.kind = THRUMI_WORD_READY, .value = error};
  if (thrumi_word_send(channel, ready, NULL) != 0 || error) _exit(127);
  thrumi_child_run(channel, &s->plan, s->task);
}

static int start_by_fork(struct start *s) {
  int channel[2], life = s->plan.fds[THRUMI_PLAN_LIFE];
  int error = thrumi_warden_start();
  if (!error) error = thrumi_message_pair(channel);
  if (error) return error;
  int own_life =
      (int)QUIETLY(fcntl(life, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)); /* a fork closes the first one */
  s->plan.fds[THRUMI_PLAN_LIFE] = own_life;
  pid_t pid = (pid_t)QUIETLY(fork());
  if (pid == 0) {
    close(channel[0]);
    be_forked(s, channel[1]);
  }
  close(channel[1]);
  if (own_life >= 0) close(own_life);
  int pidfd = pid < 0 ? (int)pid : thrumi_os.process_open(pid);
  if (pidfd < 0) {
    if (pid > 0) kill(pid, SIGKILL), waitpid(pid, NULL, 0);
    close(channel[0]);
    return pidfd;
  }
  born(s->p, pid, pidfd, channel[0]);
  return hand_over(s->p, NULL);
}

/* ---- A task -------------------------------------------------------------------------------------------------------------------- */

/* Says so once; the status says it each time. */
static int without_main(void) {
  static _Atomic bool said;
  bool no = false;
  if (thrumi_cas(&said, &no, true))
    thrumi_log(
        "tasks in processes need thrum_process_main(argc, argv) as the first call of main, or THRUM_FORK");
  return -ENOTSUP;
}

static int check_task(const thrum_task *task, const void *in, size_t size, int method) {
  if (!task || !task->fn || (!in && size)) return -EINVAL;
  if (thrumi_this_process.daemon) return -EPERM;
  if (method == THRUM_FORK) return 0;
  if (!thrumi_this_process.main_called) return without_main();
  return thrum_task_find(task->name) == task ? 0 : -EINVAL;
}

static const char *object_of(const thrum_task *task) {
  Dl_info info;
  return dladdr(task, &info) && info.dli_fname ? info.dli_fname : "";
}

static int fill_descriptors(struct thrumi_plan *plan, const struct thrumi_standard *standard,
                            const thrum_process_options *o) {
  int life = thrumi_life_line();
  if (life < 0) return life;
  plan->fds[THRUMI_PLAN_LIFE] = life;
  plan->fds[THRUMI_PLAN_DIRECTORY] = thrumi_os_beyond_standard((int)QUIETLY(open(".", O_PATH | O_CLOEXEC)));
  for (int i = 0; i < 3; i++) plan->fds[THRUMI_PLAN_STDIN + i] = standard->fd[i];
  if (o->descriptor_count)
    memcpy(plan->fds + THRUMI_PLAN_FDS, o->descriptors, o->descriptor_count * sizeof(int));
  return plan->fds[THRUMI_PLAN_DIRECTORY] < 0 ? plan->fds[THRUMI_PLAN_DIRECTORY] : 0;
}

static void fill_plan(struct start *s, const thrum_process_options *o, const void *in, size_t size) {
  struct thrumi_plan *plan = &s->plan;
  plan->head.flags = (o->daemon ? THRUMI_PLAN_DAEMON : 0u) | (o->outlives ? THRUMI_PLAN_OUTLIVES : 0u);
  plan->head.descriptors = (uint32_t)o->descriptor_count;
  plan->head.parent = getpid();
  plan->head.input_size = size;
  plan->head.affinity_size = o->affinity_size;
  plan->words = (struct thrumi_plan_words){.name = s->p->name,
                                           .identity = s->identity,
                                           .parent_name = thrum_current_process_name(),
                                           .task = s->task->name,
                                           .object = object_of(s->task),
                                           .directory = o->directory ? o->directory : ""};
  plan->environment = o->environment ? o->environment : (const char *const *)environ;
  plan->affinity = o->affinity;
  plan->input = in;
}

static int start_by(struct start *s, int method) {
  fflush(stdout);
  fflush(stderr);
  switch (method) {
  case THRUM_FORK: return start_by_fork(s);
  case THRUM_SPAWN: return start_by_spawn(s);
  default: return start_by_server(s);
  }
}

static struct thrum_process *make_record(const thrum_process_options *o, const char *name) {
  thrumi_ends_start();
  struct thrum_process *p = thrumi_process_new(o->name && o->name[0] ? o->name : name);
  if (!p) return NULL;
  p->daemon = o->daemon;
  p->outlives = o->outlives;
  p->hidden = true;
  return p;
}

/* To the caller, or to nobody. */
static int give(struct thrum_process *p, int error, thrum_process **out) {
  if (!error && out) {
    *out = p;
    return 0;
  }
  thrum_process_release(p);
  return error;
}

static const thrum_process_options defaults = THRUM_PROCESS_OPTIONS_INIT;

int thrum_process_start(thrum_process **out, const thrum_process_options *options, const thrum_task *task,
                        const void *in, size_t size) {
  const thrum_process_options *o = options ? options : &defaults;
  int error = thrumi_options_check(o, false);
  int method = o->method ? o->method : thrum_process_start_method();
  if (!error) error = check_task(task, in, size, method);
  if (!error) error = thrumi_cancelled();
  if (error) return error;
  struct start s = {.task = task};
  char name[THRUM_NAME_MAX];
  thrumi_process_number(name, s.identity);
  s.p = make_record(o, name);
  if (!s.p) return -ENOMEM;
  s.plan.fds[THRUMI_PLAN_DIRECTORY] = -1;
  error = thrumi_standard_open(&s.standard, s.p, o, false);
  if (error) return give(s.p, error, NULL);
  error = fill_descriptors(&s.plan, &s.standard, o);
  if (!error) {
    fill_plan(&s, o, in, size);
    error = start_by(&s, method);
  }
  if (s.plan.fds[THRUMI_PLAN_DIRECTORY] >= 0) close(s.plan.fds[THRUMI_PLAN_DIRECTORY]);
  thrumi_standard_close(&s.standard);
  return give(s.p, error, out);
}

/* ---- A command ----------------------------------------------------------------------------------------------------------------- */

static int launch_command(struct thrum_process *p, const thrum_process_options *o, const char *const argv[]) {
  struct thrumi_standard standard;
  int from[THRUM_PROCESS_DESCRIPTORS_MAX + 3], to[THRUM_PROCESS_DESCRIPTORS_MAX + 3];
  struct thrumi_launch l = {.argv = argv,
                            .environment = o->environment,
                            .directory = o->directory,
                            .affinity = o->affinity,
                            .affinity_size = o->affinity_size,
                            .from = from,
                            .to = to,
                            .count = o->descriptor_count + 3,
                            .dies_with_parent = !o->outlives};
  int error = thrumi_standard_open(&standard, p, o, true);
  if (error) return error;
  for (int i = 0; i < 3; i++) from[i] = standard.fd[i], to[i] = i;
  for (size_t i = 0; i < o->descriptor_count; i++) from[3 + i] = to[3 + i] = o->descriptors[i];
  fflush(stdout);
  fflush(stderr);
  error = thrumi_warden_launch(&l);
  thrumi_standard_close(&standard);
  if (error) return error;
  born(p, l.pid, l.pidfd, -1);
  publish(p);
  return 0;
}

int thrum_process_exec(thrum_process **out, const thrum_process_options *options, const char *const argv[]) {
  const thrum_process_options *o = options ? options : &defaults;
  int error = thrumi_options_check(o, true);
  if (!error && (!argv || !argv[0])) error = -EINVAL;
  if (!error) error = thrumi_cancelled();
  if (error) return error;
  struct thrum_process *p = make_record(o, argv[0]);
  if (!p) return -ENOMEM;
  return give(p, launch_command(p, o, argv), out);
}
