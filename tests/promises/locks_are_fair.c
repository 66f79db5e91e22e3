/* Nobody waits for ever, though its holder releases it and takes it again at once. A holder here takes it again right after
 * each release, and still holds it when the one that was woken has come and queued again. Once threads have waited for a
 * millisecond,
 *
 *  - of a lock, or a semaphore's one unit: a release may wake the first of them in vain, once; the next release serves all of
 *    them, in their order, before the holder gets it back, and before any of them has it for a second time: n in n holds;
 *  - of a readers-writer lock: each release is such a one, for writers, and lets in all readers, however long these have waited.
 *
 * Without the hand-over it would go on until the holder is interrupted in the one moment that counts. */
#include "queues.h"

enum { TIMES = TESTS_SANITIZED ? 2 : 4, LINE = 6 };

static thrum_lock lock;
static thrum_rlock rlock;
static thrum_rwlock rwlock;
static thrum_sem sem = THRUM_SEM_INIT(1);

static void take_lock(void) { thrum_lock_acquire(&lock); }
static int try_lock(void) { return thrum_lock_try_acquire(&lock); }
static int give_lock(void) { return thrum_lock_release(&lock); }
static void take_rlock(void) { thrum_rlock_acquire(&rlock); }
static int try_rlock(void) { return thrum_rlock_try_acquire(&rlock); }
static int give_rlock(void) { return thrum_rlock_release(&rlock); }
static void take_write(void) { thrum_rwlock_acquire_write(&rwlock); }
static int try_write(void) { return thrum_rwlock_try_acquire_write(&rwlock); }
static int give_write(void) { return thrum_rwlock_release_write(&rwlock); }
static void take_read(void) { thrum_rwlock_acquire_read(&rwlock); }
static int give_read(void) { return thrum_rwlock_release_read(&rwlock); }
static void take_unit(void) { thrum_sem_acquire(&sem); }
static int try_unit(void) { return thrum_sem_try_acquire(&sem); }
static int give_unit(void) { return thrum_sem_release(&sem, 1); }

static const struct kind {
  void (*take)(void); /* the holder's */
  int (*give)(void);
  void (*take_once)(void); /* a waiter's */
  int (*give_once)(void);
  int in_vain;      /* so many releases may serve nobody */
  int (*try)(void); /* by who has just had it; NULL: they come all at once */
} kinds[] = {
    {take_lock, give_lock, take_lock, give_lock, 1, try_lock},
    {take_rlock, give_rlock, take_rlock, give_rlock, 1, try_rlock},
    {take_write, give_write, take_write, give_write, 0, try_write},
    {take_write, give_write, take_read, give_read, 0, NULL},
    {take_unit, give_unit, take_unit, give_unit, 1, try_unit},
};

struct waiter {
  const struct kind *of;
  thrum_thread handle; /* as it says itself */
  int place;
  pthread_t foreign;
};

static int served, gone, queued;
static bool handed_over; /* the next release serves all */

static void want_again(const struct kind *of, bool in_turn) {
  if (!of->try || of->try() != 0) return;
  if (in_turn && LOAD(served) != LOAD(queued))
    check_failed(__FILE__, __LINE__, "kind %d: one of the first %d of %d waiters had it again",
                 (int)(of - kinds), served, queued);
  CHECK_EQ(of->give_once(), 0);
}

static intptr_t wait_once(void *arg) {
  struct waiter *w = arg;
  STORE(w->handle.value, thrum_current().value);
  w->of->take_once();
  bool in_turn = LOAD(handed_over);
  w->place = ADD(served, 1) - 1;
  CHECK_EQ(w->of->give_once(), 0);
  want_again(w->of, in_turn);
  ADD(gone, 1);
  return 0;
}

static void *wait_outside(void *w) { return (void *)wait_once(w); }

static bool is_parked(struct waiter *w) {
  return LOAD(w->handle.value) && queue_parked((thrum_thread){LOAD(w->handle.value)});
}

/* Light, bound, foreign ones, each queued before the next one comes. */
static void queue_up(const struct kind *of, struct waiter *line, int n) {
  for (int i = 0; i < n; i++) {
    line[i] = (struct waiter){.of = of, .place = -1};
    if (i % 3 == 2)
      CHECK_EQ(pthread_create(&line[i].foreign, NULL, wait_outside, &line[i]), 0);
    else
      (void)(i % 3 ? must_spawn_bound(wait_once, &line[i]) : must_spawn(wait_once, &line[i]));
    AWAIT(is_parked(&line[i]));
  }
}

/* The caller holds it, and gets it again and again until all have had it. */
static void hold_until_served(const struct kind *of, struct waiter *line, int n) {
  for (int in_vain = 0; served < n;) {
    int before = served;
    AWAIT(LOAD(gone) == served && is_parked(&line[served])); /* whom these woke has come back */
    STORE(handed_over, in_vain == of->in_vain);
    CHECK_EQ(of->give(), 0);
    of->take();
    if (served == before) CHECK(++in_vain <= of->in_vain);
    if (handed_over) CHECK_EQ(served, n);
  }
  for (int i = 0; of->try && i < n; i++) CHECK_EQ(line[i].place, i);
}

static void serve(const struct kind *of, int n) {
  struct waiter line[LINE];
  served = gone = 0;
  queued = n;
  STORE(handed_over, false);
  of->take();
  queue_up(of, line, n);
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0); /* longer than the millisecond after which it is handed over */
  hold_until_served(of, line, n);
  CHECK_EQ(of->give(), 0);
  for (int i = 0; i < n; i++)
    if (i % 3 == 2)
      CHECK_EQ(pthread_join(line[i].foreign, NULL), 0);
    else
      CHECK_EQ(thrum_join(line[i].handle, NULL), 0);
}

static intptr_t hold(void *arg) {
  (void)arg;
  for (int i = 0; i < TIMES; i++)
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
      for (int n = 1; n <= LINE; n += LINE - 1) serve(&kinds[k], n);
  return 0;
}

int main(void) {
  run_in_each_kind(hold, NULL);
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(rwlock.word, 0);
  CHECK_EQ(thrum_sem_value(&sem), 1);
  return 0;
}
