/* What the documentation says of locks and recursive locks, sentence by sentence, for callers of each kind. */
#include "../support.h"

#include <signal.h>

static thrum_lock lock;
static thrum_rlock rlock;

/* ---- Any thread may release a lock --------------------------------------------------------------------- */

static intptr_t release_lock(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK_EQ(thrum_lock_release(&lock), -EPERM);
  CHECK(!thrum_lock_held(&lock));
  thrum_lock_acquire(&lock);
  return 0;
}

static intptr_t waits_for_lock(void *arg) {
  STORE(*(bool *)arg, true);
  thrum_lock_acquire(&lock);
  return thrum_lock_release(&lock);
}

/* Each takes what the one before it has left held; the last one leaves it to one that waits. */
static void any_thread_may_release(void) {
  bool waits = false;
  thrum_lock_acquire(&lock);
  run_in_each_kind(release_lock, NULL);
  thrum_thread t = must_spawn(waits_for_lock, &waits);
  AWAIT(LOAD(waits) && thrum_lock_destroy(&lock) == -EBUSY);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK_EQ(must_join(t), 0);
}

/* ---- Who ran out of time has changed nothing ----------------------------------------------------------- */

static intptr_t runs_out_of_time(void *arg) {
  (void)arg;
  int64_t begin = wall_now();
  CHECK_EQ(thrum_lock_acquire_for(&lock, THRUM_MS(20)), -ETIMEDOUT);
  CHECK(wall_now() - begin >= THRUM_MS(20));
  CHECK_EQ(thrum_lock_acquire_for(&lock, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_lock_acquire_for(&lock, -1), -ETIMEDOUT);
  CHECK_EQ(thrum_lock_try_acquire(&lock), -EAGAIN);
  return 0;
}

static void timed_out_acquire_does_no_harm(void) {
  thrum_lock_acquire(&lock);
  run_in_each_kind(runs_out_of_time, NULL); /* the main thread, too, which holds it: it waits for itself */
  CHECK(thrum_lock_held(&lock));
  CHECK_EQ(thrum_lock_destroy(&lock), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK(!thrum_lock_held(&lock));
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(thrum_lock_try_acquire(&lock), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  CHECK_EQ(thrum_lock_acquire_for(&lock, -1), 0); /* what needs no waiting needs no time */
  CHECK_EQ(thrum_lock_release(&lock), 0);
}

static intptr_t acquire_with(void *timeout) {
  CHECK_EQ(thrum_lock_acquire_for(&lock, *(thrum_duration *)timeout), 0);
  return thrum_lock_release(&lock);
}

/* The longest spans do not overflow into the past. */
static void long_timeouts_are_long(void) {
  static thrum_duration spans[] = {THRUM_FOREVER, INT64_MAX - 1, INT64_MAX / 2};
  for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
    thrum_lock_acquire(&lock);
    thrum_thread t = must_spawn(acquire_with, &spans[i]), b = must_spawn_bound(acquire_with, &spans[i]);
    AWAIT(thrum_lock_destroy(&lock) == -EBUSY);
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
    CHECK_EQ(thrum_lock_release(&lock), 0);
    CHECK_EQ(must_join(t), 0);
    CHECK_EQ(must_join(b), 0);
  }
}

/* ---- A signal does not end a wait, nor lengthen it ------------------------------------------------------ */

static bool waiting, ended;
static pthread_t signalled;
static int signals;

static void on_signal(int number) {
  (void)number;
  ADD(signals, 1);
}

enum { LATE_S = TESTS_HANG_S / 2 }; /* each signal would make it wait for the whole time once more */

static void *wait_half_a_second(void *arg) {
  STORE(waiting, true);
  int64_t begin = wall_now();
  CHECK_EQ(thrum_lock_acquire_for(&lock, THRUM_MS(500)), -ETIMEDOUT);
  int64_t took = wall_now() - begin;
  CHECK(took >= THRUM_MS(500));
  CHECK(took < THRUM_S(LATE_S));
  STORE(ended, true);
  return arg;
}

static intptr_t hold_it(void *until) {
  thrum_lock_acquire(&lock);
  while (!LOAD(*(bool *)until)) CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  return thrum_lock_release(&lock);
}

static void *signal_main(void *arg) {
  while (!LOAD(ended)) {
    pthread_kill(signalled, SIGUSR1);
    usleep(10000);
  }
  return arg;
}

/* Where a program's signals arrive. */
static void signals_leave_mains_deadline(void) {
  pthread_t sender;
  STORE(ended, false);
  signalled = pthread_self();
  thrum_thread holder = must_spawn(hold_it, &ended);
  AWAIT(thrum_lock_held(&lock));
  CHECK_EQ(pthread_create(&sender, NULL, signal_main, NULL), 0);
  wait_half_a_second(NULL);
  CHECK_EQ(pthread_join(sender, NULL), 0);
  CHECK_EQ(must_join(holder), 0);
}

static void signals_leave_the_deadline(void) {
  STORE(ended, false);
  STORE(waiting, false);
  thrum_lock_acquire(&lock);
  CHECK_EQ(pthread_create(&signalled, NULL, wait_half_a_second, NULL), 0);
  AWAIT(LOAD(waiting));
  while (!LOAD(ended)) {
    pthread_kill(signalled, SIGUSR1);
    CHECK_EQ(thrum_sleep(THRUM_MS(10)), 0);
  }
  CHECK_EQ(pthread_join(signalled, NULL), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
}

/* Once more where the machine has let too few signals through. ThreadSanitizer puts handlers off while a thread waits in the kernel. */
static void disturbed(void (*wait)(void), int least) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal; /* without SA_RESTART */
  CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
  do {
    STORE(signals, 0);
    wait();
  } while (LOAD(signals) < least);
}

/* ---- An rlock belongs to the thread -------------------------------------------------------------------- */

static intptr_t is_a_stranger(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_rlock_release(&rlock), -EPERM);
  CHECK_EQ(thrum_rlock_count(&rlock), 0);
  CHECK_EQ(thrum_rlock_try_acquire(&rlock), -EAGAIN);
  CHECK_EQ(thrum_rlock_acquire_for(&rlock, THRUM_MS(1)), -ETIMEDOUT);
  CHECK(thrum_rlock_held(&rlock));
  return 0;
}

static void ask_strangers(void) {
  CHECK_EQ(must_join(must_spawn(is_a_stranger, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(is_a_stranger, NULL)), 0);
  CHECK_EQ(run_outside(is_a_stranger, NULL), 0);
}

/* Taken on one kernel thread and released on another, most likely, with strangers on the same ones in between. */
static intptr_t nests(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_rlock_release(&rlock), -EPERM);
  for (uint32_t n = 1; n <= 3; n++) {
    thrum_rlock_acquire(&rlock);
    CHECK_EQ(thrum_rlock_count(&rlock), n);
    CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  }
  CHECK_EQ(thrum_rlock_release(&rlock), 0);
  CHECK_EQ(thrum_rlock_try_acquire(&rlock), 0);
  CHECK_EQ(thrum_rlock_acquire_for(&rlock, 0), 0);
  ask_strangers();
  for (uint32_t n = 4; n; n--) {
    CHECK_EQ(thrum_rlock_count(&rlock), n);
    CHECK_EQ(thrum_rlock_release(&rlock), 0);
    thrum_yield();
  }
  CHECK_EQ(thrum_rlock_release(&rlock), -EPERM);
  CHECK(!thrum_rlock_held(&rlock));
  return 0;
}

/* A thread that ends keeps it, unless a destructor of its locals, which it still runs itself, releases it. */
static void release_at_end(void *value) {
  if (value == &rlock) CHECK_EQ(thrum_rlock_release(&rlock), 0);
}

static thrum_local at_end = THRUM_LOCAL_INIT(release_at_end);

static intptr_t exits_holding(void *release) {
  thrum_rlock_acquire(&rlock);
  CHECK_EQ(thrum_local_set(&at_end, release), 0);
  thrum_exit(0);
}

static void an_end_keeps_it(void) {
  CHECK_EQ(must_join(must_spawn(exits_holding, &rlock)), 0);
  CHECK(!thrum_rlock_held(&rlock));
  CHECK_EQ(must_join(must_spawn(exits_holding, NULL)), 0);
  CHECK(thrum_rlock_held(&rlock));
  CHECK_EQ(must_join(must_spawn(is_a_stranger, NULL)), 0);
}

int main(void) {
  any_thread_may_release();
  timed_out_acquire_does_no_harm();
  long_timeouts_are_long();
  disturbed(signals_leave_the_deadline, 1);
  disturbed(signals_leave_mains_deadline, TESTS_TSAN ? 0 : 2);
  run_in_each_kind(nests, NULL);
  an_end_keeps_it();
  return 0;
}
