/* Starting: a task by one of three methods, or a command.
 *
 *   method       who makes the child       its parent in the kernel   how its end is learnt
 *   forkserver   the fork server, fork     the fork server            news, then what register.c says
 *   spawn        a launcher, exec          this process               waitid
 *   fork         the caller, fork          this process               waitid
 *   a command    a launcher, exec          this process               waitid
 *
 * A start ends when the child has said READY, or why not, or has ended: a child of ours that died before that has been started all
 * the same, and its exit code says so. From its birth on its record is in the register, hidden, so that the warden reaps it also if the
 * start fails then. Of a fork server's child there is a record only when it is READY. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <future/executor.h>
#include <io/attempt.h>
#include <io/backoff.h>
#include <os/descriptors.h>
#include <os/quietly.h>
#include <process/prepare.h>
#include <stdio.h>
#include <string.h>
#include <core/fatal.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <thrum/io/file.h>
#include <thrum/scope.h>
#include <unistd.h>

enum { TRIES = 10 };

struct start {
  struct thrum_process *p;
  struct thrumi_plan plan;
  struct thrumi_flight flight;
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

/* 0: READY. -EPIPE: it ended before that. -EAGAIN: it has said nothing. Or why not. */
static int read_ready(int channel) {
  struct thrumi_word word = {0};
  struct thrumi_bytes bytes = {0};
  int error = thrumi_word_read(channel, &word, &bytes);
  thrumi_bytes_free(&bytes);
  if (error == -ECONNRESET) return -EPIPE;
  if (error == -ENOMEM && word.kind) error = 0; /* it has no bytes */
  return error ? error : word.kind == THRUMI_WORD_READY ? word.value : -EPROTO;
}

/* The same, and waits for it. Who waits no longer says so to the kernel: from then on READY cannot be said, and the child ends (child.c);
 * what had been said can still be read. So a start that fails has not run the task. One that was READY in between cannot say its
 * result any more; so it is looked for before. */
static int await_ready(int channel) {
  int error = thrumi_await_readable(channel, THRUM_FOREVER);
  if (!error) return read_ready(channel);
  if (read_ready(channel) == 0) return 0;
  shutdown(channel, SHUT_RD);
  return read_ready(channel) == 0 ? 0 : error;
}

static void born(struct thrumi_flight *f, pid_t pid, int pidfd) {
  struct thrum_process *p = f->p;
  p->pid = pid;
  p->pidfd = pidfd;
  p->channel = f->fds[THRUMI_FLIGHT_CHANNEL];
  p->news = f->fds[THRUMI_FLIGHT_NEWS];
  thrumi_flight_take(f, THRUMI_FLIGHT_CHANNEL);
  thrumi_flight_take(f, THRUMI_FLIGHT_NEWS);
  thrumi_process_add(p);
}

/* For a child of ours. One that died before it was READY has been started, and is over. */
static int greet(struct thrum_process *p) {
  int error = await_ready(p->channel);
  if (error == -EPIPE) error = 0;
  if (error)
    thrumi_pidfd_signal(p->pidfd, SIGKILL);
  else
    publish(p);
  return error;
}

/* The plan goes ahead of who is to read it. */
static int open_channel(struct start *s) {
  int error = thrumi_flight_pair(&s->flight, THRUMI_FLIGHT_CHANNEL);
  return error ? error : thrumi_plan_send(s->flight.fds[THRUMI_FLIGHT_CHANNEL], &s->plan);
}

/* The kernel limits how many descriptors a user has under way in sockets: others' are received meanwhile. Who is refused takes its own
 * back first, with the channel: of two whose plans lie there, and whose requests are refused, each would wait for the other's. */
static int try_in_turn(struct start *s, int (*try)(struct start *)) {
  struct thrumi_backoff backoff = {0};
  thrum_time patience = thrum_after(THRUM_S(10));
  int error;
  while ((error = try(s)) == -ETOOMANYREFS) {
    thrumi_flight_close(&s->flight, THRUMI_FLIGHT_CHANNEL);
    thrumi_flight_close(&s->flight, THRUMI_FLIGHT_CHANNEL + 1);
    if ((error = thrumi_back_off(&backoff, patience)) != 0)
      return error == -ETIMEDOUT ? -ETOOMANYREFS : error;
  }
  return error;
}

/* ---- By the fork server ----------------------------------------------------------------------------------------------------- */

/* An end of a socket that thrum has waited at. */
static void drop_waited(struct thrumi_flight *f, int which) {
  int fd = thrumi_flight_give_up(f, which);
  if (fd >= 0) thrum_close(fd);
}

/* What the server said first: a pidfd; the error of its fork; -EPIPE: it has ended; -EAGAIN: nothing yet. -EMFILE: there is no descriptor
 * free for it, and it can be read later. */
static int read_birth(int socket, pid_t *pid) {
  int pidfd = -1;
  struct thrumi_news news;
  struct thrumi_message message = {&news, sizeof news, &pidfd, 1};
  int error = thrumi_message_look(socket, &message);
  if (error) return error == -ECONNRESET ? -EPIPE : error;
  *pid = news.pid;
  pidfd = message.fd_count ? thrumi_os_beyond_standard(pidfd) : -EPROTO;
  if (news.error || pidfd != -EMFILE) thrumi_message_drop(socket);
  return news.error ? news.error : pidfd;
}

/* Of a child that is READY. The task runs: whoever has taken the last descriptors gives one back some time. */
static int insist_on_birth(int socket, pid_t *pid) {
  struct thrumi_backoff backoff = {0};
  int pidfd;
  while ((pidfd = read_birth(socket, pid)) == -EMFILE) THRUM_SHIELD(0) {
      thrumi_back_off(&backoff, THRUM_FOREVER);
    }
  return pidfd;
}

/* The channel has ended without READY. The server tells how the child ended: then it did so by itself. Or the server has ended: -EPIPE. */
static int read_early_end(int socket) {
  char byte;
  int error = thrumi_await_readable(socket, THRUM_FOREVER);
  if (error) return error;
  return thrumi_os.recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0 ? 0 : -EPIPE;
}

/* The start has failed: the child, if there is one, is not READY, and cannot be any more: it ends. This is sooner. */
static int give_up(struct thrumi_flight *f, int error) {
  pid_t pid;
  drop_waited(f, THRUMI_FLIGHT_CHANNEL);
  int pidfd = f->fds[THRUMI_FLIGHT_NEWS] >= 0 ? read_birth(f->fds[THRUMI_FLIGHT_NEWS], &pid) : -1;
  if (pidfd >= 0) {
    thrumi_pidfd_signal(pidfd, SIGKILL);
    close(pidfd);
  }
  drop_waited(f, THRUMI_FLIGHT_NEWS);
  return error;
}

/* With the server asked. -EPIPE: it has ended, and no task was begun. */
static int await_child(struct thrumi_flight *f) {
  int news = f->fds[THRUMI_FLIGHT_NEWS];
  bool early = false;
  pid_t pid = 0;
  int error = await_ready(f->fds[THRUMI_FLIGHT_CHANNEL]);
  if (error == -EPIPE) {
    early = true;
    error = thrumi_await_readable(news, THRUM_FOREVER);
  }
  if (error) return give_up(f, error);
  int pidfd = early ? read_birth(news, &pid) : insist_on_birth(news, &pid);
  if (pidfd < 0) return give_up(f, pidfd);
  if (early && (error = read_early_end(news)) != 0) {
    close(pidfd);
    return give_up(f, error);
  }
  born(f, pid, pidfd);
  publish(f->p);
  return 0;
}

static int ask_once(struct start *s) {
  struct thrumi_flight *f = &s->flight;
  int error = open_channel(s);
  if (!error) error = thrumi_flight_pair(f, THRUMI_FLIGHT_NEWS);
  if (!error) error = thrumi_server_ask(f);
  thrumi_flight_close(f, THRUMI_FLIGHT_CHANNEL + 1);
  thrumi_flight_close(f, THRUMI_FLIGHT_NEWS + 1);
  return error ? give_up(f, error) : await_child(f);
}

static int start_by_server(struct start *s) {
  int error = -EPIPE;
  for (int i = 0; i < TRIES && error == -EPIPE; i++) error = try_in_turn(s, ask_once);
  return error;
}

/* ---- By starting the program anew ---------------------------------------------------------------------------------------------- */

static int start_by_spawn(struct start *s) {
  struct thrumi_launch l = {0};
  int error = try_in_turn(s, open_channel);
  if (!error) error = thrumi_launch_self(&l, "child", s->flight.fds[THRUMI_FLIGHT_CHANNEL + 1]);
  thrumi_flight_close(&s->flight, THRUMI_FLIGHT_CHANNEL + 1);
  if (error) return error;
  born(&s->flight, l.pid, l.pidfd);
  return greet(s->p);
}

/* ---- By fork ---------------------------------------------------------------------------------------------------------------------- */

/* Out of the way of the standard descriptors. A negative errno. */
static int move_beyond(int fd) { return (int)QUIETLY(fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)); }

/* Its ends of pipes have other numbers now, and are to have more. So it leaves no note of these: a child that it forks by itself would
 * take a copy at the same number, made by its task, for what was closed. */
static void close_former(struct thrumi_flight *f) {
  for (int i = 0; i < 3; i++) {
    int fd = thrumi_flight_take(f, THRUMI_FLIGHT_STANDARD + i);
    if (fd >= 0) close(fd);
  }
}

/* What was handed over has the numbers that it had, but for those that the child's own standard ones are to have. */
static _Noreturn void be_forked(struct start *s) {
  int error = 0, channel = thrumi_flight_take(&s->flight, THRUMI_FLIGHT_CHANNEL + 1);
  for (int i = 0; i < 3; i++) {
    if (s->p->pipe[i] >= 0) close(s->p->pipe[i]);
    if (s->p->source[i] >= 0) close(s->p->source[i]);
  }
  int count = THRUMI_PLAN_FDS + (int)s->plan.head.descriptors;
  for (int i = 0; i < count && !error; i++) {
    bool stays = i >= THRUMI_PLAN_FDS && s->plan.fds[i] > STDERR_FILENO;
    if (!stays && (s->plan.fds[i] = move_beyond(s->plan.fds[i])) < 0) error = s->plan.fds[i];
  }
  close_former(&s->flight);
  thrumi_flight_end(&s->flight);
  if (!error) error = thrumi_child_become(&s->plan);
  thrumi_child_ready(channel, error);
  thrumi_child_run(&s->plan, s->task);
}

/* A fork closes the line's own ends in the child. */
static int keep_life(struct start *s) {
  int life = move_beyond(s->plan.fds[THRUMI_PLAN_LIFE]);
  s->plan.fds[THRUMI_PLAN_LIFE] = s->flight.fds[THRUMI_FLIGHT_LIFE] = life;
  return life < 0 ? life : 0;
}

static int start_by_fork(struct start *s) {
  int error = thrumi_warden_start();
  if (!error) error = keep_life(s);
  if (!error) error = thrumi_flight_pair(&s->flight, THRUMI_FLIGHT_CHANNEL);
  if (error) return error;
  pid_t pid = (pid_t)QUIETLY(fork());
  if (pid == 0) be_forked(s);
  thrumi_flight_close(&s->flight, THRUMI_FLIGHT_CHANNEL + 1);
  int pidfd = pid < 0 ? (int)pid : thrumi_os.process_open(pid);
  if (pidfd < 0) {
    if (pid > 0) kill(pid, SIGKILL), waitpid(pid, NULL, 0);
    return pidfd;
  }
  born(&s->flight, pid, pidfd);
  return greet(s->p);
}

/* ---- A task -------------------------------------------------------------------------------------------------------------------- */

/* Says so once; the status says it each time. */
int thrumi_without_main(void) {
  static _Atomic bool said;
  bool no = false;
  if (thrumi_cas(&said, &no, true))
    thrumi_log(getauxval(AT_SECURE)
                   ? "tasks in processes of a program with other privileges than its caller's need THRUM_FORK"
                   : "tasks in processes need thrum_process_main(argc, argv) as the first call of main, or "
                     "THRUM_FORK");
  return -ENOTSUP;
}

static int check_task(const thrum_task *task, const void *in, size_t size, int method) {
  if (!task || !task->fn || (!in && size)) return -EINVAL;
  if (thrumi_this_process.daemon) return -EPERM;
  if (method == THRUM_FORK) return 0;
  if (!thrumi_this_process.main_called) return thrumi_without_main();
  return thrum_task_find(task->name) == task ? 0 : -EINVAL;
}

const char *thrumi_object_of_task(const thrum_task *task) {
  Dl_info info;
  const char *place = thrumi_task_place(task);
  if (place) return place;
  return dladdr(task, &info) && info.dli_fname ? info.dli_fname : "";
}

static int fill_descriptors(struct start *s, const thrum_process_options *o) {
  struct thrumi_plan *plan = &s->plan;
  int life = thrumi_life_line();
  if (life < 0) return life;
  plan->fds[THRUMI_PLAN_LIFE] = life;
  int directory = thrumi_os_beyond_standard((int)QUIETLY(open(".", O_PATH | O_CLOEXEC)));
  if (directory < 0) return directory;
  plan->fds[THRUMI_PLAN_DIRECTORY] = s->flight.fds[THRUMI_FLIGHT_DIRECTORY] = directory;
  if (o->descriptor_count)
    memcpy(plan->fds + THRUMI_PLAN_FDS, o->descriptors, o->descriptor_count * sizeof(int));
  return thrumi_standard_open(&s->flight, plan->fds + THRUMI_PLAN_STDIN, s->p, o, false);
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
                                           .object = thrumi_object_of_task(s->task),
                                           .directory = o->directory ? o->directory : ""};
  plan->environment = o->environment;
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
  thrumi_flight_begin(&s.flight, s.p);
  error = fill_descriptors(&s, o);
  if (!error) {
    fill_plan(&s, o, in, size);
    error = start_by(&s, method);
  }
  thrumi_flight_end(&s.flight);
  return give(s.p, error, out);
}

/* ---- A command ----------------------------------------------------------------------------------------------------------------- */

static int launch_command(struct thrumi_flight *f, const thrum_process_options *o, const char *const argv[]) {
  int from[THRUM_PROCESS_DESCRIPTORS_MAX + 3], to[THRUM_PROCESS_DESCRIPTORS_MAX + 3];
  struct thrumi_launch l = {.argv = argv, .environment = o->environment, .directory = o->directory};
  int error = thrumi_standard_open(f, from, f->p, o, true);
  if (error) return error;
  for (int i = 0; i < 3; i++) to[i] = i;
  for (size_t i = 0; i < o->descriptor_count; i++) from[3 + i] = to[3 + i] = o->descriptors[i];
  l.affinity = o->affinity;
  l.affinity_size = o->affinity_size;
  l.from = from;
  l.to = to;
  l.count = o->descriptor_count + 3;
  l.dies_with_parent = !o->outlives;
  fflush(stdout);
  fflush(stderr);
  error = thrumi_launch_start(&l);
  if (error) return error;
  born(f, l.pid, l.pidfd);
  publish(f->p);
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
  struct thrumi_flight flight;
  thrumi_flight_begin(&flight, p);
  error = launch_command(&flight, o, argv);
  thrumi_flight_end(&flight);
  return give(p, error, out);
}
