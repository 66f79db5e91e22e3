/* Timed joins
 *
 * thrum_join_for waits for so long and then says -ETIMEDOUT, so that main learns of each end soon, whatever
 * the order. The lecture's loop removes from the list that it walks, and so skips the thread after each one
 * removed until the next round. Here the last thread takes the place of a removed one, and is asked next. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  thrum_sleep(THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Hello!\n", *(int *)arg);
  return 0;
}

int main(void) {
  thrum_thread all_threads[5] = {0};
  int numbers[] = {0, 1, 2, 3, 4}, left = 5;
  for (int i = 0; i < 5; i++) thrum_spawn_named(&all_threads[i], hello, &numbers[i], "hello-%d", i);

  while (left > 0) {
    for (int i = 0; i < left;) {
      char name[THRUM_NAME_MAX] = "";
      thrum_name(all_threads[i], name, sizeof name);
      if (thrum_join_for(all_threads[i], NULL, THRUM_MS(10)) == -ETIMEDOUT) {
        i++;
        continue;
      }
      thrum_print("\tRemoved %s\n", name);
      all_threads[i] = all_threads[--left];
    }
  }
  thrum_print("*** DONE! ***\n");
  return 0;
}
