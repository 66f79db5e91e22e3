/* Promise 2: whoever is woken by I/O or a timer runs ahead of hogs, and these progress all the same. The
 * bounds are generous, for machines that do other things too; a runtime that lets hogs use up their turns
 * first needs 10 ms and more. */
#include "../support.h"

#include <fcntl.h>

enum { ROUNDS = 300, SLEEPS = 200, LATE_NS = TESTS_SANITIZED ? 20000000 : 5000000 };

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

static void check_median(const char *what, int64_t *times, int count) {
  qsort(times, (size_t)count, sizeof *times, by_value);
  printf("%s: median %lld us, p99 %lld us\n", what, (long long)times[count / 2] / 1000,
         (long long)times[count * 99 / 100] / 1000);
  if (times[count / 2] > LATE_NS)
    check_failed(__FILE__, __LINE__, "%s: median %lld us, p90 %lld us", what,
                 (long long)times[count / 2] / 1000, (long long)times[count * 9 / 10] / 1000);
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
  check_median("round trip beside hogs", times, ROUNDS);
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
  check_median("lateness of a sleeper beside hogs", late, SLEEPS);
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
  CHECK_EQ(pipe2(there, O_CLOEXEC), 0);
  CHECK_EQ(pipe2(back, O_CLOEXEC | O_NONBLOCK), 0);
  thrum_thread t = must_spawn(echo, NULL);
  hogs_start(&hogs, 2 * thrum_workers(), hog_loop);
  AWAIT(hogs_all_beyond(&hogs, NULL));
  beside_hogs(round_trips);
  beside_hogs(sleeps);
  hogs_stop(&hogs);
  CHECK_EQ(thrum_close(there[1]), 0);
  CHECK_EQ(must_join(t), 0);
  return 0;
}
