/* CPU-bound threads: slice, convoy. */
#define _GNU_SOURCE
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- slice --------------------------------------------------------------------------------------------- */

static intptr_t span_thread(void *arg) {
  bench_span_run(arg);
  return 0;
}

static void run_alone(bench_span *a) {
  thrum_thread t;
  bench_check(thrum_spawn(&t, span_thread, a), "thrum_spawn");
  bench_check(thrum_join(t, NULL), "thrum_join");
}

static void run_pair(bench_span *a, bench_span *b) {
  thrum_thread t;
  bench_check(thrum_spawn(&t, span_thread, a), "thrum_spawn");
  run_alone(b);
  bench_check(thrum_join(t, NULL), "thrum_join");
}

void slice_run(long us) {
  bench_check(thrum_set_switch_interval(THRUM_US(us)), "thrum_set_switch_interval");
  bench_slice(run_pair, run_alone);
}

/* ---- convoy -------------------------------------------------------------------------------------------- */

static int stop;

static intptr_t hog(void *arg) {
  (void)arg;
  bench_hog(&stop);
  return 0;
}

static intptr_t hog_malloc(void *arg) {
  (void)arg;
  bench_hog_malloc(&stop);
  return 0;
}

static void get(int fd, char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = thrum_read(fd, buffer + done, size - done);
    if (n <= 0) bench_check(n ? (int)n : EPIPE, "thrum_read");
    done += (size_t)n;
  }
}

static void put(int fd, char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = thrum_write(fd, buffer + done, size - done);
    if (n < 0) bench_check((int)n, "thrum_write");
    done += (size_t)n;
  }
}

typedef struct pipes {
  int there[2], back[2];
} pipes;

static intptr_t server(void *arg) {
  const pipes *p = arg;
  char buffer[BENCH_ECHO_BYTES];
  for (ssize_t n; (n = thrum_read(p->there[0], buffer, sizeof buffer)) > 0;)
    put(p->back[1], buffer, (size_t)n);
  return 0;
}

static intptr_t client(void *arg) {
  const pipes *p = arg;
  bench_echo_client(p->back[0], p->there[1], get, put);
  return thrum_close(p->there[1]);
}

static void convoy(long hogs, thrum_fn *what) {
  pipes p;
  bench_check(pipe2(p.there, O_NONBLOCK) || pipe2(p.back, O_NONBLOCK) ? errno : 0, "pipe2");
  thrum_thread *threads = bench_alloc((size_t)(hogs + 1) * sizeof *threads), serving, asking;
  for (long i = 0; i < hogs; i++) bench_check(thrum_spawn(&threads[i], what, NULL), "thrum_spawn");
  bench_check(thrum_spawn(&serving, server, &p), "thrum_spawn");
  bench_check(thrum_spawn(&asking, client, &p), "thrum_spawn");
  bench_check(thrum_join(asking, NULL), "thrum_join");
  bench_check(thrum_join(serving, NULL), "thrum_join");
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (long i = 0; i < hogs; i++) bench_check(thrum_join(threads[i], NULL), "thrum_join");
  free(threads);
}

void convoy_run(long hogs) { convoy(hogs, hog); }

void convoy_malloc_run(long hogs) { convoy(hogs, hog_malloc); }
