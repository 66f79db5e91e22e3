/* hello, serially
 *
 * One process, one thread: a function called five times, each call after the one before. */
#include <stdio.h>

static void hello(void) { printf("Hello!\n"); }

int main(void) {
  for (int i = 0; i < 5; i++) hello();
  return 0;
}
