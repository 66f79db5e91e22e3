/* Concurrency beside parallelism: the same work with one worker and with two
 *
 * Concurrency: several things are under way. Parallelism: and they run at the same moment. A worker is the
 * right to run a thread, so one worker gives the first and two give both. See the lanes: with one worker the
 * marks of the two threads alternate; with two they lie above each other, and the work is done in less time,
 * if the machine has two CPUs to spare. Python's GIL never gives more than the first picture. */
#include "lanes.h"

enum { THREADS = 2, LIMIT = 1000000 };

static struct lane lanes[THREADS];

static bool is_prime(int n) {
  for (int i = 2; i * i <= n; i++)
    if (n % i == 0) return false;
  return n > 1;
}

/* How many primes there are below LIMIT: work for the CPU and nothing else. */
static intptr_t count_primes(void *arg) {
  struct lane *lane = arg;
  intptr_t primes = 0;
  for (int n = 0; n < LIMIT; n++) {
    if (is_prime(n)) primes++;
    if (n % 64 == 0) lane_stamp(lane);
  }
  return primes;
}

static void with_workers(int workers) {
  thrum_thread threads[THREADS] = {0};
  thrum_set_workers(workers);
  thrum_time start = thrum_now();
  for (int i = 0; i < THREADS; i++) {
    lanes[i] = (struct lane){.name = i ? "second" : "first"};
    thrum_spawn(&threads[i], count_primes, &lanes[i]);
  }
  intptr_t primes[THREADS] = {0};
  for (int i = 0; i < THREADS; i++) thrum_join(threads[i], &primes[i]);
  thrum_duration took = thrum_now() - start;
  thrum_print("%d worker%s: %jd and %jd primes in %.0f ms, both at once for %.0f ms\n", workers,
              workers > 1 ? "s" : "", (intmax_t)primes[0], (intmax_t)primes[1], (double)took / 1e6,
              (double)lanes_overlap(&lanes[0], &lanes[1]) / 1e6);
  lanes_draw(lanes, THREADS);
}

int main(void) {
  with_workers(1);
  with_workers(2);
  return 0;
}
