/* A hog that was asked for the gil before its interval was over, since a thread came that is none, goes on with the rest of it: before
 * the other hog, which waits for its turn. Only those turns count of which it is certain that they were not over. */
#include "../support.h"

enum { BOTH = 2, ENOUGH = TESTS_SANITIZED ? 60 : 150, GUEST = -1 };

static const thrum_duration interval = THRUM_MS(20); /* the guest comes several times in one */

static thrum_gil gil;
static bool stop;

/* All of it under the gil. */
static int last;        /* who has it */
static int64_t last_at; /* when that was certainly so */
/* No later than this each hog began its present turn, with all that others had in between. */
static int64_t began[BOTH];
static int interrupted; /* by the guest */
static bool certain;    /* that its turn was not over */
static long went_on, went_behind;

static void begin_turn(int me) {
  bool goes_on = last == GUEST && interrupted == me;
  if (last == GUEST && certain) *(goes_on ? &went_on : &went_behind) += 1;
  if (!goes_on) began[me] = last_at; /* else it may have begun before */
  last = me;
}

static intptr_t compute(void *number) {
  int me = (int)(intptr_t)number;
  THRUM_GIL_LOCKED(&gil) {
    while (!LOAD(stop)) {
      if (last != me) begin_turn(me);
      last_at = thrum_now();
      thrum_gil_check(&gil);
    }
  }
  return 0;
}

static long interrupt(void) {
  long n = 0;
  THRUM_GIL_LOCKED(&gil) {
    int64_t now = thrum_now();
    certain = last != GUEST && now - began[last] < interval;
    if (last != GUEST) interrupted = last;
    last = GUEST;
    last_at = now;
    n = went_on + went_behind;
  }
  return n;
}

int main(void) {
  thrum_thread threads[BOTH];
  CHECK_EQ(thrum_set_switch_interval(interval), 0);
  last = interrupted = GUEST;
  for (intptr_t i = 0; i < BOTH; i++) threads[i] = must_spawn(compute, (void *)i);
  int64_t end = wall_now() + THRUM_S(TESTS_HANG_S / 2);
  do CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  while (interrupt() < ENOUGH && wall_now() < end);
  STORE(stop, true);
  for (int i = 0; i < BOTH; i++) CHECK_EQ(must_join(threads[i]), 0);
  printf("%ld went on, %ld went behind\n", went_on, went_behind);
  CHECK_EQ(went_behind, 0);
  CHECK(went_on > 0);
  return 0;
}
