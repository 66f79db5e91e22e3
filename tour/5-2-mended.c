/* Mended three ways
 *
 * Four threads pay in, and each gives up its worker at the wrong moment every time: between reading and writing. Without
 * a lock almost all is lost. With one, who comes meanwhile waits. THRUM_LOCKED is Python's `with lock`: any way out
 * of the block, a return or break too, releases the lock. And what is a single number needs no lock: it can be
 * added to in one step, which has no middle. */
#include <stdatomic.h>

#include <thrum.h>

enum { THREADS = 4, TIMES = 1000 };

static long balance;
static atomic_long count;
static thrum_lock lock; /* all-zero is free */

static void pay_in(long sum) {
  long read = balance;
  thrum_yield(); /* the wrong moment */
  balance = read + sum;
}

static intptr_t without(void *arg) {
  for (int i = 0; i < TIMES; i++) pay_in(1);
  return (intptr_t)arg;
}

static intptr_t with_lock(void *arg) {
  for (int i = 0; i < TIMES; i++) {
    thrum_lock_acquire(&lock);
    pay_in(1);
    thrum_lock_release(&lock);
  }
  return (intptr_t)arg;
}

static intptr_t with_block(void *arg) {
  for (int i = 0; i < TIMES; i++) {
    THRUM_LOCKED(&lock) pay_in(1);
  }
  return (intptr_t)arg;
}

static intptr_t with_atomic(void *arg) {
  for (int i = 0; i < TIMES; i++) {
    atomic_fetch_add(&count, 1);
    thrum_yield();
  }
  return (intptr_t)arg;
}

static void in_threads(const char *how, thrum_fn *fn) {
  thrum_thread threads[THREADS] = {0};
  balance = 0;
  atomic_store(&count, 0);
  for (int i = 0; i < THREADS; i++) thrum_spawn(&threads[i], fn, NULL);
  for (int i = 0; i < THREADS; i++) thrum_join(threads[i], NULL);
  long is = balance + atomic_load(&count), right = THREADS * TIMES;
  thrum_print("%-22s %5ld of %ld, %ld lost\n", how, is, right, right - is);
}

int main(void) {
  thrum_set_workers(
      1); /* one runs at a time, and it helps nothing; two at once would be a data race besides */
  in_threads("without a lock", without);
  in_threads("acquire and release", with_lock);
  in_threads("THRUM_LOCKED", with_block);
  in_threads("an atomic addition", with_atomic);
  return 0;
}
