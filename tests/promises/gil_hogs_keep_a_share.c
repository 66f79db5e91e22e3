/* Threads that come back to the gil again and again, before their interval is used up, go before one that only computes; but
 * it keeps its tenth: while the others have had it for 100 intervals, it had it for 5 at the least, half its due. */
#include "../support.h"

#include <time.h>

enum { OTHERS = 3, INTERVALS = 100 };

static thrum_gil gil;
static bool stop;
static int64_t of_hog, of_others; /* for how long they computed with it; guarded by the gil */
static int64_t of_hog_wanted;     /* of the first, while one of the others waited */
static int waiting;

/* Of its kernel thread, which it keeps while it computes: what else the machine does is nobody's share. */
static int64_t computed(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* From one check to the next the gil is its own. */
static intptr_t compute(void *unused) {
  (void)unused;
  THRUM_GIL_LOCKED(&gil) {
    while (!LOAD(stop)) {
      bool wanted = LOAD(waiting) > 0;
      int64_t begun = computed(), now = begun;
      while (now - begun < THRUM_US(2)) now = computed();
      of_hog += now - begun;
      if (wanted) of_hog_wanted += now - begun;
      thrum_gil_check(&gil);
    }
  }
  return 0;
}

static intptr_t come_again(void *unused) {
  (void)unused;
  while (!LOAD(stop)) {
    ADD(waiting, 1);
    THRUM_GIL_LOCKED(&gil) {
      ADD(waiting, -1);
      int64_t begun = computed(), now = begun;
      while (now - begun < THRUM_US(300)) now = computed();
      of_others += now - begun;
    }
  }
  return 0;
}

static bool enough(void) {
  bool is = false;
  THRUM_GIL_LOCKED(&gil) is = of_others >= INTERVALS * thrum_switch_interval();
  return is;
}

int main(void) {
  CHECK_EQ(thrum_set_switch_interval(THRUM_MS(1)), 0);
  thrum_thread hog = must_spawn(compute, NULL), others[OTHERS];
  for (int i = 0; i < OTHERS; i++) others[i] = must_spawn(come_again, NULL);
  AWAIT(enough());
  STORE(stop, true);
  CHECK_EQ(must_join(hog), 0);
  for (int i = 0; i < OTHERS; i++) CHECK_EQ(must_join(others[i]), 0);
  printf("the hog had it for %.1f ms, %.1f of these wanted, the others for %.1f ms\n", (double)of_hog / 1e6,
         (double)of_hog_wanted / 1e6, (double)of_others / 1e6);
  CHECK(of_hog * 20 >= of_others);
  CHECK(of_others >= of_hog_wanted * 2); /* they go first, whenever the machine lets them */
  return 0;
}
