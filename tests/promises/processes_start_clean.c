/* What a child has: no descriptor but the standard ones, those that were handed over and as few of thrum's as every other child; no
 * signal blocked or ignored; the directory and the environment of its starter at that moment, or those that were asked for; an empty
 * input; whatever standard descriptors were asked for, also where the parent has closed its own. Nothing is printed twice. */
#include "processes.h"

#include <sched.h>
#include <sys/stat.h>

struct facts {
  int descriptors, blocked, not_default, cpus;
  bool leak, input_is_empty;
  char directory[256], variable[64], only[64], name[64], parent[64];
  pid_t pid, parent_pid;
  int inherited;
};

static int count_not_default(void) {
  int n = 0;
  for (int signo = 1; signo < 32; signo++) {
    struct sigaction action;
    if (signo == SIGURG || signo == SIGSEGV || signo == SIGBUS || signo == SIGQUIT)
      continue; /* thrum's own */
    if (TESTS_SANITIZED && signo == SIGFPE) continue;
    if (sigaction(signo, NULL, &action) == 0 && action.sa_handler != SIG_DFL) n++;
  }
  return n;
}

THRUM_TASK(tell) {
  static struct facts f;
  sigset_t mask;
  cpu_set_t cpus;
  char byte;
  int leaked;
  memcpy(&leaked, in, sizeof leaked);
  CHECK(size == sizeof leaked);
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  for (int signo = 1; signo < 32; signo++) f.blocked += sigismember(&mask, signo);
  f.not_default = count_not_default();
  f.leak = fcntl(leaked, F_GETFD) >= 0;
  f.input_is_empty = read(0, &byte, 1) == 0;
  CHECK(getcwd(f.directory, sizeof f.directory));
  if (getenv("PROMISE")) snprintf(f.variable, sizeof f.variable, "%s", getenv("PROMISE"));
  if (getenv("ONLY")) snprintf(f.only, sizeof f.only, "%s", getenv("ONLY"));
  snprintf(f.name, sizeof f.name, "%s", thrum_current_process_name());
  snprintf(f.parent, sizeof f.parent, "%s", thrum_parent_name());
  f.pid = getpid();
  f.parent_pid = thrum_parent_pid();
  sched_getaffinity(0, sizeof cpus, &cpus);
  f.cpus = CPU_COUNT(&cpus);
  while (thrum_inherited_fd((size_t)f.inherited) >= 0) f.inherited++;
  f.descriptors = open_descriptors();
  return thrum_out_write(out, &f, sizeof f);
}

static struct facts facts_of(thrum_process *p) {
  struct facts f;
  const void *data;
  size_t size;
  CHECK_EQ(must_end(p), 0);
  CHECK_EQ(thrum_process_result(p, &data, &size), 0);
  CHECK_EQ(size, sizeof f);
  memcpy(&f, data, sizeof f);
  thrum_process_release(p);
  return f;
}

/* ---- Descriptors ------------------------------------------------------------------------------------------------------ */

enum { CHILDREN = 10 };

/* Beside descriptors of the parent's that are not closed on exec, and other children. */
static void descriptors(int method) {
  int leak = fcntl(2, F_DUPFD, 900), first = 0;
  thrum_process *p[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) p[i] = must_start(method, &tell, &leak, sizeof leak);
  for (int i = 0; i < CHILDREN; i++) {
    struct facts f = facts_of(p[i]);
    if (i == 0) first = f.descriptors;
    CHECK_EQ(f.leak, method == THRUM_FORK);
    if (method != THRUM_FORK) CHECK_EQ(f.descriptors, first);
  }
  close(leak);
}

THRUM_TASK(use_inherited) {
  char byte;
  CHECK_EQ(thrum_inherited_fd(2), -EINVAL);
  CHECK_EQ(read(thrum_inherited_fd(0), &byte, 1), 1);
  byte++;
  CHECK_EQ(write(thrum_inherited_fd(1), &byte, 1), 1);
  return 0;
}

static void handed_over(int method) {
  int there[2], back[2];
  char byte = 'a';
  CHECK_EQ(pipe2(there, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(back, O_CLOEXEC), 0);
  thrum_process_options o = with_method(method);
  int fds[] = {there[0], back[1]};
  o.descriptors = fds;
  o.descriptor_count = 2;
  thrum_process *p = must_start_with(&o, &use_inherited, NULL, 0);
  close(there[0]), close(back[1]);
  CHECK_EQ(write(there[1], &byte, 1), 1);
  CHECK_EQ(thrum_read(back[0], &byte, 1), 1);
  CHECK_EQ(byte, 'b');
  CHECK_EQ(thrum_read(back[0], &byte, 1), 0); /* nobody else holds it */
  must_end_with(p, 0);
  close(there[1]), close(back[0]);
}

THRUM_TASK(writes_to_inherited) { return write(thrum_inherited_fd(0), "handed over", 11) == 11 ? 0 : -EIO; }

/* One of the standard descriptors, handed over, is what it was with the starter. */
static void a_standard_one_handed_over(int method) {
  int ends[2], one = 1, before = dup(1);
  char text[16] = "";
  const void *data;
  size_t size;
  thrum_process_options o = with_method(method);
  o.descriptors = &one;
  o.descriptor_count = 1;
  o.output = THRUM_STDIO_CAPTURE;
  CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
  CHECK_EQ(dup2(ends[1], 1), 1);
  thrum_process *p = must_start_with(&o, &writes_to_inherited, NULL, 0);
  CHECK_EQ(dup2(before, 1), 1);
  CHECK_EQ(must_end(p), 0);
  CHECK_EQ(thrum_process_output(p, 1, &data, &size), 0);
  CHECK_EQ(size, 0);
  CHECK_EQ(read(ends[0], text, sizeof text), 11);
  thrum_process_release(p);
  close(before), close(ends[0]), close(ends[1]);
}

/* As many as may be. */
static void many_handed_over(int method) {
  int fds[THRUM_PROCESS_DESCRIPTORS_MAX], leak = 999;
  thrum_process_options o = with_method(method);
  for (int i = 0; i < THRUM_PROCESS_DESCRIPTORS_MAX; i++) CHECK((fds[i] = dup(2)) >= 0);
  o.descriptors = fds;
  o.descriptor_count = THRUM_PROCESS_DESCRIPTORS_MAX;
  struct facts f = facts_of(must_start_with(&o, &tell, &leak, sizeof leak));
  CHECK_EQ(f.inherited, THRUM_PROCESS_DESCRIPTORS_MAX);
  for (int i = 0; i < THRUM_PROCESS_DESCRIPTORS_MAX; i++) close(fds[i]);
}

/* ---- Signals, directory, environment ------------------------------------------------------------------------------------- */

static void nothing(int signo) { (void)signo; }

static void signals(int method) {
  int leak = 999;
  struct facts f = facts_of(must_start(method, &tell, &leak, sizeof leak));
  CHECK_EQ(f.blocked, 0);
  if (method != THRUM_FORK) CHECK_EQ(f.not_default, 0);
}

static void surroundings(int method) {
  int leak = 999;
  char here[256];
  CHECK(getcwd(here, sizeof here));
  setenv("PROMISE", "kept", 1);
  struct facts f = facts_of(must_start(method, &tell, &leak, sizeof leak));
  CHECK_STR(f.directory, here);
  CHECK_STR(f.variable, "kept");
  CHECK(f.input_is_empty);
  CHECK_STR(f.parent, "MainProcess");
  CHECK_EQ(f.parent_pid, getpid());
  CHECK(strncmp(f.name, "Process-", 8) == 0);
  CHECK_EQ(chdir("/proc"), 0);
  setenv("PROMISE", "changed", 1);
  f = facts_of(must_start(method, &tell, &leak, sizeof leak));
  CHECK_STR(f.directory, "/proc");
  CHECK_STR(f.variable, "changed");
  thrum_process_options o = with_method(method);
  const char *const environment[] = {"ONLY=this", NULL};
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(sched_getcpu(), &cpus);
  o.directory = "self"; /* from this process's directory */
  o.environment = environment;
  o.name = "a name";
  o.affinity = &cpus;
  o.affinity_size = sizeof cpus;
  f = facts_of(must_start_with(&o, &tell, &leak, sizeof leak));
  CHECK_EQ(atoi(f.directory + strlen("/proc/")), f.pid);
  CHECK_STR(f.variable, "");
  CHECK_STR(f.only, "this");
  CHECK_STR(f.name, "a name");
  CHECK_EQ(f.cpus, 1);
  CHECK_EQ(chdir(here), 0);
}

/* ---- Standard descriptors ---------------------------------------------------------------------------------------------------- */

THRUM_TASK(filter) {
  char text[64];
  ssize_t n = read(0, text, sizeof text);
  printf("%d bytes", (int)n);
  fprintf(stderr, "no more");
  return 0;
}

static size_t text_from(int fd, char *text, size_t size) {
  ssize_t n = thrum_read_full(fd, text, size - 1);
  CHECK(n >= 0);
  text[n] = 0;
  return (size_t)n;
}

static void standard(int method) {
  thrum_process_options o = with_method(method);
  char text[64];
  const void *data;
  size_t size;
  int pipe_to[2];
  o.input = o.output = THRUM_STDIO_PIPE;
  o.error = THRUM_STDIO_OUTPUT;
  thrum_process *p = must_start_with(&o, &filter, NULL, 0);
  int input = thrum_process_pipe(p, 0), output = thrum_process_pipe(p, 1);
  CHECK_EQ(thrum_process_pipe(p, 1), -EBADF);
  CHECK_EQ(thrum_process_pipe(p, 2), -EBADF);
  CHECK_EQ(write(input, "12345", 5), 5);
  text_from(output, text, sizeof text);
  CHECK_STR(text, "no more5 bytes"); /* stdout is buffered, and flushed at the end */
  must_end_with(p, 0);
  CHECK_EQ(thrum_close(input), 0);
  CHECK_EQ(thrum_close(output), 0);

  CHECK_EQ(pipe2(pipe_to, O_CLOEXEC), 0);
  o.input = THRUM_STDIO_NULL;
  o.output = THRUM_STDIO_CAPTURE;
  o.error = THRUM_STDIO_FD(pipe_to[1]);
  p = must_start_with(&o, &filter, NULL, 0);
  close(pipe_to[1]);
  text_from(pipe_to[0], text, sizeof text);
  CHECK_STR(text, "no more");
  CHECK_EQ(must_end(p), 0);
  CHECK_EQ(thrum_process_output(p, 1, &data, &size), 0);
  CHECK(size == 7 && memcmp(data, "0 bytes", 7) == 0);
  CHECK_EQ(thrum_process_output(p, 2, &data, &size), -EINVAL);
  thrum_process_release(p);
  close(pipe_to[0]);
}

/* ---- Printing --------------------------------------------------------------------------------------------------------------------- */

THRUM_TASK(print_child) { return printf("child\n") < 0; }

static void printed_once(int method) {
  FILE *file = tmpfile();
  int before = dup(1);
  char text[64];
  fflush(stdout);
  CHECK_EQ(dup2(fileno(file), 1), 1);
  printf("parent\n"); /* into a file: it stays in the buffer */
  must_end_with(must_start(method, &print_child, NULL, 0), 0);
  fflush(stdout);
  CHECK_EQ(dup2(before, 1), 1);
  close(before);
  CHECK_EQ(pread(fileno(file), text, sizeof text, 0), 13);
  text[13] = 0;
  CHECK_STR(text, "parent\nchild\n");
  fclose(file);
}

/* What it makes of its standard descriptors is its own, also in a child that it forks by itself. */
THRUM_TASK(copies_its_output) {
  int copies[16], status = -1, count = (int)(sizeof copies / sizeof *copies);
  for (int i = 0; i < count; i++) CHECK((copies[i] = dup(2)) >= 0);
  pid_t pid = fork();
  for (int i = 0; pid == 0 && i < count; i++)
    if (fcntl(copies[i], F_GETFD) < 0) _exit(1);
  if (pid == 0) _exit(0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  return 0;
}

static void copies_stay(int method) {
  thrum_process_options o = with_method(method);
  o.output = THRUM_STDIO_PIPE;
  o.error = THRUM_STDIO_OUTPUT;
  must_end_with(must_start_with(&o, &copies_its_output, NULL, 0), 0);
}

THRUM_TASK(writes_on) {
  while (write(1, "more", 4) == 4) continue;
  return -errno;
}

/* A forked one has what this program has made of SIGPIPE. */
static void nobody_reads(int method) {
  thrum_process_options o = with_method(method);
  o.output = THRUM_STDIO_PIPE;
  if (method == THRUM_FORK) return;
  thrum_process *p = must_start_with(&o, &writes_on, NULL, 0);
  CHECK_EQ(thrum_close(thrum_process_pipe(p, 1)), 0);
  must_end_with(p, -SIGPIPE);
}

static void without_standard(void) {
  int kept[3], leak = 999;
  for (int i = 0; i < 3; i++) kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10), close(i);
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    struct facts f = facts_of(must_start(m, &tell, &leak, sizeof leak));
    CHECK(f.input_is_empty);
    must_end_with(must_start(m, &print_child, NULL, 0), 0);
  }
  for (int i = 0; i < 3; i++) dup2(kept[i], i), close(kept[i]);
}

static intptr_t all(void *unused) {
  (void)unused;
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    descriptors(m);
    handed_over(m);
    many_handed_over(m);
    a_standard_one_handed_over(m);
    signals(m);
    surroundings(m);
    standard(m);
    printed_once(m);
    copies_stay(m);
    nobody_reads(m);
  }
  return 0;
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  sigaddset(&some, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &some, NULL);
  signal(SIGUSR2, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGTERM, nothing);
  without_standard(); /* first of all: the fork server starts without them */
  CHECK_EQ(thrum_poll_for(&(struct pollfd){.fd = 2, .events = POLLPRI}, 1, THRUM_MS(1)),
           -ETIMEDOUT); /* its own are open */
  int before = open_descriptors();
  run_in_each_kind(all, NULL);
  CHECK_EQ(open_descriptors(), before);
  return 0;
}
