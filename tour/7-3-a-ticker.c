/* A ticker, which does not drift
 *
 * Fifty times every 4 ms, something is to be done that takes 1 ms. Work and then sleep 4 ms: each round takes 5 ms and some more,
 * and all of it adds up. A ticker's ticks are due at its start plus 4, 8, 12 ms, however late one of them was
 * seen. Who was away for several is told how many. */
#include <thrum.h>

enum { ROUNDS = 50 };

#define PERIOD THRUM_MS(4)

static void work(void) { thrum_sleep(THRUM_MS(1)); }

static void tell(const char *how, thrum_time start) {
  thrum_duration late = thrum_now() - start - ROUNDS * PERIOD;
  thrum_print("%-18s after %d rounds of %d ms: %7.3f ms late\n", how, ROUNDS, (int)(PERIOD / THRUM_MS(1)),
              (double)late / 1e6);
}

int main(void) {
  thrum_time start = thrum_now();
  for (int i = 0; i < ROUNDS; i++) {
    thrum_sleep(PERIOD);
    work();
  }
  tell("sleep in a loop", start);

  static thrum_ticker ticker; /* all-zero: stopped */
  start = thrum_now();
  thrum_ticker_start_at(&ticker, start + PERIOD, PERIOD);
  for (int64_t ticks = 0; ticks < ROUNDS; ticks += thrum_ticker_wait(&ticker)) work();
  tell("ticker", start);

  thrum_ticker_start_at(&ticker, thrum_now() + PERIOD, PERIOD);
  thrum_sleep(10 * PERIOD + PERIOD / 2);
  thrum_print("away for ten periods and a half: the next wait says %d\n", (int)thrum_ticker_wait(&ticker));
  thrum_ticker_stop(&ticker);
  thrum_print("stopped: it says %s\n", thrum_ticker_wait(&ticker) == -EPIPE ? "-EPIPE" : "something else");
  return 0;
}
