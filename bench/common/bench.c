#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Command line, errors ------------------------------------------------------------------------------ */

int bench_main(int argc, char **argv, const bench_workload *table, bench_setup_fn *setup) {
  long n = argc > 2 ? strtol(argv[2], NULL, 10) : -1;
  int workers = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
  if (argc != 4 || n < 0 || workers < 1) bench_fail("usage: %s WORKLOAD N WORKERS", argv[0]);
  for (const bench_workload *w = table; w->name; w++) {
    if (strcmp(w->name, argv[1])) continue;
    if (setup) bench_check(setup(workers), "setup");
    w->run(n);
    return fflush(stdout) ? 1 : 0;
  }
  bench_fail("no workload %s here", argv[1]);
}

void bench_print(const char *metric, double value, const char *unit) {
  printf("%s %.6g %s\n", metric, value, unit);
  fflush(stdout);
}

void bench_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  _Exit(1);
}

void bench_check(int status, const char *what) {
  if (status) bench_fail("%s: %s", what, strerror(status < 0 ? -status : status));
}

void *bench_alloc(size_t size) {
  void *p = calloc(1, size);
  if (!p) bench_fail("no memory for %zu bytes", size);
  return p;
}

/* ---- Measuring ----------------------------------------------------------------------------------------- */

int64_t bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long given(const char *variable, long otherwise) {
  const char *text = getenv(variable);
  return text ? strtol(text, NULL, 10) : otherwise;
}

static int64_t milliseconds_of(const char *variable, long otherwise) {
  return (int64_t)given(variable, otherwise) * 1000000;
}

int64_t bench_budget(void) { return milliseconds_of("BENCH_MS", 300); }

static int64_t kilobytes_in(const char *path, const char *key) {
  char line[256];
  int64_t kb = -1;
  FILE *f = fopen(path, "r");
  while (f && kb < 0 && fgets(line, sizeof line, f))
    if (!strncmp(line, key, strlen(key))) kb = strtol(line + strlen(key), NULL, 10);
  if (f) fclose(f);
  if (kb < 0) bench_fail("%s has no %s", path, key);
  return kb;
}

int64_t bench_memory(void) {
  return 1024 *
         (kilobytes_in("/proc/self/smaps_rollup", "Rss:") + kilobytes_in("/proc/self/status", "VmPTE:"));
}

uint64_t bench_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return *state = x;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int64_t bench_quantile(int64_t *values, size_t n, double q) {
  qsort(values, n, sizeof *values, compare);
  size_t at = (size_t)(q * (double)n);
  return values[at < n ? at : n - 1];
}

/* ---- yield, forkjoin ----------------------------------------------------------------------------------- */

bench_ring bench_ring_of(long n) {
  long each = 2000000 / n;
  bench_ring ring = {n, each > 4 ? each : 4, 0, 0, 0, 0};
  return ring;
}

void bench_ring_arrive(bench_ring *ring) {
  if (__atomic_add_fetch(&ring->arrived, 1, __ATOMIC_ACQ_REL) == ring->n) ring->begun = bench_now();
}

int bench_ring_open(const bench_ring *ring) {
  return __atomic_load_n(&ring->arrived, __ATOMIC_ACQUIRE) == ring->n;
}

void bench_ring_finish(bench_ring *ring) {
  if (__atomic_add_fetch(&ring->finished, 1, __ATOMIC_ACQ_REL) == ring->n) ring->ended = bench_now();
}

void bench_ring_print(const bench_ring *ring) {
  bench_print("yield", (double)(ring->ended - ring->begun) / (double)(ring->each * ring->n), "ns");
}

long bench_fib(long n) {
  long a = 0, b = 1;
  for (long i = 0; i < n; i++) {
    long next = a + b;
    a = b;
    b = next;
  }
  return a;
}

long bench_fib_spawns(long n) { return bench_fib(n + 1) - 1; }

/* ---- sleepers, parked ---------------------------------------------------------------------------------- */

bench_sleeper *bench_sleepers(long n, int64_t *start) {
  bench_sleeper *all = (bench_sleeper *)bench_alloc((size_t)n * sizeof *all);
  uint64_t seed = 88172645463325252u;
  for (long i = 0; i < n; i++) all[i].delay = (int64_t)(bench_random(&seed) % 1000000000u);
  *start = bench_now() + milliseconds_of("BENCH_LEAD_MS", 500);
  return all;
}

void bench_sleepers_print(bench_sleeper *all, long n, int64_t start) {
  int64_t *late = (int64_t *)bench_alloc((size_t)n * sizeof *late);
  for (long i = 0; i < n; i++) {
    late[i] = all[i].woken - (start + all[i].delay);
    if (late[i] < -1000000) bench_fail("a sleeper woke %lld ns early", -(long long)late[i]);
    if (all[i].begun > start) _Exit(BENCH_EXIT_LATE_START);
  }
  bench_print("sleepers-p99", (double)bench_quantile(late, (size_t)n, 0.99) / 1e6, "ms");
  free(late);
  free(all);
}

bench_parked bench_parked_begin(void) {
  bench_parked begin = {bench_memory(), bench_now()};
  return begin;
}

void bench_parked_print(bench_parked begin, long n) {
  double us = (double)(bench_now() - begin.time) / 1e3;
  bench_print("parked-create", us / (double)n, "us");
  bench_print("parked-bytes", (double)(bench_memory() - begin.memory) / (double)n, "bytes");
}

/* ---- queue --------------------------------------------------------------------------------------------- */

bench_shape bench_shape_given(void) {
  bench_shape s = {given("BENCH_PUTTERS", 4), given("BENCH_GETTERS", 4), given("BENCH_ITEM", 8),
                   given("BENCH_CAPACITY", 1024)};
  if (s.putters < 1 || s.getters < 1 || (s.item != 8 && s.item != 64 && s.item != BENCH_LARGEST_ITEM))
    bench_fail("no such queue");
  return s;
}

/* ---- sieve, timers ------------------------------------------------------------------------------------- */

static int is_prime(long i) {
  for (long d = 2; d * d <= i; d++)
    if (i % d == 0) return 0;
  return 1;
}

long bench_prime(long n) {
  long i = 1;
  while (n > 0) n -= is_prime(++i);
  return i;
}

uint32_t *bench_order(long n, int shuffled) {
  uint32_t *order = (uint32_t *)bench_alloc((size_t)n * sizeof *order);
  uint64_t seed = 88172645463325252u;
  for (long i = 0; i < n; i++) {
    long j = shuffled ? (long)(bench_random(&seed) % (uint64_t)(i + 1)) : i;
    order[i] = order[j];
    order[j] = (uint32_t)i;
  }
  return order;
}

/* ---- slice --------------------------------------------------------------------------------------------- */

__attribute__((noinline)) uint64_t bench_work(uint64_t steps) {
  uint64_t x = 1;
  for (uint64_t i = 0; i < steps; i++) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

static volatile uint64_t work_result; /* so that no compiler drops the work */

uint64_t bench_work_steps(int64_t ns) {
  const uint64_t probe = 20000000;
  int64_t begun = bench_now();
  work_result = bench_work(probe);
  return (uint64_t)((double)probe * (double)ns / (double)(bench_now() - begun));
}

void bench_span_run(bench_span *span) {
  span->begun = bench_now();
  work_result = bench_work(span->steps);
  span->ended = bench_now();
}

static int64_t extent(const bench_span *a, const bench_span *b) {
  int64_t begun = a->begun < b->begun ? a->begun : b->begun;
  return (a->ended > b->ended ? a->ended : b->ended) - begun;
}

/* The two kinds alternate and the best of each counts: a neighbour's noise only ever adds time. */
void bench_slice(bench_pair_fn *pair, bench_alone_fn *alone) {
  enum { ROUNDS = 7 };
  uint64_t steps = bench_work_steps(bench_budget() / 2);
  int64_t best_pair = INT64_MAX, best_alone = INT64_MAX;
  for (int i = 0; i < ROUNDS; i++) {
    bench_span a = {steps, 0, 0}, b = {steps, 0, 0}, both = {2 * steps, 0, 0};
    pair(&a, &b);
    if (a.ended <= b.begun || b.ended <= a.begun) bench_fail("no preemption: one ran after the other");
    if (extent(&a, &b) < best_pair) best_pair = extent(&a, &b);
    alone(&both);
    if (both.ended - both.begun < best_alone) best_alone = both.ended - both.begun;
  }
  bench_print("slice", 100 * ((double)best_pair / (double)best_alone - 1), "%");
}

/* ---- convoy -------------------------------------------------------------------------------------------- */

void bench_hog(const int *stop) {
  while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) {
  }
}

void bench_hog_malloc(const int *stop) {
  for (unsigned i = 0; !__atomic_load_n(stop, __ATOMIC_RELAXED); i++) {
    size_t size = 64 + i % 960;
    char *p = (char *)malloc(size);
    if (!p) bench_fail("malloc failed");
    work_result = (uint64_t)snprintf(p, size, "hog %u: %f", i, (double)i / 3);
    free(p);
  }
}

void bench_echo_client(int in, int out, bench_transfer_fn *get, bench_transfer_fn *put) {
  enum { ENOUGH = 2000, MOST = 1000000, WARM_UP = 3 };
  const int64_t shortest = 1000000000, longest = 3000000000;
  int64_t *took = (int64_t *)bench_alloc(MOST * sizeof *took);
  char message[BENCH_ECHO_BYTES] = "echo", answer[BENCH_ECHO_BYTES];
  size_t n = 0;
  int64_t start = bench_now(), begun;
  for (int i = 0; (begun = bench_now()) < start + (n < ENOUGH ? longest : shortest) && n < MOST; i++) {
    put(out, message, sizeof message);
    get(in, answer, sizeof answer);
    if (memcmp(message, answer, sizeof answer)) bench_fail("the echo is not what was sent");
    if (i >= WARM_UP) took[n++] = bench_now() - begun;
  }
  if (!n) bench_fail("no round trip within 3 s");
  bench_print("convoy-p50", (double)bench_quantile(took, n, 0.5) / 1e6, "ms");
  bench_print("convoy", (double)bench_quantile(took, n, 0.99) / 1e6, "ms");
  free(took);
}

/* ---- echo over TCP, files ------------------------------------------------------------------------------ */

long bench_message_size(void) { return given("BENCH_BYTES", BENCH_ECHO_BYTES); }

enum { TIMES = 1 << 20, FEWEST_TIMES = 16 };

struct bench_times {
  long n, each;
  long *noted; /* by connection */
  int64_t *ns; /* `each` of each connection, the last ones */
};

bench_times *bench_times_of(long n) {
  bench_times *times = (bench_times *)bench_alloc(sizeof *times);
  times->n = n;
  times->each = TIMES / n > FEWEST_TIMES ? TIMES / n : FEWEST_TIMES;
  times->noted = (long *)bench_alloc((size_t)n * sizeof *times->noted);
  times->ns = (int64_t *)bench_alloc((size_t)(n * times->each) * sizeof *times->ns);
  return times;
}

void bench_times_note(bench_times *times, long connection, long number, int64_t ns) {
  times->ns[connection * times->each + number % times->each] = ns;
}

void bench_times_end(bench_times *times, long connection, long done) {
  times->noted[connection] = done < times->each ? done : times->each;
}

void bench_times_print(bench_times *times, const char *metric) {
  size_t n = 0;
  for (long i = 0; i < times->n; i++)
    for (long j = 0; j < times->noted[i]; j++) times->ns[n++] = times->ns[i * times->each + j];
  if (!n) bench_fail("no round trip");
  bench_print(metric, (double)bench_quantile(times->ns, n, 0.99) / 1e3, "us");
  free(times->noted);
  free(times->ns);
  free(times);
}

const char *bench_file(void) {
  static char path[] = "/tmp/bench-XXXXXX";
  int fd = mkstemp(path);
  if (fd < 0) bench_check(errno, path);
  char block[1 << 16];
  memset(block, 'f', sizeof block);
  for (long done = 0; done < BENCH_FILE_BYTES; done += (long)sizeof block)
    if (write(fd, block, sizeof block) != (ssize_t)sizeof block) bench_fail("no room for a file of 32 MiB");
  close(fd);
  return path;
}
