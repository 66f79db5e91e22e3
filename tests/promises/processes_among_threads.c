/* Processes beside threads: starts of all methods from many threads at once, while others allocate, print, spawn and hold locks, never
 * deadlock, and each child gives its result; a start and a join can be cancelled, and then nothing is left over; a sentinel is a case of a
 * select; who is never joined is reaped; names tell who started whom; in the child of a fork the handles are the parent's; and after
 * all that a deadlock is found as ever. */
#include "parked.h"
#include "processes.h"

enum {
  STARTERS = 6,
  ROUNDS = TESTS_SANITIZED ? 2 : 12,
  CANCELLATIONS = TESTS_SANITIZED ? 12 : 60,
  CROWD = 4
};

/* ---- A crowd ------------------------------------------------------------------------------------------------------------ */

static bool stop;
static thrum_lock lock;

static intptr_t nothing(void *unused) { return (void)unused, 0; }

static intptr_t busy(void *number) {
  for (unsigned i = 0; !LOAD(stop); i++) {
    void *block = malloc(16 + i % 5000);
    fprintf(stderr, "%s", block ? "" : "no memory");
    free(block);
    THRUM_LOCKED(&lock) { i += (unsigned)(uintptr_t)number; }
    if (i % 16 == 0) must_join(must_spawn(nothing, NULL));
  }
  return 0;
}

static intptr_t count(void *counter) { return ADD(*(uint64_t *)counter, 1) == 0; }

/* The child uses all of thrum and of libc. */
THRUM_TASK(use_all) {
  uint64_t counted = 0, v;
  thrum_thread t[8];
  memcpy(&v, in, size);
  for (int i = 0; i < 8; i++) t[i] = must_spawn(count, &counted);
  for (int i = 0; i < 8; i++) must_join(t[i]);
  char *text = malloc(100000);
  CHECK(text);
  v = v * 2 + counted;
  free(text);
  return thrum_out_write(out, &v, sizeof v);
}

static intptr_t starter(void *number) {
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t v = (uint64_t)i * 100 + (uintptr_t)number, got;
    const void *data;
    size_t size;
    thrum_process *p = must_start(METHOD_FIRST + i % METHOD_LAST, &use_all, &v, sizeof v);
    CHECK_EQ(must_end(p), 0);
    CHECK_EQ(thrum_process_result(p, &data, &size), 0);
    memcpy(&got, data, sizeof got);
    CHECK_EQ(got, 2 * v + 8);
    thrum_process_release(p);
  }
  return 0;
}

static void crowd(void) {
  thrum_thread busy_ones[CROWD], starters[STARTERS];
  for (intptr_t i = 0; i < CROWD; i++)
    busy_ones[i] = i ? must_spawn(busy, (void *)i) : must_spawn_bound(busy, NULL);
  for (intptr_t i = 0; i < STARTERS; i++)
    starters[i] = i ? must_spawn(starter, (void *)i) : must_spawn_bound(starter, NULL);
  for (int i = 0; i < STARTERS; i++) CHECK_EQ(must_join(starters[i]), 0);
  STORE(stop, true);
  for (int i = 0; i < CROWD; i++) CHECK_EQ(must_join(busy_ones[i]), 0);
}

/* ---- Cancellation, select -------------------------------------------------------------------------------------------------- */

THRUM_TASK(stay) {
  for (;;) thrum_sleep(THRUM_S(1000));
  return 0;
}

THRUM_TASK(leave) { return 0; }

static bool go;

static intptr_t start_when_told(void *unused) {
  thrum_process *p = NULL;
  while (!LOAD(go)) thrum_yield();
  int error = thrum_process_start(&p, NULL, &stay, NULL, 0);
  CHECK(!p);
  return (void)unused, error;
}

static intptr_t join_it(void *p) { return thrum_process_join(p, NULL); }

static void cancelled(void) {
  thrum_thread t = must_spawn(start_when_told, NULL);
  CHECK_EQ(thrum_cancel(t), 0);
  STORE(go, true);
  CHECK_EQ(must_join(t), -ECANCELED);
  thrum_process *p = must_start(THRUM_FORKSERVER, &stay, NULL, 0);
  t = must_spawn(join_it, p);
  AWAIT(is_parked(t));
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
  CHECK_EQ(thrum_process_kill(p), 0);
  must_end_with(p, -SIGKILL);
}

/* Cancelled at any moment of the start: a child runs if, and only if, there is a handle. */
static intptr_t start_one(void *method) {
  thrum_process *p = NULL;
  thrum_process_options o = with_method((int)(intptr_t)method);
  int error = thrum_process_start(&p, &o, &stay, NULL, 0);
  CHECK_EQ(!p, error != 0);
  if (error) return error;
  CHECK_EQ(thrum_process_kill(p), 0);
  thrum_process_release(p);
  return 0;
}

static void cancelled_at_any_moment(void) {
  int starts = 0;
  for (int i = 0; i < CANCELLATIONS; i++) {
    thrum_thread t = must_spawn(start_one, (void *)(intptr_t)(METHOD_FIRST + i % METHOD_LAST));
    thrum_sleep(THRUM_US(i * 40 * (60 / CANCELLATIONS)));
    CHECK_EQ(thrum_cancel(t), 0);
    intptr_t result = must_join(t);
    CHECK(result == 0 || result == -ECANCELED);
    starts += result == 0;
  }
  printf("%d of %d started\n", starts, CANCELLATIONS);
  thrum_process *list[1];
  AWAIT(thrum_processes(list, 1) == 0);
}

static void selected(void) {
  thrum_process *p = must_start(THRUM_FORKSERVER, &stay, NULL, 0);
  thrum_case cases[] = {thrum_case_readable(thrum_process_sentinel(p)), thrum_case_after(THRUM_MS(1))};
  CHECK_EQ(thrum_select(cases, 2), 1);
  CHECK_EQ(thrum_process_terminate(p), 0);
  CHECK_EQ(thrum_select(cases, 1), 0);
  CHECK_EQ(cases[0].status, 0);
  must_end_with(p, -SIGTERM);
}

/* ---- Nobody joins ------------------------------------------------------------------------------------------------------------ */

static void never_joined(void) {
  static const char *const yes[] = {"true", NULL};
  thrum_process *p[4];
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    thrum_process_options o = with_method(m);
    CHECK_EQ(thrum_process_start(NULL, &o, &leave, NULL, 0), 0);
    p[m - 1] = must_start(m, &leave, NULL, 0);
  }
  CHECK_EQ(thrum_process_exec(NULL, NULL, yes), 0);
  AWAIT(count_children(getpid(), false) == 1); /* the fork server; not even zombies */
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) must_end_with(p[m - 1], 0);
}

/* ---- Names, forks -------------------------------------------------------------------------------------------------------------- */

THRUM_TASK(tell_names) {
  const char *name = thrum_current_process_name();
  if (*(const char *)in) return thrum_out_write(out, name, strlen(name) + 1);
  const void *text;
  size_t length;
  thrum_process *p = must_start(*((const char *)in + 1), &tell_names, "!", 2);
  must_end(p);
  CHECK_EQ(thrum_process_result(p, &text, &length), 0);
  CHECK_STR(text, thrum_process_name(p));
  int error = thrum_out_write(out, text, length);
  thrum_process_release(p);
  return error;
}

THRUM_TASK(start_as_daemon) {
  thrum_process *p;
  static const char *const yes[] = {"true", NULL};
  CHECK_EQ(thrum_process_start(&p, NULL, &leave, NULL, 0), -EPERM);
  CHECK_EQ(thrum_process_exec(&p, NULL, yes), 0);
  must_end_with(p, 0);
  return 0;
}

static void nested(void) {
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    const void *text;
    size_t size;
    char expected[80], how[2] = {0, (char)m};
    thrum_process *p = must_start(m, &tell_names, how, sizeof how);
    CHECK_EQ(must_end(p), 0);
    CHECK_EQ(thrum_process_result(p, &text, &size), 0);
    snprintf(expected, sizeof expected, "%s:1", thrum_process_name(p));
    CHECK_STR(text, expected);
    thrum_process_release(p);
    thrum_process_options o = with_method(m);
    o.daemon = true;
    must_end_with(must_start_with(&o, &start_as_daemon, NULL, 0), 0);
  }
}

static void forked(void) {
  thrum_process *p = must_start(THRUM_FORKSERVER, &stay, NULL, 0), *list[2];
  pid_t pid = TESTS_TSAN ? -1 : fork();
  if (pid == 0) {
    CHECK_EQ(thrum_process_join(p, NULL), -ECHILD);
    CHECK_EQ(thrum_process_exit_code(p, NULL), -ECHILD);
    CHECK_EQ(thrum_process_kill(p), -ECHILD);
    CHECK_EQ(thrum_process_sentinel(p), -ECHILD);
    CHECK_EQ(thrum_process_result(p, NULL, NULL), -ECHILD);
    CHECK(!thrum_process_is_alive(p));
    CHECK_EQ(thrum_processes(list, 2), 0);
    thrum_process_release(p);
    for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) must_end_with(must_start(m, &leave, NULL, 0), 0);
    _exit(0);
  }
  if (pid > 0) {
    int status = -1;
    CHECK_EQ(thrum_child_wait(pid, &status), pid);
    CHECK_EQ(status, 0);
  }
  CHECK(thrum_process_is_alive(p));
  CHECK_EQ(thrum_process_kill(p), 0);
  must_end_with(p, -SIGKILL);
}

/* ---- Deadlocks ------------------------------------------------------------------------------------------------------------------ */

THRUM_TASK(wait_for_ever) {
  static thrum_event never;
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) must_end_with(must_start(m, &leave, NULL, 0), 0);
  thrum_event_wait(&never);
  return 0;
}

static void deadlocked(void) {
  thrum_process_options o = with_method(THRUM_SPAWN);
  o.error = THRUM_STDIO_NULL;
  thrum_process *p = must_start_with(&o, &wait_for_ever, NULL, 0);
  must_end_with(p, THRUM_EXIT_DEADLOCK);
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  crowd();
  cancelled();
  cancelled_at_any_moment();
  selected();
  never_joined();
  nested();
  forked();
  if (!TESTS_TSAN) deadlocked(); /* its own thread is a stranger, who might wake somebody */
  AWAIT(count_children(getpid(), true) == 0);
  return 0;
}
