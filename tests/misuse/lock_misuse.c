/* Locks and conditions that are used wrongly give the documented error and are as before; a block that held what nobody
 * holds any more aborts and names the thread; every way out of a block releases. */
#include "../child.h"
#include "../support.h"

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_cond cond;

/* ---- Errors -------------------------------------------------------------------------------------------- */

static intptr_t release_unheld(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_lock_release(&lock), -EPERM);
  CHECK_EQ(thrum_rlock_release(&rlock), -EPERM);
  CHECK_EQ(thrum_cond_wait(&cond, &lock), -EPERM);
  CHECK_EQ(thrum_cond_wait_rlock_for(&cond, &rlock, THRUM_S(1)), -EPERM);
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(rlock.lock.word, 0);
  CHECK_EQ(rlock.count, 0);
  return 0;
}

/* The very first call of thrum in a thread: it has no mark yet. */
static intptr_t first_call(void *arg) {
  CHECK_EQ(thrum_lock_release((thrum_lock *)arg), -EPERM);
  thrum_lock_acquire((thrum_lock *)arg);
  return thrum_lock_release((thrum_lock *)arg);
}

static intptr_t wait_in_both(void *arg) {
  (void)arg;
  thrum_lock_acquire(&lock);
  CHECK_EQ(thrum_cond_wait(&cond, &lock), 0);
  return thrum_lock_release(&lock);
}

static void destroy_with_waiters(void) {
  thrum_lock_acquire(&lock);
  thrum_thread t = must_spawn(wait_in_both, NULL);
  AWAIT(thrum_lock_destroy(&lock) == -EBUSY);
  CHECK_EQ(thrum_cond_destroy(&cond), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  AWAIT(thrum_cond_destroy(&cond) == -EBUSY);
  CHECK_EQ(thrum_lock_destroy(&lock), 0);
  thrum_lock_acquire(&lock);
  thrum_cond_notify_all(&cond); /* now it waits for the lock */
  CHECK_EQ(thrum_cond_destroy(&cond), 0);
  CHECK_EQ(thrum_lock_destroy(&lock), -EBUSY);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_lock_destroy(&lock), 0);
}

/* ---- Ways out of a block ------------------------------------------------------------------------------- */

static int by_return(void) {
  THRUM_LOCKED(&lock) return 7;
  return 0;
}

static void by_goto(void) {
  THRUM_LOCKED(&lock) goto out;
  CHECK(false);
out:
  CHECK(!thrum_lock_held(&lock));
}

static void ways_out(void) {
  int turns = 0;
  for (int i = 0; i < 3; i++) {
    THRUM_LOCKED(&lock) {
      CHECK(thrum_lock_held(&lock));
      if (i == 0) continue; /* leaves the block, not the turn of the loop */
      if (i == 1) break;
    }
    CHECK(!thrum_lock_held(&lock));
    turns++;
  }
  CHECK_EQ(turns, 3);
  CHECK_EQ(by_return(), 7);
  CHECK(!thrum_lock_held(&lock));
  by_goto();
  THRUM_RLOCKED(&rlock) THRUM_RLOCKED(&rlock) CHECK_EQ(thrum_rlock_count(&rlock), 2);
  CHECK_EQ(thrum_rlock_count(&rlock), 0);
}

/* ---- Aborts -------------------------------------------------------------------------------------------- */

static int released_within(void) {
  CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0);
  THRUM_LOCKED(&lock) CHECK_EQ(thrum_lock_release(&lock), 0);
  return 0;
}

static int rlock_released_within(void) {
  CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0);
  THRUM_RLOCKED(&rlock) CHECK_EQ(thrum_rlock_release(&rlock), 0);
  return 0;
}

static int taken_too_often(void) {
  CHECK_EQ(thrum_set_name(thrum_current(), "the-culprit"), 0);
  thrum_rlock_acquire(&rlock);
  rlock.count = UINT32_MAX;
  thrum_rlock_acquire(&rlock);
  return 0;
}

static const struct child_case cases[] = {{"released-within", released_within},
                                          {"rlock-released-within", rlock_released_within},
                                          {"taken-too-often", taken_too_often},
                                          {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; cases[i].name; i++) {
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
    CHECK_HAS(child.err_text, "the-culprit");
    child_free(&child);
  }
  run_in_each_kind(release_unheld, NULL);
  static thrum_lock fresh;
  CHECK_EQ(run_outside(first_call, &fresh), 0);
  destroy_with_waiters();
  ways_out();
  return 0;
}
