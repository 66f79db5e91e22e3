/* Sockets and files. */
#define _GNU_SOURCE
#include "io_runs.h"
#include "light.h"
#include "traced.h"
#include "workloads.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <time.h>
#include <sys/socket.h>

static const int conn_flags = SOCK_NONBLOCK;

static inline void conn_dial(int fd, const struct sockaddr_in *to) {
  bench_check(thrum_connect(fd, (const struct sockaddr *)to, sizeof *to), "thrum_connect");
}

static inline int conn_accept(int listener) {
  int fd = thrum_accept(listener, NULL, NULL);
  if (fd < 0) bench_check(fd, "thrum_accept");
  return fd;
}

static inline size_t conn_read(int fd, void *buffer, size_t size) {
  ssize_t n = thrum_recv(fd, buffer, size, 0);
  if (n < 0) bench_check((int)n, "thrum_recv");
  return (size_t)n;
}

static inline void conn_write(int fd, const char *buffer, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = thrum_send(fd, buffer + done, size - done, 0);
    if (n < 0) bench_check((int)n, "thrum_send");
    done += (size_t)n;
  }
}

static inline void conn_close(int fd) { bench_check(thrum_close(fd), "thrum_close"); }

#include "echo.h"

/* ---- What recording costs a server: some time without it and some with it, in turn ------------------------------- */

enum { TURNS = 15 };

typedef struct turn {
  double cpu, time; /* ns a round trip; the CPU time is that of all kernel threads */
} turn;

static int64_t cpu_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static turn echo_turn(const echo *e, int recorded) {
  if (recorded) bench_trace_begin();
  nap(bench_budget() / 6);
  int64_t cpu = cpu_now(), begun = bench_now();
  long before = echo_done(e->all, e->n);
  nap(bench_budget());
  double done = (double)(echo_done(e->all, e->n) - before);
  turn took = {(double)(cpu_now() - cpu) / done, (double)(bench_now() - begun) / done};
  if (recorded) bench_trace_end();
  return took;
}

/* In hundredths of a percent. */
static int64_t more(double with, double without) { return (int64_t)(10000 * (with / without - 1)); }

void echo_overhead_run(long n) {
  echo e = echo_begin(n);
  int64_t cpu[TURNS], time[TURNS];
  for (int i = 0; i < TURNS; i++) {
    turn first = echo_turn(&e, i % 2), second = echo_turn(&e, !(i % 2));
    turn with = i % 2 ? first : second, without = i % 2 ? second : first;
    cpu[i] = more(with.cpu, without.cpu);
    time[i] = more(with.time, without.time);
  }
  echo_end(&e);
  bench_print("echo-overhead", (double)bench_quantile(time, TURNS, 0.5) / 100, "%");
  bench_print("echo-overhead-cpu", (double)bench_quantile(cpu, TURNS, 0.5) / 100, "%");
}

static inline int file_open(const char *path) { return thrum_open(path, O_RDONLY, 0); }

static inline long file_read(int fd, void *buffer, size_t size) { return thrum_read(fd, buffer, size); }

static inline long file_pread(int fd, void *buffer, size_t size, long offset) {
  return thrum_pread(fd, buffer, size, offset);
}

#include "files.h"
