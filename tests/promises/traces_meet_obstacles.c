/* A disk that is full, a path that cannot be opened, a fork, a file that another process writes, a setting that makes no sense: it is said,
 * the program goes on, and what is in a file is whole. */
#include "../child.h"
#include "../support.h"
#include "../traced.h"

#include <sys/resource.h>
#include <sys/stat.h>

enum { LIMIT = 300 * 1000, EVENTS = 100000 };

static char path[64];

/* ---- Programs that are traced from outside ------------------------------------------------------------------------ */

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static int goes_on(void) {
  for (int i = 0; i < 100; i++) CHECK_EQ(thrum_run(nothing, NULL), 0);
  puts("went on");
  return 0;
}

static bool has_stopped(void) {
  thrum_trace_stats stats = {.size = sizeof stats};
  CHECK_EQ(thrum_trace_statistics(&stats), 0);
  return !stats.on;
}

/* No file may become larger: as on a full disk, in the midst of a block. */
static int has_a_full_disk(void) {
  signal(SIGXFSZ, SIG_IGN);
  CHECK(thrum_workers() > 0); /* its first call of thrum: before, nothing is recorded */
  CHECK_EQ(setrlimit(RLIMIT_FSIZE, &(struct rlimit){LIMIT, LIMIT}), 0);
  for (int i = 0; i < EVENTS; i++) thrum_trace_mark("a line");
  AWAIT(has_stopped());
  CHECK_EQ(thrum_run(nothing, NULL), 0);
  CHECK_EQ(thrum_trace_stop(), -EFBIG);
  puts("went on");
  return 0;
}

/* Written by the caller, whom the kernel would end by a signal. What was pending before is still so behind it. */
static int snapshots_on_a_full_disk(void) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  char file[80];
  sigset_t pipe_broken, pending;
  options.flight = true;
  snprintf(file, sizeof file, "/tmp/traces_meet_obstacles.%d", (int)getpid());
  CHECK_EQ(setrlimit(RLIMIT_FSIZE, &(struct rlimit){LIMIT, LIMIT}), 0);
  CHECK_EQ(thrum_trace_start(&options), 0);
  for (int i = 0; i < EVENTS; i++) thrum_trace_mark("a line");
  CHECK_EQ(thrum_trace_snapshot(file), -EFBIG);
  CHECK_EQ(access(file, F_OK), -1);
  sigemptyset(&pipe_broken);
  sigaddset(&pipe_broken, SIGPIPE);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &pipe_broken, NULL), 0);
  CHECK_EQ(pthread_kill(pthread_self(), SIGPIPE), 0);
  CHECK_EQ(thrum_trace_snapshot(file), -EFBIG);
  CHECK_EQ(sigpending(&pending), 0);
  CHECK(sigismember(&pending, SIGPIPE) && !sigismember(&pending, SIGXFSZ));
  CHECK_EQ(thrum_trace_stop(), 0);
  puts("went on");
  return 0;
}

static int fills_a_pipe(void) {
  CHECK(thrum_workers() > 0);
  for (int i = 0; i < EVENTS; i++) thrum_trace_mark("a line");
  puts("went on");
  return 0;
}

static void traces_in_child(void) {
  thrum_trace_options options = THRUM_TRACE_OPTIONS_INIT;
  char own[80];
  snprintf(own, sizeof own, "%s.child", getenv("THRUM_TRACE"));
  options.file = own;
  CHECK(has_stopped() && !thrumi_is_traced());
  CHECK_EQ(thrum_trace_stop(), -EPERM);
  CHECK_EQ(thrum_trace_start(&options), 0);
  thrum_trace_mark("child");
  CHECK_EQ(thrum_trace_stop(), 0);
  exit(0);
}

/* The child writes nothing to its parent's file, and may write its own. */
static int forks(void) {
  int status;
  CHECK_EQ(thrum_run(nothing, NULL), 0);
  thrum_trace_mark("before");
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) traces_in_child();
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  thrum_trace_mark("behind");
  puts("went on");
  return 0;
}

/* What could not be recorded has no descriptor, whoever has its number now. */
static int forks_behind_a_failure(void) {
  int status, fd[8];
  CHECK_EQ(thrum_run(nothing, NULL), 0);
  for (int i = 0; i < 8; i++) CHECK((fd[i] = dup(STDOUT_FILENO)) >= 0);
  pid_t child = fork();
  CHECK(child >= 0);
  for (int i = 0; i < 8; i++) CHECK(fcntl(fd[i], F_GETFD) >= 0);
  if (child == 0) exit(0);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  puts("went on");
  return 0;
}

/* Two processes with one environment. */
static int has_a_child(void) {
  CHECK_EQ(thrum_run(nothing, NULL), 0);
  struct child child = child_run("goes on");
  CHECK_STATUS(child, 0);
  CHECK_HAS(child.err_text, "another process records to the file that is wanted");
  char own[128];
  snprintf(own, sizeof own, "%s.%d", getenv("THRUM_TRACE"), (int)child.pid);
  struct traced *t = traced_read(own);
  CHECK(t->ended);
  CHECK_EQ(t->header.pid, child.pid);
  CHECK_EQ(unlink(own), 0);
  traced_free(t);
  child_free(&child);
  puts("went on");
  return 0;
}

static const struct child_case cases[] = {{"goes on", goes_on},
                                          {"full disk", has_a_full_disk},
                                          {"fills a pipe", fills_a_pipe},
                                          {"snapshots", snapshots_on_a_full_disk},
                                          {"forks", forks},
                                          {"forks behind a failure", forks_behind_a_failure},
                                          {"has a child", has_a_child},
                                          {0}};

static void goes(const char *name, const char *value, const char *says) {
  char setting[128];
  snprintf(setting, sizeof setting, "THRUM_TRACE=%s", value);
  struct child child = child_run_with(name, setting);
  CHECK_STATUS(child, 0);
  CHECK_HAS(child.out_text, "went on");
  if (says)
    CHECK_HAS(child.err_text, says);
  else
    CHECK(!strstr(child.err_text, "thrum: ")); /* a sanitizer may have something to say of forks */
  child_free(&child);
}

/* One that nobody reads, and one that is open to read, and is not read. */
static void pipes(void) {
  CHECK_EQ(mkfifo(path, 0600), 0);
  goes("goes on", path, "No such device or address");
  int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  CHECK(reader >= 0);
  goes("fills a pipe", path, "Connection timed out; recording has stopped");
  close(reader);
  CHECK_EQ(unlink(path), 0);
}

static void expect_marks(const char *file, size_t marks) {
  struct traced *t = traced_read(file);
  CHECK(t->ended);
  CHECK_EQ(traced_count(t, THRUMI_EVENT_MARK, 0), marks);
  traced_free(t);
  CHECK_EQ(unlink(file), 0);
}

static void full_disk(void) {
  char child[80];
  snprintf(child, sizeof child, "%s", path);
  goes("full disk", path, "File too large; recording has stopped");
  struct traced *t = traced_read(path);
  CHECK(!t->ended && t->size <= LIMIT && t->count > 0);
  traced_free(t);
  CHECK_EQ(unlink(child), 0);
  goes("snapshots", "", NULL);
  goes("goes on", "/dev/full", "cannot record to /dev/full: No space left on device");
}

static void forked(void) {
  char child[80];
  snprintf(child, sizeof child, "%s.child", path);
  goes("forks behind a failure", "/dev/full", "cannot record to /dev/full");
  goes("forks", path, NULL);
  expect_marks(path, 2);
  expect_marks(child, 1);
}

static void settings(void) {
  char longest[128];
  goes("goes on", "/nonexistent/file", "cannot record to /nonexistent/file: No such file or directory");
  goes("goes on", "flight:", "is ignored");
  goes("goes on", "seconds=0:x", "is ignored");
  goes("goes on", "seconds=5m:x", "is ignored");
  goes("goes on", "ring=1k:x", "is ignored");
  goes("goes on", "", NULL);
  snprintf(longest, sizeof longest, "queues:locks:seconds=3:ring=8m:%s", path);
  goes("goes on", longest, NULL);
  expect_marks(path, 0);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  snprintf(path, sizeof path, "/tmp/traces_meet_obstacles.%d", (int)getpid());
  settings();
  full_disk();
  pipes();
  if (!TESTS_TSAN) forked(); /* ThreadSanitizer lets no program fork that uses thrum already */
  if (!TESTS_TSAN) goes("has a child", path, NULL);
  if (!TESTS_TSAN) CHECK_EQ(unlink(path), 0);
  return 0;
}
