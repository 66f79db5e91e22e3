/* A command: found in PATH, with clean signals whatever thread starts it, no descriptors but the standard ones and those handed over,
 * under their numbers; output kept in memory, however much, and though a process that it has left behind still holds it; pipes; errors of
 * the exec as errors of the start; and after the first one a deadlock is found as ever. */
#include "processes.h"

#include <sys/resource.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static uint64_t usual_slice; /* before there was a worker */

static thrum_process *must_exec(const thrum_process_options *o, const char *const argv[]) {
  thrum_process *p = NULL;
  CHECK_EQ(thrum_process_exec(&p, o, argv), 0);
  return p;
}

static thrum_process *must_run_shell(const thrum_process_options *o, const char *script) {
  const char *const argv[] = {"sh", "-c", script, NULL};
  return must_exec(o, argv);
}

static thrum_process_options capturing(void) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.input = THRUM_STDIO_NULL;
  o.output = THRUM_STDIO_CAPTURE;
  return o;
}

/* Its output, once it has ended with `code`. */
static void output_of(thrum_process *p, int code, char *text, size_t room) {
  const void *data;
  size_t size;
  CHECK_EQ(must_end(p), code);
  CHECK_EQ(thrum_process_output(p, 1, &data, &size), 0);
  CHECK(size < room);
  memcpy(text, data, size);
  text[size] = 0;
  thrum_process_release(p);
}

static void says(const thrum_process_options *o, const char *script, int code, const char *expected) {
  char text[4096];
  output_of(must_run_shell(o, script), code, text, sizeof text);
  CHECK_STR(text, expected);
}

static void output(void) {
  thrum_process_options o = capturing();
  says(&o, "echo one; echo two >/dev/null; exit 3", 3, "one\n");
  o.error = THRUM_STDIO_OUTPUT;
  says(&o, "echo one; echo two >&2; echo three >/dev/stdout", 0, "one\ntwo\nthree\n");
  thrum_process *p = must_run_shell(&o, "head -c 5000000 /dev/zero");
  const char *data;
  size_t size;
  CHECK_EQ(must_end(p), 0);
  CHECK_EQ(thrum_process_output(p, 1, (const void **)&data, &size), 0);
  CHECK_EQ(size, 5000000);
  CHECK(data[0] == 0 && data[size - 1] == 0);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), -EINVAL);
  thrum_process_release(p);
}

/* Nobody said whose it is: the shell's. Its arguments are more than a small stack has room for. */
static void script_of_many_arguments(void) {
  enum { MANY = 40000 };
  static const char *argv[MANY + 2];
  char path[] = "/tmp/thrum-script-XXXXXX", text[64], expected[64];
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  CHECK(dprintf(fd, "echo $# $1 ${%d}\n", MANY) > 0);
  CHECK_EQ(fchmod(fd, 0700), 0);
  close(fd);
  argv[0] = path;
  for (int i = 1; i <= MANY; i++) argv[i] = i == 1 ? "first" : i == MANY ? "last" : "";
  thrum_process_options o = capturing();
  output_of(must_exec(&o, argv), 0, text, sizeof text);
  snprintf(expected, sizeof expected, "%d first last\n", MANY);
  CHECK_STR(text, expected);
  unlink(path);
}

/* The last number that there is, and those of each other. */
static void descriptors_keep_their_numbers(void) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  int last = (int)limit.rlim_cur - 1, ends[2];
  char script[256];
  CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
  CHECK_EQ(dup3(ends[1], last, O_CLOEXEC), last);
  snprintf(script, sizeof script, "echo far >/proc/self/fd/%d; echo near >/proc/self/fd/%d", last, ends[1]);
  thrum_process_options o = capturing();
  int fds[] = {ends[1], last};
  o.descriptors = fds;
  o.descriptor_count = 2;
  o.error = THRUM_STDIO_FD(ends[1]);
  must_end_with(must_run_shell(&o, script), 0);
  char text[16] = "";
  CHECK_EQ(read(ends[0], text, sizeof text - 1), 9);
  CHECK_STR(text, "far\nnear\n");
  close(ends[0]), close(ends[1]), close(last);
}

/* Each is where the other one is to be. */
static void descriptors_change_places(void) {
  int one[2], two[2], before[] = {dup(1), dup(2)};
  char text[16] = "";
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.output = THRUM_STDIO_FD(2);
  o.error = THRUM_STDIO_FD(1);
  CHECK_EQ(pipe2(one, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(two, O_CLOEXEC), 0);
  CHECK_EQ(dup2(one[1], 1), 1);
  CHECK_EQ(dup2(two[1], 2), 2);
  thrum_process *p = must_run_shell(&o, "echo output; echo error >&2");
  for (int i = 0; i < 2; i++) CHECK_EQ(dup2(before[i], i + 1), i + 1);
  must_end_with(p, 0);
  CHECK_EQ(read(one[0], text, sizeof text), 6);
  CHECK(memcmp(text, "error\n", 6) == 0);
  CHECK_EQ(read(two[0], text, sizeof text), 7);
  CHECK(memcmp(text, "output\n", 7) == 0);
  for (int i = 0; i < 2; i++) close(one[i]), close(two[i]), close(before[i]);
}

/* What is left behind does not hold the join up. It is told to end by the end of its input. */
static void left_behind(void) {
  thrum_process_options o = capturing();
  o.input = THRUM_STDIO_PIPE;
  thrum_process *p = must_run_shell(&o, "echo first; exec 3<&0; (read nothing <&3) & exit 0");
  int input = thrum_process_pipe(p, 0);
  char text[64];
  output_of(p, 0, text, sizeof text);
  CHECK_STR(text, "first\n");
  CHECK_EQ(thrum_close(input), 0);
}

/* Blocked and ignored signals of the shell, from a thread that blocks all, in a program that ignores some. */
static void signals(void) {
  thrum_process_options o = capturing();
  signal(SIGUSR1, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  says(&o, "grep -E 'Sig(Blk|Ign)' /proc/self/status", 0,
       "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  signal(SIGUSR1, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  thrum_process *p = must_run_shell(&o, "kill -STOP $$; exit 1");
  CHECK_EQ(thrum_process_terminate(p), 0);
  CHECK_EQ(thrum_process_signal(p, SIGCONT), 0);
  must_end_with(p, -SIGTERM);
}

static void descriptors(void) {
  thrum_process_options o = capturing();
  int leak = fcntl(2, F_DUPFD, 200), given = fcntl(2, F_DUPFD_CLOEXEC, 300);
  o.descriptors = &given;
  o.descriptor_count = 1;
  says(&o, "for fd in 0 1 2 3 4 5 6 200 300; do if [ -e /proc/$$/fd/$fd ]; then echo $fd; fi; done", 0,
       "0\n1\n2\n300\n");
  close(leak), close(given);
}

static void surroundings(void) {
  thrum_process_options o = capturing();
  const char *const environment[] = {"GREETING=hello", NULL};
  o.directory = "/proc";
  o.environment = environment;
  says(&o, "pwd; echo $GREETING", 0, "/proc\nhello\n");
}

/* A relative path is one from where it is to run. */
static void from_there(void) {
  static const char *const here[] = {"./sh", "-c", "exit 5", NULL};
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  thrum_process *p = NULL;
  CHECK_EQ(thrum_process_exec(&p, &o, here), -ENOENT);
  o.directory = "/bin";
  must_end_with(must_exec(&o, here), 5);
}

static void through_pipes(void) {
  static const char *const cat[] = {"cat", NULL};
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.input = o.output = THRUM_STDIO_PIPE;
  thrum_process *p = must_exec(&o, cat);
  CHECK_STR(thrum_process_name(p), "cat");
  char text[16] = "";
  int input = thrum_process_pipe(p, 0), out = thrum_process_pipe(p, 1);
  CHECK_EQ(thrum_write_all(input, "through", 7), 7);
  CHECK_EQ(thrum_close(input), 0);
  CHECK_EQ(thrum_read_full(out, text, sizeof text), 7);
  CHECK_STR(text, "through");
  CHECK_EQ(thrum_close(out), 0);
  must_end_with(p, 0);
}

static void errors(void) {
  thrum_process *p = NULL;
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  static const char *const nowhere[] = {"no-such-command-here", NULL}, *const folder[] = {"/proc", NULL};
  CHECK_EQ(thrum_process_exec(&p, NULL, nowhere), -ENOENT);
  CHECK_EQ(thrum_process_exec(&p, NULL, folder), -EACCES);
  static const char *const yes[] = {"true", NULL};
  o.directory = "/no/such/directory";
  CHECK_EQ(thrum_process_exec(&p, &o, yes), -ENOENT);
  CHECK(!p);
}

/* What the scheduler of the kernel is asked for, as of the attributes' version 0. */
struct attributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

static struct attributes attributes_of_this(void) {
  struct attributes a = {0};
  CHECK_EQ(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0), 0);
  return a;
}

static int say_slice(void) {
  printf("%llu", (unsigned long long)attributes_of_this().runtime);
  return 0;
}

/* Workers ask for short ones; what is theirs alone is nothing for children. */
static void slices_are_the_usual_ones(void) {
  thrum_process_options o = capturing();
  char self[PATH_MAX] = "", text[64], usual[64];
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  output_of(must_exec(&o, (const char *const[]){self, "say-slice", NULL}), 0, text, sizeof text);
  snprintf(usual, sizeof usual, "%llu", (unsigned long long)usual_slice);
  CHECK_STR(text, usual);
}

static intptr_t all(void *unused) {
  (void)unused;
  slices_are_the_usual_ones();
  output();
  script_of_many_arguments();
  descriptors_keep_their_numbers();
  descriptors_change_places();
  left_behind();
  signals();
  descriptors();
  surroundings();
  from_there();
  through_pipes();
  errors();
  return 0;
}

/* By a worker, which asks for short slices. */
static intptr_t the_first_one(void *unused) {
  static const char *const yes[] = {"true", NULL};
  must_end_with(must_exec(NULL, yes), 0);
  return (void)unused, 0;
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  if (argc > 1 && strcmp(argv[1], "say-slice") == 0) return say_slice();
  usual_slice = attributes_of_this().runtime;
  CHECK_EQ(must_join(must_spawn(the_first_one, NULL)), 0);
  CHECK_EQ(thrum_poll_for(&(struct pollfd){.fd = 2, .events = POLLPRI}, 1, THRUM_MS(1)),
           -ETIMEDOUT); /* its own are open */
  int before = open_descriptors();
  run_in_each_kind(all, NULL);
  AWAIT(count_children(getpid(), false) == 0);
  CHECK_EQ(open_descriptors(), before);
  return 0;
}
