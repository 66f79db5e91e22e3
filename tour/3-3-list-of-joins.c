/* A list of threads, joined one by one
 *
 * First start all of them and keep their handles; then join each. While main waits for the first, the others
 * run; joining one that has ended takes no time. After the loop all have ended, for certain. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  thrum_sleep(THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Hello!\n", *(int *)arg);
  return 0;
}

int main(void) {
  thrum_time start = thrum_now();
  thrum_thread all_threads[5] = {0};
  int numbers[] = {0, 1, 2, 3, 4};
  for (int i = 0; i < 5; i++) thrum_spawn_named(&all_threads[i], hello, &numbers[i], "hello-%d", i);

  for (int i = 0; i < 5; i++) {
    char name[THRUM_NAME_MAX];
    if (thrum_name(all_threads[i], name, sizeof name) >= 0) thrum_print("\tNow joining %s\n", name);
    thrum_join(all_threads[i], NULL);
  }
  thrum_print("*** DONE! *** after %.1f s: the longest of all sleeps\n", (double)(thrum_now() - start) / 1e9);
  return 0;
}
