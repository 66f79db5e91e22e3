#include "gate.h"

#include "bench.h"

#include <unistd.h>

static intptr_t keep(void *arg) {
  char c;
  return thrum_read(*(const int *)arg, &c, 1) == 1 ? 0 : -EIO;
}

void bench_gate_close(bench_gate *gate) {
  bench_check(pipe(gate->ends) ? errno : 0, "pipe");
  bench_check(thrum_spawn(&gate->keeper, keep, &gate->ends[0]), "thrum_spawn");
}

void bench_gate_wait(const bench_gate *gate) { bench_check(thrum_wait(gate->keeper), "thrum_wait"); }

void bench_gate_open(bench_gate *gate) {
  bench_check(thrum_write(gate->ends[1], "", 1) == 1 ? 0 : EIO, "thrum_write");
}
