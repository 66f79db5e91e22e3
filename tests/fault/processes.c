/* What fails in the midst of a start, of a result, or of hiring a process: nothing of others' is touched, nothing is lost, and the error
 * that is said is true. Entries of the table of OS operations are replaced by such that fail at the moment that the case is about. */
#include "../promises/process_pools.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <os/os.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char begun[] = "/tmp/thrum-begun-XXXXXX", may_begin[] = "/tmp/thrum-may-begin-XXXXXX";
static char deadly[] = "/tmp/thrum-deadly-XXXXXX", gate[] = "/tmp/thrum-gate-XXXXXX";

static void restore(void) { thrumi_os = thrumi_os_linux; }

static void touch(const char *path) {
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  CHECK(fd >= 0 && close(fd) == 0);
}

/* ---- Who comes to work ---------------------------------------------------------------------------------------------- */

static _Atomic int boards;
static _Atomic bool second_may_fail;

static int no_second_board(size_t bytes) {
  if (atomic_fetch_add(&boards, 1) != 1) return thrumi_os_linux.memory_create(bytes);
  while (!atomic_load(&second_may_fail)) thrum_sleep(THRUM_MS(1));
  return -EMFILE;
}

THRUM_TASK(waits_for_file) {
  while (access(in, F_OK) != 0) usleep(1000);
  return (int)size;
}

/* One attendant is about to come, and fails, while another one is idle: it takes what the first was counted on for. */
static void an_idle_one_takes_over(void) {
  static char path[] = "/tmp/thrum-gate-XXXXXX";
  make_temporary(path);
  unlink(path);
  thrumi_os.memory_create = no_second_board;
  thrum_executor *x = processes_of(2);
  thrum_future *first = must_submit(x, &waits_for_file, path, sizeof path);
  AWAIT(stats_of(x).started == 1);
  thrum_future *second = must_submit(x, &waits_for_file, path, sizeof path);
  AWAIT(atomic_load(&boards) == 2);
  touch(path);
  CHECK_EQ(take(first), sizeof path);
  CHECK_EQ(take(second), sizeof path);
  AWAIT(stats_of(x).idle == 1); /* nobody else has a process */
  thrum_future *third = must_submit(x, &waits_for_file, path, sizeof path);
  atomic_store(&second_may_fail, true);
  CHECK_EQ(take(third), sizeof path);
  end_pool(x);
  unlink(path);
  restore();
}

/* ---- Descriptors of others ------------------------------------------------------------------------------------------- */

static bool sockets_fail;
static int others[2];

/* As the kernel does it: the numbers are said before the sockets are made; and another thread opens files just then. */
int socketpair(int domain, int type, int protocol, int fds[2]) {
  if (!sockets_fail) return (int)syscall(SYS_socketpair, domain, type, protocol, fds);
  for (int i = 0; i < 2; i++) fds[i] = others[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  errno = ENFILE;
  return -1;
}

THRUM_TASK(returns_at_once) { return number_in(in); }

static void a_failed_pair_closes_nothing(void) {
  for (int m = THRUM_FORKSERVER; m <= (TESTS_TSAN ? THRUM_SPAWN : THRUM_FORK); m++) {
    thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
    thrum_process *p = NULL;
    int seven = 7;
    o.method = m;
    sockets_fail = true;
    int error = thrum_process_start(&p, &o, &returns_at_once, &seven, sizeof seven);
    sockets_fail = false;
    CHECK_EQ(error, -ENFILE);
    CHECK(!p);
    for (int i = 0; i < 2; i++) CHECK_EQ(close(others[i]), 0); /* they are ours still */
  }
}

/* ---- No descriptor free -------------------------------------------------------------------------------------------- */

static _Atomic int receipts_without_room;

/* As if another thread had just opened the last descriptor. */
static ssize_t receive_without_room(int fd, struct msghdr *message, int flags) {
  struct rlimit before, none;
  if (atomic_fetch_sub(&receipts_without_room, 1) <= 0) return thrumi_os_linux.recvmsg(fd, message, flags);
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  none = (struct rlimit){3, before.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  ssize_t n = thrumi_os_linux.recvmsg(fd, message, flags);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  return n;
}

static thrum_process *must_return(int method, const thrum_task *task, int number) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *p = NULL;
  int code = -1;
  o.method = method;
  CHECK_EQ(thrum_process_start(&p, &o, task, &number, sizeof number), 0);
  CHECK_EQ(thrum_process_join(p, &code), 0);
  CHECK_EQ(code, 0);
  return p;
}

/* The task runs, and so the start does not fail. */
static void a_task_that_runs_has_been_started(void) {
  thrum_process_release(must_return(THRUM_FORKSERVER, &returns_at_once, 0));
  thrumi_os.recvmsg = receive_without_room;
  atomic_store(&receipts_without_room, 5);
  thrum_process *p = must_return(THRUM_FORKSERVER, &returns_at_once, 0);
  CHECK(atomic_load(&receipts_without_room) <= 0);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), 0);
  thrum_process_release(p);
  restore();
}

THRUM_TASK(writes_zeros) {
  static char zeros[1 << 20];
  return thrum_out_write(out, zeros, (size_t)number_in(in));
}

static void a_result_waits_for_a_descriptor(void) {
  const void *data;
  size_t size = 0;
  thrum_process *p = must_return(THRUM_FORKSERVER, &writes_zeros, 20000);
  thrumi_os.recvmsg = receive_without_room;
  atomic_store(&receipts_without_room, 2);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), -EMFILE);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), -EMFILE);
  CHECK_EQ(thrum_process_result(p, &data, &size), 0);
  CHECK_EQ(size, 20000);
  thrum_process_release(p);
  restore();
}

/* ---- Too many descriptors under way ------------------------------------------------------------------------------------ */

/* Every third message that has any is refused, in this process and in those that it starts: a plan, or the request that follows it, which
 * takes the plan back. */
static ssize_t refuse_every_third(int fd, const struct msghdr *message, int flags) {
  static _Atomic unsigned n;
  if (message->msg_controllen && atomic_fetch_add(&n, 1) % 3 == 1) return -ETOOMANYREFS;
  return thrumi_os_linux.sendmsg(fd, message, flags);
}

THRUM_TASK(counts_bytes) { return (void)in, (void)out, (intptr_t)size; }

/* Says how much it was given, and as much. */
THRUM_TASK(gives_back) { return thrum_out_write(out, in, size); }

static void what_cannot_be_sent_is_sent_later(void) {
  static char bytes[200000];
  const void *data;
  size_t size = 0;
  thrumi_os.sendmsg = refuse_every_third;
  for (int i = 0; i < 3; i++) {
    thrum_process *p = must_return(THRUM_FORKSERVER, &writes_zeros, 100000);
    CHECK_EQ(thrum_process_result(p, &data, &size), 0);
    CHECK_EQ(size, 100000);
    thrum_process_release(p);
  }
  thrum_executor *x = processes_of(1);
  for (int i = 0; i < 5; i++) {
    thrum_future *f = must_submit(x, &gives_back, bytes, sizeof bytes);
    CHECK_EQ(thrum_future_bytes(f, &data, &size), 0);
    CHECK_EQ(size, sizeof bytes);
    thrum_future_release(f);
  }
  end_pool(x);
  restore();
}

enum { LIMIT = 256, HANDED = 150, STARTERS = 6, EACH = 2, NOBODY = 65534 };

static intptr_t start_some(void *unused) {
  int handed[HANDED];
  for (int i = 0; i < HANDED; i++) handed[i] = STDOUT_FILENO;
  for (int i = 0; i < EACH; i++) {
    thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
    thrum_process *p;
    int zero = 0, code = -1;
    o.method = i % 2 ? THRUM_SPAWN : THRUM_FORKSERVER;
    o.descriptors = handed;
    o.descriptor_count = HANDED;
    CHECK_EQ(thrum_process_start(&p, &o, &returns_at_once, &zero, sizeof zero), 0);
    CHECK_EQ(thrum_process_join(p, &code), 0);
    CHECK_EQ(code, 0);
    thrum_process_release(p);
  }
  return (intptr_t)unused;
}

/* The kernel does not count root's. Nobody still may start this program. */
static bool become_nobody(void) {
  if (geteuid() != 0) return true;
  return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
         setresuid(NOBODY, NOBODY, NOBODY) == 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 &&
         access("/proc/self/exe", X_OK) == 0;
}

/* In the child of a fork, before thrum has started. Two starts hand over more than the kernel has under way for one user: they come one
 * after the other, and none fails. */
static int many_starts_share_the_limit(void) {
  struct rlimit limit = {LIMIT, LIMIT};
  thrum_thread t[STARTERS];
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  if (!become_nobody()) return 0;
  for (int i = 0; i < STARTERS; i++) t[i] = must_spawn(start_some, NULL);
  for (int i = 0; i < STARTERS; i++) CHECK_EQ(must_join(t[i]), 0);
  return 0;
}

enum { VARIABLES = 500 };

static void set_variables(int (*set)(const char *name)) {
  for (int i = 0; i < VARIABLES; i++) {
    char name[64];
    snprintf(name, sizeof name, "THRUM_TESTS_VARIABLE_%d", i);
    CHECK_EQ(set(name), 0);
  }
}

static int set_to_1(const char *name) { return setenv(name, "1", 1); }

/* As if another thread set them while the starter waits. */
static ssize_t refuse_and_set(int fd, const struct msghdr *message, int flags) {
  if (message->msg_controllen) {
    thrumi_os.sendmsg = thrumi_os_linux.sendmsg;
    set_variables(set_to_1);
    return -ETOOMANYREFS;
  }
  return thrumi_os_linux.sendmsg(fd, message, flags);
}

THRUM_TASK(has_variables) {
  for (int i = 0; i < VARIABLES; i++) {
    char name[64];
    snprintf(name, sizeof name, "THRUM_TESTS_VARIABLE_%d", i);
    if (!getenv(name)) return -ENOENT;
  }
  return size ? number_in(in) : 0;
}

static void the_environment_is_that_of_the_last_try(void) {
  set_variables(unsetenv);
  thrumi_os.sendmsg = refuse_and_set;
  thrum_process_release(must_return(THRUM_FORKSERVER, &has_variables, 0));
  set_variables(unsetenv);
  restore();
}

/* ---- Cancelled ----------------------------------------------------------------------------------------------------------- */

/* A program that takes long to come to its main. */
__attribute__((constructor)) static void be_slow(void) {
  const char *until = getenv("THRUM_TESTS_SLOW");
  char there[64];
  if (!until) return;
  snprintf(there, sizeof there, "%s.there", until);
  close(open(there, O_CREAT | O_WRONLY, 0600));
  while (access(until, F_OK) != 0) usleep(1000);
}

THRUM_TASK(begins) {
  touch(in);
  return (int)size;
}

static _Atomic bool looks;

/* The starter has been cancelled, and looks: just then the child becomes READY. */
static ssize_t let_it_begin_first(int fd, struct msghdr *message, int flags) {
  if (atomic_exchange(&looks, false)) {
    struct pollfd word = {.fd = fd, .events = POLLIN};
    touch(may_begin);
    while (poll(&word, 1, 60000) != 1) CHECK_EQ(errno, EINTR); /* a signal that came late */
  }
  return thrumi_os_linux.recvmsg(fd, message, flags);
}

static intptr_t start_slowly(void *arg) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.method = THRUM_SPAWN;
  return thrum_process_start(arg, &o, &begins, begun, sizeof begun);
}

static void one_that_was_ready_has_been_started(void) {
  thrum_process *p = NULL;
  char there[64];
  int code = -1;
  snprintf(there, sizeof there, "%s.there", may_begin);
  CHECK_EQ(setenv("THRUM_TESTS_SLOW", may_begin, 1), 0);
  thrumi_os.recvmsg = let_it_begin_first;
  atomic_store(&looks, true);
  thrum_thread t = must_spawn(start_slowly, &p);
  AWAIT(access(there, F_OK) == 0);
  CHECK_EQ(unsetenv("THRUM_TESTS_SLOW"), 0);
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_process_join(p, &code), 0);
  CHECK_EQ(code, 0);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), 0);
  CHECK_EQ(access(begun, F_OK), 0);
  thrum_process_release(p);
  unlink(begun), unlink(may_begin), unlink(there);
  restore();
}

/* ---- What cannot be watched ---------------------------------------------------------------------------------------------- */

static int no_more_watches(int epoll, int operation, int fd, struct epoll_event *event) {
  bool refused = operation == EPOLL_CTL_ADD && event->events & EPOLLONESHOT;
  return refused ? -ENOSPC : thrumi_os_linux.epoll_ctl(epoll, operation, fd, event);
}

/* Nobody would read it, and the process might wait for ever. */
static void what_cannot_be_captured_is_not_started(void) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *p = NULL;
  int zero = 0;
  o.output = THRUM_STDIO_CAPTURE;
  thrumi_os.epoll_ctl = no_more_watches;
  CHECK_EQ(thrum_process_start(&p, &o, &returns_at_once, &zero, sizeof zero), -ENOSPC);
  CHECK(!p);
  restore();
}

/* ---- Processes that die early -------------------------------------------------------------------------------------------- */

THRUM_TASK(dies_if_deadly) {
  if (access(in, F_OK) == 0) _exit(4);
  return (int)size;
}

/* A busy one does not keep others from coming, once those that died early have been given up. */
static void there_is_another_try(void) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_future *f[1000];
  int n = 0;
  o.processes = 2;
  o.initializer = &dies_if_deadly;
  o.initializer_in = deadly;
  o.initializer_size = sizeof deadly;
  thrum_executor *x = processes_with(o);
  thrum_future *busy = must_submit(x, &waits_for_file, gate, sizeof gate);
  AWAIT(thrum_future_running(busy));
  touch(deadly);
  f[n++] = submit_number(x, &returns_at_once, 5);
  AWAIT(stats_of(x).started == 11);
  AWAIT(stats_of(x).threads == 1);
  unlink(deadly);
  do {
    CHECK(n < 1000);
    f[n++] = submit_number(x, &returns_at_once, 5);
  } while (thrum_future_wait_for(f[0], THRUM_MS(100)) == -ETIMEDOUT);
  while (n > 0) CHECK_EQ(take(f[--n]), 5);
  CHECK(thrum_future_running(busy));
  touch(gate);
  CHECK_EQ(take(busy), sizeof gate);
  unlink(gate);
  end_pool(x);
}

static int never_called(const void *in, size_t size, thrum_out *out) {
  return (void)in, (void)size, (void)out, 0;
}
static const thrum_task only_here = {"one of an object that ends who opens it", never_called};
static thrumi_task_record record_of_only_here = {&only_here, NULL};

void *dlopen(const char *path, int flags) {
  (void)path, (void)flags;
  if (thrum_parent_pid()) _exit(3);
  return NULL;
}

/* That is the task's end, though the process had run its initializer before. */
static void opening_an_object_is_the_tasks(void) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  int zero = 0;
  o.processes = 1;
  o.initializer = &returns_at_once;
  o.initializer_in = &zero;
  o.initializer_size = sizeof zero;
  thrum_executor *x = processes_with(o);
  thrumi_task_add(&record_of_only_here);
  take_failure(must_submit(x, &only_here, NULL, 0), -EOWNERDEAD, "ended with exit code 3");
  thrumi_task_remove(&record_of_only_here);
  CHECK_EQ(take(submit_number(x, &returns_at_once, 8)), 8);
  end_pool(x);
}

static ssize_t end_instead(int fd, struct msghdr *message, int flags) {
  (void)fd, (void)message, (void)flags;
  _exit(6);
}

/* A parcel is taken before its errand has begun. */
THRUM_TASK(will_die_of_a_parcel) {
  thrumi_os.recvmsg = end_instead;
  return number_in(in);
}

/* To have run its initializer is to have done nothing: such ones are not replaced for ever. */
static void early_deaths_are_bounded(void) {
  static char bytes[200000];
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  int zero = 0;
  o.processes = 1;
  o.initializer = &will_die_of_a_parcel;
  o.initializer_in = &zero;
  o.initializer_size = sizeof zero;
  thrum_executor *x = processes_with(o);
  take_failure(must_submit(x, &gives_back, bytes, sizeof bytes), -EPIPE, "ended with exit code 6");
  CHECK_EQ(stats_of(x).started, 10);
  end_pool(x);
}

/* ---- Whose ends are whose -------------------------------------------------------------------------------------------------- */

THRUM_TASK(counts_sockets) {
  int n = 0;
  while (access(in, F_OK) != 0) usleep(1000);
  for (int fd = 3; fd < 1000; fd++) {
    struct stat about;
    n += fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
  }
  return size ? n : -EINVAL;
}

enum { MANY = 5 };

static void sockets_of(int method, intptr_t counts[MANY]) {
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  thrum_future *f[MANY];
  o.processes = MANY;
  o.method = method;
  thrum_executor *x = processes_with(o);
  for (int i = 0; i < MANY; i++) f[i] = must_submit(x, &counts_sockets, gate, sizeof gate);
  AWAIT(stats_of(x).started == MANY);
  touch(gate);
  for (int i = 0; i < MANY; i++) counts[i] = take(f[i]);
  unlink(gate);
  end_pool(x);
}

static void a_forked_one_has_no_ends_of_others(void) {
  intptr_t served[MANY], forked[MANY];
  if (TESTS_TSAN) return;
  sockets_of(THRUM_FORKSERVER, served);
  sockets_of(THRUM_FORK, forked);
  for (int i = 0; i < MANY; i++) CHECK_EQ(forked[i], served[i]);
}

/* ---- A fork beside a start that closes the child's end ----------------------------------------------------------------------- */

enum { NOT_NOW, BEFORE_CLOSE, BEHIND_CLOSE, BEHIND_START };

static _Atomic int forks_when;
static int number, kept; /* the descriptor's, and the same open file by another one */
static pid_t starter;

static bool is_socket(int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 && S_ISSOCK(about.st_mode);
}

/* In the child the socket is not there; but what has its number by then is. */
static intptr_t fork_and_look(void *stays) {
  int status = -1;
  pid_t child = fork();
  if (child == 0) _exit((fcntl(number, F_GETFD) >= 0) == (stays != NULL) ? 0 : 1);
  CHECK_EQ(thrum_child_wait(child, &status), child);
  return status;
}

/* By another thread than the starter: to its own child a start leaves what it has. */
static void fork_elsewhere(bool stays) {
  CHECK_EQ(must_join(must_spawn(fork_and_look, stays ? &number : NULL)), 0);
}

int close(int fd) {
  if (!atomic_load(&forks_when) || getpid() != starter || !is_socket(fd)) return (int)syscall(SYS_close, fd);
  int when = atomic_exchange(&forks_when, NOT_NOW);
  number = fd;
  if (when == BEFORE_CLOSE) fork_elsewhere(false);
  if (when == BEHIND_START) kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  int error = (int)syscall(SYS_close, fd);
  if (when == BEHIND_CLOSE) {
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null != number) CHECK_EQ(dup2(null, number), number);
    fork_elsewhere(true);
    if (null != number) syscall(SYS_close, null);
    syscall(SYS_close, number);
  }
  return error;
}

/* The kernel has copied the descriptors before the start closed one, and the memory behind its end: as if that one were still there. */
static void fork_with_what_was_there(void) {
  CHECK_EQ(dup2(kept, number), number);
  fork_elsewhere(false);
  syscall(SYS_close, number);
  syscall(SYS_close, kept);
}

static void a_fork_keeps_no_end_of_a_start(void) {
  for (int when = BEFORE_CLOSE; when <= BEHIND_START; when++) {
    starter = getpid();
    atomic_store(&forks_when, when);
    thrum_process *p = must_return(THRUM_SPAWN, &returns_at_once, 0);
    CHECK_EQ(atomic_load(&forks_when), NOT_NOW);
    if (when == BEHIND_START) fork_with_what_was_there();
    thrum_process_release(p);
  }
}

static void make_names(void) {
  char *const names[] = {begun, may_begin, deadly, gate};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    make_temporary(names[i]);
    CHECK_EQ(unlink(names[i]), 0);
  }
}

int main(int argc, char **argv) {
  if (getenv("THRUM_TESTS_REFUSE")) thrumi_os.sendmsg = refuse_every_third; /* a child */
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  if (!TESTS_SANITIZED) {
    in_a_process_of_its_own(many_starts_share_the_limit); /* their libraries may be out of nobody's reach */
  }
  CHECK_EQ(setenv("THRUM_TESTS_REFUSE", "1", 1), 0);
  make_names();
  an_idle_one_takes_over();
  a_failed_pair_closes_nothing();
  a_task_that_runs_has_been_started();
  a_result_waits_for_a_descriptor();
  what_cannot_be_sent_is_sent_later();
  the_environment_is_that_of_the_last_try();
  one_that_was_ready_has_been_started();
  what_cannot_be_captured_is_not_started();
  there_is_another_try();
  opening_an_object_is_the_tasks();
  early_deaths_are_bounded();
  a_forked_one_has_no_ends_of_others();
  a_fork_keeps_no_end_of_a_start();
  return 0;
}
