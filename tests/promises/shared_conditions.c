/* A notify lets go as many as it says, of those who wait at that moment, in whatever process, and no others; a wait that ended by itself
 * has taken none; who waits releases the lock, an rlock however deep; and who dies waiting takes no other one's notify for good. */
#include "sharing.h"

enum { PROCESSES = 3, THREADS = 6, ROUNDS = TESTS_SANITIZED ? 200 : 2000 };

static struct shared {
  thrum_shared_lock lock;
  thrum_shared_rlock rlock;
  thrum_shared_cond cond, other;
  int waiting, woken, ended, items, put, got, turn;
} * s;

static void lock(void) { CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0); }
static void unlock(void) { CHECK_EQ(thrum_shared_lock_release(&s->lock), 0); }

/* ---- Exactly so many ---------------------------------------------------------------------------------------------------- */

static intptr_t wait_once(void *arg) {
  lock();
  s->waiting++;
  CHECK_EQ(arg ? thrum_shared_cond_wait_for(&s->cond, &s->lock, THRUM_S(100))
               : thrum_shared_cond_wait(&s->cond, &s->lock),
           0);
  s->woken++;
  unlock();
  return 0;
}

static intptr_t run_waiters(void *arg) {
  static struct crowd crowd;
  crowd_start(&crowd, THREADS, wait_once);
  crowd_join(&crowd);
  return (void)arg, 0;
}

static int woken(void) {
  lock();
  int n = s->woken;
  unlock();
  return n;
}

static int waiting(void) {
  lock();
  int n = s->waiting;
  unlock();
  return n;
}

static void test_counts(void) {
  enum { ALL = PROCESSES * THREADS };
  pid_t pids[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_child(run_waiters, NULL);
  AWAIT(waiting() == ALL);
  int gone = 0;
  for (int n = 1; gone + n <= ALL; n++) {
    lock();
    CHECK_EQ(thrum_shared_cond_notify(&s->cond, n), n);
    unlock();
    gone += n;
    AWAIT(woken() >= gone);
    thrum_sleep(THRUM_MS(2)); /* time for one too many; nothing waits for it */
    CHECK_EQ(woken(), gone);
  }
  CHECK_EQ(thrum_shared_cond_notify(&s->cond, 0), 0);
  CHECK_EQ(thrum_shared_cond_notify(&s->cond, -1), 0);
  CHECK_EQ(thrum_shared_cond_notify_all(&s->cond), ALL - gone);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(woken(), ALL);
  CHECK_EQ(thrum_shared_cond_notify_all(&s->cond), 0);
}

/* ---- One process ---------------------------------------------------------------------------------------------------------- */

static intptr_t test_forms(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_cond_wait(&s->cond, &s->lock), -EPERM);
  CHECK_EQ(thrum_shared_cond_wait_rlock(&s->cond, &s->rlock), -EPERM);
  lock();
  CHECK_EQ(thrum_shared_cond_wait_for(&s->cond, &s->lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_cond_wait_for(&s->cond, &s->lock, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_lock_holder(&s->lock), getpid());
  unlock();
  CHECK_EQ(thrum_shared_cond_notify_all(&s->cond), 0);
  return 0;
}

static intptr_t wait_cancelled(void *arg) {
  (void)arg;
  lock();
  STORE(s->turn, 1);
  int error = thrum_shared_cond_wait_for(&s->cond, &s->lock, THRUM_FOREVER);
  CHECK_EQ(thrum_shared_lock_holder(&s->lock), getpid());
  unlock();
  return error;
}

static void test_cancelled(void) {
  thrum_thread t = must_spawn(wait_cancelled, NULL);
  AWAIT(LOAD(s->turn) == 1);
  CHECK_EQ(thrum_cancel(t), 0);
  CHECK_EQ(must_join(t), -ECANCELED);
}

static intptr_t wait_deep(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), 0);
  s->turn = 2;
  CHECK_EQ(thrum_shared_cond_wait_rlock(&s->cond, &s->rlock), 0);
  CHECK_EQ(s->turn, 3);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), -EPERM);
  return 0;
}

static bool may_enter(void) {
  CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), 0);
  bool may = s->turn == 2;
  if (may) {
    s->turn = 3;
    CHECK_EQ(thrum_shared_cond_notify(&s->cond, 1), 1);
  }
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
  return may;
}

static void test_deep(void) {
  pid_t pid = start_child(wait_deep, NULL);
  AWAIT(may_enter());
  CHECK_EQ(end_of_child(pid), 0);
}

/* ---- Many ------------------------------------------------------------------------------------------------------------------ */

/* A box for one item: who puts and who gets wait in one condition each, some with timeouts that come. */
static int wait_in(thrum_shared_cond *cond, int i) {
  int error = i % 3 ? thrum_shared_cond_wait(cond, &s->lock)
                    : thrum_shared_cond_wait_for(cond, &s->lock, THRUM_US(200));
  CHECK(error == 0 || error == -ETIMEDOUT);
  return error;
}

static intptr_t put_and_get(void *arg) {
  int i = (int)(intptr_t)arg;
  for (int n = 0; n < ROUNDS; n++) {
    lock();
    if (i % 2) {
      while (s->items == 1) wait_in(&s->cond, i);
      s->items++;
      s->put++;
      thrum_shared_cond_notify(&s->other, 1);
    } else {
      while (s->items == 0) wait_in(&s->other, i);
      s->items--;
      s->got++;
      thrum_shared_cond_notify(&s->cond, 1);
    }
    unlock();
  }
  return 0;
}

static intptr_t run_box(void *arg) {
  static struct crowd crowd;
  crowd_start(&crowd, 8, put_and_get);
  crowd_join(&crowd);
  return (void)arg, 0;
}

static void test_box(void) {
  enum { OTHERS = TESTS_FORK ? 2 : 0 };
  pid_t pids[OTHERS + 1];
  for (int i = 0; i < OTHERS; i++) pids[i] = start_child(run_box, NULL);
  run_box(NULL);
  for (int i = 0; i < OTHERS; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(s->put, (OTHERS + 1) * 4 * ROUNDS);
  CHECK_EQ(s->got, (OTHERS + 1) * 4 * ROUNDS);
  CHECK_EQ(thrum_shared_cond_notify_all(&s->cond) + thrum_shared_cond_notify_all(&s->other), 0);
}

/* ---- Deaths --------------------------------------------------------------------------------------------------------------- */

static intptr_t wait_till_turn(void *arg) {
  lock();
  s->waiting++;
  int error = 0;
  while (s->turn != (int)(intptr_t)arg && !error) error = thrum_shared_cond_wait(&s->cond, &s->lock);
  CHECK_EQ(error, 0);
  s->woken++;
  unlock();
  return 0;
}

/* Of five that wait two are killed; a notify for each of the others, and for any that waits later, arrives all the same. */
static void test_deaths(void) {
  pid_t pids[5];
  for (int round = 0; round < 3; round++) {
    s->waiting = s->woken = s->turn = 0;
    for (int i = 0; i < 5; i++) pids[i] = start_numbered(wait_till_turn, 10);
    AWAIT(waiting() == 5);
    for (int i = 0; i < 2; i++) kill_child(pids[i]);
    for (int i = 2; i < 5; i++) {
      lock();
      s->turn = 10;
      CHECK_EQ(thrum_shared_cond_notify(&s->cond, 1), 1);
      unlock();
    }
    for (int i = 2; i < 5; i++) CHECK_EQ(end_of_child(pids[i]), 0);
    CHECK_EQ(woken(), 3);
  }
}

int main(void) {
  s = share(sizeof *s);
  if (TESTS_FORK) test_counts();
  run_in_each_kind(test_forms, NULL);
  test_cancelled();
  if (TESTS_FORK) test_deep();
  test_box();
  if (TESTS_FORK) test_deaths();
  return 0;
}
