/* What belongs to a thread stays with it across switches: errno and floating-point control words with every
 * thread; _Thread_local, pthread_self and the kernel's number with bound and pinned ones. */
#include "../support.h"

#include <fenv.h>
#include <math.h>

enum { THREADS = 16, TURNS = 60 };

static _Thread_local uintptr_t kernel_thread_local;

/* Moves between workers as much as can be had: yields, sleeps, and preemption by whoever spins. */
static void move_about(int turn) {
  if (turn % 9 == 0)
    CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  else if (turn % 13 == 0)
    for (int i = 0; i < 200000; i++) __asm__ volatile("");
  else
    thrum_yield();
}

static intptr_t keeps_errno(void *arg) {
  int own = 1000 + (int)(intptr_t)arg;
  for (int i = 0; i < TURNS; i++) {
    errno = own;
    move_about(i);
    CHECK_EQ(errno, own);
  }
  CHECK_EQ(read(-1, NULL, 0), -1);
  CHECK_EQ(errno, EBADF);
  return 0;
}

static volatile double one = 1, three = 3;

static intptr_t keeps_rounding(void *arg) {
  static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  int mode = modes[(intptr_t)arg % 4];
  CHECK_EQ(fesetround(mode), 0);
  double third = one / three;
  long double long_third = (long double)one / (long double)three;
  for (int i = 0; i < TURNS; i++) {
    move_about(i);
    CHECK_EQ(fegetround(), mode);
    CHECK(one / three == third);
    CHECK((long double)one / (long double)three == long_third);
  }
  CHECK(mode != FE_UPWARD || third > 0x1.5555555555555p-2);
  return 0; /* without setting it back: that is nobody else's concern */
}

static intptr_t begins_as_default(void *arg) {
  (void)arg;
  CHECK_EQ(fegetround(), FE_TONEAREST);
  return 0;
}

static void with_many(thrum_fn *fn, int bound) {
  thrum_thread threads[THREADS];
  for (int i = 0; i < THREADS; i++)
    threads[i] = i < bound ? must_spawn_bound(fn, (void *)(intptr_t)i) : must_spawn(fn, (void *)(intptr_t)i);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
}

/* Whoever shares this kernel thread would see or set this variable. Threads that have it one after the other are not
 * ordered otherwise, which ThreadSanitizer would report. */
__attribute__((no_sanitize_thread)) static void stays_put(void) {
  pthread_t self = pthread_self();
  pid_t tid = thrum_native_id(thrum_current());
  CHECK_EQ(tid, gettid());
  kernel_thread_local = (uintptr_t)&self;
  for (int i = 0; i < TURNS; i++) {
    move_about(i);
    CHECK_EQ(kernel_thread_local, (uintptr_t)&self);
    CHECK(pthread_equal(self, pthread_self()));
    CHECK_EQ(gettid(), tid);
    CHECK_EQ(thrum_native_id(thrum_current()), tid);
  }
  kernel_thread_local = 0;
}

static intptr_t bound_stays_put(void *arg) {
  (void)arg;
  stays_put();
  CHECK_EQ(thrum_pin(), 0); /* needless, but legal */
  CHECK_EQ(thrum_unpin(), 0);
  return 0;
}

/* There may be no kernel thread to keep at this moment; soon there is. */
static void pin(void) {
  int error;
  AWAIT((error = thrum_pin()) != -EAGAIN);
  CHECK_EQ(error, 0);
}

static intptr_t pinned_stays_put(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_unpin(), -EPERM);
  for (int i = 0; i < 3; i++) {
    pin();
    stays_put();
    CHECK_EQ(thrum_pin(), 0);
    CHECK_EQ(thrum_unpin(), 0);
    stays_put(); /* pins nest */
    CHECK_EQ(thrum_unpin(), 0);
    thrum_yield();
  }
  CHECK_EQ(thrum_unpin(), -EPERM);
  return 0;
}

static intptr_t ends_pinned(void *arg) {
  pin();
  stays_put();
  return (intptr_t)arg;
}

/* A recursive mutex of libc belongs to a kernel thread: a pinned one may hold it across a switch. */
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static intptr_t holds_mutex(void *arg) {
  (void)arg;
  for (int i = 0; i < 5; i++) {
    pin();
    while (pthread_mutex_trylock(&recursive) != 0) thrum_yield();
    thrum_yield();
    CHECK_EQ(pthread_mutex_lock(&recursive), 0);
    thrum_yield();
    CHECK_EQ(pthread_mutex_unlock(&recursive), 0);
    CHECK_EQ(pthread_mutex_unlock(&recursive), 0);
    CHECK_EQ(thrum_unpin(), 0);
  }
  return 0;
}

int main(void) {
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  kernel_thread_local = 4711;
  pthread_t self = pthread_self();
  with_many(keeps_errno, 4);
  with_many(keeps_rounding, 4);
  with_many(begins_as_default, 4);
  with_many(bound_stays_put, THREADS);
  with_many(pinned_stays_put, 4);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(must_spawn(ends_pinned, (void *)6)), 6);
  with_many(holds_mutex, 4);
  CHECK_EQ(bound_stays_put(NULL), 0);
  CHECK(pthread_equal(self, pthread_self()));
  CHECK_EQ(gettid(), getpid());
  CHECK_EQ(kernel_thread_local, 0);
  return 0;
}
