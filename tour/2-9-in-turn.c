/* hello and goodbye, started in turn
 *
 * The other loop: one of each in every round. The order of starting changes, the order of ending was never
 * determined by it. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  thrum_sleep(THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Hello!\n", *(int *)arg);
  return 0;
}

static intptr_t goodbye(void *arg) {
  thrum_sleep(THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Goodbye!\n", *(int *)arg);
  return 0;
}

int main(void) {
  for (int i = 0; i < 5; i++) {
    thrum_spawn_copy(NULL, hello, &i, sizeof i);
    thrum_spawn_copy(NULL, goodbye, &i, sizeof i);
  }
  return 0;
}
