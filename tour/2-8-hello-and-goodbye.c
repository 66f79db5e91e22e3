/* The exercise: hello and goodbye
 *
 * Five threads for each of two functions, in two loops, all with names. While they sleep, the list of all
 * threads shows eleven: the main thread is one too. Ten lines follow, in an order that nobody chose. */
#include <stdlib.h>

#include <thrum.h>

static intptr_t hello(void *arg) {
  thrum_sleep(THRUM_MS(100) + THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Hello!\n", *(int *)arg);
  return 0;
}

static intptr_t goodbye(void *arg) {
  thrum_sleep(THRUM_MS(100) + THRUM_MS(100) * arc4random_uniform(4));
  thrum_print("%d Goodbye!\n", *(int *)arg);
  return 0;
}

static void list_threads(void) {
  thrum_thread all[16];
  size_t count = thrum_enumerate(all, 16);
  for (size_t i = 0; i < count && i < 16; i++) {
    char name[THRUM_NAME_MAX];
    if (thrum_name(all[i], name, sizeof name) >= 0) thrum_print("  %s\n", name);
  }
  thrum_print("  %zu threads\n", count);
}

int main(void) {
  static int numbers[] = {0, 1, 2, 3, 4}; /* static: threads still read them when main has returned */
  for (int i = 0; i < 5; i++) thrum_spawn_named(NULL, hello, &numbers[i], "hello-%d", i);
  for (int i = 0; i < 5; i++) thrum_spawn_named(NULL, goodbye, &numbers[i], "goodbye-%d", i);
  list_threads();
  return 0;
}
