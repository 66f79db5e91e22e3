/* Promise 2: however often others are woken, a hog that has the worker is preempted for them once in 100 us at the most. */
#include "../support.h"

#include <sched/self.h>

enum { GAP_NS = 100000, ROUNDS = 5, ROUND_NS = 20000000 };

static struct hogs hog;
static thrum_sem sem;
static uint64_t woken;
static bool stop;

static intptr_t be_woken(void *arg) {
  (void)arg;
  for (;;) {
    thrum_sem_acquire(&sem);
    if (LOAD(stop)) return 0;
    ADD(woken, 1u);
  }
}

/* An OS thread that wakes the other one whenever the hog has the worker: each time that asks for the hog's preemption. */
static void *wake_without_end(void *arg) {
  (void)arg;
  while (!LOAD(stop)) {
    uint64_t before = LOAD(woken), loops;
    CHECK_EQ(thrum_sem_release(&sem, 1), 0);
    while (LOAD(woken) == before && !LOAD(stop)) continue;
    loops = hog_loops(&hog, 0);
    while (hog_loops(&hog, 0) == loops && !LOAD(stop)) continue;
  }
  return NULL;
}

/* ---- By a clock that stands still ------------------------------------------------------------------------------ */

static int64_t stands_at; /* 0: the clock goes */
static int64_t (*real_now)(void);

static int64_t now_or_then(void) {
  int64_t at = LOAD(stands_at);
  return at ? at : real_now();
}

/* Without a worker, and calling nothing that takes one. Nobody waits, so the hog goes on when it is asked to go. */
static intptr_t asks_once_in_the_gap(void *arg) {
  (void)arg;
  const struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[0]);
  AWAIT_OUTSIDE(thrumi_load_relaxed(&w->hog));
  int64_t last = thrumi_load(&w->wakeup_preempted),
          now = real_now(); /* a hog that was owed its turn is left alone for longer */
  int64_t start = (last > now ? last : now) + GAP_NS;
  uint64_t signals = thrumi_load(&thrumi_sched.signals);
  STORE(stands_at, start);
  CHECK(thrumi_preempt_hog());
  CHECK(!thrumi_preempt_hog());
  STORE(stands_at, start + GAP_NS - 1);
  CHECK(!thrumi_preempt_hog());
  STORE(stands_at, start + GAP_NS);
  CHECK(thrumi_preempt_hog());
  CHECK(!thrumi_preempt_hog());
  CHECK_EQ(thrumi_load(&thrumi_sched.signals), signals + 2);
  STORE(stands_at, 0);
  return 0;
}

/* ---- By the statistics ------------------------------------------------------------------------------------------- */

static uint64_t observe(void) {
  uint64_t n = LOAD(woken), before = statistics().wakeup_preemptions;
  int64_t start = wall_now();
  while (wall_now() - start < ROUND_NS) CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
  AWAIT(LOAD(woken) > n);
  uint64_t times = statistics().wakeup_preemptions - before;
  int64_t most = (wall_now() - start) / GAP_NS + 1;
  printf("woken %llu times; %llu preemptions of %lld\n", (unsigned long long)(LOAD(woken) - n),
         (unsigned long long)times, (long long)most);
  fflush(stdout);
  CHECK((int64_t)times <= most);
  return times;
}

int main(void) {
  pthread_t waker;
  uint64_t times = 0;
  real_now = thrumi_os.now;
  thrumi_os.now = now_or_then;
  CHECK_EQ(thrum_set_workers(1), 0);
  thrum_thread t = must_spawn(be_woken, NULL);
  hogs_start(&hog, 1, hog_loop);
  while (statistics().preemptions == 0) thrum_yield(); /* from then on it is known as one */
  if (!TESTS_TSAN) CHECK_EQ(thrum_blocking(asks_once_in_the_gap, NULL), 0); /* by plain stores */
  CHECK_EQ(pthread_create(&waker, NULL, wake_without_end, NULL), 0);
  for (int i = 0; i < ROUNDS || (times == 0 && i < 100 * ROUNDS); i++) times += observe();
  CHECK(times > 0);
  STORE(stop, true);
  CHECK_EQ(thrum_blocking(outsider_join, &waker), 0);
  CHECK_EQ(thrum_sem_release(&sem, 1), 0);
  hogs_stop(&hog);
  CHECK_EQ(must_join(t), 0);
  return 0;
}
