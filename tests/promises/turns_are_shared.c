/* Threads that wake each other, and compute for longer than a move costs in between, run on both workers within milliseconds, also
 * when sharing woken threads has just proved useless. Where the machine has other things to do, a control says how much longer two
 * plain OS threads take for what they compute, and as much longer is granted. */
#include "queues.h"

#include <sched/self.h>

enum { ROUNDS = 15, RING_MAX = 6, LEARNT = 10, SELDOM = 14, LATE_NS = 20000000, HUNG_NS = 2000000000 };

/* In a ring: each is woken by the one before it. */
struct ring {
  const char *name;
  int threads, tokens, turn_ns;
  bool computes_on; /* before it waits, having woken the next one; else before it wakes that one */
};

static const struct ring rings[] = {
    {"a pair, of which one wakes and computes on", 2, 1, 300000, true},
    {"three of six compute 300 us each", 6, 3, 300000, false},
    {"three of six compute 60 us each", 6, 3, 60000, false},
};

static const struct ring *ring;
static thrum_sem places[RING_MAX];
static int computing, waiting;
static int64_t began, both_at;

static void compute(void) {
  int64_t start = wall_now();
  if (ADD(computing, 1) == 2 && !LOAD(both_at)) STORE(both_at, start);
  while (wall_now() - start < ring->turn_ns) {
  }
  ADD(computing, -1);
}

static intptr_t member(void *arg) {
  int at = (int)(intptr_t)arg;
  ADD(waiting, 1);
  for (bool over = false; !over;) {
    thrum_sem_acquire(&places[at]);
    over = LOAD(both_at) || wall_now() - LOAD(began) > HUNG_NS;
    if (!ring->computes_on) compute();
    CHECK_EQ(thrum_sem_release(&places[(at + 1) % ring->threads], 1), 0);
    if (ring->computes_on) compute();
  }
  return 0;
}

/* All wait and the other worker sleeps, and experience says that it had better: nobody shares, nobody calls it. */
static void forget_sharing(void) {
  AWAIT(LOAD(waiting) == ring->threads && thrumi_load(&thrumi_sched.bell) % THRUMI_BELL_HUNGRY);
  thrumi_store(&thrumi_sched.lend_backoff, LEARNT);
  for (int i = 0; i < 2; i++) {
    struct thrumi_worker *w = thrumi_load(&thrumi_sched.worker[i]);
    w->wake_backoff = SELDOM;
    w->wake_skip = w->lend_skip = 0;
  }
}

/* No timer runs meanwhile: the other worker would wake for it. */
static int64_t round_of(void) {
  thrum_thread threads[RING_MAX];
  STORE(both_at, 0);
  STORE(began, INT64_MAX);
  STORE(waiting, 0);
  for (int i = 0; i < ring->threads; i++) {
    places[i] = (thrum_sem){0};
    threads[i] = must_spawn(member, (void *)(intptr_t)i);
  }
  forget_sharing();
  STORE(began, wall_now());
  for (int i = 0; i < ring->tokens; i++)
    CHECK_EQ(thrum_sem_release(&places[i * ring->threads / ring->tokens], 1), 0);
  for (int i = 0; i < ring->threads; i++) CHECK_EQ(must_join(threads[i]), 0);
  return (both_at ? both_at : wall_now()) - began;
}

/* ---- The control: two OS threads that compute side by side ------------------------------------------------------------- */

enum { BURN_NS = 20000000 };

static int64_t cpu_now(void) {
  struct timespec t;
  CHECK_EQ(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void *burn(void *unused) {
  for (int64_t end = cpu_now() + BURN_NS; cpu_now() < end;) continue;
  return unused;
}

/* How many times as long as on an idle machine. */
static double slowness(void) {
  pthread_t two[2];
  int64_t start = wall_now();
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&two[i], NULL, burn, NULL), 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(pthread_join(two[i], NULL), 0);
  double times = (double)(wall_now() - start) / BURN_NS;
  return times > 1 ? times : 1;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("the bounds in time are for code that ThreadSanitizer does not slow down");
  CHECK_EQ(thrum_set_workers(2), 0);
  for (size_t r = 0; r < sizeof rings / sizeof *rings; r++) {
    int64_t times[ROUNDS];
    double before = slowness();
    ring = &rings[r];
    for (int i = 0; i < ROUNDS; i++) times[i] = round_of();
    double after = slowness(), slow = before > after ? before : after;
    qsort(times, ROUNDS, sizeof *times, by_value);
    printf("%s: both workers after %lld us, at most %lld us; the machine is %.1f times as slow\n", ring->name,
           (long long)times[ROUNDS / 2] / 1000, (long long)times[ROUNDS - 1] / 1000, slow);
    fflush(stdout);
    if ((double)times[ROUNDS / 2] > LATE_NS * slow)
      check_failed(__FILE__, __LINE__, "%s: too late", ring->name);
  }
  return 0;
}
