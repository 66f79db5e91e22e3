/* A shared rwlock lets many read or one write, in whatever processes; who reads and dies gives its reads back; who writes and
 * dies leaves it to the next one, for writing; and nobody is kept out for ever. */
#include "sharing.h"

enum { PROCESSES = TESTS_FORK ? 3 : 0, THREADS = 6, ROUNDS = TESTS_SANITIZED ? 100 : 1500, KILL_MS = 1200 };

static struct shared {
  thrum_shared_rwlock lock;
  int readers, writers, most, ready, stop, go;
  int64_t a, b;
} * s;

/* ---- Many ------------------------------------------------------------------------------------------------------------------ */

static void read_it(void) {
  int n = ADD(s->readers, 1);
  CHECK_EQ(LOAD(s->writers), 0);
  CHECK_EQ(s->a, -s->b);
  if (n > LOAD(s->most)) STORE(s->most, n);
  if (n % 2) thrum_yield();
  ADD(s->readers, -1);
}

static void write_it(void) {
  CHECK_EQ(ADD(s->writers, 1), 1);
  CHECK_EQ(LOAD(s->readers), 0);
  s->a++;
  s->b--;
  ADD(s->writers, -1);
}

static intptr_t read_and_write(void *arg) {
  for (int i = 0; i < ROUNDS; i++) {
    int error = 0;
    bool writes = (i + (intptr_t)arg) % 5 == 0;
    if (i % 7 == 0)
      while ((error = writes ? thrum_shared_rwlock_acquire_write_for(&s->lock, THRUM_US(100))
                             : thrum_shared_rwlock_acquire_read_for(&s->lock, THRUM_US(100))) == -ETIMEDOUT)
        continue;
    else if (i % 7 == 1)
      while ((error = writes ? thrum_shared_rwlock_try_acquire_write(&s->lock)
                             : thrum_shared_rwlock_try_acquire_read(&s->lock)) == -EAGAIN)
        thrum_yield();
    else
      error =
          writes ? thrum_shared_rwlock_acquire_write(&s->lock) : thrum_shared_rwlock_acquire_read(&s->lock);
    CHECK_EQ(error, 0);
    writes ? write_it() : read_it();
    CHECK_EQ(
        writes ? thrum_shared_rwlock_release_write(&s->lock) : thrum_shared_rwlock_release_read(&s->lock), 0);
  }
  return 0;
}

static intptr_t run(void *arg) {
  static struct crowd crowd;
  crowd_start(&crowd, THREADS, read_and_write);
  crowd_join(&crowd);
  return (void)arg, 0;
}

static void test_many(void) {
  pid_t pids[PROCESSES + 1];
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_child(run, NULL);
  run(NULL);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(s->a, (PROCESSES + 1) * THREADS * (ROUNDS / 5));
  CHECK_EQ(s->a, -s->b);
}

/* ---- Forms ------------------------------------------------------------------------------------------------------------------ */

static intptr_t test_forms(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_shared_rwlock_release_read(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_rwlock_release_write(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_rwlock_acquire_read(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_try_acquire_read(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_try_acquire_write(&s->lock), -EAGAIN);
  CHECK_EQ(thrum_shared_rwlock_acquire_write_for(&s->lock, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_rwlock_release_read(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_release_read(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_acquire_write(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_try_acquire_read(&s->lock), -EAGAIN);
  CHECK_EQ(thrum_shared_rwlock_acquire_read_for(&s->lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_rwlock_acquire_read_for(&s->lock, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_shared_rwlock_recover(&s->lock), -EPERM);
  CHECK_EQ(thrum_shared_rwlock_release_write(&s->lock), 0);
  return 0;
}

/* ---- Deaths ----------------------------------------------------------------------------------------------------------------- */

static intptr_t read_and_stay(void *arg) {
  (void)arg;
  if (thrum_shared_rwlock_acquire_read(&s->lock) != 0) return 1;
  ADD(s->ready, 1);
  for (;;) thrum_sleep(THRUM_S(1));
}

static intptr_t write_and_die(void *arg) {
  (void)arg;
  if (thrum_shared_rwlock_acquire_write(&s->lock) != 0) return 1;
  die();
}

static intptr_t write_once(void *arg) {
  (void)arg;
  STORE(s->go, 1);
  CHECK_EQ(thrum_shared_rwlock_acquire_write(&s->lock), 0);
  STORE(s->go, 2);
  return thrum_shared_rwlock_release_write(&s->lock);
}

static void test_deaths(void) {
  pid_t readers[2];
  for (int i = 0; i < 2; i++) readers[i] = start_child(read_and_stay, NULL);
  AWAIT(LOAD(s->ready) == 2);
  thrum_thread writer = must_spawn(write_once, NULL);
  AWAIT(LOAD(s->go) == 1);
  kill_child(readers[0]);
  CHECK_EQ(LOAD(s->go), 1);
  kill_child(readers[1]);
  CHECK_EQ(must_join(writer), 0);

  CHECK_EQ(end_of_child(start_child(write_and_die, NULL)), -SIGKILL);
  CHECK_EQ(thrum_shared_rwlock_acquire_read(&s->lock), -EOWNERDEAD); /* for writing */
  CHECK_EQ(thrum_shared_rwlock_try_acquire_read(&s->lock), -EAGAIN);
  CHECK_EQ(thrum_shared_rwlock_recover(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_release_write(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_acquire_read(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_release_read(&s->lock), 0);
  CHECK_EQ(end_of_child(start_child(write_and_die, NULL)), -SIGKILL);
  CHECK_EQ(thrum_shared_rwlock_try_acquire_write(&s->lock), -EOWNERDEAD);
  CHECK_EQ(thrum_shared_rwlock_recover(&s->lock), 0);
  CHECK_EQ(thrum_shared_rwlock_release_write(&s->lock), 0);
}

static void recover(void) {
  s->b = -s->a;
  CHECK_EQ(thrum_shared_rwlock_recover(&s->lock), 0);
}

static intptr_t go_on(void *arg) {
  while (!LOAD(s->stop)) {
    bool writes = (intptr_t)arg == 0;
    int error =
        writes ? thrum_shared_rwlock_acquire_write(&s->lock) : thrum_shared_rwlock_acquire_read(&s->lock);
    if (error == -EOWNERDEAD) {
      recover();
      writes = true;
    } else {
      CHECK_EQ(error, 0);
    }
    CHECK_EQ(s->a, -s->b);
    if (writes) {
      s->a++;
      __atomic_signal_fence(__ATOMIC_SEQ_CST);
      s->b--;
    }
    CHECK_EQ(
        writes ? thrum_shared_rwlock_release_write(&s->lock) : thrum_shared_rwlock_release_read(&s->lock), 0);
  }
  return 0;
}

static intptr_t be_a_victim(void *arg) {
  thrum_thread threads[3];
  (void)arg;
  for (intptr_t i = 0; i < 3; i++) threads[i] = must_spawn(go_on, (void *)i);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

static void test_random_kills(void) {
  pid_t pids[PROCESSES + 1];
  unsigned seed = (unsigned)wall_now(), kills = 0;
  for (int i = 0; i < PROCESSES; i++) pids[i] = start_child(be_a_victim, NULL);
  for (int64_t end = wall_now() + KILL_MS * INT64_C(1000000); wall_now() < end; kills++) {
    int victim = rand_r(&seed) % (PROCESSES + !PROCESSES);
    thrum_sleep(THRUM_US(rand_r(&seed) % 20000));
    kill_child(pids[victim]);
    int64_t a = LOAD(s->a);
    pids[victim] = start_child(be_a_victim, NULL);
    AWAIT(LOAD(s->a) != a);
  }
  STORE(s->stop, 1);
  for (int i = 0; i < PROCESSES; i++) CHECK_EQ(end_of_child(pids[i]), 0);
  CHECK_EQ(s->a, -s->b);
  printf("%u killed, %lld writes\n", kills, (long long)s->a);
}

int main(void) {
  s = share(sizeof *s);
  run_in_each_kind(test_forms, NULL);
  test_many();
  s->a = s->b = 0;
  if (!TESTS_FORK) return 0;
  test_deaths();
  test_random_kills();
  return 0;
}
