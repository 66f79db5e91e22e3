/* process-METHOD: n processes that do nothing are started, then all are joined. */
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

#include <stdlib.h>

THRUM_TASK(nothing) { return 0; }

static void start(thrum_process **p, const thrum_process_options *o) {
  static const char *const command[] = {"/bin/true", NULL};
  int error = o ? thrum_process_start(p, o, &nothing, NULL, 0) : thrum_process_exec(p, NULL, command);
  bench_check(error, "the start of a process");
}

static void start_and_join(thrum_process **p, long n, const thrum_process_options *o) {
  for (long i = 0; i < n; i++) start(&p[i], o);
  for (long i = 0; i < n; i++) {
    int code = -1;
    bench_check(thrum_process_join(p[i], &code), "thrum_process_join");
    if (code) bench_fail("a process ended with %d", code);
    thrum_process_release(p[i]);
  }
}

static void measure(const char *name, long n, const thrum_process_options *o) {
  thrum_process **p = bench_alloc((size_t)n * sizeof *p);
  start_and_join(p, n, o); /* the fork server is there then */
  int64_t begun = bench_now(), took = 0;
  long done = 0;
  for (; took < bench_budget(); took = bench_now() - begun, done += n) start_and_join(p, n, o);
  bench_print(name, (double)took / 1e3 / (double)done, "us");
  free(p);
}

static void by_method(const char *name, long n, int method) {
  thrum_process_options o = THRUM_PROCESS_OPTIONS_INIT;
  o.method = method;
  measure(name, n, &o);
}

void process_forkserver_run(long n) { by_method("process-forkserver", n, THRUM_FORKSERVER); }
void process_spawn_run(long n) { by_method("process-spawn", n, THRUM_SPAWN); }
void process_fork_run(long n) { by_method("process-fork", n, THRUM_FORK); }
void process_exec_run(long n) { measure("process-exec", n, NULL); }
