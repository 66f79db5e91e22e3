/* Cancelling a scope of very many threads tells them all, however deep they lie; and who cancels stays preemptible: another thread
 * of the same worker goes on meanwhile. */
#include "scopes.h"

enum {
  THREADS = TESTS_TSAN   ? 200
            : TESTS_ASAN ? 4000
                         : 100000,
  DEPTH = TESTS_TSAN   ? 40
          : TESTS_ASAN ? 300
                       : 2000,
  WIDTH = 10
};

static int asleep, woken;

static intptr_t sleep_and_count(void *arg) {
  ADD(asleep, 1);
  CHECK_EQ(thrum_sleep(THRUM_FOREVER), -ECANCELED);
  ADD(woken, 1);
  return (intptr_t)arg;
}

static intptr_t all_at_once(void *arg) {
  thrum_scope s;
  asleep = woken = 0;
  open_plainly(&s);
  for (int i = 0; i < THREADS; i++) spawn_away(&s, sleep_and_count, NULL);
  AWAIT(LOAD(asleep) == THREADS);
  thrum_scope_cancel(&s);
  CHECK_EQ(thrum_scope_close(&s), 0);
  CHECK_EQ(woken, THREADS);
  return (intptr_t)arg;
}

/* Each thread has a scope with the next one, and some more that sleep. */
static intptr_t deeper(void *left) {
  intptr_t n = (intptr_t)left;
  int error = 1;
  THRUM_SCOPE(s, .status = &error) {
    for (int i = 0; i < WIDTH; i++)
      if (thrum_scope_spawn(&s, NULL, sleep_and_count, NULL) != 0) return -ECANCELED;
    if (n && thrum_scope_spawn(&s, NULL, deeper, (void *)(n - 1)) != 0) return -ECANCELED;
  }
  return error;
}

static intptr_t far_down(void *arg) {
  thrum_scope s;
  asleep = woken = 0;
  open_plainly(&s);
  thrum_thread t = spawn_into(&s, deeper, (void *)(intptr_t)(DEPTH - 1));
  AWAIT(LOAD(asleep) == DEPTH * WIDTH);
  thrum_scope_cancel(&s);
  CHECK_EQ(thrum_scope_close(&s), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
  CHECK_EQ(woken, DEPTH * WIDTH);
  return (intptr_t)arg;
}

int main(void) {
  CHECK_EQ(all_at_once(NULL), 0);
  CHECK_EQ(must_join(must_spawn(all_at_once, NULL)), 0);
  CHECK_EQ(must_join(must_spawn(far_down, NULL)), 0);
  CHECK_EQ(run_outside(far_down, NULL), 0);
  return 0;
}
