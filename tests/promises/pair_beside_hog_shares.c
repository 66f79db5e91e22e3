/* Promise 1: two threads that hand over to each other count as one thread beside a hog: both
 * sides get much the same time. (After Go's TestPingPongHog.) */
#include "../support.h"

enum { SHARE_NS = 800000000 }; /* of running time that the slower side must reach before the verdict */

/* Time that one side really ran: gaps between two looks at the clock above 300 us are somebody else's. */
struct side {
  int64_t last, ran;
};

static struct side pair, hog;
static bool stop;

static void count_time(struct side *side) {
  int64_t now = wall_now(), gap = now - side->last;
  if (gap < 300000) STORE(side->ran, side->ran + gap);
  side->last = now;
}

static intptr_t run_hog(void *arg) {
  (void)arg;
  while (!LOAD(stop)) count_time(&hog);
  return 0;
}

static intptr_t pong(void *arg) {
  (void)arg;
  count_time(&pair);
  return 0;
}

/* Each round starts the partner and waits for it: a hand-over there and one back. */
static intptr_t ping(void *arg) {
  (void)arg;
  while (!LOAD(stop)) {
    count_time(&pair);
    CHECK_EQ(must_join(must_spawn(pong, NULL)), 0);
  }
  return 0;
}

int main(void) {
  if (TESTS_TSAN)
    CHECK_SKIP("under ThreadSanitizer a hog is mostly in the sanitizer, where nobody is preempted");
  CHECK_EQ(thrum_set_workers(1), 0);
  thrum_thread threads[] = {must_spawn(run_hog, NULL), must_spawn(ping, NULL)};
  AWAIT(LOAD(hog.ran) + LOAD(pair.ran) > 2 * SHARE_NS);
  double ratio = (double)LOAD(pair.ran) / (double)(LOAD(hog.ran) + 1);
  STORE(stop, true);
  for (int i = 0; i < 2; i++) CHECK_EQ(must_join(threads[i]), 0);
  if (ratio < 0.5 || ratio > 2)
    check_failed(__FILE__, __LINE__, "the pair ran %.2f times the hog's time", ratio);
  return 0;
}
