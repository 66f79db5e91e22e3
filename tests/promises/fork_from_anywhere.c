/* fork wherever a thread may call it: in a child again, pinned, and in a blocking call. The child can use all of thrum, and goes on with
 * what the thread was in the middle of. */
#include "../child.h"
#include "../support.h"

enum { GENERATIONS = 3 };

static intptr_t yield_and_return(void *arg) {
  thrum_yield();
  return (intptr_t)arg;
}

static void use_thrum(void) {
  struct hogs hogs;
  thrum_thread threads[4];
  for (int i = 0; i < 4; i++)
    threads[i] = i == 3 ? must_spawn_bound(yield_and_return, NULL) : must_spawn(yield_and_return, NULL);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  hogs_stop(&hogs);
}

static void ends_with(pid_t pid, int status) {
  int how;
  CHECK_EQ(waitpid(pid, &how, 0), pid);
  CHECK(WIFEXITED(how));
  CHECK_EQ(WEXITSTATUS(how), status);
}

/* Each child forks once more, in its main thread and in a light one. */
static intptr_t fork_again(void *arg) {
  intptr_t left = (intptr_t)arg;
  use_thrum();
  if (left == 0) return 0;
  thrum_thread me = thrum_current();
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(thrum_same(thrum_main_thread(), me));
    CHECK_EQ(thrum_active_count(), 1);
    if (left % 2)
      CHECK_EQ(fork_again((void *)(left - 1)), 0);
    else
      CHECK_EQ(must_join(must_spawn(fork_again, (void *)(left - 1))), 0);
    exit(40 + (int)left);
  }
  ends_with(pid, 40 + (int)left);
  use_thrum();
  return 0;
}

/* What was pinned is unpinned, on both sides. */
static intptr_t fork_pinned(void *arg) {
  CHECK_EQ(thrum_pin(), 0);
  CHECK_EQ(thrum_pin(), 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) use_thrum();
  CHECK_EQ(thrum_unpin(), 0);
  thrum_yield();
  CHECK_EQ(thrum_unpin(), 0);
  CHECK_EQ(thrum_unpin(), -EPERM);
  if (pid == 0) {
    use_thrum();
    exit(50);
  }
  ends_with(pid, 50);
  use_thrum();
  return (intptr_t)arg;
}

static intptr_t only_fork(void *arg) {
  (void)arg;
  return fork();
}

static intptr_t fork_and_use(void *arg) {
  pid_t pid = fork();
  (void)arg;
  if (pid == 0) use_thrum();
  return pid;
}

/* The call returns in both. */
static intptr_t fork_blocking(void *arg) {
  thrum_fn *const fns[] = {only_fork, fork_and_use};
  for (int i = 0; i < 2; i++) {
    thrum_thread me = thrum_current();
    pid_t pid = (pid_t)thrum_blocking(fns[i], NULL);
    CHECK(pid >= 0);
    CHECK(thrum_same(thrum_current(), me));
    if (pid == 0) {
      CHECK_EQ(thrum_active_count(), 1);
      use_thrum();
      CHECK_EQ(thrum_blocking(yield_and_return, (void *)7), 7);
      exit(60);
    }
    ends_with(pid, 60);
    use_thrum();
  }
  return (intptr_t)arg;
}

static void from_each_kind(thrum_fn *fn, void *arg) {
  CHECK_EQ(fn(arg), 0);
  CHECK_EQ(must_join(must_spawn(fn, arg)), 0);
  CHECK_EQ(must_join(must_spawn_bound(fn, arg)), 0);
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  from_each_kind(fork_again, (void *)GENERATIONS);
  from_each_kind(fork_pinned, NULL);
  from_each_kind(fork_blocking, NULL);
  return 0;
}
