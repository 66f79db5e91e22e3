/* Promise 1: preemption costs nothing while nobody waits: hogs that have a worker each are not signalled, and
 * all that there is of preemption can be read from the statistics. */
#include "../support.h"

enum { ALONE_NS = 300000000 };

static bool go;

static intptr_t run_until_told(void *arg) {
  (void)arg;
  while (!LOAD(go)) continue;
  return 0;
}

static void compute_for(int64_t ns) {
  for (int64_t until = wall_now() + ns; wall_now() < until;) continue;
}

/* Whether nobody was signalled for a while, once each has found its own worker. */
static bool nobody_is_signalled(void) {
  uint64_t settled = 0;
  for (int quiet = 0, rounds = 0; quiet < 20; quiet++) {
    CHECK(++rounds < 2000);
    if (statistics().signals != settled) quiet = 0;
    settled = statistics().signals;
    compute_for(ALONE_NS / 20);
  }
  compute_for(ALONE_NS);
  return statistics().signals == settled;
}

/* Main spawns, and leaves: from then on there is nobody but them. (Whom the machine stops in the kernel loses its worker, and asks for it
 * again: that is not always so.) */
static intptr_t one_for_each_worker(void *arg) {
  thrum_thread threads[8];
  int count = thrum_workers() - 1; /* the caller is one of them */
  CHECK(count < 8);
  for (int i = 0; i < count; i++) threads[i] = must_spawn(run_until_told, NULL);
  for (int attempts = 1; !nobody_is_signalled(); attempts++) CHECK(attempts < 5);
  STORE(go, true);
  for (int i = 0; i < count; i++) CHECK_EQ(must_join(threads[i]), 0);
  return (intptr_t)arg;
}

/* One that the machine holds up may lose its worker without a signal. */
static bool some_were_preempted_since(const thrum_stats *before) {
  thrum_stats now = statistics();
  return now.signals > before->signals &&
         now.preemptions + now.wakeup_preemptions > before->preemptions + before->wakeup_preemptions;
}

static void is_counted_otherwise(void) {
  struct hogs hogs;
  thrum_stats before = statistics();
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL) && some_were_preempted_since(&before));
  hogs_stop(&hogs);
  thrum_stats after = statistics();
  CHECK_EQ(after.spawned - before.spawned, hogs.count);
}

int main(void) {
  CHECK_EQ(thrum_run(one_for_each_worker, NULL), 0);
  is_counted_otherwise();
  return 0;
}
