/* A thread that sleeps now and then, beside 1, 2, 4 and 8 that only compute behind the same gil, gets it back soon: as a rule
 * within a quarter of an interval, and 9 of 10 times within two, however many they are. (Where each of them used up its interval
 * first it would be N of these as a rule.) The sleep itself does not end later for them either, with one worker too. And they
 * share what is left: they take turns, a turn that was cut short goes on first, and nobody has two more than another.
 *
 * How long it waits is told by what the others compute meanwhile, in steps whose cost is measured first: other programs that take
 * the CPUs away delay all alike. The times by the clock are printed, not judged. */
#include "../support.h"

enum { MOST = 8, TIMES = TESTS_SANITIZED ? 200 : 400, BATCH = 1000, BATCHES = 50, TURNS = 8 };

static thrum_gil gil;
static bool stop;

struct computer {
  uint64_t steps, turns;
};
static struct computer computers[MOST];
/* Behind the gil: whose turn it is, or was before the one that comes and goes; and what turns all had had when that one came. */
static struct computer *last;
static uint64_t turns_before[MOST];

static void turn_begins(struct computer *mine) {
  last = mine;
  STORE(mine->turns, mine->turns + 1);
}

static void step(struct computer *mine) {
  if (last != mine) turn_begins(mine);
  volatile int n = 50;
  while (n > 0) n--;
  STORE(mine->steps, mine->steps + 1);
  thrum_gil_check(&gil);
}

static intptr_t compute(void *arg) {
  THRUM_GIL_LOCKED(&gil) {
    while (!LOAD(stop)) step((struct computer *)arg);
  }
  return 0;
}

/* The least of several measurements is the one that nothing disturbed. */
static double step_costs(void) {
  int64_t least = INT64_MAX;
  THRUM_GIL_LOCKED(&gil) {
    for (int i = 0; i < BATCHES; i++) {
      int64_t begun = wall_now();
      for (int k = 0; k < BATCH; k++) step(&computers[0]);
      int64_t took = wall_now() - begun;
      if (took < least) least = took;
    }
  }
  return (double)least / BATCH;
}

static uint64_t computed(void) {
  uint64_t sum = 0;
  for (int i = 0; i < MOST; i++) sum += LOAD(computers[i].steps);
  return sum;
}

/* Each of these by what was computed meanwhile, and by the clock. */
struct waits {
  int64_t steps[TIMES], time[TIMES];
};
static struct waits sleeps, regains;

static int more(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void sort(struct waits *waits) {
  qsort(waits->steps, TIMES, sizeof waits->steps[0], more);
  qsort(waits->time, TIMES, sizeof waits->time[0], more);
}

static intptr_t come_and_go(void *unused) {
  (void)unused;
  THRUM_GIL_LOCKED(&gil) {
    for (int i = 0; i < MOST; i++) turns_before[i] = computers[i].turns;
    for (int i = 0; i < TIMES; i++) {
      uint64_t left_at = computed(), back_at = 0;
      int64_t left = wall_now(), back = 0;
      THRUM_GIL_UNLOCKED(&gil) {
        CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
        back_at = computed();
        back = wall_now();
      }
      regains.steps[i] = (int64_t)(computed() - back_at);
      regains.time[i] = wall_now() - back;
      sleeps.steps[i] = (int64_t)(back_at - left_at);
      sleeps.time[i] = back - left;
    }
  }
  sort(&sleeps);
  sort(&regains);
  return 0;
}

static bool all_have_begun(int hogs) {
  for (int i = 0; i < hogs; i++)
    if (!LOAD(computers[i].steps)) return false;
  return true;
}

static bool all_had_turns(int hogs) {
  for (int i = 0; i < hogs; i++)
    if (LOAD(computers[i].turns) < turns_before[i] + TURNS) return false;
  return true;
}

/* How many turns more than another one has had since then. */
static uint64_t ahead(int hogs) {
  uint64_t least = UINT64_MAX, most = 0;
  for (int i = 0; i < hogs; i++) {
    uint64_t turns = computers[i].turns - turns_before[i];
    if (turns < least) least = turns;
    if (turns > most) most = turns;
  }
  return most - least;
}

static void check_beside(int hogs, double cost) {
  thrum_thread threads[MOST];
  memset(computers, 0, sizeof computers);
  last = NULL;
  STORE(stop, false);
  for (int i = 0; i < hogs; i++) threads[i] = must_spawn(compute, &computers[i]);
  AWAIT(all_have_begun(hogs));
  CHECK_EQ(must_join(must_spawn(come_and_go, NULL)), 0);
  AWAIT(hogs == 1 || all_had_turns(hogs)); /* who is alone has one turn */
  STORE(stop, true);
  for (int i = 0; i < hogs; i++) CHECK_EQ(must_join(threads[i]), 0);
  double interval = (double)thrum_switch_interval();
  double slept = (double)sleeps.steps[TIMES / 2] * cost;
  double p50 = (double)regains.steps[TIMES / 2] * cost, p90 = (double)regains.steps[TIMES * 9 / 10] * cost;
  printf(
      "%d hogs computed for %.3f ms while it slept for 1, for %.3f ms (p50), %.3f ms (p90) while it waited; by the clock "
      "%.3f, %.3f, %.3f ms; %ju turns ahead\n",
      hogs, slept / 1e6, p50 / 1e6, p90 / 1e6, (double)sleeps.time[TIMES / 2] / 1e6,
      (double)regains.time[TIMES / 2] / 1e6, (double)regains.time[TIMES * 9 / 10] / 1e6,
      (uintmax_t)ahead(hogs));
  fflush(stdout);
  CHECK(slept < (double)THRUM_MS(1) + interval);
  CHECK(p50 < interval / 4);
  CHECK(p90 < 2 * interval);
  CHECK(ahead(hogs) < 2);
}

int main(void) {
  double cost = step_costs();
  printf("a step costs %.0f ns\n", cost);
  for (int hogs = 1; hogs <= MOST; hogs *= 2) check_beside(hogs, cost);
  return 0;
}
