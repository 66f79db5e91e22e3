/* Promise 4: who gives up waiting takes nothing with him: the result is handed over exactly once, to one who
 * still waits, whatever timed out before or at the same moment. */
#include "../support.h"

#include <fcntl.h>

enum { ROUNDS = TESTS_SANITIZED ? 100 : 400, WAITERS = 6 };

static thrum_thread target;
static int taken, stale, waited;

static intptr_t work(void *arg) {
  for (volatile int i = 0; i < (int)(intptr_t)arg; i++) continue;
  thrum_yield();
  return (intptr_t)arg;
}

/* Short timeouts until the end comes: at every moment of the target's end somebody is giving up. */
static intptr_t join_impatiently(void *arg) {
  thrum_duration patience = THRUM_US((intptr_t)arg);
  intptr_t result = -1;
  int error;
  while ((error = thrum_join_for(target, &result, patience)) == -ETIMEDOUT) continue;
  if (error == 0) {
    CHECK(result >= 0);
    ADD(taken, 1);
  } else {
    CHECK_EQ(error, -ESRCH);
    ADD(stale, 1);
  }
  return 0;
}

static intptr_t wait_impatiently(void *arg) {
  int error;
  while ((error = thrum_wait_for(target, THRUM_US((intptr_t)arg))) == -ETIMEDOUT) continue;
  CHECK(error == 0 || error == -ESRCH);
  CHECK(!thrum_is_alive(target));
  ADD(waited, 1);
  return 0;
}

static void results_are_taken_once(void) {
  for (int round = 0; round < ROUNDS; round++) {
    thrum_thread waiters[WAITERS];
    taken = stale = waited = 0;
    target = must_spawn(work, (void *)(intptr_t)(round % 7 * 1000));
    for (int i = 0; i < WAITERS; i++)
      waiters[i] =
          must_spawn(i % 3 == 2 ? wait_impatiently : join_impatiently, (void *)(intptr_t)(i * 7 % 40));
    for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(waiters[i]), 0);
    CHECK_EQ(LOAD(taken), 1);
    CHECK_EQ(LOAD(taken) + LOAD(stale) + LOAD(waited), WAITERS);
  }
}

/* Every byte that was written is read exactly once, though most reads time out first. */
static int fds[2], bytes_read;

static intptr_t read_impatiently(void *arg) {
  (void)arg;
  for (;;) {
    char c;
    ssize_t n = thrum_read_for(fds[0], &c, 1, THRUM_US(50));
    if (n == 0) return 0;
    if (n == 1)
      ADD(bytes_read, 1);
    else
      CHECK_EQ(n, -ETIMEDOUT);
  }
}

static void bytes_are_read_once(void) {
  thrum_thread readers[WAITERS];
  CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
  for (int i = 0; i < WAITERS; i++) readers[i] = must_spawn(read_impatiently, NULL);
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(thrum_write(fds[1], "x", 1), 1);
    if (i % 10 == 0) AWAIT(LOAD(bytes_read) == i + 1);
  }
  CHECK_EQ(thrum_close(fds[1]), 0);
  for (int i = 0; i < WAITERS; i++) CHECK_EQ(must_join(readers[i]), 0);
  CHECK_EQ(LOAD(bytes_read), ROUNDS);
  CHECK_EQ(thrum_close(fds[0]), 0);
}

int main(void) {
  results_are_taken_once();
  bytes_are_read_once();
  return 0;
}
