/* thrum_child_wait parks only the thread until the child has ended, and reaps it, once: with and without descriptors of processes
 * (pidfd), which old kernels do not have. */
#include "../descriptors.h"
#include "parked.h"

#include <fcntl.h>
#include <os/os.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

enum { CHILDREN = TESTS_SANITIZED ? 20 : 100 };

static pid_t children[CHILDREN];

/* This very program, as a child: ends with that status once it is signalled. (Not by fork: ThreadSanitizer does not like
 * what thrum does in the child of one.) */
static pid_t start(int status) {
  char text[16], role[] = "child", path[] = "/proc/self/exe";
  char *const arguments[] = {path, role, text, NULL};
  pid_t pid;
  snprintf(text, sizeof text, "%d", status);
  CHECK_EQ(posix_spawn(&pid, path, NULL, NULL, arguments, environ), 0);
  return pid;
}

static int be_a_child(const char *status) {
  sigset_t set;
  int signo;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_EQ(sigwait(&set, &signo), 0);
  return atoi(status);
}

static void end(pid_t child) { CHECK_EQ(kill(child, SIGUSR1), 0); }

static intptr_t wait_for_one(void *number) {
  int i = (int)(intptr_t)number, status = -1;
  pid_t pid = thrum_child_wait(children[i], &status);
  if (pid < 0) return pid;
  CHECK_EQ(pid, children[i]);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void block_usr1(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0); /* children inherit it, and so miss none */
}

static bool is_reaped(pid_t pid) { return waitpid(pid, NULL, WNOHANG) == -1 && errno == ECHILD; }

/* Many wait, and no kernel thread does; each gets its own child's status, in whatever order they end. */
static void many(void) {
  thrum_thread threads[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) children[i] = start(i);
  uint32_t before = statistics().kernel_threads;
  for (int i = 0; i < CHILDREN; i++) threads[i] = must_spawn(wait_for_one, (void *)(intptr_t)i);
  for (int i = 0; i < CHILDREN; i++) AWAIT(is_parked(threads[i]));
  CHECK(statistics().kernel_threads < before + CHILDREN / 4);
  for (int i = CHILDREN - 1; i >= 0; i--) end(children[i]);
  for (int i = 0; i < CHILDREN; i++) CHECK_EQ(must_join(threads[i]), i);
  for (int i = 0; i < CHILDREN; i++) CHECK(is_reaped(children[i]));
}

/* Of several that wait for one child one reaps it. */
static void one_reaps(void) {
  thrum_thread threads[8];
  int got = 0, late = 0;
  children[0] = start(9);
  for (int i = 0; i < 8; i++) threads[i] = must_spawn(wait_for_one, (void *)0);
  for (int i = 0; i < 8; i++) AWAIT(is_parked(threads[i]));
  end(children[0]);
  for (int i = 0; i < 8; i++) {
    intptr_t result = must_join(threads[i]);
    got += result == 9, late += result == -ECHILD;
  }
  CHECK(got == 1 && late == 7);
  CHECK_EQ(thrum_child_wait(children[0], NULL), -ECHILD);
}

static intptr_t statuses(void *unused) {
  (void)unused;
  int status = -1;
  pid_t pid = start(3);
  CHECK_EQ(thrum_child_wait_for(pid, &status, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_child_wait_for(pid, &status, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_child_wait_for(pid, &status, THRUM_MS(3)), -ETIMEDOUT);
  CHECK_EQ(status, -1);
  end(pid);
  CHECK_EQ(thrum_child_wait_for(pid, NULL, THRUM_FOREVER), pid); /* NULL: no status is wanted */
  pid = start(0);
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(thrum_child_wait(pid, &status), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  pid = start(5);
  end(pid);
  AWAIT(thrum_child_wait_for(pid, &status, 0) == pid); /* a poll reaps as well */
  CHECK_EQ(WEXITSTATUS(status), 5);
  CHECK_EQ(thrum_child_wait(pid, &status), -ECHILD);
  CHECK_EQ(thrum_child_wait(getppid(), NULL), -ECHILD);
  CHECK_EQ(thrum_child_wait(0, NULL), -EINVAL);
  CHECK_EQ(thrum_child_wait(-1, NULL), -EINVAL);
  return 0;
}

static void cancelled(void) {
  children[0] = start(4);
  CHECK_EQ(cancelled_result(wait_for_one, (void *)0), -ECANCELED);
  CHECK_EQ(result_if_cancelled_before(wait_for_one, (void *)0), -ECANCELED);
  end(children[0]);
  CHECK_EQ(wait_for_one((void *)0), 4); /* not reaped by those */
}

/* The kernel reaps by itself: the wait ends, and says that there is no status. */
static void ignored(void) {
  struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
  CHECK_EQ(sigaction(SIGCHLD, &ignore, &before), 0);
  children[0] = start(1);
  thrum_thread t = must_spawn(wait_for_one, (void *)0);
  AWAIT(is_parked(t));
  end(children[0]);
  CHECK_EQ(must_join(t), -ECHILD);
  CHECK_EQ(sigaction(SIGCHLD, &before, NULL), 0);
}

/* ---- In a select ---------------------------------------------------------------------------------------------------------- */

static intptr_t select_child(void *unused) {
  (void)unused;
  int first = -1, second = -1;
  thrum_case cases[] = {thrum_case_child(children[0], &first), thrum_case_child(children[1], &second)};
  int at = thrum_select(cases, 2);
  if (at < 0) return at;
  CHECK_EQ(cases[at].status, 0);
  CHECK(WIFEXITED(at ? second : first) && (at ? first : second) == -1);
  return 10 * at + WEXITSTATUS(at ? second : first);
}

static void selected(void) {
  for (int which = 0; which < 2; which++) {
    children[0] = start(6), children[1] = start(7);
    thrum_thread t = must_spawn(select_child, NULL);
    AWAIT(is_parked(t));
    end(children[which]);
    CHECK_EQ(must_join(t), which ? 17 : 6);
    CHECK(is_reaped(children[which]));
    children[which] = children[!which]; /* both cases are of one child */
    t = must_spawn(select_child, NULL);
    AWAIT(is_parked(t));
    end(children[0]);
    CHECK_EQ(must_join(t) % 10, which ? 6 : 7);
    thrum_case gone[] = {thrum_case_child(children[0], NULL), thrum_case_child(0, NULL)};
    CHECK_EQ(thrum_select(gone, 1), 0);
    CHECK_EQ(gone[0].status, -ECHILD);
    CHECK_EQ(thrum_select(gone + 1, 1), 0);
    CHECK_EQ(gone[1].status, -EINVAL);
  }
}

/* ---- Without pidfd ----------------------------------------------------------------------------------------------------------- */

static int refusal;
static int refuse(pid_t pid) { return (void)pid, -refusal; }

static void without_pidfd(int error) {
  refusal = error;
  thrumi_os.process_open = refuse;
  many();
  one_reaps();
  run_in_each_kind(statuses, NULL);
  cancelled();
  ignored();
  children[0] = start(2);
  thrum_case cases[] = {thrum_case_child(children[0], NULL)};
  CHECK_EQ(thrum_select(cases, 1), 0);
  CHECK_EQ(cases[0].status, -error);
  end(children[0]);
  CHECK_EQ(wait_for_one((void *)0), 2);
  thrumi_os.process_open = thrumi_os_linux.process_open;
}

int main(int argc, char **argv) {
  if (argc == 3) return be_a_child(argv[2]);
  block_usr1();
  statuses(NULL);
  int before = open_descriptors();
  many();
  one_reaps();
  run_in_each_kind(statuses, NULL);
  cancelled();
  ignored();
  selected();
  CHECK_EQ(open_descriptors(), before);
  without_pidfd(ENOSYS);
  without_pidfd(EPERM);
  without_pidfd(EMFILE);
  CHECK_EQ(open_descriptors(), before);
  return 0;
}
