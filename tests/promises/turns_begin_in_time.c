/* Promises 1 and 3 in time: a thread that could run gets its first turn about one interval after another one began to keep the
 * worker, whether that computes or is blocked in a plain read; and the interval is what is set.
 *
 * Who computes may burn two intervals of CPU time meanwhile, which other programs do not add to. Of the clock the bound is what
 * OS threads need for the same in the same run: one keeps its CPU for an interval (of CPU time; or asleep) and then wakes
 * another, which notes when it runs. A busy moment may hit one of the two alone, so there are several attempts: a runtime that
 * is late always is late in all of them. */
#include "../support.h"

#include <fcntl.h>
#include <semaphore.h>

enum { ROUNDS = 25, ATTEMPTS = 6, MORE_BURNT = 2, LATER_COMPUTING = 5, LATER_ASLEEP = 3 };
#define INTERVAL THRUM_MS(5)

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static int64_t median(int64_t *times) {
  qsort(times, ROUNDS, sizeof *times, by_value);
  return times[ROUNDS / 2];
}

static int64_t cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- What the OS does by itself ------------------------------------------------------------------------------- */

static sem_t wake, woken;
static int64_t woken_at;
static bool control_stop;

static void *note_when_woken(void *arg) {
  (void)arg;
  for (;;) {
    while (sem_wait(&wake) != 0) continue;
    if (LOAD(control_stop)) return NULL;
    woken_at = wall_now();
    CHECK_EQ(sem_post(&woken), 0);
  }
}

static void burn_an_interval(void) {
  for (int64_t end = cpu_now() + INTERVAL; cpu_now() < end;) continue;
}

static void sleep_an_interval(void) {
  struct timespec span = {0, INTERVAL};
  while (nanosleep(&span, &span) != 0) CHECK_EQ(errno, EINTR); /* a signal that came late */
}

static int64_t wakes_after(void (*keep)(void)) {
  int64_t start = wall_now();
  keep();
  CHECK_EQ(sem_post(&wake), 0);
  while (sem_wait(&woken) != 0) continue;
  return woken_at - start;
}

/* ---- The first turn beside who keeps the worker ---------------------------------------------------------------- */

static int64_t began; /* when the newcomer first ran; 0: not yet */
static int fds[2];
static int64_t took, burnt; /* from the spawn to then; of the keeper's CPU time */

static intptr_t begin(void *arg) {
  STORE(began, wall_now());
  if (arg) CHECK_EQ(write(fds[1], "x", 1), 1);
  return 0;
}

/* From the spawn on it calls nothing of the runtime's until the other has run. */
static intptr_t keep_worker(void *arg) {
  char c;
  began = 0;
  thrum_thread t = must_spawn(begin, arg);
  int64_t start = wall_now(), cpu = cpu_now();
  if (arg)
    CHECK_EQ(read(fds[0], &c, 1), 1);
  else
    while (!LOAD(began)) continue;
  burnt = cpu_now() - cpu;
  took = LOAD(began) - start;
  return must_join(t);
}

static bool is_in_time(const char *what, void *arg, void (*control)(void), int factor) {
  int64_t ours[ROUNDS], cpu[ROUNDS], os[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    CHECK_EQ(must_join(must_spawn(keep_worker, arg)), 0);
    ours[i] = took;
    cpu[i] = burnt;
    os[i] = wakes_after(control);
  }
  int64_t late = median(ours), used = median(cpu), by_os = median(os);
  printf(
      "first turn beside a thread that %s: median %lld us, of which it burnt %lld us; by the OS: %lld us\n",
      what, (long long)late / 1000, (long long)used / 1000, (long long)by_os / 1000);
  fflush(stdout);
  return late <= factor * by_os && used <= MORE_BURNT * INTERVAL;
}

static void begins_in_time(const char *what, void *arg, void (*control)(void), int factor) {
  for (int i = 0; i < ATTEMPTS; i++)
    if (is_in_time(what, arg, control, factor)) return;
  check_failed(__FILE__, __LINE__, "beside a thread that %s others begin too late", what);
}

/* ---- The interval is what is set --------------------------------------------------------------------------------- */

enum { HOGS = 2, TURNS = 60, FINER = 5 };

static int last, turns;
static int64_t turn_began, lengths[TURNS + HOGS];

/* One worker: only who runs writes. The other one may be about to write once more. */
static intptr_t take_turns(void *arg) {
  int me = (int)(intptr_t)arg;
  while (LOAD(turns) < TURNS) {
    if (LOAD(last) == me) continue;
    int64_t now = wall_now();
    lengths[turns] = now - turn_began;
    turn_began = now;
    STORE(last, me);
    ADD(turns, 1);
  }
  return 0;
}

/* That a quarter of the turns are no longer than: a turn is longer if other programs have the CPUs. */
static int64_t turn_at(thrum_duration interval) {
  thrum_thread threads[HOGS];
  CHECK_EQ(thrum_set_switch_interval(interval), 0);
  turns = 0;
  last = -1;
  turn_began = wall_now();
  for (int i = 0; i < HOGS; i++) threads[i] = must_spawn(take_turns, (void *)(intptr_t)i);
  for (int i = 0; i < HOGS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_set_switch_interval(INTERVAL), 0);
  qsort(lengths, TURNS, sizeof *lengths, by_value);
  return lengths[TURNS / 4];
}

/* One to fifty by the settings; how short a turn is in fact depends on the kernel's timers, and on who else is there. */
static void interval_is_what_is_set(void) {
  for (int i = 0; i < ATTEMPTS; i++) {
    int64_t usual = turn_at(INTERVAL), shortest = turn_at(THRUM_US(100));
    printf("turns of %lld us at 5 ms, of %lld us at 100 us\n", (long long)usual / 1000,
           (long long)shortest / 1000);
    fflush(stdout);
    if (usual >= FINER * shortest && usual >= INTERVAL / 2) return;
  }
  check_failed(__FILE__, __LINE__, "a fiftieth of the interval does not make turns a fifth as long");
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("the bounds in time are for code that ThreadSanitizer does not slow down");
  pthread_t plain;
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  CHECK(sem_init(&wake, 0, 0) == 0 && sem_init(&woken, 0, 0) == 0);
  CHECK_EQ(pthread_create(&plain, NULL, note_when_woken, NULL), 0);
  CHECK_EQ(thrum_set_workers(1), 0); /* another one would take the newcomer */
  begins_in_time("computes", NULL, burn_an_interval, LATER_COMPUTING);
  begins_in_time("is blocked in a plain read", fds, sleep_an_interval, LATER_ASLEEP);
  interval_is_what_is_set();
  STORE(control_stop, true);
  CHECK_EQ(sem_post(&wake), 0);
  CHECK_EQ(pthread_join(plain, NULL), 0);
  return 0;
}
