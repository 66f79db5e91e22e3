/* A million timers cost their own memory, whether they are to fire one after the other or all at the same moment: threads are
 * there only for callbacks that have begun. */
#include "../support.h"

#include <stdlib.h>

enum { TIMERS = TESTS_TSAN ? 1500 : TESTS_SANITIZED ? 20000 : 1000000, SAMPLE = 1000 };

static thrum_timer *timers;
static uint8_t *calls;
static int fired, most_threads;

static intptr_t mark(void *arg) {
  uint8_t *mine = (uint8_t *)arg;
  CHECK_EQ(++*mine, 1);
  if (ADD(fired, 1) % SAMPLE == 0) {
    int threads = (int)thrum_active_count();
    if (threads > LOAD(most_threads)) STORE(most_threads, threads); /* nearly; it is far from the bound */
  }
  return 0;
}

static long stacks(void) { return (long)statistics().stacks; }

static intptr_t fire(void *arg) {
  thrum_duration spread = *(thrum_duration *)arg;
  memset(calls, 0, TIMERS);
  STORE(fired, 0);
  STORE(most_threads, 0);
  long stacks_before = stacks();
  thrum_time first = thrum_after(THRUM_MS(TESTS_SANITIZED ? 20 : 200));
  for (int i = 0; i < TIMERS; i++) {
    thrum_time when =
        first + (spread ? (thrum_duration)((uint64_t)i * 0x9E3779B97F4A7C15u % (uint64_t)spread) : 0);
    CHECK_EQ(thrum_timer_start_at(&timers[i], when, mark, &calls[i]), 0);
  }
  AWAIT(LOAD(fired) == TIMERS);
  for (int i = 0; i < TIMERS; i++) CHECK_EQ(thrum_timer_cancel_wait(&timers[i]), 0);
  for (int i = 0; i < TIMERS; i++) CHECK_EQ(calls[i], 1);
  CHECK(most_threads < 200);
  CHECK(stacks() - stacks_before < 1000);
  return 0;
}

/* Every other one is cancelled in another order than they were started; the others fire. */
static intptr_t cancel_half(void *arg) {
  (void)arg;
  memset(calls, 0, TIMERS);
  STORE(fired, 0);
  for (int i = 0; i < TIMERS; i++)
    CHECK_EQ(thrum_timer_start(&timers[i], THRUM_S(1000) + THRUM_US(i), mark, &calls[i]), 0);
  for (int i = 0; i < TIMERS; i++) {
    int n = (int)((uint64_t)i * 7919 % TIMERS);
    if (n % 2) CHECK_EQ(thrum_timer_cancel(&timers[n]), 1);
  }
  for (int i = 0; i < TIMERS; i++) CHECK_EQ(thrum_timer_pending(&timers[i]), i % 2 == 0);
  for (int i = 0; i < TIMERS; i += 2) CHECK_EQ(thrum_timer_restart(&timers[i], 0), 0);
  AWAIT(LOAD(fired) == TIMERS / 2);
  for (int i = 0; i < TIMERS; i++) CHECK_EQ(calls[i], i % 2 == 0);
  return 0;
}

int main(void) {
  timers = (thrum_timer *)calloc(TIMERS, sizeof *timers);
  calls = (uint8_t *)malloc(TIMERS);
  CHECK(timers && calls);
  static thrum_duration at_once = 0, spread = THRUM_MS(300);
  CHECK_EQ(thrum_run(fire, &at_once), 0);
  CHECK_EQ(thrum_run(fire, &spread), 0);
  CHECK_EQ(fire(&at_once), 0);
  CHECK_EQ(thrum_run(cancel_half, NULL), 0);
  free(timers);
  free(calls);
  return 0;
}
