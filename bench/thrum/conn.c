/* pipe: a message there and back between two processes, a light thread at each end. */
#include <sys/wait.h>
#include <thrum.h>
#include <unistd.h>

#include "bench.h"
#include "workloads.h"

enum { LARGEST = 65536, BATCH = 100 };

typedef struct side {
  thrum_conn *conn;
  size_t size;
} side;

static intptr_t echo(void *arg) {
  const side *s = arg;
  static char bytes[LARGEST];
  ssize_t n;
  while ((n = thrum_conn_recv(s->conn, bytes, sizeof bytes)) >= 0)
    bench_check(thrum_conn_send(s->conn, bytes, (size_t)n), "thrum_conn_send");
  return n == -EPIPE ? 0 : n;
}

static void there_and_back(const side *s, char *bytes) {
  bench_check(thrum_conn_send(s->conn, bytes, s->size), "thrum_conn_send");
  ssize_t n = thrum_conn_recv(s->conn, bytes, LARGEST);
  if (n != (ssize_t)s->size) bench_fail("%zd bytes came back", n);
}

static intptr_t measure(void *arg) {
  const side *s = arg;
  static char bytes[LARGEST];
  for (int i = 0; i < BATCH; i++) there_and_back(s, bytes);
  int64_t begun = bench_now(), took = 0;
  long trips = 0;
  for (; took < bench_budget(); took = bench_now() - begun, trips += BATCH)
    for (int i = 0; i < BATCH; i++) there_and_back(s, bytes);
  bench_print("pipe", (double)took / 1e3 / (double)trips, "us");
  return 0;
}

void pipe_run(long size) {
  thrum_conn *end[2];
  if (size > LARGEST) bench_fail("no more than %d bytes", LARGEST);
  bench_check(thrum_conn_pair(end), "thrum_conn_pair");
  pid_t child = fork();
  if (child < 0) bench_check(errno, "fork");
  side mine = {end[child == 0], (size_t)size};
  thrum_conn_close(end[child != 0]);
  if (child == 0) _exit(thrum_run(echo, &mine) != 0);
  bench_check((int)thrum_run(measure, &mine), "thrum_run");
  thrum_conn_close(mine.conn);
  int status;
  if (waitpid(child, &status, 0) != child || status)
    bench_fail("the other process ended with status %d", status);
}
