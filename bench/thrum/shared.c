/* shared-lock: a lock in shared memory, taken by one process or by two at once. process-queue: messages from one process to
 * another by a queue in shared memory. A light thread in each process. */
#include <stdlib.h>
#include <sys/wait.h>
#include <thrum.h>
#include <unistd.h>

#include "bench.h"
#include "workloads.h"

enum { BATCH = 1000, RING = 1 << 20, LARGE_RING = 8 << 20 };

static void *shared(thrum_shared_memory **m, size_t size) {
  bench_check(thrum_shared_memory_create(m, NULL, size, NULL), "thrum_shared_memory_create");
  return thrum_shared_memory_data(*m);
}

static pid_t in_child(thrum_fn *fn, void *arg) {
  pid_t child = fork();
  if (child < 0) bench_check(errno, "fork");
  if (child == 0) _exit(thrum_run(fn, arg) != 0);
  return child;
}

static void await_child(pid_t child) {
  int status;
  if (waitpid(child, &status, 0) != child || status)
    bench_fail("the other process ended with status %d", status);
}

/* ---- shared-lock ---------------------------------------------------------------------------------------------------------- */

typedef struct contest {
  thrum_shared_lock lock;
  thrum_shared_barrier start;
  long counter; /* under the lock */
  int stop;
} contest;

static void take(contest *c) {
  bench_check(thrum_shared_lock_acquire(&c->lock), "thrum_shared_lock_acquire");
  c->counter++;
  bench_check(thrum_shared_lock_release(&c->lock), "thrum_shared_lock_release");
}

static intptr_t contend(void *arg) {
  contest *c = arg;
  thrum_shared_barrier_wait(&c->start);
  while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED))
    for (int i = 0; i < BATCH; i++) take(c);
  return 0;
}

static intptr_t measure_contest(void *arg) {
  contest *c = arg;
  thrum_shared_barrier_wait(&c->start);
  int64_t begun = bench_now();
  long before = __atomic_load_n(&c->counter, __ATOMIC_RELAXED);
  while (bench_now() - begun < bench_budget())
    for (int i = 0; i < BATCH; i++) take(c);
  int64_t took = bench_now() - begun;
  long done = __atomic_load_n(&c->counter, __ATOMIC_RELAXED) - before;
  __atomic_store_n(&c->stop, 1, __ATOMIC_RELAXED);
  bench_print("shared-lock", (double)took / (double)done, "ns");
  return 0;
}

void shared_lock_run(long n) {
  thrum_shared_memory *m;
  contest *c = shared(&m, sizeof *c);
  if (n < 1 || n > 2) bench_fail("one process, or two");
  bench_check(thrum_shared_barrier_init(&c->start, (int)n), "thrum_shared_barrier_init");
  pid_t other = n == 2 ? in_child(contend, c) : 0;
  bench_check((int)thrum_run(measure_contest, c), "thrum_run");
  if (other) await_child(other);
  thrum_shared_memory_close(m);
}

/* ---- process-queue ---------------------------------------------------------------------------------------------------------- */

typedef struct line {
  thrum_process_queue *queue;
  size_t size;
} line;

static intptr_t consume(void *arg) {
  const line *l = arg;
  char *bytes = bench_alloc(l->size);
  ssize_t n;
  while ((n = thrum_process_queue_get(l->queue, bytes, l->size)) >= 0)
    bench_check(thrum_process_queue_task_done(l->queue), "thrum_process_queue_task_done");
  free(bytes);
  return n == -EPIPE ? 0 : n;
}

/* Until the last one has been got. */
static void send_batch(const line *l, const char *bytes, long n) {
  for (long i = 0; i < n; i++)
    bench_check(thrum_process_queue_put(l->queue, bytes, l->size), "thrum_process_queue_put");
  bench_check(thrum_process_queue_join(l->queue), "thrum_process_queue_join");
}

static intptr_t produce(void *arg) {
  const line *l = arg;
  long each = l->size < 65536 ? 10000 : 100, sent = 0;
  char *bytes = bench_alloc(l->size);
  send_batch(l, bytes, each / 10);
  int64_t begun = bench_now(), took = 0;
  for (; took < bench_budget(); took = bench_now() - begun, sent += each) send_batch(l, bytes, each);
  bench_print("process-queue", (double)took / (double)sent, "ns");
  free(bytes);
  return thrum_process_queue_shutdown(l->queue, false);
}

void process_queue_run(long size) {
  thrum_shared_memory *m;
  size_t bytes = thrum_process_queue_bytes(size < 65536 ? RING : LARGE_RING);
  line l = {shared(&m, bytes), (size_t)size};
  bench_check(thrum_process_queue_init(l.queue, bytes, NULL), "thrum_process_queue_init");
  pid_t other = in_child(consume, &l);
  bench_check((int)thrum_run(produce, &l), "thrum_run");
  await_child(other);
  thrum_shared_memory_close(m);
}
