/* A scope: all end together
 *
 * Four threads fetch, each of them for ten seconds, and one of them finds that it cannot. In Python the others go on, somebody has to
 * remember them, and the error is seen when that one is asked. Here they belong to a scope. Its block does not end before they
 * all have, and the first failure cancels the others: what they wait in says -ECANCELED, wherever that is. Each puts its things in
 * order, behind a shield, so that being cancelled does not disturb that; and the block tells who failed, and why. It is over within
 * a moment.
 *
 * The second scope has a time limit, and a scope within it that has none of its own: the limit reaches into it. */
#include <string.h>

#include <thrum.h>

enum { FETCHERS = 4, BAD = 2 };

static intptr_t fetch(void *arg) {
  int n = *(const int *)arg;
  thrum_sleep(THRUM_MS(30));
  if (n == BAD) return thrum_fail(EIO, "the server hung up");
  int error = thrum_sleep(THRUM_S(10));
  THRUM_SHIELD(THRUM_S(1)) {
    thrum_sleep(THRUM_MS(10)); /* not cancelled: it may take its time */
    thrum_print("\t%s has put its things in order, since %s\n", thrum_current_name(), strerror(-error));
  }
  return error;
}

static void first_failure_stops_all(void) {
  int error = 0;
  thrum_time begun = thrum_now();
  THRUM_SCOPE(fetchers, .status = &error) {
    static const int numbers[FETCHERS] = {0, 1, 2, 3};
    for (int i = 0; i < FETCHERS; i++)
      thrum_scope_spawn_named(&fetchers, NULL, fetch, (void *)&numbers[i], "fetch-%d", i);
  }
  thrum_print("failed: %s. %s\n", strerror(-error), thrum_failure());
  thrum_print("all of them are gone after %s\n",
              thrum_now() - begun < THRUM_S(5) ? "a moment" : "a long time");
}

static intptr_t wait_for_ever(void *arg) {
  thrum_event never = {0};
  int error = thrum_event_wait_for(&never, THRUM_FOREVER);
  *(int *)arg = error;
  return error;
}

static void time_limit_reaches_all(void) {
  int outer = 0, inner = 0, thread = 0;
  THRUM_SCOPE(limited, .timeout = THRUM_MS(50), .status = &outer) {
    THRUM_SCOPE(within, .status = &inner) thrum_scope_spawn(&within, NULL, wait_for_ever, &thread);
  }
  thrum_print("the thread: %s; the inner scope: %s; the outer one: %s\n", strerror(-thread), strerror(-inner),
              strerror(-outer));
}

int main(void) {
  first_failure_stops_all();
  time_limit_reaches_all();
  thrum_print("threads left: %zu, main\n", thrum_active_count());
  return 0;
}
