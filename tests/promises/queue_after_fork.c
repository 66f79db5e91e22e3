/* In the child of a fork nobody waits in a queue, and what was in it is there: threads that waited in the parent are not met,
 * and the queue can be used, also by new threads, while the parent goes on. */
#include "queues.h"

#include <sys/wait.h>

static thrum_queue empty = THRUM_QUEUE_INIT(int, 2), full = THRUM_QUEUE_INIT(int, 1);

static intptr_t get_one(void *arg) {
  int n = -1, error = thrum_queue_get(&empty, &n);
  (void)arg;
  return error ? error : n;
}

static intptr_t put_one(void *arg) {
  int n = (int)(intptr_t)arg;
  return thrum_queue_put(&full, &n);
}

static void use_in_child(void) {
  int n = 5;
  CHECK_EQ(queue_waiters(&empty, GETTERS) + queue_waiters(&full, PUTTERS), 0);
  CHECK_EQ(thrum_queue_try_put(&empty, &n), 0);
  CHECK_EQ(thrum_queue_size(&empty), 1); /* nobody has taken it */
  CHECK_EQ(must_join(must_spawn(get_one, NULL)), 5);
  CHECK_EQ(thrum_queue_try_put(&full, &n), -EAGAIN);
  CHECK_EQ(thrum_queue_get(&full, &n), 0);
  CHECK_EQ(n, 1);
  CHECK_EQ(thrum_queue_try_get(&full, &n), -EAGAIN);
  CHECK_EQ(must_join(must_spawn(put_one, (void *)7)), 0);
  CHECK_EQ(thrum_queue_destroy(&empty), 0);
  CHECK_EQ(thrum_queue_destroy(&full), 0);
}

int main(void) {
  int n = 1, status;
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  CHECK_EQ(thrum_queue_put(&full, &n), 0);
  thrum_thread getter = must_spawn(get_one, NULL), putter = must_spawn(put_one, (void *)2);
  AWAIT(queue_waiters(&empty, GETTERS) == 1 && queue_waiters(&full, PUTTERS) == 1);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    use_in_child();
    _exit(0);
  }
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  n = 3;
  CHECK_EQ(thrum_queue_put(&empty, &n), 0);
  CHECK_EQ(must_join(getter), 3);
  CHECK_EQ(thrum_queue_get(&full, &n), 0);
  CHECK_EQ(must_join(putter), 0);
  return 0;
}
