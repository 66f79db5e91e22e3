/* A program outside of thrum's tree, C11 and C++11 alike: it uses what its compiler line got from pkg-config. */
#include <thrum.h>

#include <stdio.h>
#include <string.h>

enum { THREADS = 8 };

static intptr_t twice(void *arg) {
  int number;
  memcpy(&number, arg, sizeof number);
  thrum_yield();
  return 2 * number;
}

static int check_version(void) {
  char expected[32];
  snprintf(expected, sizeof expected, "%d.%d.%d", THRUM_VERSION_MAJOR, THRUM_VERSION_MINOR,
           THRUM_VERSION_PATCH);
  if (strcmp(thrum_version(), expected) == 0) return 0;
  fprintf(stderr, "the library is %s, its headers are %s\n", thrum_version(), expected);
  return 1;
}

int main(void) {
  thrum_thread threads[THREADS];
  thrum_options options = THRUM_OPTIONS_INIT;
  intptr_t result, sum = 0;
  int i, last = THREADS - 1, status;

  options.bound = true;
  for (i = 0; i < last; i++) {
    status = thrum_spawn_copy(&threads[i], twice, &i, sizeof i);
    if (status) return fprintf(stderr, "spawn: %s\n", strerror(-status)), 1;
  }
  status = thrum_spawn_with(&threads[last], &options, twice, &last);
  if (status) return fprintf(stderr, "spawn of a bound thread: %s\n", strerror(-status)), 1;

  for (i = 0; i < THREADS; i++) {
    status = thrum_join(threads[i], &result);
    if (status) return fprintf(stderr, "join: %s\n", strerror(-status)), 1;
    sum += result;
  }
  if (sum != THREADS * (THREADS - 1)) return fprintf(stderr, "a sum of %ld\n", (long)sum), 1;
  return check_version();
}
