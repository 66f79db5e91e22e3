/* In the child of a fork nobody waits for a readers-writer lock or a barrier. What the forker held it still holds, and others
 * can have it once it is released, whatever waited in the parent. A writer that takes its lock again is a deadlock. */
#include "../child.h"
#include "../support.h"

#include <sys/wait.h>

static thrum_rwlock lock;
static thrum_barrier barrier = THRUM_BARRIER_INIT(2);
static thrum_thread threads[3];

static intptr_t read_once(void *arg) {
  THRUM_READ_LOCKED(&lock) {}
  return (intptr_t)arg;
}

static intptr_t write_once(void *arg) {
  THRUM_WRITE_LOCKED(&lock) {}
  return (intptr_t)arg;
}

static intptr_t meet(void *arg) { return (void)arg, thrum_barrier_wait(&barrier); }

static bool all_wait(void) {
  uint64_t both = THRUMI_RWLOCK_WRITERS | THRUMI_RWLOCK_READERS;
  return (LOAD(lock.word) & both) == both && thrum_barrier_waiting(&barrier) == 1;
}

/* For others the lock is as free as the forker leaves it. */
static void others_use_both(bool writer) {
  CHECK_EQ(thrum_rwlock_destroy(&lock), 0);
  if (writer) CHECK(thrum_rwlock_is_writer(&lock));
  if (!writer) CHECK_EQ(must_join(must_spawn(read_once, NULL)), 0); /* no writer waits any more */
  CHECK_EQ(writer ? thrum_rwlock_release_write(&lock) : thrum_rwlock_release_read(&lock), 0);
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(must_join(must_spawn(write_once, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(read_once, NULL)), 0);
  CHECK_EQ(thrum_barrier_waiting(&barrier), 0);
  thrum_thread other = must_spawn(meet, NULL);
  intptr_t mine = meet(NULL);
  CHECK(mine >= 0);
  CHECK_EQ(mine + must_join(other), 1);
}

static void fork_with_waiters(bool writer) {
  if (writer)
    thrum_rwlock_acquire_write(&lock);
  else
    thrum_rwlock_acquire_read(&lock);
  threads[0] = must_spawn(write_once, NULL);
  AWAIT(LOAD(lock.word) & THRUMI_RWLOCK_WRITERS);
  threads[1] = must_spawn(read_once, NULL);
  threads[2] = must_spawn(meet, NULL);
  AWAIT(all_wait());
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm(TESTS_HANG_S / 2);
    others_use_both(writer);
    _exit(42);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 42);
  CHECK_EQ(writer ? thrum_rwlock_release_write(&lock) : thrum_rwlock_release_read(&lock), 0);
  CHECK(thrum_barrier_wait(&barrier) >= 0);
  for (int i = 0; i < 3; i++) CHECK(must_join(threads[i]) >= 0);
  CHECK_EQ(lock.word, 0);
}

static int writes_twice(void) {
  thrum_rwlock_acquire_write(&lock);
  thrum_rwlock_acquire_write(&lock);
  return 0;
}

static int reads_what_it_writes(void) {
  thrum_rwlock_acquire_write(&lock);
  thrum_rwlock_acquire_read(&lock);
  return 0;
}

static const struct child_case cases[] = {
    {"writes-twice", writes_twice}, {"reads-what-it-writes", reads_what_it_writes}, {0}};

static void is_a_deadlock(const char *name, const char *waits_for) {
  struct child child = child_run(name);
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  CHECK_HAS(child.err_text, waits_for);
  CHECK_HAS(child.err_text, "itself"); /* the mark of the writer is an exact edge */
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  fork_with_waiters(false);
  fork_with_waiters(true);
  is_a_deadlock("writes-twice", "rwlock to write");
  is_a_deadlock("reads-what-it-writes", "rwlock to read");
  return 0;
}
