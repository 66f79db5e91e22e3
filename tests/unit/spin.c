/* The small lock: excludes, and wakes who sleeps on it. */
#define _GNU_SOURCE
#include "../check.h"

#include <core/spin.h>

#include <pthread.h>
#include <sched.h>

enum { THREADS = 4, ROUNDS = 20000 };

static struct thrumi_spin lock;
static uint64_t counter; /* not atomic: the lock guards it */

static void *count(void *unused) {
  (void)unused;
  for (int i = 0; i < ROUNDS; i++) {
    thrumi_spin_lock(&lock);
    counter++;
    if (i % 1000 == 0) sched_yield(); /* so that others meet a holder that does not run */
    thrumi_spin_unlock(&lock);
  }
  return NULL;
}

static void excludes(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, count, NULL), 0);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
  CHECK_EQ(counter, THREADS * ROUNDS);
  CHECK_EQ(lock.word, THRUMI_SPIN_FREE);
}

static _Atomic int wakes;

static int count_wake(thrumi_futex *word, int n) {
  atomic_fetch_add(&wakes, 1);
  return thrumi_os_linux.futex_wake(word, n);
}

static void *take_and_leave(void *unused) {
  (void)unused;
  thrumi_spin_lock(&lock);
  thrumi_spin_unlock(&lock);
  return NULL;
}

static void sleeper_is_woken(void) {
  pthread_t thread;
  thrumi_os.futex_wake = count_wake;
  thrumi_spin_lock(&lock);
  CHECK(!thrumi_spin_try_lock(&lock));
  thrumi_spin_unlock(&lock);
  CHECK_EQ(atomic_load(&wakes), 0); /* nobody was there */
  thrumi_spin_lock(&lock);
  CHECK_EQ(pthread_create(&thread, NULL, take_and_leave, NULL), 0);
  while (atomic_load(&lock.word) != THRUMI_SPIN_CONTENDED) sched_yield();
  thrumi_spin_unlock(&lock);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK(atomic_load(&wakes) >= 1);
  CHECK_EQ(lock.word, THRUMI_SPIN_FREE);
}

int main(void) {
  excludes();
  sleeper_is_woken();
  return 0;
}
