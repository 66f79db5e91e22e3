/* The workloads with GNU Pth: one worker, never preempted. */
#include "bench.h"

#include <errno.h>
#include <pth.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pth_attr_t small;

static int setup(int workers) {
  if (workers != 1) bench_fail("GNU Pth has one worker");
  if (!pth_init()) return EAGAIN;
  small = pth_attr_new();
  if (!small || !pth_attr_set(small, PTH_ATTR_STACK_SIZE, 16 * 1024)) return ENOMEM;
  return 0;
}

static pth_t start(void *(*fn)(void *), void *arg) {
  pth_t t = pth_spawn(small, fn, arg);
  if (!t) bench_fail("pth_spawn: %s", strerror(errno));
  return t;
}

static void join(pth_t t, void **result) {
  if (!pth_join(t, result)) bench_fail("pth_join: %s", strerror(errno));
}

static void join_all(pth_t *threads, long n) {
  for (long i = 0; i < n; i++) join(threads[i], NULL);
}

static pth_t *touched_handles(long n) {
  pth_t *threads = bench_alloc((size_t)n * sizeof *threads);
  memset(threads, 1, (size_t)n * sizeof *threads);
  return threads;
}

/* ---- spawn, yield, forkjoin, skynet -------------------------------------------------------------------- */

static void *nothing(void *arg) { return arg; }

static void spawn_and_join(pth_t *threads, long n) {
  for (long i = 0; i < n; i++) threads[i] = start(nothing, NULL);
  join_all(threads, n);
}

static void spawn_run(long n) {
  pth_t *threads = touched_handles(n);
  spawn_and_join(threads, n);
  int64_t begun = bench_now(), took;
  long batches = 0;
  do {
    spawn_and_join(threads, n);
    batches++;
  } while ((took = bench_now() - begun) < bench_budget());
  bench_print("spawn", (double)took / (double)(batches * n), "ns");
  free(threads);
}

enum { MOST_YIELDS = 50000 }; /* a switch of Pth takes microseconds */
static bench_ring ring;

static void *yielder(void *arg) {
  bench_ring_arrive(&ring);
  while (!bench_ring_open(&ring)) pth_yield(NULL);
  for (long i = 0; i < ring.each; i++) pth_yield(NULL);
  bench_ring_finish(&ring);
  return arg;
}

static void yield_run(long n) {
  pth_t *threads = touched_handles(n);
  ring = bench_ring_of(n);
  if (ring.each > MOST_YIELDS) ring.each = MOST_YIELDS;
  for (long i = 0; i < n; i++) threads[i] = start(yielder, NULL);
  join_all(threads, n);
  bench_ring_print(&ring);
  free(threads);
}

static void *fib(void *arg) {
  long n = (long)arg;
  void *x;
  if (n < 2) return arg;
  pth_t child = start(fib, (void *)(n - 1));
  long y = (long)fib((void *)(n - 2));
  join(child, &x);
  return (void *)((long)x + y);
}

static void forkjoin_run(long n) {
  fib((void *)(n - 7));
  int64_t begun = bench_now();
  bench_check((long)fib((void *)n) != bench_fib(n), "fib");
  bench_print("forkjoin", (double)(bench_now() - begun) / (double)bench_fib_spawns(n), "ns");
}

typedef struct part {
  long first, count;
} part;

static void *skynet(void *arg) {
  enum { CHILDREN = 10 };
  const part *p = arg;
  if (p->count == 1) return (void *)p->first;
  part parts[CHILDREN];
  pth_t threads[CHILDREN];
  long sum = 0;
  for (int i = 0; i < CHILDREN; i++) {
    parts[i] = (part){p->first + i * (p->count / CHILDREN), p->count / CHILDREN};
    threads[i] = start(skynet, &parts[i]);
  }
  for (int i = 0; i < CHILDREN; i++) {
    void *result;
    join(threads[i], &result);
    sum += (long)result;
  }
  return (void *)sum;
}

static void skynet_run(long n) {
  part warm_up = {0, n / 10}, whole = {0, n};
  skynet(&warm_up);
  int64_t begun = bench_now();
  bench_check((long)skynet(&whole) != n * (n - 1) / 2, "skynet's sum");
  bench_print("skynet", (double)(bench_now() - begun) / 1e6, "ms");
}

/* ---- parked, sleepers ---------------------------------------------------------------------------------- */

static pth_mutex_t mutex = PTH_MUTEX_INIT;
static pth_cond_t gate = PTH_COND_INIT;
static long arrived;

static void *parker(void *arg) {
  arrived++;
  pth_mutex_acquire(&mutex, FALSE, NULL);
  pth_cond_await(&gate, &mutex, NULL);
  pth_mutex_release(&mutex);
  return arg;
}

static void parked_run(long n) {
  pth_t *threads = touched_handles(n);
  bench_parked begin = bench_parked_begin();
  for (long i = 0; i < n; i++) threads[i] = start(parker, NULL);
  while (arrived < n) pth_yield(NULL);
  bench_parked_print(begin, n);
  pth_cond_notify(&gate, TRUE);
  join_all(threads, n);
  free(threads);
}

static int64_t common_start;

static void *sleeper(void *arg) {
  bench_sleeper *s = arg;
  s->begun = bench_now();
  int64_t until = common_start + s->delay, left;
  while ((left = until - bench_now()) > 0) pth_usleep((unsigned)((left + 999) / 1000));
  s->woken = bench_now();
  return NULL;
}

static void sleepers_run(long n) {
  bench_sleeper *all = bench_sleepers(n, &common_start);
  pth_t *threads = touched_handles(n);
  for (long i = 0; i < n; i++) threads[i] = start(sleeper, &all[i]);
  join_all(threads, n);
  bench_sleepers_print(all, n, common_start);
  free(threads);
}

/* ---- convoy -------------------------------------------------------------------------------------------- */

static int stop;

static void *hog(void *arg) {
  bench_hog(&stop);
  return arg;
}

static void *hog_malloc(void *arg) {
  bench_hog_malloc(&stop);
  return arg;
}

static void get(int fd, char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = pth_read(fd, buffer + done, size - done);
    if (n <= 0) bench_fail("pth_read: %s", n ? strerror(errno) : "end of file");
    done += (size_t)n;
  }
}

static void put(int fd, char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = pth_write(fd, buffer + done, size - done);
    if (n < 0) bench_fail("pth_write: %s", strerror(errno));
    done += (size_t)n;
  }
}

typedef struct pipes {
  int there[2], back[2];
} pipes;

static void *server(void *arg) {
  const pipes *p = arg;
  char buffer[BENCH_ECHO_BYTES];
  for (ssize_t n; (n = pth_read(p->there[0], buffer, sizeof buffer)) > 0;) put(p->back[1], buffer, (size_t)n);
  return NULL;
}

static void *client(void *arg) {
  const pipes *p = arg;
  bench_echo_client(p->back[0], p->there[1], get, put);
  close(p->there[1]);
  return NULL;
}

static void convoy(long hogs, void *(*what)(void *)) {
  pipes p;
  bench_check(pipe(p.there) || pipe(p.back) ? errno : 0, "pipe");
  pth_t *threads = touched_handles(hogs + 1);
  for (long i = 0; i < hogs; i++) threads[i] = start(what, NULL);
  pth_t serving = start(server, &p), asking = start(client, &p);
  join(asking, NULL);
  join(serving, NULL);
  stop = 1;
  join_all(threads, hogs);
  free(threads);
}

static void convoy_run(long hogs) { convoy(hogs, hog); }

static void convoy_malloc_run(long hogs) { convoy(hogs, hog_malloc); }

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"spawn", spawn_run},
                                         {"yield", yield_run},
                                         {"forkjoin", forkjoin_run},
                                         {"skynet", skynet_run},
                                         {"parked", parked_run},
                                         {"sleepers", sleepers_run},
                                         {"convoy", convoy_run},
                                         {"convoy-malloc", convoy_malloc_run},
                                         {NULL, NULL}};
  return bench_main(argc, argv, table, setup);
}
