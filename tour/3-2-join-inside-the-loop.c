/* Join inside the loop: right, and yet wrong
 *
 * thrum_join waits for a thread to end. Called right after each start it waits for one before the next is
 * started: always in order, and as slow as without threads. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  thrum_sleep(THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Hello!\n", *(int *)arg);
  return 0;
}

int main(void) {
  thrum_time start = thrum_now();
  for (int i = 0; i < 5; i++) {
    thrum_thread t;
    if (thrum_spawn_copy(&t, hello, &i, sizeof i) == 0) thrum_join(t, NULL);
  }
  thrum_print("*** DONE! *** after %.1f s: the sum of all sleeps\n", (double)(thrum_now() - start) / 1e9);
  return 0;
}
