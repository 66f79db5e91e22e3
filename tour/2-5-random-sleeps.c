/* Random sleeps
 *
 * Proof that the five run concurrently: each sleeps for a random time first, and they end in another order
 * than they were started in. Here the sleeps are 0 to 0.3 seconds, in the lecture 0 to 3. Each thread has a
 * copy of i, as it was when the thread was started; &i would show what the loop has made of it since. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  int n = *(int *)arg;
  thrum_sleep(THRUM_MS(100) * arc4random_uniform(4)); /* a random source that threads may share */
  thrum_print("%d Hello!\n", n);
  return 0;
}

int main(void) {
  for (int i = 0; i < 5; i++) thrum_spawn_copy(NULL, hello, &i, sizeof i);
  return 0;
}
