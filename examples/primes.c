/* primes [N]: the primes up to N, 100 if not given, by a chain of threads.
 *
 * Each thread keeps the first number that it gets, which is a prime, prints it, and passes on what that does not divide. The
 * chain is McIlroy's, and Go made it known. It is no fast way to primes: it shows threads and queues that come and go. */
#include <stdio.h>
#include <stdlib.h>
#include <thrum.h>

static intptr_t sieve(void *arg);

/* Passes on what the prime does not divide, to a thread that does the same with the next prime. */
static intptr_t filter(thrum_queue *in, int prime) {
  thrum_queue out = THRUM_QUEUE_INIT(int, 16);
  thrum_thread next;
  int n, error = thrum_spawn(&next, sieve, &out);
  if (error) return thrum_fail(error, "no thread for what is left by %d", prime);
  while (thrum_queue_get(in, &n) == 0)
    if (n % prime != 0) thrum_queue_put(&out, &n);
  thrum_queue_shutdown(&out, false);
  intptr_t result;
  thrum_join(next, &result);
  thrum_queue_destroy(&out);
  return result;
}

static intptr_t sieve(void *arg) {
  thrum_queue *in = arg;
  int prime;
  if (thrum_queue_get(in, &prime) == -EPIPE) return 0; /* the end of the chain */
  thrum_print("%d\n", prime);
  intptr_t result = filter(in, prime);
  if (thrum_failed(result)) thrum_queue_shutdown(in, true); /* or who puts would wait for ever */
  return result;
}

int main(int argc, char **argv) {
  int last = argc > 1 ? atoi(argv[1]) : 100;
  thrum_queue numbers = THRUM_QUEUE_INIT(int, 16);
  thrum_thread first;
  int error = thrum_spawn(&first, sieve, &numbers);
  for (int n = 2; n <= last && !error; n++) error = thrum_queue_put(&numbers, &n);
  thrum_queue_shutdown(&numbers, false);
  intptr_t result = error;
  if (error != -EPIPE && error) return 1;
  thrum_join(first, &result);
  thrum_queue_destroy(&numbers);
  if (thrum_failed(result)) fprintf(stderr, "primes: %s\n", thrum_failure());
  return thrum_failed(result);
}
