/* A worker that sleeps beside threads of short turns is left asleep: the monitor calls it for what lay at two looks a tick apart, and
 * not for what it sees twice because somebody roused it. The pair here wakes and computes on for less than what is held to
 * be long, while the monitor is roused in each turn; the library's clock stands still meanwhile, so that no tick passes. */
#include "queues.h"

#include <sched/self.h>

enum { LEARNT = 10, SELDOM = 14, TURN_NS = 10000, RUN_NS = 100000000, CALLS_MOST = 100 };

static thrum_sem places[2];
static int64_t stands_at; /* 0: the clock goes */
static int64_t (*real_now)(void);
static int waiting;
static bool over;

static int64_t now_or_then(void) {
  int64_t at = LOAD(stands_at);
  return at ? at : real_now();
}

/* Experience says that the other worker had better sleep: who wakes others calls nobody. */
static void forget_sharing(void) {
  thrumi_store(&thrumi_sched.lend_backoff, LEARNT);
  for (int i = 0; i < 2; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    w->wake_backoff = SELDOM;
    w->wake_skip = w->lend_skip = 0;
  }
}

static intptr_t second(void *arg) {
  (void)arg;
  ADD(waiting, 1);
  for (;;) {
    thrum_sem_acquire(&places[1]);
    if (LOAD(over)) return 0;
    CHECK_EQ(thrum_sem_release(&places[0], 1), 0);
  }
}

static void take_turns(void) {
  for (int64_t start = wall_now(), now = start; now - start < RUN_NS;) {
    forget_sharing();
    CHECK_EQ(thrum_sem_release(&places[1], 1), 0);
    thrumi_monitor_rouse();
    for (int64_t turn = wall_now(); now - turn < TURN_NS;) now = wall_now();
    thrum_sem_acquire(&places[0]);
  }
}

static intptr_t first(void *arg) {
  (void)arg;
  thrum_thread other = must_spawn(second, NULL);
  AWAIT(LOAD(waiting) == 1 && thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY);
  STORE(stands_at, real_now());
  uint32_t before = thrumi_load(&thrumi_sched.polls);
  take_turns();
  uint32_t calls = thrumi_load(&thrumi_sched.polls) - before;
  STORE(stands_at, 0);
  STORE(over, true);
  CHECK_EQ(thrum_sem_release(&places[1], 1), 0);
  CHECK_EQ(must_join(other), 0);
  printf("the other worker went to sleep %u times\n", calls);
  fflush(stdout);
  CHECK(calls <= CALLS_MOST); /* one a tick of the real clock */
  return 0;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("the clock stands still by a plain store");
  real_now = thrumi_os.now;
  thrumi_os.now = now_or_then;
  CHECK_EQ(thrum_set_workers(2), 0);
  CHECK_EQ(must_join(must_spawn(first, NULL)), 0);
  return 0;
}
