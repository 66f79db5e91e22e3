/* Results
 *
 * What a Python thread's function returns is ignored. thrum_join hands it over: a number, a pointer, or a
 * failure. A failure is a negative errno, and may bring a sentence. If nobody can read it any more, since
 * the thread was started without a handle, a line says that it failed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <thrum.h>

static intptr_t square(void *arg) {
  int n = *(int *)arg;
  return n * n;
}

static intptr_t greeting(void *arg) {
  char *text = malloc(32);
  if (text) snprintf(text, 32, "Hello, %s!", (char *)arg);
  return text ? (intptr_t)text : -ENOMEM;
}

static intptr_t look_up(void *arg) { return thrum_fail(ENOENT, "there is no table %s", (char *)arg); }

int main(void) {
  int n = 7;
  static char world[] = "world",
              colours[] = "colours"; /* static: "unheard" reads it when main has returned */
  thrum_thread number, pointer, failure;
  thrum_spawn_copy(&number, square, &n, sizeof n);
  thrum_spawn(&pointer, greeting, world);
  thrum_spawn(&failure, look_up, colours);

  intptr_t result;
  thrum_join(number, &result);
  printf("square: %jd\n", (intmax_t)result);
  thrum_join(pointer, &result);
  if (!thrum_failed(result)) printf("greeting: %s\n", (char *)result), free((void *)result);
  thrum_join(failure, &result);
  if (thrum_failed(result)) printf("look_up: %s: %s\n", strerror(-(int)result), thrum_failure());
  fflush(stdout);
  thrum_spawn_named(NULL, look_up, colours, "unheard");
  return 0;
}
