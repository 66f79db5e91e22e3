/* The same work, three ways
 *
 * How many primes are there below a million? Four pieces of work, and nothing but computing. First four threads with one worker:
 * concurrency, and what Python's GIL leaves of threads. Then four threads with a worker for each CPU. Then four processes, which is
 * how Python gets at more than one CPU.
 *
 * In C the second is as fast as the third, and needs no process: nothing forbids two threads to compute at once. What processes give
 * beside that is what the next programs show: each has its own memory, and its own end. */
#include <stdio.h>
#include <string.h>

#include <thrum.h>

enum { PIECES = 4, LIMIT = 1000000 };

static bool is_prime(int n) {
  for (int d = 2; d * d <= n; d++)
    if (n % d == 0) return false;
  return n > 1;
}

/* Of the odd numbers every fourth one, from another one on in each piece, so that all are as much work. */
static int count_piece(int i) {
  int primes = i == 0; /* 2, the even one */
  for (int n = 2 * i + 1; n < LIMIT; n += 2 * PIECES) primes += is_prime(n);
  return primes;
}

static intptr_t count_in_thread(void *piece) { return count_piece(*(const int *)piece); }

THRUM_TASK(count) {
  int piece;
  if (size != sizeof piece) return -EINVAL;
  memcpy(&piece, in, size);
  int primes = count_piece(piece);
  return thrum_out_write(out, &primes, sizeof primes);
}

static int by_threads(void) {
  static const int numbers[PIECES] = {0, 1, 2, 3};
  thrum_thread threads[PIECES] = {0};
  int sum = 0;
  for (int i = 0; i < PIECES; i++) thrum_spawn(&threads[i], count_in_thread, (void *)&numbers[i]);
  for (int i = 0; i < PIECES; i++) {
    intptr_t primes = 0;
    thrum_join(threads[i], &primes);
    sum += (int)primes;
  }
  return sum;
}

static int by_processes(void) {
  thrum_process *processes[PIECES] = {0};
  int sum = 0;
  for (int i = 0; i < PIECES; i++) thrum_process_start(&processes[i], NULL, &count, &i, sizeof i);
  for (int i = 0; i < PIECES; i++) {
    const void *bytes = NULL;
    size_t size = 0;
    int primes = 0;
    thrum_process_join(processes[i], NULL);
    if (thrum_process_result(processes[i], &bytes, &size) == 0 && size == sizeof primes)
      memcpy(&primes, bytes, size);
    thrum_process_release(processes[i]);
    sum += primes;
  }
  return sum;
}

static void measure(const char *what, int (*count_all)(void)) {
  thrum_time begun = thrum_now();
  int primes = count_all();
  thrum_print("%-28s %d primes in %4d ms\n", what, primes, (int)((thrum_now() - begun) / THRUM_MS(1)));
}

int main(int argc, char **argv) {
  thrum_process_main(argc, argv);
  int all = thrum_workers();
  char text[40];
  thrum_set_workers(1);
  measure("threads, 1 worker", by_threads);
  thrum_set_workers(all);
  snprintf(text, sizeof text, "threads, %d worker%s", all, all == 1 ? "" : "s");
  measure(text, by_threads);
  measure("processes", by_processes);
  return 0;
}
