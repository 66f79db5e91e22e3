/* A worker does not sleep beside threads that lie: who is woken runs there within milliseconds if the waker goes on computing, also
 * when sharing woken threads has just proved useless, so that the waker calls nobody. The interval is so long that no
 * preemption helps. */
#include "queues.h"

#include <sched/self.h>

enum { ROUNDS = 31, WOKEN_MAX = 8, LEARNT = 10, SELDOM = 14, LATE_NS = 20000000, INTERVAL_NS = 200000000 };

static thrum_sem calls;
static int waiting, ran;
static bool stop;

static intptr_t woken(void *arg) {
  (void)arg;
  for (;;) {
    ADD(waiting, 1);
    thrum_sem_acquire(&calls);
    if (LOAD(stop)) return 0;
    ADD(ran, 1);
  }
}

/* Wakes so many, and computes until the last of them has run. */
static int64_t round_of(int n) {
  AWAIT(LOAD(waiting) == WOKEN_MAX && thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY);
  STORE(ran, 0);
  STORE(waiting, WOKEN_MAX - n);
  thrumi_store(&thrumi_sched.lend_backoff, LEARNT);
  thrumi_self()->worker->wake_backoff = SELDOM; /* all others sleep: nobody else looks there */
  thrumi_self()->worker->wake_skip = 0;
  int64_t start = wall_now();
  for (int i = 0; i < n; i++) CHECK_EQ(thrum_sem_release(&calls, 1), 0);
  while (LOAD(ran) < n && wall_now() - start < 2 * (int64_t)INTERVAL_NS) {
  }
  return wall_now() - start;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* The median. */
static int64_t rounds_of(int n) {
  int64_t times[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) times[i] = round_of(n);
  qsort(times, ROUNDS, sizeof *times, by_value);
  printf("%d woken: median %lld us, most %lld us\n", n, (long long)times[ROUNDS / 2] / 1000,
         (long long)times[ROUNDS - 1] / 1000);
  fflush(stdout);
  return times[ROUNDS / 2];
}

enum { ATTEMPTS = 5 };

/* Others on the machine can make it late, but not always. */
static intptr_t waker(void *arg) {
  int n = (int)(intptr_t)arg, attempts = 1;
  while (rounds_of(n) > LATE_NS)
    if (++attempts > ATTEMPTS) check_failed(__FILE__, __LINE__, "%d woken: too late", n);
  return 0;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("the bounds in time are for code that ThreadSanitizer does not slow down");
  CHECK_EQ(thrum_set_workers(2), 0);
  CHECK_EQ(thrum_set_switch_interval(INTERVAL_NS), 0);
  thrum_thread threads[WOKEN_MAX];
  for (int i = 0; i < WOKEN_MAX; i++) threads[i] = must_spawn(woken, NULL);
  CHECK_EQ(must_join(must_spawn(waker, (void *)(intptr_t)1)), 0);
  CHECK_EQ(must_join(must_spawn(waker, (void *)(intptr_t)WOKEN_MAX)), 0);
  STORE(stop, true);
  CHECK_EQ(thrum_sem_release(&calls, WOKEN_MAX), 0);
  for (int i = 0; i < WOKEN_MAX; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}
