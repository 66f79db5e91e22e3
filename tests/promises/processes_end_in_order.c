/* A child waits for its threads that are no daemons, then runs what atexit was given, whether its task went well or failed. A program
 * that ends waits for its threads, then terminates daemons (and kills those that do not heed it), and joins its other children; one
 * that exits with another status than 0 waits for nobody. */
#include "processes.h"

static int out_fd = -1;

static void note(const char *text) { CHECK_EQ(write(out_fd, text, strlen(text)), strlen(text)); }

/* ---- A child -------------------------------------------------------------------------------------------------------- */

static bool task_is_over;

static intptr_t late_thread(void *unused) {
  (void)unused;
  while (!LOAD(task_is_over)) thrum_yield();
  for (int i = 0; i < 50; i++) thrum_yield();
  note("thread ");
  return 0;
}

static void at_exit(void) { note("atexit "); }

THRUM_TASK(with_thread) {
  out_fd = thrum_inherited_fd(0);
  must_spawn(late_thread, NULL);
  atexit(at_exit);
  note("task ");
  STORE(task_is_over, true);
  return *(const int *)in;
}

static const char *read_all(int fd) {
  static char text[256];
  ssize_t n = thrum_read_full(fd, text, sizeof text - 1);
  CHECK(n >= 0);
  text[n] = 0;
  return text;
}

static void child(int method, int result) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  thrum_process_options o = with_method(method);
  o.descriptors = &fds[1];
  o.descriptor_count = 1;
  o.error = THRUM_STDIO_NULL;
  thrum_process *p = must_start_with(&o, &with_thread, &result, sizeof result);
  close(fds[1]);
  CHECK_STR(read_all(fds[0]), "task thread atexit ");
  close(fds[0]);
  must_end_with(p, result ? 1 : 0);
}

/* ---- A program -------------------------------------------------------------------------------------------------------- */

static void on_term(int signo) {
  (void)signo;
  note("terminated ");
  _exit(0);
}

THRUM_TASK(daemon_child) {
  out_fd = thrum_inherited_fd(0);
  signal(SIGTERM, *(const bool *)in ? SIG_IGN : on_term);
  note("daemon ");
  for (;;) pause();
  return 0;
}

THRUM_TASK(slow_child) {
  char byte;
  out_fd = thrum_inherited_fd(0);
  CHECK_EQ(read(thrum_inherited_fd(1), &byte, 1),
           0); /* the program's last thread and the daemon have ended by then */
  CHECK_EQ(thrum_parent_join_for(THRUM_MS(200)),
           -ETIMEDOUT); /* the program, which would take us along, waits */
  note("joined ");
  return 0;
}

static void start_child(int method, const thrum_task *task, const int *fds, bool daemon, bool stubborn) {
  thrum_process_options o = with_method(method);
  o.descriptors = fds;
  o.descriptor_count = 2;
  o.daemon = daemon;
  CHECK_EQ(thrum_process_start(NULL, &o, task, &stubborn, sizeof stubborn), 0);
}

static int hold[2]; /* the writing end is the last thread's, and the daemon's */

static intptr_t last_thread(void *unused) {
  (void)unused;
  for (int i = 0; i < 50; i++) thrum_yield();
  note("thread ");
  close(hold[1]);
  return 0;
}

struct program {
  int method, status;
  bool stubborn;
};

THRUM_TASK(program) {
  const struct program *what = in;
  int fds[2];
  out_fd = thrum_inherited_fd(0);
  CHECK_EQ(pipe2(hold, O_CLOEXEC), 0);
  fds[0] = out_fd, fds[1] = hold[0];
  start_child(what->method, &slow_child, fds, false, false);
  fds[1] = hold[1];
  start_child(what->method, &daemon_child, fds, true, what->stubborn);
  struct pollfd said = {.fd = thrum_inherited_fd(1), .events = POLLIN};
  CHECK_EQ(thrum_poll(&said, 1), 1); /* the daemon has its handler */
  must_spawn(last_thread, NULL);
  if (what->status) exit(what->status);
  return 0;
}

/* A forked child holds the writing end of `hold` too: there a child cannot tell. */
static const char *said_by(struct program what) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  int both[] = {fds[1], fds[0]};
  o.descriptors = both;
  o.descriptor_count = 2;
  o.error = THRUM_STDIO_NULL;
  thrum_process *p = must_start_with(&o, &program, &what, sizeof what);
  CHECK_EQ(must_end(p), what.status);
  thrum_process_release(p);
  close(fds[1]);
  const char *said = read_all(fds[0]);
  close(fds[0]);
  return said;
}

/* A daemon that the machine has not let run for a second is killed like one that does not heed it. */
static void a_program(struct program what, const char *expected) {
  int tries = 0;
  const char *said;
  do said = said_by(what);
  while (strcmp(said, "daemon thread joined ") == 0 && !what.stubborn && ++tries < 5);
  CHECK_STR(said, expected);
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    child(m, 0);
    child(m, -EDOM);
  }
  for (int m = THRUM_FORKSERVER; m <= THRUM_SPAWN; m++) {
    a_program((struct program){m, 0, false}, "daemon thread terminated joined ");
    a_program((struct program){m, 0, true}, "daemon thread joined ");
  }
  return 0;
}
