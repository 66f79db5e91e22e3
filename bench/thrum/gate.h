/* A gate that threads wait at until it is opened, once.
 *
 * The waiters wait for the end of one thread, which reads from a pipe: the cheapest way to park on something
 * shared before there are events. */
#ifndef BENCH_GATE_H
#define BENCH_GATE_H

#include <thrum.h>

typedef struct bench_gate {
  thrum_thread keeper;
  int ends[2];
} bench_gate;

void bench_gate_close(bench_gate *gate);
void bench_gate_wait(const bench_gate *gate);
void bench_gate_open(bench_gate *gate);

#endif
