/* Waiting by sleeping: do not do this
 *
 * To say DONE when all have ended, the lecture first sleeps for seven seconds, since no thread sleeps for
 * more than three. (Here: 0.7 and 0.3.) Too long a sleep wastes time, and nobody can know how long is long
 * enough: the second round sleeps for 0.05 seconds, and says DONE while threads are still at work. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  thrum_sleep(THRUM_MS(100) + THRUM_MS(100) * arc4random_uniform(3));
  thrum_print("%d Hello!\n", *(int *)arg);
  return 0;
}

static void hope_for_the_best(thrum_duration how_long) {
  for (int i = 0; i < 5; i++) thrum_spawn_copy(NULL, hello, &i, sizeof i);
  thrum_sleep(how_long); /* don't do this */
  thrum_print("*** DONE! *** with %zu threads left, after %.2f s\n", thrum_active_count() - 1,
              (double)how_long / 1e9);
}

int main(void) {
  hope_for_the_best(THRUM_MS(700));
  hope_for_the_best(THRUM_MS(50));
  return 0;
}
