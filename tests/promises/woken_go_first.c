/* Promise 2: whoever is woken by I/O or a timer runs ahead of hogs, and these progress all the same.
 *
 * The bound is on the median and generous, and it grows with what the machine does besides: an OS thread that
 * only sleeps tells how late the OS itself is at that time. A runtime that lets the hogs use up their turns
 * first needs an interval for each, 10 ms and more. */
#include "../support.h"

#include <fcntl.h>

enum { CONTROLS_MAX = 4096, ROUNDS = 300, SLEEPS = 200, LATE_NS = TESTS_SANITIZED ? 20000000 : 5000000 };

static struct hogs hogs;
static int there[2], back[2];

static intptr_t echo(void *arg) {
  (void)arg;
  char c;
  while (thrum_read(there[0], &c, 1) == 1) CHECK_EQ(thrum_write(back[1], &c, 1), 1);
  return 0;
}

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static int64_t control[CONTROLS_MAX];
static int controls;
static bool control_stop;

/* An OS thread beside all that, of which thrum knows nothing. */
static void *sleep_plainly(void *arg) {
  (void)arg;
  while (!LOAD(control_stop)) {
    struct timespec span = {0, 1000000};
    int64_t start = wall_now();
    nanosleep(&span, NULL);
    int n = LOAD(controls);
    control[n % CONTROLS_MAX] = wall_now() - start - span.tv_nsec;
    STORE(controls, n + 1);
  }
  return NULL;
}

static int64_t control_median(void) {
  static int64_t copy[CONTROLS_MAX];
  int n = LOAD(controls) < CONTROLS_MAX ? LOAD(controls) : CONTROLS_MAX;
  memcpy(copy, control, sizeof copy);
  STORE(controls, 0);
  if (n == 0) return 0;
  qsort(copy, (size_t)n, sizeof *copy, by_value);
  return copy[n / 2];
}

static void check_times(const char *what, int64_t *times, int count) {
  qsort(times, (size_t)count, sizeof *times, by_value);
  int64_t median = times[count / 2], os = control_median();
  printf("%s: median %lld us, p90 %lld us, p99 %lld us; the OS itself: median %lld us\n", what,
         (long long)median / 1000, (long long)times[count * 9 / 10] / 1000,
         (long long)times[count * 99 / 100] / 1000, (long long)os / 1000);
  fflush(stdout);
  if (median > LATE_NS + 4 * os) check_failed(__FILE__, __LINE__, "%s: too late", what);
}

static intptr_t round_trips(void *arg) {
  (void)arg;
  static int64_t times[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    char c = (char)i, answer = (char)~i;
    int64_t start = wall_now();
    CHECK_EQ(thrum_write(there[1], &c, 1), 1);
    CHECK_EQ(thrum_read(back[0], &answer, 1), 1);
    times[i] = wall_now() - start;
    CHECK_EQ(answer, c);
  }
  check_times("round trip beside hogs", times, ROUNDS);
  return 0;
}

static intptr_t sleeps(void *arg) {
  (void)arg;
  static int64_t late[SLEEPS];
  for (int i = 0; i < SLEEPS; i++) {
    thrum_duration span = THRUM_US(200 + i * 17 % 3000);
    int64_t start = wall_now();
    CHECK_EQ(thrum_sleep(span), 0);
    late[i] = wall_now() - start - span;
    CHECK(late[i] >= 0);
  }
  check_times("lateness of a sleeper beside hogs", late, SLEEPS);
  return 0;
}

/* The woken sleep often: meanwhile each hog must go round. */
static void beside_hogs(thrum_fn *fn) {
  uint64_t since[HOGS_MAX];
  for (int i = 0; i < hogs.count; i++) since[i] = hog_loops(&hogs, i);
  CHECK_EQ(must_join(must_spawn(fn, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(fn, NULL)), 0);
  CHECK_EQ(fn(NULL), 0);
  AWAIT(hogs_all_beyond(&hogs, since));
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("the bounds in time are for code that ThreadSanitizer does not slow down");
  CHECK_EQ(pipe2(there, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(back, O_CLOEXEC | O_NONBLOCK), 0);
  pthread_t plain;
  CHECK_EQ(pthread_create(&plain, NULL, sleep_plainly, NULL), 0);
  thrum_thread t = must_spawn(echo, NULL);
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  beside_hogs(round_trips);
  beside_hogs(sleeps);
  hogs_stop(&hogs);
  CHECK(statistics().wakeup_preemptions >
        0); /* that is how: hogs do not make room for the woken by themselves */
  CHECK_EQ(thrum_close(there[1]), 0);
  CHECK_EQ(must_join(t), 0);
  STORE(control_stop, true);
  CHECK_EQ(pthread_join(plain, NULL), 0);
  return 0;
}
