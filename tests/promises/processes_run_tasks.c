/* A task in a process: bytes in, bytes out, of any size; its failure and sentence; its exit code, minus the signal for one that was
 * killed; by each method, from each kind of thread; joined by many, at any time; polls that do not wait. */
#include "processes.h"

#include <poll.h>

THRUM_TASK(twice) {
  uint64_t v;
  if (size != sizeof v) return (int)thrum_fail(EDOM, "%zu bytes", size);
  memcpy(&v, in, sizeof v);
  v *= 2;
  return thrum_out_write(out, &v, sizeof v);
}

THRUM_TASK(backwards) {
  const unsigned char *bytes = in;
  for (size_t i = size; i-- > 0;)
    if (thrum_out_write(out, &bytes[i], 1) < 0) return -ENOMEM;
  return 0;
}

THRUM_TASK(stay) {
  for (;;) thrum_sleep(THRUM_S(1000));
  return 0;
}

THRUM_TASK(exit_with) { exit(*(const int *)in); }
THRUM_TASK(leave_with) { _exit(*(const int *)in); }
THRUM_TASK(be_killed_by) { return raise(*(const int *)in); }
THRUM_TASK(fail_without_words) { return -ENOSPC; }
THRUM_TASK(succeed_with_a_number) { return 77; }

static void results(int method) {
  uint64_t v = 21, got;
  const void *data;
  size_t size;
  thrum_process *p = must_start(method, &twice, &v, sizeof v);
  CHECK_EQ(must_end(p), 0);
  CHECK_EQ(thrum_process_result(p, &data, &size), 0);
  CHECK_EQ(size, sizeof got);
  memcpy(&got, data, sizeof got);
  CHECK_EQ(got, 42);
  CHECK_STR(thrum_process_failure(p), "");
  CHECK_EQ(thrum_process_result(p, NULL, NULL), 0); /* again */
  CHECK_EQ(must_end(p), 0);
  thrum_process_release(p);
  p = must_start(method, &succeed_with_a_number, NULL, 0);
  CHECK_EQ(must_end(p), 0);
  CHECK_EQ(thrum_process_result(p, &data, &size), 0);
  CHECK_EQ(size, 0);
  thrum_process_release(p);
}

/* The message stays short up to 16 KiB; beyond that there is a file. */
static void sizes(int method) {
  static const size_t sizes[] = {0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 3 * 1024 * 1024};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    unsigned char *bytes = malloc(sizes[i] + 1);
    CHECK(bytes);
    for (size_t at = 0; at < sizes[i]; at++) bytes[at] = (unsigned char)(at * 7 + at / 251);
    thrum_process *p = must_start(method, &backwards, bytes, sizes[i]);
    const unsigned char *got;
    size_t size;
    CHECK_EQ(must_end(p), 0);
    CHECK_EQ(thrum_process_result(p, (const void **)&got, &size), 0);
    CHECK_EQ(size, sizes[i]);
    for (size_t at = 0; at < size; at++) CHECK_EQ(got[at], bytes[size - 1 - at]);
    thrum_process_release(p);
    free(bytes);
  }
}

static void failures(int method) {
  thrum_process_options o = with_method(method);
  o.error = THRUM_STDIO_CAPTURE;
  const void *text;
  size_t size;
  thrum_process *p = must_start_with(&o, &twice, "abc", 3);
  CHECK_EQ(must_end(p), 1);
  CHECK_EQ(thrum_process_result(p, &text, &size), -EDOM);
  CHECK_STR(thrum_process_failure(p), "3 bytes");
  CHECK_EQ(thrum_process_output(p, 2, &text, &size), 0);
  char line[200], expected[200];
  snprintf(line, sizeof line, "%.*s", (int)size, (const char *)text);
  snprintf(expected, sizeof expected, "Process %s: 3 bytes (%s)\n", thrum_process_name(p), strerror(EDOM));
  CHECK_STR(line, expected);
  thrum_process_release(p);
  p = must_start_with(&o, &fail_without_words, NULL, 0);
  CHECK_EQ(must_end(p), 1);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), -ENOSPC);
  CHECK_STR(thrum_process_failure(p), "");
  thrum_process_release(p);
}

static void codes(int method) {
  static const struct {
    const thrum_task *task;
    int argument, code;
  } cases[] = {
      {&exit_with, 0, 0},
      {&exit_with, 1, 1},
      {&exit_with, 255, 255},
      {&leave_with, 7, 7},
      {&be_killed_by, SIGTERM, -SIGTERM},
      {&be_killed_by, SIGUSR1, -SIGUSR1},
      {&be_killed_by, SIGKILL, -SIGKILL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    thrum_process *p = must_start(method, cases[i].task, &cases[i].argument, sizeof(int));
    CHECK_EQ(must_end(p), cases[i].code);
    CHECK_EQ(thrum_process_result(p, NULL, NULL), -EPIPE);
    thrum_process_release(p);
  }
}

static void signals(int method) {
  static int (*const end[])(thrum_process *) = {thrum_process_terminate, thrum_process_kill,
                                                thrum_process_interrupt};
  static const int signo[] = {SIGTERM, SIGKILL, SIGINT};
  for (int i = 0; i < 3; i++) {
    thrum_process *p = must_start(method, &stay, NULL, 0);
    CHECK_EQ(end[i](p), 0);
    CHECK_EQ(must_end(p), -signo[i]);
    CHECK_EQ(end[i](p), 0); /* it is dead already */
    thrum_process_release(p);
  }
}

static intptr_t join_one(void *p) { return must_end(p); }

static void waits(int method) {
  int code = 12345;
  thrum_process *p = must_start(method, &stay, NULL, 0), *list[4];
  struct pollfd end = {.fd = thrum_process_sentinel(p), .events = POLLIN};
  CHECK(thrum_process_is_alive(p));
  CHECK_EQ(thrum_process_exit_code(p, &code), -EAGAIN);
  CHECK_EQ(thrum_process_join_for(p, &code, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_process_join_for(p, &code, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_process_join_for(p, &code, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_process_result(p, NULL, NULL), -EAGAIN);
  CHECK_EQ(thrum_poll_for(&end, 1, 0), -ETIMEDOUT);
  CHECK_EQ(code, 12345);
  CHECK_EQ(thrum_processes(list, 4), 1);
  CHECK(list[0] == p);
  CHECK_EQ(kill(thrum_process_pid(p), 0), 0);
  thrum_thread joiners[8];
  for (int i = 0; i < 8; i++) joiners[i] = must_spawn(join_one, p);
  CHECK_EQ(thrum_process_kill(p), 0);
  CHECK_EQ(thrum_poll(&end, 1), 1);
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(joiners[i]), -SIGKILL);
  CHECK(!thrum_process_is_alive(p));
  CHECK_EQ(thrum_process_exit_code(p, &code), 0);
  CHECK_EQ(code, -SIGKILL);
  CHECK_EQ(thrum_processes(list, 4), 0);
  thrum_process_release(p);
}

static intptr_t all(void *unused) {
  (void)unused;
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
    results(m);
    failures(m);
    codes(m);
    signals(m);
    waits(m);
  }
  return 0;
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) sizes(m);
  run_in_each_kind(all, NULL);
  CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0); /* one child is left, the fork server, and it runs */
  return 0;
}
