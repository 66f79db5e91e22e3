/* A child dies with its parent, however that ends, and the child's children with it, tasks of each method and commands, also when they
 * run nothing but a loop; one that is to outlive it does not, and sees that it is gone. */
#include "processes.h"

#include <sys/syscall.h>

enum {
  DYING = METHOD_LAST + 1,
  LIVING = DYING,
  ALL = DYING + LIVING
}; /* a task of each method, and a command */

/* Handed over: where to say who one is; where the survivors are told to end. */
enum { REPORT, LEASH, GO };

struct who {
  int index;
  pid_t pid;
};

static void say_who(int index) {
  struct who who = {index, getpid()};
  CHECK_EQ(write(thrum_inherited_fd(REPORT), &who, sizeof who), sizeof who);
}

THRUM_TASK(loop) {
  say_who(*(const int *)in);
  for (volatile unsigned turns = 0;; turns++) continue;
  return 0;
}

THRUM_TASK(outlive) {
  char byte;
  alarm(4 * TESTS_HANG_S); /* should the test have failed meanwhile */
  CHECK(thrum_parent_is_alive());
  CHECK_STR(thrum_parent_name(), "the parent");
  CHECK(thrum_parent_pid() > 1);
  CHECK_EQ(thrum_parent_join_for(0), -ETIMEDOUT);
  say_who(*(const int *)in);
  CHECK_EQ(thrum_parent_join_for(THRUM_FOREVER), 0);
  CHECK(!thrum_parent_is_alive());
  CHECK_EQ(thrum_parent_join_for(0), 0);
  say_who(-1);
  return read(thrum_inherited_fd(LEASH), &byte, 1) == 1 ? 0 : -EIO;
}

/* Commands do not say who they are, but when they do: sh execs nothing here. */
static void start_command(bool outlives, const thrum_process_options *of, int index) {
  const char *const argv[] = {"sh", "-c", "read nothing", NULL};
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.outlives = outlives;
  o.input = THRUM_STDIO_FD(of->descriptors[LEASH]);
  thrum_process *p;
  CHECK_EQ(thrum_process_exec(&p, &o, argv), 0);
  struct who who = {index, thrum_process_pid(p)};
  CHECK_EQ(write(of->descriptors[REPORT], &who, sizeof who), sizeof who);
}

static intptr_t start_all(void *unused) {
  (void)unused;
  int fds[] = {thrum_inherited_fd(REPORT), thrum_inherited_fd(LEASH)}, index = 0;
  for (int living = 0; living < 2; living++) {
    thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
    o.descriptors = fds;
    o.descriptor_count = 2;
    o.outlives = living;
    for (int m = METHOD_FIRST; m <= METHOD_LAST; m++) {
      o.method = m;
      CHECK_EQ(thrum_process_start(NULL, &o, living ? &outlive : &loop, &index, sizeof index), 0);
      index++;
    }
    start_command(living, &o, index++);
  }
  return 0;
}

/* Started by a light thread, which ends, and whose kernel thread may. */
THRUM_TASK(be_parent) {
  CHECK_EQ(must_join(must_spawn(start_all, NULL)), 0);
  int how = *(const int *)in;
  char byte;
  CHECK_EQ(thrum_read(thrum_inherited_fd(GO), &byte, 1), 1);
  if (how == 0) exit(3);
  if (how == 1) abort();
  for (;;) thrum_sleep(THRUM_S(1000));
}

static bool has_ended(int pidfd) {
  struct pollfd end = {.fd = pidfd, .events = POLLIN};
  return poll(&end, 1, 0) == 1;
}

/* Has them all open before they can end. */
static void parent_ends(int method, int how) {
  int report[2], leash[2], go[2], pidfd[ALL];
  CHECK_EQ(pipe2(report, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(leash, O_CLOEXEC), 0);
  thrum_process_options o = with_method(method);
  CHECK_EQ(pipe2(go, O_CLOEXEC), 0);
  int fds[] = {report[1], leash[0], go[0]};
  o.descriptors = fds;
  o.descriptor_count = 3;
  o.name = "the parent";
  o.error = how == 0 ? THRUM_STDIO_NULL : 0;
  thrum_process *p = must_start_with(&o, &be_parent, &how, sizeof how);
  close(report[1]), close(leash[0]), close(go[0]);
  int known = 0;
  for (int gone = 0; known < ALL || gone < LIVING - 1;) {
    struct who who;
    CHECK_EQ(thrum_read(report[0], &who, sizeof who), sizeof who);
    if (who.index < 0) {
      gone++;
      continue;
    }
    pidfd[who.index] = (int)syscall(SYS_pidfd_open, who.pid, 0);
    if (++known < ALL) continue;
    if (how == 2)
      CHECK_EQ(thrum_process_kill(p), 0);
    else
      CHECK_EQ(write(go[1], "!", 1), 1);
  }
  CHECK_EQ(must_end(p), how == 0 ? 3 : how == 1 ? -SIGABRT : -SIGKILL);
  for (int i = 0; i < DYING; i++) AWAIT(pidfd[i] < 0 || has_ended(pidfd[i]));
  for (int i = DYING; i < ALL; i++) CHECK(pidfd[i] >= 0 && !has_ended(pidfd[i]));
  CHECK_EQ(write(leash[1], "\n\n\n\n", LIVING), (int)LIVING); /* a forked one holds this end itself */
  for (int i = DYING; i < ALL; i++) AWAIT(has_ended(pidfd[i]));
  for (int i = 0; i < ALL; i++)
    if (pidfd[i] >= 0) close(pidfd[i]);
  close(report[0]), close(leash[1]), close(go[1]);
  thrum_process_release(p);
}

int main(int argc, char **argv) {
  CHECK_EQ(thrum_process_main(argc, argv), 0);
  CHECK_EQ(thrum_parent_pid(), 0);
  CHECK(!thrum_parent_name());
  CHECK(!thrum_parent_is_alive());
  CHECK_EQ(thrum_parent_join_for(THRUM_FOREVER), -ECHILD);
  for (int m = METHOD_FIRST; m <= METHOD_LAST; m++)
    for (int how = 0; how < 3; how++) parent_ends(m, how);
  return 0;
}
