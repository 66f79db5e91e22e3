/* fork in a program with threads: the forker is the child's main thread and can use all of thrum
 * there, the others count as ended; the parent notices nothing. */
#include "../child.h"
#include "../support.h"

enum { FORKERS = 16 };

static thrum_thread bystander;
static bool stop;
static thrum_local local;

static intptr_t stay(void *arg) {
  (void)arg;
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  return 12;
}

static intptr_t twice(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_US(50)), 0);
  thrum_yield();
  return 2 * (intptr_t)arg;
}

static intptr_t write_one(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return thrum_write(*(int *)arg, "x", 1);
}

/* All of it anew: spawn, join, sleep, descriptors, bound threads, preemption. */
static void use_thrum(void) {
  thrum_thread threads[8];
  for (int i = 0; i < 8; i++)
    threads[i] =
        i % 4 ? must_spawn(twice, (void *)(intptr_t)i) : must_spawn_bound(twice, (void *)(intptr_t)i);
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(threads[i]), 2 * i);
  int fds[2];
  char c;
  CHECK_EQ(pipe(fds), 0);
  thrum_thread writer = must_spawn(write_one, &fds[1]);
  CHECK_EQ(thrum_read(fds[0], &c, 1), 1);
  CHECK_EQ(must_join(writer), 1);
  struct hogs hogs;
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  hogs_stop(&hogs);
}

static intptr_t join_one(void *arg) {
  intptr_t result = -1;
  CHECK_EQ(thrum_join(must_spawn_bound(twice, arg), &result), 0);
  return result;
}

/* The record of a thread that waited when it ended with the fork serves another one, which waits as any does. */
static void use_a_dead_threads_record(void) {
  intptr_t result = -1;
  if (!bystander.value) return;
  CHECK_EQ(thrum_join(bystander, &result), 0);
  CHECK_EQ(result, 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(must_spawn(join_one, (void *)4)), 8);
}

static intptr_t join_main(void *arg) {
  (void)arg;
  return thrum_join_for(thrum_main_thread(), NULL, THRUM_MS(1));
}

static void in_the_child(thrum_thread forker, const char *name) {
  CHECK(thrum_same(thrum_current(), thrum_main_thread()));
  CHECK(thrum_same(thrum_current(), forker));
  CHECK_STR(thrum_current_name(), name);
  CHECK_EQ(thrum_native_id(thrum_current()), getpid());
  CHECK_EQ(thrum_active_count(), 1);
  CHECK(!thrum_is_alive(bystander));
  CHECK(thrum_local_get(&local) == &local);
  use_a_dead_threads_record();
  use_thrum();
  CHECK_EQ(thrum_active_count(), 1);
}

static intptr_t fork_here(void *arg) {
  char name[THRUM_NAME_MAX];
  snprintf(name, sizeof name, "%s", thrum_current_name());
  CHECK_EQ(thrum_local_set(&local, &local), 0);
  thrum_thread me = thrum_current();
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    in_the_child(me, name);
    exit(40); /* through thrum's own end */
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 40);
  CHECK(thrum_same(me, thrum_current()));
  CHECK_EQ(thrum_sleep(THRUM_US(10)), 0);
  return (intptr_t)arg;
}

/* As Python's #13817: many fork at the same time.
 *
 * Not under AddressSanitizer: gcc 12's does not take the locks of its allocator around fork. If another thread of the program
 * holds one at that moment, the child's first new thread waits for it for ever, in SizeClassAllocator64::GetFromAllocator,
 * before it comes to any code of ours (seen now and then on a busy machine). The runtime's own are kept from that: see
 * src/sched/kthread.c. */
static void many_fork(void) {
  if (TESTS_ASAN) return;
  thrum_thread threads[FORKERS];
  for (int i = 0; i < FORKERS; i++)
    threads[i] =
        i % 4 ? must_spawn(fork_here, (void *)(intptr_t)i) : must_spawn_bound(fork_here, (void *)(intptr_t)i);
  for (int i = 0; i < FORKERS; i++) CHECK_EQ(must_join(threads[i]), i);
}

/* A foreign thread that forks is "MainThread" in the child. */
static intptr_t fork_outside(void *arg) {
  (void)arg;
  CHECK(thrum_id(thrum_current()) != 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK(thrum_same(thrum_current(), thrum_main_thread()));
    CHECK_STR(thrum_current_name(), "MainThread");
    CHECK_EQ(thrum_active_count(), 1);
    CHECK_EQ(must_join(must_spawn(join_main, NULL)), -ETIMEDOUT);
    use_thrum();
    exit(41);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 41);
  return 0;
}

/* The end of the body is the end of the child's main thread: it waits for its threads. */
static intptr_t fork_and_return(void *arg) {
  int *fds = arg;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK_EQ(thrum_spawn(NULL, write_one, &fds[1]), 0);
    thrum_exit(0);
  }
  int status;
  char c;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 0);
  CHECK_EQ(read(fds[0], &c, 1), 1);
  return 0;
}

/* A child that only runs another program, while everything is busy here. */
static intptr_t exec_true(void *arg) {
  (void)arg;
  CHECK_EQ(system("exit 7") >> 8, 7);
  return 0;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  int fds[2];
  struct hogs hogs;
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(fork_here((void *)3), 3); /* thrum in its first calls */
  bystander = must_spawn(stay, NULL);
  hogs_start(&hogs, 2, hog_loop);
  CHECK_EQ(fork_here((void *)4), 4);
  many_fork();
  CHECK_EQ(run_outside(fork_outside, NULL), 0);
  CHECK_EQ(must_join(must_spawn(fork_and_return, fds)), 0);
  CHECK_EQ(must_join(must_spawn(exec_true, NULL)), 0);
  hogs_stop(&hogs);
  STORE(stop, true);
  CHECK_EQ(must_join(bystander), 12);
  return 0;
}
