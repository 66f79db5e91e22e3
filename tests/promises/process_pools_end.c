/* How an executor of processes ends: with a wait or without, with what is pending or without it, by a signal, with the program, in the
 * child of a fork. */
#include "process_pools.h"

#include <sys/wait.h>

enum { BACKLOG = 10000 };

THRUM_TASK(twice) { return 2 * number_in(in); }

THRUM_TASK(sleeps) {
  usleep((useconds_t)number_in(in) * 1000);
  return 1;
}

/* Waits until the file is gone. */
THRUM_TASK(stays) {
  char path[64];
  memcpy(path, in, size);
  while (access(path, F_OK) == 0) usleep(1000);
  return 3;
}

static char path[64];

static void make_file(void) {
  strcpy(path, "/tmp/thrum-pool-XXXXXX");
  make_temporary(path);
}

static intptr_t let_them_go(void *x) {
  AWAIT(stats_of((thrum_executor *)x).cancelled > 0);
  unlink(path);
  return 0;
}

/* None ends before the others have been cancelled. */
static void pending_ones_are_cancelled_promptly(void) {
  static thrum_future *f[BACKLOG];
  thrum_executor *x = processes_of(2);
  int cancelled = 0, done = 0;
  CHECK_EQ(take(submit_number(x, &sleeps, 0)), 1);
  make_file();
  for (int i = 0; i < BACKLOG; i++) f[i] = must_submit(x, &stays, path, sizeof path);
  thrum_thread opener = must_spawn(let_them_go, x);
  CHECK_EQ(thrum_executor_shutdown(x, true, true), 0);
  CHECK_EQ(must_join(opener), 0);
  for (int i = 0; i < BACKLOG; i++) {
    intptr_t result;
    int error = thrum_future_result(f[i], &result);
    CHECK(error == -ECANCELED || (error == 0 && result == 3));
    error ? cancelled++ : done++;
    thrum_future_release(f[i]);
  }
  CHECK(done <= 8); /* those that had begun, and no more */
  CHECK_EQ(stats_of(x).cancelled, cancelled);
  CHECK_EQ(stats_of(x).threads, 0);
  thrum_executor_release(x);
}

static void what_is_queued_is_done_without_a_wait(void) {
  enum { N = 500 };
  thrum_future *f[N];
  thrum_executor *x = processes_of(2);
  for (int i = 0; i < N; i++) f[i] = submit_number(x, &twice, i);
  CHECK_EQ(thrum_executor_shutdown(x, false, false), 0);
  thrum_future *late;
  CHECK_EQ(thrum_submit_task(x, &late, &twice, &(int){1}, sizeof(int)), -EPIPE);
  thrum_executor_release(x);
  for (int i = 0; i < N; i++) CHECK_EQ(take(f[i]), 2 * i);
}

static void waits_have_timeouts(void) {
  make_file();
  thrum_executor *x = processes_of(1);
  thrum_future *f = must_submit(x, &stays, path, sizeof path), *pending = submit_number(x, &twice, 1);
  CHECK_EQ(thrum_executor_shutdown_for(x, false, THRUM_MS(20)), -ETIMEDOUT);
  CHECK(!thrum_future_done(pending));
  unlink(path);
  CHECK_EQ(thrum_executor_shutdown_for(x, false, THRUM_S(TESTS_HANG_S)), 0);
  CHECK_EQ(take(f), 3);
  CHECK_EQ(take(pending), 2);
  thrum_executor_release(x);
}

static void pending_ones_can_be_cancelled(void) {
  make_file();
  thrum_executor *x = processes_of(1);
  thrum_future *f = must_submit(x, &stays, path, sizeof path);
  AWAIT(thrum_future_running(f));
  thrum_future *pending = submit_number(x, &twice, 1);
  CHECK(thrum_future_cancel(pending));
  CHECK_EQ(thrum_future_result(pending, NULL), -ECANCELED);
  CHECK(!thrum_future_cancel(f));
  unlink(path);
  CHECK_EQ(take(f), 3);
  thrum_future_release(pending);
  end_pool(x);
}

/* One process is busy for long, with tasks sent ahead to it: another one takes them over, also when no more can come. */
static void nothing_waits_behind_what_takes_long(bool shut) {
  enum { N = 64 };
  make_file();
  thrum_executor *x = processes_of(2);
  thrum_future *f[N];
  for (int i = 0; i < N; i++)
    f[i] = i == 3 ? must_submit(x, &stays, path, sizeof path) : submit_number(x, &sleeps, 1);
  if (shut) CHECK_EQ(thrum_executor_shutdown(x, false, false), 0);
  for (int i = 0; i < N; i++)
    if (i != 3) CHECK_EQ(take(f[i]), 1);
  CHECK(!thrum_future_done(f[3]));
  unlink(path);
  CHECK_EQ(take(f[3]), 3);
  end_pool(x);
}

/* Both processes are through at about the same time, and one of them is sent a long task and one behind it: whichever way the other one looks,
 * it takes that over. */
static void who_is_idle_just_then_takes_over(void) {
  thrum_executor *x = processes_of(2);
  for (int i = 0; i < (TESTS_SANITIZED ? 30 : 200); i++) {
    make_file();
    thrum_future *busy[] = {submit_number(x, &sleeps, 1), submit_number(x, &sleeps, 1)};
    thrum_future *stay = must_submit(x, &stays, path, sizeof path), *behind = submit_number(x, &twice, i);
    CHECK_EQ(take(behind), 2 * i);
    unlink(path);
    CHECK_EQ(take(stay), 3);
    for (int b = 0; b < 2; b++) CHECK_EQ(take(busy[b]), 1);
  }
  end_pool(x);
}

static void a_signal_ends_all(void) {
  enum { N = 100 };
  thrum_future *f[N];
  int failed = 0;
  make_file();
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = 2;
  o.retries = 5;
  thrum_executor *x = processes_with(o);
  for (int i = 0; i < N; i++) f[i] = must_submit(x, &stays, path, sizeof path);
  AWAIT(thrum_executor_pids(x, NULL, 0) == 2);
  CHECK_EQ(thrum_executor_signal(x, SIGTERM), 0);
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  for (int i = 0; i < N; i++) {
    intptr_t result = 0;
    int error = thrum_future_result(f[i], &result);
    CHECK(error == -ECANCELED || result == -EOWNERDEAD);
    failed += !error;
    thrum_future_release(f[i]);
  }
  CHECK(failed <= 2);
  CHECK_EQ(thrum_executor_signal(x, SIGTERM), 0);
  thrum_executor_release(x);
  unlink(path);
}

/* Shut down at any moment of its life. */
static void it_can_be_shut_down_at_any_moment(void) {
  for (int i = 0; i < 30; i++) {
    thrum_executor *x = processes_of(2);
    thrum_future *f[20];
    for (int j = 0; j < i % 20; j++) f[j] = submit_number(x, &twice, j);
    for (int j = 0; j < i % 5; j++) thrum_sleep(THRUM_US(300));
    CHECK_EQ(thrum_executor_shutdown(x, i % 3 == 0, i % 2), 0);
    thrum_executor_release(x);
    for (int j = 0; j < i % 20; j++) {
      intptr_t result = 2 * j;
      int error = thrum_future_result(f[j], &result);
      CHECK(error == 0 || (error == -ECANCELED && i % 2));
      CHECK_EQ(result, 2 * j);
      thrum_future_release(f[j]);
    }
  }
}

/* ---- In a process of its own, whose end is looked at ------------------------------------------------------------------- */

/* An executor that nobody ends holds nothing up, and what was submitted is done. */
static void leave_it(int status) {
  thrum_executor *x = processes_of(2);
  CHECK_EQ(take(submit_number(x, &twice, 1)), 2);
  if (status == 0)
    for (int i = 0; i < 50; i++) CHECK_EQ(thrum_submit_task(x, NULL, &sleeps, &(int){1}, sizeof(int)), 0);
  exit(status);
}

THRUM_TASK(leaves_pool) {
  leave_it(number_in(in));
  return 0;
}

static void the_program_may_end(int status) {
  thrum_process *p;
  int code = -1;
  CHECK_EQ(thrum_process_start(&p, NULL, &leaves_pool, &status, sizeof status), 0);
  CHECK_EQ(thrum_process_join(p, &code), 0);
  CHECK_EQ(code, status);
  thrum_process_release(p);
}

/* In the child of a fork what was queued is the parent's, and the executor starts processes of its own. */
static void forks_leave_it_to_the_parent(void) {
  make_file();
  thrum_processes_options o = THRUM_PROCESSES_OPTIONS_INIT;
  o.processes = 1;
  o.method = THRUM_FORK;
  thrum_executor *x = processes_with(o);
  thrum_future *f = must_submit(x, &stays, path, sizeof path), *pending = submit_number(x, &twice, 4);
  AWAIT(thrum_future_running(f));
  pid_t child = fork();
  if (child == 0) {
    intptr_t result = 0;
    CHECK_EQ(thrum_future_result(f, &result), 0);
    CHECK_EQ(result, -EOWNERDEAD);
    CHECK_EQ(take(submit_number(x, &twice, 6)), 12);
    end_pool(x);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(thrum_child_wait(child, &status), child);
  CHECK_EQ(status, 0);
  unlink(path);
  CHECK_EQ(take(f), 3);
  CHECK_EQ(take(pending), 8);
  end_pool(x);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  what_is_queued_is_done_without_a_wait();
  int before = open_descriptors();
  pending_ones_are_cancelled_promptly();
  waits_have_timeouts();
  pending_ones_can_be_cancelled();
  nothing_waits_behind_what_takes_long(false);
  nothing_waits_behind_what_takes_long(true);
  who_is_idle_just_then_takes_over();
  a_signal_ends_all();
  it_can_be_shut_down_at_any_moment();
  the_program_may_end(0);
  the_program_may_end(3);
  AWAIT(open_descriptors() <= before);
  if (!TESTS_TSAN) forks_leave_it_to_the_parent();
  return 0;
}
