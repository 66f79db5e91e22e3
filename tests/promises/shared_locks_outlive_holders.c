/* Who holds a shared lock and is killed leaves it to the next one, who is told; who recovers makes it whole, who does not makes it useless
 * for all; and whatever is killed at whatever moment, nobody waits for ever and the sum is right. */
#include "sharing.h"

enum { KILLERS_MS = TESTS_SANITIZED ? 1500 : 2500, PROCESSES = 3, THREADS = 4 };

static struct shared {
  thrum_shared_lock lock;
  thrum_shared_rlock rlock;
  int ready, stop, deaths, told;
  /* A sum and how it is about to change, so that who comes next can undo half of a change. */
  int64_t sum, others, before;
  bool changing;
  int64_t rounds[64]; /* of each worker, written before its change is done */
} * s;

/* ---- One death ------------------------------------------------------------------------------------------------------------ */

static intptr_t take_and_die(void *arg) {
  int error = arg ? thrum_shared_rlock_acquire(&s->rlock) : thrum_shared_lock_acquire(&s->lock);
  if (error != 0 && error != -EOWNERDEAD) return 1;
  die();
}

static intptr_t test_told(void *arg) {
  (void)arg;
  CHECK_EQ(end_of_child(start_child(take_and_die, NULL)), -SIGKILL);
  CHECK_EQ(thrum_shared_lock_holder(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), -EOWNERDEAD);
  CHECK_EQ(thrum_shared_lock_try_acquire(&s->lock), -EAGAIN);
  CHECK_EQ(thrum_shared_lock_recover(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  return 0;
}

/* Who was told, and dies as well, leaves it to the next one; an rlock goes the same way. */
static void test_told_again(void) {
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(end_of_child(start_child(take_and_die, NULL)), -SIGKILL);
    CHECK_EQ(end_of_child(start_child(take_and_die, s)), -SIGKILL);
  }
  CHECK_EQ(thrum_shared_lock_acquire_for(&s->lock, 0), -EOWNERDEAD);
  CHECK_EQ(thrum_shared_lock_recover(&s->lock), 0);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  CHECK_EQ(thrum_shared_rlock_try_acquire(&s->rlock), -EOWNERDEAD);
  CHECK_EQ(thrum_shared_rlock_acquire(&s->rlock), 0);
  CHECK_EQ(thrum_shared_rlock_recover(&s->rlock), 0);
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
  CHECK_EQ(thrum_shared_rlock_release(&s->rlock), 0);
}

/* ---- Waiting for one that dies ------------------------------------------------------------------------------------------ */

static intptr_t hold(void *arg) {
  (void)arg;
  if (thrum_shared_lock_acquire(&s->lock) != 0) return 1;
  STORE(s->ready, 1);
  for (;;) thrum_sleep(THRUM_S(1));
}

static intptr_t await_told(void *arg) {
  (void)arg;
  ADD(s->told, 1);
  int error = thrum_shared_lock_acquire(&s->lock);
  if (error == -EOWNERDEAD) {
    ADD(s->deaths, 1);
    CHECK_EQ(thrum_shared_lock_recover(&s->lock), 0);
  } else {
    CHECK_EQ(error, 0);
  }
  return thrum_shared_lock_release(&s->lock);
}

/* Of all who wait, in three processes, one is told. */
static void test_waiters(void) {
  static struct crowd crowd;
  s->ready = s->told = s->deaths = 0;
  pid_t holder = start_child(hold, NULL), others[2];
  AWAIT(LOAD(s->ready));
  for (int i = 0; i < 2; i++) others[i] = start_child(await_told, NULL);
  crowd_start(&crowd, 8, await_told);
  AWAIT(LOAD(s->told) == 10);
  kill_child(holder);
  crowd_join(&crowd);
  for (int i = 0; i < 2; i++) CHECK_EQ(end_of_child(others[i]), 0);
  CHECK_EQ(s->deaths, 1);
}

static intptr_t await_useless(void *arg) {
  (void)arg;
  ADD(s->told, 1);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), -ENOTRECOVERABLE);
  return 0;
}

static void test_useless(void) {
  static struct crowd crowd;
  s->told = 0;
  CHECK_EQ(end_of_child(start_child(take_and_die, NULL)), -SIGKILL);
  CHECK_EQ(thrum_shared_lock_acquire(&s->lock), -EOWNERDEAD);
  pid_t other = start_child(await_useless, NULL);
  crowd_start(&crowd, 8, await_useless);
  AWAIT(LOAD(s->told) == 9);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), -ENOTRECOVERABLE);
  crowd_join(&crowd);
  CHECK_EQ(end_of_child(other), 0);
  CHECK_EQ(thrum_shared_lock_try_acquire(&s->lock), -ENOTRECOVERABLE);
  CHECK_EQ(thrum_shared_lock_release(&s->lock), -ENOTRECOVERABLE);
  CHECK_EQ(thrum_shared_lock_recover(&s->lock), -EPERM);
  s->lock = (thrum_shared_lock){0};
}

/* ---- Killed at random --------------------------------------------------------------------------------------------------- */

static void undo(void) {
  if (LOAD(s->changing)) {
    s->sum = s->before;
    s->others = -s->before;
  }
  STORE(s->changing, false);
  s->deaths++;
}

static void change(void) {
  CHECK_EQ(s->sum, -s->others);
  s->before = s->sum;
  STORE(s->changing, true);
  s->sum++;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  s->others--;
  STORE(s->changing, false);
}

static intptr_t change_for_ever(void *arg) {
  for (;;) {
    int error = (intptr_t)arg % 2 ? thrum_shared_lock_acquire_for(&s->lock, THRUM_MS(1))
                                  : thrum_shared_lock_acquire(&s->lock);
    if (error == -ETIMEDOUT) continue;
    if (error == -EOWNERDEAD) undo();
    if (error == -EOWNERDEAD)
      CHECK_EQ(thrum_shared_lock_recover(&s->lock), 0);
    else
      CHECK_EQ(error, 0);
    change();
    if (LOAD(s->stop)) return thrum_shared_lock_release(&s->lock);
    CHECK_EQ(thrum_shared_lock_release(&s->lock), 0);
  }
}

static intptr_t be_a_victim(void *arg) {
  thrum_thread threads[THREADS];
  (void)arg;
  for (intptr_t i = 0; i < THREADS; i++) threads[i] = must_spawn(change_for_ever, (void *)i);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

static void test_random_kills(void) {
  pid_t pids[PROCESSES];
  unsigned seed = (unsigned)wall_now(), kills = 0;
  s->deaths = 0;
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_child(be_a_victim, NULL);
  for (int64_t end = wall_now() + KILLERS_MS * INT64_C(1000000); wall_now() < end; kills++) {
    int victim = rand_r(&seed) % PROCESSES;
    thrum_sleep(THRUM_US(rand_r(&seed) % 20000));
    kill_child(pids[victim]);
    int64_t sum = LOAD(s->sum);
    pids[victim] = start_child(be_a_victim, NULL);
    AWAIT(LOAD(s->sum) != sum); /* whoever died, the others go on */
  }
  STORE(s->stop, 1);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(s->sum, -s->others);
  CHECK(s->sum > 0);
  printf("%u killed, %d of them held the lock, %lld changes\n", kills, s->deaths, (long long)s->sum);
}

/* A thread with the number that a dead holder's thread had does not take for its own what another thread of its process gets next. */
static thrum_shared_rlock *ours;
static int wanted, had;

static intptr_t die_with_rlock(void *unused) {
  (void)unused;
  int error = thrum_shared_rlock_acquire(ours);
  if (error && error != -EOWNERDEAD) return 1;
  die();
}

static void *take_it_next(void *rounds) {
  for (int n = 1; n <= (int)(intptr_t)rounds; n++) {
    while (LOAD(wanted) != n) sched_yield();
    CHECK_EQ(thrum_shared_rlock_acquire(ours), -EOWNERDEAD);
    CHECK_EQ(thrum_shared_rlock_recover(ours), 0);
    CHECK_EQ(thrum_shared_rlock_release(ours), 0);
    STORE(had, n);
  }
  return NULL;
}

static void test_numbers_of_the_dead(void) {
  enum { ROUNDS = TESTS_SANITIZED ? 20 : 200 };
  pthread_t other;
  ours = share(sizeof *ours);
  CHECK_EQ(pthread_create(&other, NULL, take_it_next, (void *)(intptr_t)ROUNDS), 0);
  for (int n = 1; n <= ROUNDS; n++) {
    CHECK_EQ(end_of_child(start_child(die_with_rlock, NULL)), -SIGKILL);
    STORE(wanted, n);
    while (LOAD(had) != n) CHECK_EQ(thrum_shared_rlock_recover(ours), -EPERM);
  }
  CHECK_EQ(pthread_join(other, NULL), 0);
}

int main(void) {
  if (!TESTS_FORK) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  s = share(sizeof *s);
  run_in_each_kind(test_told, NULL);
  test_told_again();
  test_waiters();
  test_useless();
  test_numbers_of_the_dead();
  test_random_kills();
  return 0;
}
