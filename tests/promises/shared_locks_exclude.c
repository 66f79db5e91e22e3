/* A shared lock is held by one at a time, whatever process and kind of thread it is; its forms say what they do; an rlock
 * is its thread's; a wait blocks no worker, ends in time, and is cancelled where it says so. */
#include "sharing.h"

enum { PROCESSES = TESTS_FORK ? 3 : 0, THREADS = 16, ROUNDS = TESTS_SANITIZED ? 100 : 1000 };

static struct shared {
  thrum_shared_lock lock;
  thrum_shared_rlock rlock;
  int inside, sum, recursive_sum;
  int ready, go;
} * s;

/* ---- Many ------------------------------------------------------------------------------------------------------------ */

static void hold(void) {
  CHECK_EQ(ADD(s->inside, 1), 1);
  s->sum++;
  if (s->sum % 16 == 0) thrum_yield(); /* others come while it is held */
  CHECK_EQ(ADD(s->inside, -1), 0);
}

static intptr_t take_turns(void *arg) {
  for (int i = 0; i < ROUNDS; i++) {
    int error = 0;
    if ((intptr_t)arg % 3 == 0)
      while ((error = thrum_shared_lock_acquire_for(&s->lock, THRUM_US(50))) == -ETIMEDOUT) continue;
    else if ((intptr_t)arg % 3 == 1)
      while ((error = thrum_shared_lock_try_acquire(&s->lock)) == -EAGAIN) thrum_yield();
    else
      error = thrum_shared_lock_acquire(&s->lock);
    CHECK_EQ(error, 0);
    hold();
    CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  }
  return 0;
}

static intptr_t take_recursively(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), 0);
    CHECK_EQ(thrum_shared_rlock_acquire_for(&s->rlock, THRUM_S(1)), 0);
    s->recursive_sum++;
    CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
    CHECK_EQ(thrum_shared_rlock_try_acquire(&s->rlock), 0);
    s->recursive_sum++;
    CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
    CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
  }
  return 0;
}

static intptr_t be_a_process(void *arg) {
  (void)arg;
  static struct crowd crowd;
  crowd_start(&crowd, THREADS, take_turns);
  crowd_join(&crowd);
  crowd_start(&crowd, THREADS / 2, take_recursively);
  crowd_join(&crowd);
  return 0;
}

static void test_many(void) {
  pid_t pids[PROCESSES + 1];
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_child(be_a_process, NULL);
  be_a_process(NULL);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(s->sum, (PROCESSES + 1) * THREADS * ROUNDS);
  CHECK_EQ(s->recursive_sum, (PROCESSES + 1) * THREADS / 2 * ROUNDS * 2);
}

/* ---- One process ------------------------------------------------------------------------------------------------------- */

static intptr_t test_forms(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_lock_release(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_holder(&s->lock), getpid());
  CHECK_EQ(thrum_shared_lock_try_acquire(&s->lock), -EAGAIN);
  CHECK_EQ(thrum_shared_lock_acquire_for(&s->lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_lock_acquire_for(&s->lock, THRUM_MS(3)),
           -ETIMEDOUT); /* its own: waits all the same */
  CHECK_EQ(thrum_shared_lock_recover(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_holder(&s->lock), 0);
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), -EPERM);
  CHECK_EQ(thrum_shared_rlock_recover(&s->rlock), -EPERM);
  return 0;
}

static intptr_t release_for_other(void *arg) { return (void)arg, thrum_shared_lock_release(&s->lock); }
static intptr_t release_rlock(void *arg) { return (void)arg, thrum_shared_rlock_release(&s->rlock); }
static intptr_t try_rlock(void *arg) {
  (void)arg;
  int error = thrum_shared_rlock_try_acquire(&s->rlock);
  return error ? error : thrum_shared_rlock_release(&s->rlock);
}

/* Any thread of any process releases a lock; an rlock its own thread alone. */
static void test_owners(void) {
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
  CHECK_EQ(must_join(must_spawn(release_for_other, NULL)), 0);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
  CHECK_EQ(TESTS_FORK ? end_of_child(start_child(release_for_other, NULL)) : (int)release_for_other(NULL), 0);
  CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), 0);
  CHECK_EQ(must_join(must_spawn(release_rlock, NULL)), -EPERM);
  CHECK_EQ(must_join(must_spawn(try_rlock, NULL)), -EAGAIN);
  if (TESTS_FORK) CHECK_EQ(end_of_child(start_child(release_rlock, NULL)), (uint8_t)-EPERM);
  if (TESTS_FORK) CHECK_EQ(end_of_child(start_child(try_rlock, NULL)), (uint8_t)-EAGAIN);
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
}

/* ---- Waits ------------------------------------------------------------------------------------------------------------- */

static intptr_t wait_for_lock(void *arg) {
  (void)arg;
  ADD(s->ready, 1);
  int error = thrum_shared_lock_acquire_for(&s->lock, THRUM_FOREVER);
  return error ? error : thrum_shared_lock_release(&s->lock);
}

static intptr_t hold_until_told(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
  STORE(s->go, 1);
  AWAIT(LOAD(s->go) == 2);
  return thrum_shared_lock_release(&s->lock);
}

/* A hundred threads wait for another process; what runs beside them is not held up; some are cancelled. */
static void test_waits(void) {
  enum { MANY = 100 };
  thrum_thread waiters[MANY];
  struct hogs hogs;
  s->ready = 0;
  pid_t holder = start_child(hold_until_told, NULL);
  AWAIT(LOAD(s->go) == 1);
  for (int i = 0; i < MANY; i++) waiters[i] = must_spawn(wait_for_lock, NULL);
  AWAIT(LOAD(s->ready) == MANY);
  hogs_start(&hogs, 2, hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  hogs_stop(&hogs);
  for (int i = 0; i < MANY; i += 2) CHECK_EQ(thrum_cancel(waiters[i]), 0);
  for (int i = 0; i < MANY; i += 2) CHECK_EQ(must_join(waiters[i]), -ECANCELED);
  STORE(s->go, 2);
  for (int i = 1; i < MANY; i += 2) CHECK_EQ(must_join(waiters[i]), 0);
  CHECK_EQ(end_of_child(holder), 0);
}

int main(void) {
  s = share(sizeof *s);
  run_in_each_kind(test_forms, NULL);
  test_owners();
  if (TESTS_FORK) test_waits();
  test_many();
  return 0;
}
