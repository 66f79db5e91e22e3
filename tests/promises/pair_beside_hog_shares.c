/* Promise 1: two threads that hand over to each other count as one thread beside a hog: both
 * sides get much the same time. (After Go's TestPingPongHog.) */
#include "../support.h"

enum { SHARE_NS = 800000000 }; /* of running time, on average, of each side before the verdict */
enum { ATTEMPTS = 3 };

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

/* How much the pair runs beside one of the hog. */
static double measure(void) {
  int64_t pair_before = LOAD(pair.ran), hog_before = LOAD(hog.ran);
  AWAIT(LOAD(hog.ran) - hog_before + LOAD(pair.ran) - pair_before > 2 * SHARE_NS);
  return (double)(LOAD(pair.ran) - pair_before) / (double)(LOAD(hog.ran) - hog_before + 1);
}

static bool is_fair(double ratio) {
  printf("the pair ran %.2f times the hog's time\n", ratio);
  fflush(stdout);
  return ratio >= 0.5 && ratio <= 2;
}

/* Others on the machine may cut short the turns of one side, but not always of the same. */
int main(void) {
  if (TESTS_TSAN)
    CHECK_SKIP("under ThreadSanitizer a hog is mostly in the sanitizer, where nobody is preempted");
  CHECK_EQ(thrum_set_workers(1), 0);
  thrum_thread threads[] = {must_spawn(run_hog, NULL), must_spawn(ping, NULL)};
  for (int i = 0; !is_fair(measure()); i++) CHECK(i < ATTEMPTS);
  STORE(stop, true);
  for (int i = 0; i < 2; i++) CHECK_EQ(must_join(threads[i]), 0);
  return 0;
}
