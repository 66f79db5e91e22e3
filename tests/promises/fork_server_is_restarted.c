/* The fork server may be killed at any moment: children that run go on and tell how they end, and the next start has another server. With
 * server and children killed at random for a while, every start succeeds, every join ends, and neither processes nor descriptors
 * are left over. */
#include "processes.h"

#include "../stress/random.h"

#include <sys/syscall.h>

enum {
  STARTERS = 3,
  FOR_MS = TESTS_SANITIZED ? 5000 : 2500,
  KILLS_LEAST = TESTS_SANITIZED ? 1 : 6,
  WHOLE_LEAST = TESTS_SANITIZED ? 1 : 10
};

THRUM_TASK(parent_number) {
  pid_t parent = getppid();
  return thrum_out_write(out, &parent, sizeof parent);
}

/* Ends when the pipe that it is handed has something to read, or its end. */
THRUM_TASK(wait_for_word) {
  char byte;
  ssize_t n = read(thrum_inherited_fd(0), &byte, 1);
  return n == 1 && byte == '!' ? 0 : (int)thrum_fail(EIO, "nobody said it");
}

THRUM_TASK(double_it) {
  uint64_t v;
  memcpy(&v, in, size);
  v *= 2;
  return thrum_out_write(out, &v, sizeof v);
}

static pid_t parent_of_child(void) {
  const void *data;
  size_t size;
  pid_t pid = 0;
  thrum_process *p = must_start(THRUM_FORKSERVER, &parent_number, NULL, 0);
  must_end(p);
  if (thrum_process_result(p, &data, &size) == 0) memcpy(&pid, data, sizeof pid);
  thrum_process_release(p);
  return pid;
}

/* A pidfd of the present server: of a child of ours, or of nobody. Whoever signals by it meets nobody else. (If its server has just been
 * killed, a child has another parent.) */
static int server_pidfd(pid_t *pid) {
  for (;;) {
    pid_t parent = 0;
    *pid = parent_of_child();
    int fd = *pid > 1 ? (int)syscall(SYS_pidfd_open, *pid, 0) : -1;
    if (fd >= 0 && state_of(*pid, &parent) != ' ' && parent == getpid()) return fd;
    if (fd >= 0) close(fd);
  }
}

static void must_signal(int pidfd, int signo) {
  CHECK_EQ(syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0), 0);
}

static bool has_ended(int pidfd) {
  struct pollfd end = {.fd = pidfd, .events = POLLIN};
  return poll(&end, 1, 0) == 1;
}

/* The first one ends well, the second is killed, after the server. */
static void killed_by(int signo) {
  int word[2];
  pid_t first, second;
  int server = server_pidfd(&first);
  CHECK(first != getpid());
  CHECK_EQ(pipe2(word, O_CLOEXEC), 0);
  thrum_process_options o = with_method(THRUM_FORKSERVER);
  o.descriptors = &word[0];
  o.descriptor_count = 1;
  thrum_process *well = must_start_with(&o, &wait_for_word, NULL, 0);
  thrum_process *killed = must_start_with(&o, &wait_for_word, NULL, 0);
  must_signal(server, signo);
  if (signo == SIGKILL) AWAIT(has_ended(server));
  int next = server_pidfd(&second);
  CHECK_EQ(second != first,
           signo == SIGKILL); /* the others are for this process, and leave the server alone */
  CHECK(thrum_process_is_alive(well) && thrum_process_is_alive(killed));
  CHECK_EQ(thrum_process_kill(killed), 0);
  int code = 0, error = thrum_process_join(killed, &code);
  CHECK(error == 0 ? code == -SIGKILL : error == -ECHILD && signo == SIGKILL && !kernel_keeps_ends());
  CHECK_EQ(thrum_process_result(killed, NULL, NULL), -EPIPE);
  CHECK_EQ(write(word[1], "!", 1), 1);
  CHECK_EQ(must_end(well), 0);
  CHECK_EQ(thrum_process_result(well, NULL, NULL), 0);
  thrum_process_release(well);
  thrum_process_release(killed);
  close(word[0]), close(word[1]), close(server), close(next);
}

/* ---- At random ----------------------------------------------------------------------------------------------------------- */

static bool stop;
static uint64_t whole, broken, without_code;

static void one_start(uint64_t v, bool kill_it) {
  const void *data;
  size_t size;
  int code = -1000;
  thrum_process *p = NULL;
  CHECK_EQ(thrum_process_start(&p, NULL, &double_it, &v, sizeof v), 0);
  if (kill_it) CHECK_EQ(thrum_process_kill(p), 0);
  int error = thrum_process_join(p, &code);
  CHECK(error == 0 ? code == 0 || (kill_it && code == -SIGKILL)
                   : error == -ECHILD && kill_it && !kernel_keeps_ends());
  int result = thrum_process_result(p, &data, &size);
  if (result == 0) {
    uint64_t got;
    CHECK_EQ(size, sizeof got);
    memcpy(&got, data, sizeof got);
    CHECK_EQ(got, 2 * v);
    ADD(whole, 1);
  } else {
    CHECK(result == -EPIPE && kill_it);
    ADD(broken, 1);
  }
  if (error) ADD(without_code, 1);
  thrum_process_release(p);
}

static intptr_t starter(void *seed) {
  uint64_t random = (uint64_t)(uintptr_t)seed;
  for (uint64_t i = 0; !LOAD(stop); i++) one_start(i, draw(&random, 4) == 0);
  return 0;
}

static void at_random(void) {
  thrum_thread starters[STARTERS];
  uint64_t random = 4711;
  uint64_t kills = 0;
  int64_t end = wall_now() + FOR_MS * INT64_C(1000000);
  for (intptr_t i = 0; i < STARTERS; i++) starters[i] = must_spawn(starter, (void *)(i + 1));
  while (wall_now() < end || kills < KILLS_LEAST || LOAD(whole) < WHOLE_LEAST) {
    pid_t pid;
    int server = server_pidfd(&pid); /* may be that of a server that somebody has started since */
    thrum_sleep(THRUM_US(draw(&random, 8000)));
    must_signal(server, SIGKILL);
    close(server);
    kills++;
  }
  STORE(stop, true);
  for (int i = 0; i < STARTERS; i++) CHECK_EQ(must_join(starters[i]), 0);
  printf("%llu servers killed; %llu whole, %llu broken, %llu without a code\n", (unsigned long long)kills,
         (unsigned long long)whole, (unsigned long long)broken, (unsigned long long)without_code);
  CHECK(kills >= KILLS_LEAST && whole >= WHOLE_LEAST);
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  killed_by(SIGINT);
  int before = open_descriptors();
  killed_by(SIGKILL);
  killed_by(SIGINT);
  killed_by(SIGKILL);
  at_random();
  AWAIT(count_children(getpid(), true) == 0);
  AWAIT(count_children(getpid(), false) <=
        1); /* the last server; one that was killed may take a while to go */
  thrum_process *list[1];
  AWAIT(thrum_processes(list, 1) == 0);
  must_end_with(must_start(THRUM_FORKSERVER, &parent_number, NULL, 0), 0);
  AWAIT(open_descriptors() <= before);
  return 0;
}
