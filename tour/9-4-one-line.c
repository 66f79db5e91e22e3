/* One changed line
 *
 * A task of bytes, in and out, does not care who runs it. The same program, which counts the primes below a number in eight pieces,
 * runs with an executor that calls each task at once, in the caller, and then with a pool of threads: the one line that differs
 * makes the executor; and then with a pool of processes. Each kind tells how many threads had a part in it and how long the pieces, which
 * also sleep for 20 ms each, took in all.
 *
 * THRUM_TASK gives the task a name under which every process that runs this program finds it. What processes need beside that one line
 * is the first line of main, by which they begin. */
#include <string.h>
#include <unistd.h>

#include <thrum.h>

enum { PIECES = 8, BELOW = 40000 };

struct range {
  int low, high;
};

struct answer {
  int primes;
  uint64_t by; /* which thread, of which process */
};

static bool is_prime(int n) {
  for (int d = 2; d * d <= n; d++)
    if (n % d == 0) return false;
  return n > 1;
}

THRUM_TASK(count_primes) {
  struct range range;
  if (size != sizeof range)
    return thrum_fail(EINVAL, "a range has %zu bytes, and not %zu", sizeof range, size);
  memcpy(&range, in, size);
  struct answer answer = {0, thrum_id(thrum_current()) << 32 | (uint32_t)getpid()};
  for (int n = range.low; n < range.high; n++) answer.primes += is_prime(n);
  thrum_sleep(THRUM_MS(20)); /* as if it had to ask a server, too */
  return thrum_out_write(out, &answer, sizeof answer);
}

/* Knows nothing of what kind the executor is. */
static void count_by(thrum_executor *executor, const char *kind) {
  thrum_future *futures[PIECES] = {0};
  uint64_t seen[PIECES];
  int primes = 0, threads = 0;
  thrum_time begun = thrum_now();
  for (int i = 0; i < PIECES; i++) {
    struct range range = {BELOW / PIECES * i, BELOW / PIECES * (i + 1)};
    thrum_submit_task(executor, &futures[i], &count_primes, &range, sizeof range);
  }
  for (int i = 0; i < PIECES; i++) {
    const void *bytes = NULL;
    size_t size = 0;
    struct answer answer = {0};
    if (thrum_future_bytes(futures[i], &bytes, &size) == 0 && size == sizeof answer)
      memcpy(&answer, bytes, size);
    thrum_future_release(futures[i]);
    primes += answer.primes;
    int known = 0;
    while (known < threads && seen[known] != answer.by) known++;
    if (known == threads) seen[threads++] = answer.by;
  }
  thrum_print("%-9s %d primes below %d, by %d thread%s, in %d ms\n", kind, primes, BELOW, threads,
              threads == 1 ? "" : "s", (int)((thrum_now() - begun) / THRUM_MS(1)));
  thrum_executor_shutdown(executor, true, false);
  thrum_executor_release(executor);
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  thrum_executor *executor = NULL;
  if (thrum_executor_inline(&executor) == 0) count_by(executor, "inline");
  if (thrum_executor_threads(&executor, NULL) == 0) count_by(executor, "threads");
  if (thrum_executor_processes(&executor, NULL) == 0) count_by(executor, "processes");
  return 0;
}
