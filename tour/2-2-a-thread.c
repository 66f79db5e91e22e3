/* hello, in a thread
 *
 * We do not call the function. We hand it to thrum_spawn, which starts a thread that calls it. Nobody waits
 * for it here, and still its line comes: as in Python, a program ends only after its threads. */
#include <thrum.h>

static intptr_t hello(void *arg) {
  (void)arg;
  thrum_print("Hello!\n");
  return 0;
}

int main(void) {
  thrum_spawn(NULL, hello, NULL); /* NULL: we keep no handle, for we do not want to wait */
  return 0;
}
