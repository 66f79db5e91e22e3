/* Names, and the current thread
 *
 * A thread has a name: the one that we give it, or else Thread-N and its function. thrum_current() is the
 * thread that asks, as threading.current_thread() is. A thread may be renamed, by itself or by others. */
#include <thrum.h>

static intptr_t hello(void *arg) {
  (void)arg;
  thrum_print("Hello! I am %s\n", thrum_current_name());
  return 0;
}

static intptr_t shy(void *arg) {
  thrum_set_name(thrum_current(), "incognito");
  return hello(arg);
}

int main(void) {
  thrum_thread threads[3] = {0};
  thrum_spawn(&threads[0], hello, NULL);
  thrum_spawn_named(&threads[1], hello, NULL, "hello-%d", 1);
  thrum_spawn(&threads[2], shy, NULL);
  for (int i = 0; i < 3; i++) thrum_join(threads[i], NULL);
  hello(NULL); /* called, not started: it runs in the main thread */
  return 0;
}
