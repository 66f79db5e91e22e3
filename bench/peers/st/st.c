/* The workloads with State Threads: one worker, never preempted. st_sleep(0) is its yield. */
#include "bench.h"

#include <errno.h>
#include <st.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STACK_SIZE = 16 * 1024 };

static int setup(int workers) {
  if (workers != 1) bench_fail("State Threads have one worker");
  if (st_set_eventsys(ST_EVENTSYS_ALT)) return errno; /* epoll */
  return st_init() ? errno : 0;
}

static st_thread_t start(void *(*fn)(void *), void *arg) {
  st_thread_t t = st_thread_create(fn, arg, 1, STACK_SIZE);
  if (!t) bench_fail("st_thread_create: %s", strerror(errno));
  return t;
}

static void join(st_thread_t t, void **result) {
  if (st_thread_join(t, result)) bench_fail("st_thread_join: %s", strerror(errno));
}

static void join_all(st_thread_t *threads, long n) {
  for (long i = 0; i < n; i++) join(threads[i], NULL);
}

static st_thread_t *touched_handles(long n) {
  st_thread_t *threads = bench_alloc((size_t)n * sizeof *threads);
  memset(threads, 1, (size_t)n * sizeof *threads);
  return threads;
}

/* ---- spawn, yield, forkjoin, skynet -------------------------------------------------------------------- */

static void *nothing(void *arg) { return arg; }

static void spawn_and_join(st_thread_t *threads, long n) {
  for (long i = 0; i < n; i++) threads[i] = start(nothing, NULL);
  join_all(threads, n);
}

static void spawn_run(long n) {
  st_thread_t *threads = touched_handles(n);
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

static bench_ring ring;

static void *yielder(void *arg) {
  bench_ring_arrive(&ring);
  while (!bench_ring_open(&ring)) st_sleep(0);
  for (long i = 0; i < ring.each; i++) st_sleep(0);
  bench_ring_finish(&ring);
  return arg;
}

static void yield_run(long n) {
  st_thread_t *threads = touched_handles(n);
  ring = bench_ring_of(n);
  for (long i = 0; i < n; i++) threads[i] = start(yielder, NULL);
  join_all(threads, n);
  bench_ring_print(&ring);
  free(threads);
}

static void *fib(void *arg) {
  long n = (long)arg;
  void *x;
  if (n < 2) return arg;
  st_thread_t child = start(fib, (void *)(n - 1));
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
  st_thread_t threads[CHILDREN];
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

static st_cond_t gate;
static long arrived;

static void *parker(void *arg) {
  arrived++;
  st_cond_wait(gate);
  return arg;
}

static void parked_run(long n) {
  gate = st_cond_new();
  st_thread_t *threads = touched_handles(n);
  bench_parked begin = bench_parked_begin();
  for (long i = 0; i < n; i++) threads[i] = start(parker, NULL);
  while (arrived < n) st_sleep(0);
  bench_parked_print(begin, n);
  st_cond_broadcast(gate);
  join_all(threads, n);
  free(threads);
}

static int64_t common_start;

static void *sleeper(void *arg) {
  bench_sleeper *s = arg;
  s->begun = bench_now();
  int64_t until = common_start + s->delay, left;
  /* Its clock lags, so it may wake early. */
  while ((left = until - bench_now()) > 0) st_usleep((st_utime_t)((left + 999) / 1000));
  s->woken = bench_now();
  return NULL;
}

static void sleepers_run(long n) {
  bench_sleeper *all = bench_sleepers(n, &common_start);
  st_thread_t *threads = touched_handles(n);
  for (long i = 0; i < n; i++) threads[i] = start(sleeper, &all[i]);
  join_all(threads, n);
  bench_sleepers_print(all, n, common_start);
  free(threads);
}

/* ---- convoy -------------------------------------------------------------------------------------------- */

static int stop;
static st_netfd_t there_in, there_out, back_in, back_out;

static void *hog(void *arg) {
  bench_hog(&stop);
  return arg;
}

static void *hog_malloc(void *arg) {
  bench_hog_malloc(&stop);
  return arg;
}

static void get(int fd, char *buffer, size_t size) {
  (void)fd;
  if (st_read_fully(back_in, buffer, size, ST_UTIME_NO_TIMEOUT) != (ssize_t)size) bench_fail("st_read_fully");
}

static void put(int fd, char *buffer, size_t size) {
  (void)fd;
  if (st_write(there_out, buffer, size, ST_UTIME_NO_TIMEOUT) != (ssize_t)size) bench_fail("st_write");
}

static void *server(void *arg) {
  char buffer[BENCH_ECHO_BYTES];
  for (ssize_t n; (n = st_read(there_in, buffer, sizeof buffer, ST_UTIME_NO_TIMEOUT)) > 0;)
    if (st_write(back_out, buffer, (size_t)n, ST_UTIME_NO_TIMEOUT) != n) bench_fail("st_write");
  return arg;
}

static void *client(void *arg) {
  bench_echo_client(-1, -1, get, put);
  st_netfd_close(there_out);
  return arg;
}

static void convoy(long hogs, void *(*what)(void *)) {
  int there[2], back[2];
  bench_check(pipe(there) || pipe(back) ? errno : 0, "pipe");
  there_in = st_netfd_open(there[0]);
  there_out = st_netfd_open(there[1]);
  back_in = st_netfd_open(back[0]);
  back_out = st_netfd_open(back[1]);
  st_thread_t *threads = touched_handles(hogs + 1);
  for (long i = 0; i < hogs; i++) threads[i] = start(what, NULL);
  st_thread_t serving = start(server, NULL), asking = start(client, NULL);
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
