/* Threads that wait for several queues, or in a chain of queues: select, sieve. */
#include "light.h"

#include "crew.h"
#include "workloads.h"

#include <stdlib.h>

/* ---- select: n queues, a putter each, and one that gets from all ---------------------------------------- */

enum { QUEUES_MOST = 8 };

static thrum_queue queues[QUEUES_MOST];
static long queues_open;

static void put_numbers(member *m) {
  thrum_queue *q = &queues[m->number];
  uint64_t number = (uint64_t)m->number << 40;
  for (long done = 0; done % 16 || !crew_stops(m->all); done++) {
    number++;
    bench_check(thrum_queue_put(q, &number), "thrum_queue_put");
    m->work += number;
  }
  bench_check(thrum_queue_shutdown(q, false), "thrum_queue_shutdown");
}

static void get_from_all(member *m) {
  uint64_t number;
  thrum_case cases[QUEUES_MOST];
  for (long i = 0; i < queues_open; i++) cases[i] = thrum_case_get(&queues[i], &number);
  for (long left = queues_open; left;) {
    int i = thrum_select(cases, (size_t)queues_open);
    if (i < 0) bench_check(i, "thrum_select");
    if (cases[i].status) {
      cases[i] = thrum_case_get(NULL, &number);
      left--;
    } else {
      m->work += number;
      m->done++;
    }
  }
}

static void select_loop(member *m) { m->number == queues_open ? get_from_all(m) : put_numbers(m); }

void select_run(long n) {
  long capacity = bench_shape_given().capacity;
  if (n < 1 || n > QUEUES_MOST) bench_fail("from 1 to %d queues", QUEUES_MOST);
  for (long i = 0; i < n; i++)
    bench_check(thrum_queue_init(&queues[i], sizeof(uint64_t),
                                 capacity == BENCH_RENDEZVOUS ? THRUM_RENDEZVOUS : (size_t)capacity, NULL),
                "thrum_queue_init");
  queues_open = n;
  crew all = {n + 1, 0, 0, 0, 0, 0, 0, 0};
  member *members = crew_start(&all, select_loop);
  crew_work(&all);
  for (long i = 0; i <= n; i++) thread_join(&members[i].self);
  uint64_t sum = 0;
  for (long i = 0; i < n; i++) sum += members[i].work;
  if (sum != members[n].work) bench_fail("got not what was put");
  bench_print("select", (double)(all.ended - all.begun) / (double)members[n].done, "ns");
  free(members);
}

/* ---- sieve: each prime has a thread that lets pass what it does not divide ------------------------------- */

typedef struct filter {
  thrum_queue in;
  thrum_queue *out;
  long prime;
  thrum_thread self;
} filter;

static intptr_t natural_numbers(void *arg) {
  thrum_queue *out = arg;
  for (long i = 2; !thrum_queue_put(out, &i); i++) {
  }
  return 0;
}

/* Ends when the next one does, and so does the one before it. */
static intptr_t pass_others(void *arg) {
  filter *f = arg;
  for (long i; !thrum_queue_get(&f->in, &i);)
    if (i % f->prime && thrum_queue_put(f->out, &i)) break;
  return thrum_queue_shutdown(&f->in, true);
}

void sieve_run(long n) {
  filter *filters = bench_alloc((size_t)(n + 1) * sizeof *filters);
  for (long i = 0; i <= n; i++) filters[i].in = (thrum_queue)THRUM_QUEUE_INIT(long, THRUM_RENDEZVOUS);
  thrum_thread first;
  int64_t begun = bench_now();
  bench_check(thrum_spawn(&first, natural_numbers, &filters[0].in), "thrum_spawn");
  for (long i = 0; i < n; i++) {
    filter *f = &filters[i];
    f->out = &filters[i + 1].in;
    bench_check(thrum_queue_get(&f->in, &f->prime), "thrum_queue_get");
    bench_check(thrum_spawn(&f->self, pass_others, f), "thrum_spawn");
  }
  double took = (double)(bench_now() - begun);
  bench_check(thrum_queue_shutdown(&filters[n].in, true), "thrum_queue_shutdown");
  for (long i = 0; i < n; i++) bench_check(thrum_join(filters[i].self, NULL), "thrum_join");
  bench_check(thrum_join(first, NULL), "thrum_join");
  if (filters[n - 1].prime != bench_prime(n)) bench_fail("%ld is not that prime", filters[n - 1].prime);
  bench_print("sieve", took / 1e6, "ms");
  free(filters);
}
