/* Promise 1: preemption costs nothing while nobody waits: hogs that have a worker each are not signalled, and
 * all that there is of preemption can be read from the statistics. */
#include "../support.h"

enum { ALONE_NS = 300000000 };

static int64_t until;
static bool go;

static intptr_t run_for_a_while(void *arg) {
  (void)arg;
  while (!LOAD(go)) continue;
  while (wall_now() < until) continue;
  return 0;
}

/* Main spawns, and leaves: from then on there is nobody but them. */
static intptr_t one_for_each_worker(void *arg) {
  thrum_thread threads[8];
  int count = thrum_workers() - 1; /* the caller is one of them */
  CHECK(count < 8);
  for (int i = 0; i < count; i++) threads[i] = must_spawn(run_for_a_while, NULL);
  uint64_t settled = 0;
  for (int quiet = 0, rounds = 0; quiet < 20; quiet++) { /* until each has found its own worker */
    CHECK(++rounds < 400);
    until = wall_now() + ALONE_NS / 20;
    if (statistics().signals != settled) quiet = 0;
    settled = statistics().signals;
    while (wall_now() < until) continue;
  }
  until = wall_now() + ALONE_NS;
  STORE(go, true);
  run_for_a_while(arg);
  CHECK_EQ(statistics().signals, settled);
  for (int i = 0; i < count; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}

static void is_counted_otherwise(void) {
  struct hogs hogs;
  thrum_stats before = statistics();
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  hogs_stop(&hogs);
  thrum_stats after = statistics();
  CHECK(after.signals > before.signals);
  CHECK(after.preemptions + after.wakeup_preemptions > before.preemptions + before.wakeup_preemptions);
  CHECK_EQ(after.spawned - before.spawned, hogs.count);
}

int main(void) {
  CHECK_EQ(thrum_run(one_for_each_worker, NULL), 0);
  is_counted_otherwise();
  return 0;
}
