/* A worker that sleeps beside threads of short turns is left asleep: the monitor calls it for what lay at two looks a tick apart, and
 * not for what it sees twice because somebody roused it. The pair here wakes and computes on for less than what is held to
 * be long, and rouses the monitor in each turn. */
#include "queues.h"

#include <sched/self.h>

enum { LEARNT = 10, SELDOM = 14, TURN_NS = 10000, RUN_NS = 200000000, TICK_NS = 1000000, OTHERS = 20 };

static thrum_sem places[2];
static int waiting;
static uint32_t polls;
static int64_t took;

/* All wait and the other worker sleeps, and experience says that it had better: who wakes others calls nobody. */
static void forget_sharing(void) {
  AWAIT(LOAD(waiting) == 1 && thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY);
  thrumi_store(&thrumi_sched.lend_backoff, LEARNT);
  for (int i = 0; i < 2; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    w->wake_backoff = SELDOM;
    w->wake_skip = w->lend_skip = 0;
  }
}

static void take_turns(int at) {
  int64_t start = wall_now(), now = start;
  while (now - start < RUN_NS) {
    CHECK_EQ(thrum_sem_release(&places[!at], 1), 0);
    thrumi_monitor_rouse();
    for (int64_t turn = wall_now(); now - turn < TURN_NS;) now = wall_now();
    thrum_sem_acquire(&places[at]);
  }
  took = now - start;
}

static intptr_t second(void *arg) {
  (void)arg;
  ADD(waiting, 1);
  for (;;) {
    thrum_sem_acquire(&places[1]);
    if (LOAD(took)) return 0;
    CHECK_EQ(thrum_sem_release(&places[0], 1), 0);
  }
}

static intptr_t first(void *arg) {
  (void)arg;
  thrum_thread other = must_spawn(second, NULL);
  forget_sharing();
  uint32_t before = thrumi_load(&thrumi_sched.polls);
  take_turns(0);
  polls = thrumi_load(&thrumi_sched.polls) - before;
  CHECK_EQ(thrum_sem_release(&places[1], 1), 0);
  CHECK_EQ(must_join(other), 0);
  return 0;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("the bounds in time are for code that ThreadSanitizer does not slow down");
  CHECK_EQ(thrum_set_workers(2), 0);
  CHECK_EQ(must_join(must_spawn(first, NULL)), 0);
  printf("in %lld ms the other worker went to sleep %u times\n", (long long)took / TICK_NS, polls);
  fflush(stdout);
  if (polls > took / TICK_NS + OTHERS) check_failed(__FILE__, __LINE__, "called too often");
  return 0;
}
