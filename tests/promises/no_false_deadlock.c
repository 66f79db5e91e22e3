/* Promise 6: no verdict while anybody or anything outside may still wake somebody. In each
 * case two threads wait for what never comes, and something that thrum cannot see into ends the program with
 * status 42 after a while: a false verdict would end it with 86 before. */
#include "../child.h"
#include "../support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>

enum { TRUE_END = 42, A_WHILE_US = 400000 };

static thrum_thread threads[2];
static thrum_lock lock;
static thrum_cond never;
static int fds[2];

static intptr_t wait_for_ever(void *arg) {
  (void)arg;
  THRUM_LOCKED(&lock) { CHECK_EQ(thrum_cond_wait(&never, &lock), 0); }
  return 0;
}

static void start_waiting(void) {
  for (int i = 0; i < 2; i++) threads[i] = must_spawn(wait_for_ever, NULL);
}

static void *end_from_outside(void *arg) {
  if (arg) CHECK(thrum_id(thrum_current()) != 0); /* one that thrum knows */
  usleep(A_WHILE_US);
  _exit(TRUE_END);
}

static int outsider(bool known) {
  pthread_t thread;
  start_waiting();
  CHECK_EQ(pthread_create(&thread, NULL, end_from_outside, known ? &thread : NULL), 0);
  return thrum_wait(threads[0]);
}

static int unknown_thread(void) { return outsider(false); }
static int foreign_thread(void) { return outsider(true); }

static intptr_t sleep_and_end(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_sleep(THRUM_US(A_WHILE_US)), 0);
  _exit(TRUE_END);
}

static int sleeper(void) {
  start_waiting();
  must_spawn(sleep_and_end, NULL);
  return thrum_wait(threads[0]);
}

static int timed_wait(void) {
  start_waiting();
  CHECK_EQ(thrum_wait_for(threads[0], THRUM_US(A_WHILE_US)), -ETIMEDOUT);
  return TRUE_END;
}

static intptr_t read_plainly(void *arg) {
  (void)arg;
  char c;
  CHECK_EQ(read(fds[0], &c, 1), 1);
  _exit(TRUE_END);
}

static intptr_t read_by_thrum(void *arg) {
  (void)arg;
  char c;
  CHECK_EQ(thrum_read(fds[0], &c, 1), 1);
  _exit(TRUE_END);
}

/* Nobody but another process can write here: what the parent says comes when it pleases. */
static int waits_for_input(thrum_fn *reader, bool bound) {
  fds[0] = 0;
  start_waiting();
  if (bound)
    must_spawn_bound(reader, NULL);
  else
    must_spawn(reader, NULL);
  CHECK(write(1, "waiting\n", 8) == 8);
  return thrum_wait(threads[0]);
}

static int plain_read(void) { return waits_for_input(read_plainly, false); }
static int plain_read_bound(void) { return waits_for_input(read_plainly, true); }
static int descriptor(void) { return waits_for_input(read_by_thrum, false); }

static intptr_t blocking_read(void *arg) { return thrum_blocking(read_plainly, arg); }
static int blocking_call(void) { return waits_for_input(blocking_read, false); }

static int main_reads(void) {
  start_waiting();
  CHECK(write(1, "waiting\n", 8) == 8);
  char c;
  return read(0, &c, 1) == 1 ? TRUE_END : 1;
}

/* main is busy with something of its own, in the kernel and on the CPU. */
static int main_busy(void) {
  start_waiting();
  usleep(A_WHILE_US / 2);
  for (int64_t end = wall_now() + A_WHILE_US * INT64_C(500); wall_now() < end;) continue;
  _exit(TRUE_END);
}

static intptr_t spin_and_end(void *arg) {
  (void)arg;
  for (int64_t end = wall_now() + A_WHILE_US * INT64_C(1000); wall_now() < end;) continue;
  _exit(TRUE_END);
}

static int hog_busy(void) {
  start_waiting();
  must_spawn(spin_and_end, NULL);
  return thrum_wait(threads[0]);
}

/* A handler that is there no more while it runs, and takes its time. */
static thrum_event from_handler;

static void set_after_a_while(int signo) {
  (void)signo;
  usleep(2 * A_WHILE_US);
  thrum_event_set(&from_handler);
}

static int handler_resets_itself(void) {
  if (TESTS_TSAN) return TRUE_END; /* it keeps signals back while a thread waits in the runtime */
  struct sigaction once = {.sa_handler = set_after_a_while, .sa_flags = SA_RESETHAND};
  struct itimerval soon = {.it_value = {.tv_usec = A_WHILE_US}};
  CHECK_EQ(sigaction(SIGALRM, &once, NULL), 0);
  CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
  thrum_event_wait(&from_handler);
  return TRUE_END;
}

static const struct child_case cases[] = {{"unknown-thread", unknown_thread},
                                          {"foreign-thread", foreign_thread},
                                          {"sleeper", sleeper},
                                          {"timed-wait", timed_wait},
                                          {"main-busy", main_busy},
                                          {"hog-busy", hog_busy},
                                          {"handler-resets-itself", handler_resets_itself},
                                          {"plain-read", plain_read},
                                          {"plain-read-bound", plain_read_bound},
                                          {"descriptor", descriptor},
                                          {"blocking-call", blocking_call},
                                          {"main-reads", main_reads},
                                          {0}};

static void ends_in_truth(struct child *child) {
  child_finish(child);
  CHECK_STATUS(*child, TRUE_END);
  child_free(child);
}

/* At once: they spend their time waiting. */
static void run_those_that_wait_for_input(void) {
  struct child children[sizeof cases / sizeof *cases];
  int first = 0;
  while (strcmp(cases[first].name, "plain-read") != 0) first++;
  for (int i = first; cases[i].name; i++) children[i] = child_start(cases[i].name, NULL);
  for (int i = first; cases[i].name; i++) child_await(&children[i], "waiting");
  usleep(A_WHILE_US); /* in which the false verdict would come */
  for (int i = first; cases[i].name; i++) child_say(&children[i], "x");
  for (int i = first; cases[i].name; i++) ends_in_truth(&children[i]);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; strcmp(cases[i].name, "plain-read") != 0; i++) {
    struct child child = child_start(cases[i].name, NULL);
    ends_in_truth(&child);
  }
  run_those_that_wait_for_input();
  return 0;
}
