/* Round trips beside threads that compute: how long does a short message wait?
 *
 *     echo [HOGS [ROUND_TRIPS]]
 *
 * A client sends eight bytes through a pipe, a server sends them back through another; 4 hogs and 1000 round
 * trips unless said otherwise. Half of the hogs do arithmetic, the other half live in malloc and snprintf. It
 * is measured without hogs first, then with them. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <thrum.h>

struct exchange {
  int to_server[2], to_client[2];
  int count;
  thrum_duration *took; /* of each round trip */
};

static atomic_bool over;

static intptr_t computing_hog(void *arg) {
  (void)arg;
  unsigned long x = 1;
  while (!atomic_load_explicit(&over, memory_order_relaxed)) x = x * 6364136223846793005UL + 1;
  return (intptr_t)(x >> 1); /* not negative, so no failure */
}

static intptr_t libc_hog(void *arg) {
  (void)arg;
  intptr_t bytes = 0;
  while (!atomic_load_explicit(&over, memory_order_relaxed)) {
    char *text = malloc(256);
    if (!text) return -ENOMEM;
    bytes += snprintf(text, 256, "%f and %jd", (double)bytes / 3, (intmax_t)bytes);
    free(text);
  }
  return bytes;
}

static intptr_t serve(void *arg) {
  struct exchange *e = arg;
  char message[8];
  ssize_t n;
  while ((n = thrum_read(e->to_server[0], message, sizeof message)) > 0) {
    if (thrum_write(e->to_client[1], message, (size_t)n) != n) return thrum_fail(EIO, "the answer was cut");
  }
  return n;
}

static intptr_t ask(void *arg) {
  struct exchange *e = arg;
  char message[8] = "hello", answer[8];
  for (int i = 0; i < e->count; i++) {
    thrum_sleep(THRUM_MS(1));
    thrum_time start = thrum_now();
    ssize_t sent = thrum_write(e->to_server[1], message, sizeof message);
    ssize_t got = sent < 0 ? sent : thrum_read(e->to_client[0], answer, sizeof answer);
    e->took[i] = thrum_now() - start;
    if (got != sizeof answer || memcmp(message, answer, sizeof answer) != 0)
      return thrum_fail(EIO, "round trip %d brought %zd bytes", i, got);
  }
  return 0;
}

static int by_length(const void *a, const void *b) {
  thrum_duration x = *(const thrum_duration *)a, y = *(const thrum_duration *)b;
  return (x > y) - (x < y);
}

static void report(int hogs, struct exchange *e) {
  qsort(e->took, (size_t)e->count, sizeof *e->took, by_length);
  printf("%6d %12d %10.3f %10.3f %10.3f\n", hogs, e->count, (double)e->took[e->count / 2] / 1e6,
         (double)e->took[(int)(e->count * 0.99)] / 1e6, (double)e->took[e->count - 1] / 1e6);
}

static int measure(int hogs, struct exchange *e) {
  thrum_thread *busy, server, client;
  if (pipe2(e->to_server, O_NONBLOCK) != 0 || pipe2(e->to_client, O_NONBLOCK) != 0) return -errno;
  if (!(busy = calloc((size_t)hogs + 1, sizeof *busy))) return -ENOMEM;
  atomic_store(&over, false);
  for (int i = 0; i < hogs; i++)
    thrum_spawn_named(&busy[i], i % 2 ? libc_hog : computing_hog, NULL, "hog-%d", i);
  thrum_spawn_named(&server, serve, e, "server");
  thrum_spawn_named(&client, ask, e, "client");

  intptr_t result = 0;
  thrum_join(client, &result);
  if (thrum_failed(result)) fprintf(stderr, "echo: %s\n", thrum_failure());
  thrum_close(e->to_server[1]); /* the server reads the end */
  thrum_join(server, NULL);
  atomic_store(&over, true);
  for (int i = 0; i < hogs; i++) thrum_join(busy[i], NULL);
  free(busy);
  thrum_close(e->to_server[0]), thrum_close(e->to_client[0]), thrum_close(e->to_client[1]);
  if (!thrum_failed(result)) report(hogs, e);
  return (int)result;
}

static int number(const char *argument, int otherwise, int least) {
  char *end;
  if (!argument) return otherwise;
  long n = strtol(argument, &end, 10);
  return *end == '\0' && n >= least && n <= 1000000 ? (int)n : -1;
}

int main(int argc, char **argv) {
  int hogs = number(argc > 1 ? argv[1] : NULL, 4, 0);
  struct exchange e = {.count = number(argc > 2 ? argv[2] : NULL, 1000, 1)};
  if (hogs < 0 || e.count < 0) return fprintf(stderr, "usage: echo [HOGS [ROUND_TRIPS]]\n"), 2;
  e.took = calloc((size_t)e.count, sizeof *e.took);
  if (!e.took) return 1;
  printf("%6s %12s %10s %10s %10s   (ms, %d workers)\n", "hogs", "round trips", "median", "p99", "worst",
         thrum_workers());
  int error = measure(0, &e);
  if (!error && hogs > 0) error = measure(hogs, &e);
  free(e.took);
  if (error) fprintf(stderr, "echo: %s\n", strerror(-error));
  return error != 0;
}
