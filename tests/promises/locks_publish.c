/* What a thread wrote before it released a lock is seen by who takes it next, plain data included: message passing and store
 * buffering, through locks, recursive locks and conditions, among light, bound and foreign threads. Under
 * ThreadSanitizer this is also a test that it sees the order and reports none of these accesses. */
#include "../support.h"

enum { ROUNDS = TESTS_SANITIZED ? 2000 : 20000 };

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_cond changed;
static long data, flag, taken; /* not atomic */
static long x, y, saw_x, saw_y;
static int met;

/* ---- Message passing ----------------------------------------------------------------------------------- */

static void write_message(long i) {
  data = i;
  flag = i;
}

static bool read_message(long i) {
  if (flag < i) return false;
  CHECK(data >= i);
  taken = i;
  return true;
}

static intptr_t write_by_lock(void *arg) {
  for (long i = 1; i <= ROUNDS; i++) THRUM_LOCKED(&lock) {
      write_message(i);
      if (i % 16 == 0) thrum_cond_notify(&changed, 1);
    }
  return (intptr_t)arg;
}

static intptr_t read_by_lock(void *arg) {
  for (bool last = false; !last;) {
    THRUM_LOCKED(&lock) {
      if (flag < ROUNDS) {
        int error = thrum_cond_wait_for(&changed, &lock, THRUM_US(100));
        CHECK(error == 0 || error == -ETIMEDOUT);
      }
      last = read_message(ROUNDS);
      CHECK_EQ(data, flag);
    }
  }
  return (intptr_t)arg;
}

static intptr_t write_by_rlock(void *arg) {
  for (long i = 1; i <= ROUNDS; i++) THRUM_RLOCKED(&rlock) THRUM_RLOCKED(&rlock) write_message(i);
  return (intptr_t)arg;
}

static intptr_t read_by_rlock(void *arg) {
  for (bool last = false; !last;) {
    thrum_yield();
    THRUM_RLOCKED(&rlock) {
      last = read_message(ROUNDS);
      CHECK_EQ(data, flag);
    }
  }
  return (intptr_t)arg;
}

static void pass(thrum_fn *writer, thrum_fn *reader) {
  data = flag = taken = 0;
  thrum_thread light = must_spawn(reader, NULL), bound = must_spawn_bound(reader, NULL);
  CHECK_EQ(run_outside(writer, NULL), 0);
  CHECK_EQ(must_join(light), 0);
  CHECK_EQ(must_join(bound), 0);
  CHECK_EQ(taken, ROUNDS);
}

/* ---- Store buffering ------------------------------------------------------------------------------------ */

static void meet(int round) {
  ADD(met, 1);
  for (int i = 0; LOAD(met) < 2 * (round + 1); i++)
    if (i > 100) thrum_yield();
}

static intptr_t write_x_read_y(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS / 10; i++) {
    meet(3 * i);
    THRUM_LOCKED(&lock) x = 1;
    THRUM_LOCKED(&lock) saw_y = y;
    meet(3 * i + 1);
    CHECK(saw_x || saw_y);
    x = y = 0; /* the other one waits */
    meet(3 * i + 2);
  }
  return 0;
}

static intptr_t write_y_read_x(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS / 10; i++) {
    meet(3 * i);
    THRUM_LOCKED(&lock) y = 1;
    THRUM_LOCKED(&lock) saw_x = x;
    meet(3 * i + 1);
    meet(3 * i + 2);
  }
  return 0;
}

int main(void) {
  pass(write_by_lock, read_by_lock);
  pass(write_by_rlock, read_by_rlock);
  thrum_thread t = must_spawn(write_x_read_y, NULL);
  CHECK_EQ(run_outside(write_y_read_x, NULL), 0);
  CHECK_EQ(must_join(t), 0);
  return 0;
}
