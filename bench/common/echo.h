/* Echo over TCP, both ends in one process: `echo` and `idle-connection`. An includer defines first, as static inline functions,
 * beside what posix.h and light.h have:
 *   conn_flags                           flags for socket(2)
 *   conn_dial(fd, address)               connects
 *   conn_accept(listener)                a descriptor
 *   conn_read(fd, buffer, size)          what is there, 0 at the end, or a failure that ends the program
 *   conn_write(fd, buffer, size)         all of it
 *   conn_close(fd) */
#ifndef BENCH_ECHO_H
#define BENCH_ECHO_H

#include "net.h"

#include <string.h>

typedef struct echo_pair {
  int client, server;
  long size, done;
  bench_times *times;
  long number;
  thread asking, serving;
} echo_pair;

static int echo_stop;

static void echo_serve(void *arg) {
  const echo_pair *p = (const echo_pair *)arg;
  char *buffer = (char *)bench_alloc((size_t)p->size);
  for (size_t n; (n = conn_read(p->server, buffer, (size_t)p->size)) > 0;) conn_write(p->server, buffer, n);
  conn_close(p->server);
  free(buffer);
}

static void echo_once(const echo_pair *p, const char *message, char *answer) {
  size_t size = (size_t)p->size, got = 0;
  conn_write(p->client, message, size);
  while (got < size) {
    size_t n = conn_read(p->client, answer + got, size - got);
    if (!n) bench_fail("the server has closed the connection");
    got += n;
  }
  if (memcmp(message, answer, size)) bench_fail("the echo is not what was sent");
}

static char *echo_message(const echo_pair *p) {
  char *message = (char *)bench_alloc((size_t)p->size);
  memset(message, 'e', (size_t)p->size);
  message[0] = (char)p->number;
  return message;
}

static void echo_ask(void *arg) {
  echo_pair *p = (echo_pair *)arg;
  char *message = echo_message(p), *answer = (char *)bench_alloc((size_t)p->size);
  for (int64_t begun = bench_now(), now; !__atomic_load_n(&echo_stop, __ATOMIC_RELAXED); begun = now) {
    echo_once(p, message, answer);
    now = bench_now();
    bench_times_note(p->times, p->number, p->done, now - begun);
    __atomic_store_n(&p->done, p->done + 1, __ATOMIC_RELAXED);
  }
  conn_close(p->client);
  free(message);
  free(answer);
}

/* Connects one after the other, so that no backlog is too short. */
static echo_pair *echo_connect(long n, bench_times *times) {
  struct sockaddr_in address;
  net_limit(n);
  int listener = net_listen(&address, conn_flags);
  echo_pair *all = (echo_pair *)bench_alloc((size_t)n * sizeof *all);
  for (long i = 0; i < n; i++) {
    echo_pair *p = &all[i];
    p->size = bench_message_size();
    p->times = times;
    p->number = i;
    p->client = net_socket(conn_flags);
    conn_dial(p->client, &address);
    p->server = conn_accept(listener);
    net_no_delay(p->client);
    net_no_delay(p->server);
    thread_start(&p->serving, echo_serve, p);
  }
  conn_close(listener);
  return all;
}

static long echo_done(const echo_pair *all, long n) {
  long sum = 0;
  for (long i = 0; i < n; i++) sum += __atomic_load_n(&all[i].done, __ATOMIC_RELAXED);
  return sum;
}

static int echo_all_begun(const echo_pair *all, long n) {
  for (long i = 0; i < n; i++)
    if (!__atomic_load_n(&all[i].done, __ATOMIC_RELAXED)) return 0;
  return 1;
}

typedef struct echo {
  long n;
  bench_times *times;
  echo_pair *all;
} echo;

/* Until each connection has had its first answer. */
static echo echo_begin(long n) {
  bench_times *times = bench_times_of(n);
  echo e = {n, times, echo_connect(n, times)};
  for (long i = 0; i < n; i++) thread_start(&e.all[i].asking, echo_ask, &e.all[i]);
  while (!echo_all_begun(e.all, n)) nap(10000000);
  return e;
}

static void echo_end(const echo *e) {
  __atomic_store_n(&echo_stop, 1, __ATOMIC_RELAXED);
  for (long i = 0; i < e->n; i++) {
    thread_join(&e->all[i].asking);
    thread_join(&e->all[i].serving);
    bench_times_end(e->times, i, e->all[i].done);
  }
  bench_times_print(e->times, "echo-p99");
  free(e->all);
}

/* All are busy for a while before it counts. */
void echo_run(long n) {
  echo e = echo_begin(n);
  nap(bench_budget() / 2);
  int64_t begun = bench_now();
  long before = echo_done(e.all, n);
  nap(2 * bench_budget());
  long done = echo_done(e.all, n) - before;
  bench_print("echo", (double)done * 1e9 / (double)(bench_now() - begun), "/s");
  echo_end(&e);
}

/* Each connection has served once; then its thread waits for more. */
void idle_connection_run(long n) {
  char answer[BENCH_ECHO_BYTES];
  int64_t before = bench_memory();
  echo_pair *all = echo_connect(n, NULL);
  for (long i = 0; i < n; i++) {
    char *message = echo_message(&all[i]);
    echo_once(&all[i], message, answer);
    free(message);
  }
  nap(100000000);
  bench_print("idle-connection", (double)(bench_memory() - before) / (double)n, "bytes");
  for (long i = 0; i < n; i++) conn_close(all[i].client);
  for (long i = 0; i < n; i++) thread_join(&all[i].serving);
  free(all);
}

#endif
