/* hello, in five threads
 *
 * As before, and each call is in a thread of its own. */
#include <thrum.h>

static intptr_t hello(void *arg) {
  (void)arg;
  thrum_print("Hello!\n");
  return 0;
}

int main(void) {
  for (int i = 0; i < 5; i++) thrum_spawn(NULL, hello, NULL);
  return 0;
}
