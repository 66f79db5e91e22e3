/* In the child of a fork nobody runs a once but, if it did, who forked. A thread there that got the record, and by and by the
 * mark, of the one that ran it in the parent is another one. */
#include "../support.h"

#include <sys/wait.h>

enum { MARKS = 100000 };

static thrum_once once, forked;
static thrum_event entered, leave;
static thrum_sem hold;
static int runs;

static intptr_t run_long(void *arg) {
  ADD(runs, 1);
  thrum_event_set(&entered);
  thrum_event_wait(&leave);
  return (intptr_t)arg;
}

static intptr_t run_at_once(void *arg) { return ADD(runs, 1), (intptr_t)arg; }
static intptr_t run_it(void *arg) { return thrum_once_call(&once, run_long, arg); }

static intptr_t call_again(void *arg) {
  thrum_sem_acquire(&hold);
  return thrum_once_call_for(&once, run_at_once, arg, THRUM_S(TESTS_HANG_S));
}

/* A thread that waits for `hold`, and whose mark (slot, and the lower bits of the generation) is that of the runner. */
static thrum_thread of_the_same_mark(thrum_thread runner) {
  CHECK_EQ(must_join(runner), 0); /* its record is free */
  for (int i = 0; i < MARKS; i++) {
    thrum_thread t = must_spawn(call_again, NULL);
    if ((uint32_t)t.value == (uint32_t)runner.value) return t;
    STORE(once.word, 4); /* done: for those that we do not want */
    CHECK_EQ(thrum_sem_release(&hold, 1), 0);
    CHECK_EQ(must_join(t), 0);
  }
  check_failed(__FILE__, __LINE__, "no thread got the mark");
}

static int in_the_child(thrum_thread runner, bool other_calls) {
  uint64_t word = LOAD(once.word);
  runs = 0;
  thrum_thread other = of_the_same_mark(runner);
  STORE(once.word, word);
  if (other_calls) {
    CHECK_EQ(thrum_sem_release(&hold, 1), 0);
    CHECK_EQ(must_join(other), 0);
  } else {
    CHECK_EQ(thrum_once_call_for(&once, run_at_once, NULL, THRUM_S(1)), 0);
    CHECK_EQ(thrum_sem_release(&hold, 1), 0);
    CHECK_EQ(must_join(other), 0);
  }
  CHECK_EQ(runs, 1);
  return 41;
}

static void await_child(pid_t pid) {
  int status;
  CHECK(pid > 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 41);
}

/* The forker goes on with what it runs, in both processes, and others wait for it. */
static intptr_t wait_shortly(void *arg) {
  CHECK_EQ(thrum_once_call_for(&forked, run_at_once, arg, THRUM_MS(3)), -ETIMEDOUT);
  return 0;
}

static intptr_t fork_within(void *pid) {
  *(pid_t *)pid = fork();
  CHECK_EQ(must_join(must_spawn(wait_shortly, NULL)), 0);
  CHECK_EQ(thrum_once_call(&forked, run_at_once, NULL), -EDEADLK);
  return 0;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  thrum_thread runner = must_spawn(run_it, NULL);
  thrum_event_wait(&entered);
  for (int other_calls = 0; other_calls < 2; other_calls++) {
    pid_t pid = fork();
    if (pid == 0) exit(in_the_child(runner, other_calls));
    await_child(pid);
  }
  thrum_event_set(&leave);
  CHECK_EQ(must_join(runner), 0);
  CHECK_EQ(runs, 1);
  pid_t pid = -1;
  CHECK_EQ(thrum_once_call(&forked, fork_within, &pid), 0);
  CHECK(thrum_once_done(&forked));
  if (pid == 0) exit(41);
  await_child(pid);
  return 0;
}
