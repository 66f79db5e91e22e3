/* What the C and C++ programs of the benchmark share: the command line, the clock, memory, quantiles.
 *
 * A program is called as `program WORKLOAD N WORKERS`, measures one workload and prints lines
 * `metric value unit`. It exits with 1 and a reason on standard error if it cannot. */
#ifndef BENCH_H
#define BENCH_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stddef.h>
#include <stdint.h>

/* The status of a run of sleepers in which somebody was not asleep yet at the common start. */
enum { BENCH_EXIT_LATE_START = 3 };

typedef struct bench_workload {
  const char *name;
  void (*run)(long n);
} bench_workload;

/* Runs the workload that argv names; the table ends with a NULL name. `setup` (or NULL) is told the number
 * of workers first. Returns main's status. */
typedef int bench_setup_fn(int workers);
int bench_main(int argc, char **argv, const bench_workload *table, bench_setup_fn *setup);

void bench_print(const char *metric, double value, const char *unit);

/* Prints the reason and exits with 1. */
void bench_fail(const char *format, ...) __attribute__((__format__(__printf__, 1, 2), __noreturn__));

/* Fails, naming `what`, unless status is 0 (a negative errno or an error number is named too). */
void bench_check(int status, const char *what);

/* Memory that must be had. */
void *bench_alloc(size_t size);

/* Nanoseconds of the monotonic clock. */
int64_t bench_now(void);

/* How long to repeat a short operation, in nanoseconds: BENCH_MS, 300 ms by default. */
int64_t bench_budget(void);

/* Resident bytes and page tables of this process, exactly (smaps_rollup, not the lagging counters). */
int64_t bench_memory(void);

/* The next of a sequence of even random numbers; state is any number but 0. */
uint64_t bench_random(uint64_t *state);

/* Sorts the values and returns the one at the quantile q in [0, 1]. */
int64_t bench_quantile(int64_t *values, size_t n, double q);

/* ---- yield: a ring of n threads, measured from the last arrival to the last finish --------------------- */

typedef struct bench_ring {
  long n, each;
  long arrived, finished;
  int64_t begun, ended;
} bench_ring;

bench_ring bench_ring_of(long n);
void bench_ring_arrive(bench_ring *ring);
int bench_ring_open(const bench_ring *ring); /* whether all have arrived; till then yield */
void bench_ring_finish(bench_ring *ring);
void bench_ring_print(const bench_ring *ring);

/* ---- forkjoin ------------------------------------------------------------------------------------------ */

/* fib(n), and how many calls of it have n >= 2: each of these spawns once. */
long bench_fib(long n);
long bench_fib_spawns(long n);

/* ---- sleepers: when the common start is, what is late -------------------------------------------------- */

typedef struct bench_sleeper {
  int64_t delay; /* its random time after the common start, below 1 s */
  int64_t begun; /* when it went to sleep */
  int64_t woken;
} bench_sleeper;

/* n sleepers with delays, and the common start: BENCH_LEAD_MS from now. */
bench_sleeper *bench_sleepers(long n, int64_t *start);

/* Prints sleepers-p99. Exits with BENCH_EXIT_LATE_START if one was not asleep at the common start. */
void bench_sleepers_print(bench_sleeper *all, long n, int64_t start);

/* ---- parked: what a thread costs ----------------------------------------------------------------------- */

typedef struct bench_parked {
  int64_t memory;
  int64_t time;
} bench_parked;

bench_parked bench_parked_begin(void);

/* Prints parked-bytes and parked-create, all n being parked now. */
void bench_parked_print(bench_parked begin, long n);

/* ---- queue: how many threads, how large items, how many of them ---------------------------------------- */

enum { BENCH_RENDEZVOUS = 0, BENCH_UNBOUNDED = -1 };
enum { BENCH_LARGEST_ITEM = 1024 };

typedef struct bench_shape {
  long putters, getters; /* 4 and 4 unless said otherwise */
  long item;             /* bytes: 8, 64 or 1024 */
  long capacity;         /* or one of the two above; 1024 */
} bench_shape;

/* What the environment says: BENCH_PUTTERS, BENCH_GETTERS, BENCH_ITEM, BENCH_CAPACITY. */
bench_shape bench_shape_given(void);

/* ---- sieve, timers -------------------------------------------------------------------------------------- */

/* The n-th prime, from 1. */
long bench_prime(long n);

/* The numbers below n, ascending or in a random order. */
uint32_t *bench_order(long n, int shuffled);

/* ---- slice and convoy: CPU-bound work ------------------------------------------------------------------ */

/* Work of a fixed size that calls nothing: about one nanosecond a step. */
uint64_t bench_work(uint64_t steps);

/* Steps that take about `ns` nanoseconds here and now. */
uint64_t bench_work_steps(int64_t ns);

typedef struct bench_span {
  uint64_t steps;
  int64_t begun, ended;
} bench_span;

/* Does the steps and notes when. */
void bench_span_run(bench_span *span);

/* Measures `slice`: `pair` must run the two spans as two threads on one worker, `alone` one span in one
 * thread. Fails if the two ran one after the other. */
typedef void bench_pair_fn(bench_span *a, bench_span *b);
typedef void bench_alone_fn(bench_span *a);
void bench_slice(bench_pair_fn *pair, bench_alone_fn *alone);

/* What a hog does until `*stop`: nothing but counting, or malloc, snprintf and free. */
void bench_hog(const int *stop);
void bench_hog_malloc(const int *stop);

/* The client's half of an echo: round trips of 64 bytes, one after the other, for 1 s, or up to 3 s if
 * they are few. The two calls must transfer all 64 bytes. */
typedef void bench_transfer_fn(int fd, char *buffer, size_t size);
enum { BENCH_ECHO_BYTES = 64 };
void bench_echo_client(int in, int out, bench_transfer_fn *get, bench_transfer_fn *put);

/* ---- echo over TCP, files ------------------------------------------------------------------------------ */

/* BENCH_BYTES: of a message or of a read; 64. */
long bench_message_size(void);

/* How long the last round trips of n connections took, some million altogether; each connection notes its own. */
typedef struct bench_times bench_times;
bench_times *bench_times_of(long n);
void bench_times_note(bench_times *times, long connection, long number, int64_t ns);
void bench_times_end(bench_times *times, long connection, long done); /* it has made so many */
void bench_times_print(bench_times *times, const char *metric); /* in us, the 99th percentile; frees it */

/* The path of a new file of so many bytes, all of them in the page cache; the caller removes it. */
enum { BENCH_FILE_BYTES = 32 << 20 };
const char *bench_file(void);

#ifdef __cplusplus
}
#endif
#endif
