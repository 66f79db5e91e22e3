/* Echo and files with libuv: callbacks on one loop a worker, each with a share of the connections, both ends of them. */
#define _GNU_SOURCE
#include "net.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <uv.h>

typedef struct share {
  pthread_t thread;
  uv_loop_t loop;
  uv_async_t end;
  long first, n; /* connections */
  struct pair *pairs;
  int listener;
  struct sockaddr_in address;
} share;

typedef struct pair {
  uv_tcp_t client, server;
  uv_write_t asking, answering;
  char *message, *answer, *buffer;
  long got, done, number;
  int64_t begun;
  int idle; /* one round trip, and no more */
} pair;

static long size, workers;
static bench_times *times;
static long arrived; /* idle: round trips */

static int setup(int n) {
  workers = n;
  size = bench_message_size();
  return 0;
}

static void closed(uv_handle_t *handle) { (void)handle; }

static void end_of(uv_handle_t *handle) {
  if (!uv_is_closing(handle)) uv_close(handle, closed);
}

static void written(uv_write_t *request, int status) {
  (void)request;
  if (status && status != UV_ECANCELED) bench_fail("uv_write: %s", uv_strerror(status));
}

/* At once as far as there is room; the rest by a request, whose turn it is only then. */
static void write_all(uv_write_t *request, uv_tcp_t *to, char *bytes, size_t n) {
  uv_buf_t piece = uv_buf_init(bytes, (unsigned)n);
  int sent = uv_try_write((uv_stream_t *)to, &piece, 1);
  if (sent < 0 && sent != UV_EAGAIN) bench_check(sent, "uv_try_write");
  if (sent == (int)n) return;
  sent = sent < 0 ? 0 : sent;
  piece = uv_buf_init(bytes + sent, (unsigned)(n - (size_t)sent));
  bench_check(uv_write(request, (uv_stream_t *)to, &piece, 1, written), "uv_write");
}

/* ---- The server's end: what came goes back ------------------------------------------------------------------------ */

static void server_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
  (void)suggested;
  pair *p = handle->data;
  *out = uv_buf_init(p->buffer, (unsigned)size);
}

/* The other end sends no more before it has all of the answer, but a part of a message may be followed by the next part while
 * that one is being written: then reading waits. */
static void answered(uv_write_t *request, int status);

static void server_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  pair *p = stream->data;
  if (n < 0) {
    end_of((uv_handle_t *)stream);
    return;
  }
  uv_buf_t piece = uv_buf_init(buffer->base, (unsigned)n);
  int sent = n ? uv_try_write(stream, &piece, 1) : 0;
  if (sent == n || sent == UV_EPIPE || sent == UV_ECONNRESET) return;
  sent = sent < 0 ? 0 : sent;
  uv_read_stop(stream);
  piece = uv_buf_init(buffer->base + sent, (unsigned)(n - sent));
  bench_check(uv_write(&p->answering, stream, &piece, 1, answered), "uv_write");
}

static void answered(uv_write_t *request, int status) {
  if (status == 0) uv_read_start(request->handle, server_buffer, server_read);
}

/* ---- The client's end ------------------------------------------------------------------------------------------------ */

static void client_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
  (void)suggested;
  pair *p = handle->data;
  *out = uv_buf_init(p->answer + p->got, (unsigned)(size - p->got));
}

static void ask(pair *p) { write_all(&p->asking, &p->client, p->message, (size_t)size); }

static void client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
  (void)buffer;
  pair *p = stream->data;
  if (n < 0) bench_fail("the server has closed the connection");
  p->got += n;
  if (p->got < size) return;
  p->got = 0;
  if (memcmp(p->message, p->answer, (size_t)size)) bench_fail("the echo is not what was sent");
  int64_t now = bench_now();
  if (times) bench_times_note(times, p->number, p->done, now - p->begun);
  p->begun = now;
  __atomic_store_n(&p->done, p->done + 1, __ATOMIC_RELAXED);
  if (p->idle)
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
  else
    ask(p);
}

/* ---- Loops --------------------------------------------------------------------------------------------------------------- */

static void begin(uv_loop_t *loop, uv_tcp_t *handle, pair *p, int fd, uv_alloc_cb buffer, uv_read_cb read) {
  bench_check(uv_tcp_init(loop, handle), "uv_tcp_init");
  handle->data = p;
  bench_check(uv_tcp_open(handle, fd), "uv_tcp_open");
  bench_check(uv_tcp_nodelay(handle, 1), "uv_tcp_nodelay");
  bench_check(uv_read_start((uv_stream_t *)handle, buffer, read), "uv_read_start");
}

static void prepare(share *s, pair *p) {
  int client = net_socket(0);
  bench_check(connect(client, (struct sockaddr *)&s->address, sizeof s->address) ? errno : 0, "connect");
  int server = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
  if (server < 0) bench_check(errno, "accept4");
  p->message = bench_alloc((size_t)size);
  p->answer = bench_alloc((size_t)size);
  p->buffer = bench_alloc((size_t)size);
  memset(p->message, 'e', (size_t)size);
  begin(&s->loop, &p->client, p, client, client_buffer, client_read);
  begin(&s->loop, &p->server, p, server, server_buffer, server_read);
}

static void end_all(uv_async_t *async) {
  share *s = async->data;
  for (long i = 0; i < s->n; i++) {
    end_of((uv_handle_t *)&s->pairs[i].client);
    end_of((uv_handle_t *)&s->pairs[i].server);
  }
  end_of((uv_handle_t *)async);
}

static void *run_loop(void *arg) {
  share *s = arg;
  s->listener = net_listen(&s->address, 0);
  for (long i = 0; i < s->n; i++) {
    s->pairs[i].number = s->first + i;
    prepare(s, &s->pairs[i]);
  }
  for (long i = 0; i < s->n; i++) {
    s->pairs[i].begun = bench_now();
    ask(&s->pairs[i]);
  }
  bench_check(uv_run(&s->loop, UV_RUN_DEFAULT), "uv_run");
  return NULL;
}

static share *start(long n, pair *pairs) {
  share *all = bench_alloc((size_t)workers * sizeof *all);
  net_limit(n);
  for (long i = 0; i < workers; i++) {
    share *s = &all[i];
    s->first = i * n / workers;
    s->n = (i + 1) * n / workers - s->first;
    s->pairs = pairs + s->first;
    bench_check(uv_loop_init(&s->loop), "uv_loop_init");
    bench_check(uv_async_init(&s->loop, &s->end, end_all), "uv_async_init");
    s->end.data = s;
    bench_check(pthread_create(&s->thread, NULL, run_loop, s), "pthread_create");
  }
  return all;
}

static void end(share *all) {
  for (long i = 0; i < workers; i++) bench_check(uv_async_send(&all[i].end), "uv_async_send");
  for (long i = 0; i < workers; i++) bench_check(pthread_join(all[i].thread, NULL), "pthread_join");
}

static long done_by_all(const pair *pairs, long n) {
  long sum = 0;
  for (long i = 0; i < n; i++) sum += __atomic_load_n(&pairs[i].done, __ATOMIC_RELAXED);
  return sum;
}

static void nap(int64_t ns) { usleep((useconds_t)(ns / 1000)); }

static void echo_run(long n) {
  pair *pairs = bench_alloc((size_t)n * sizeof *pairs);
  times = bench_times_of(n);
  share *all = start(n, pairs);
  for (long least = 0; least == 0;) { /* all are connected */
    nap(10000000);
    least = 1;
    for (long i = 0; i < n; i++) least &= __atomic_load_n(&pairs[i].done, __ATOMIC_RELAXED) > 0;
  }
  nap(bench_budget() / 2);
  int64_t begun = bench_now();
  long before = done_by_all(pairs, n);
  nap(2 * bench_budget());
  long done = done_by_all(pairs, n) - before;
  bench_print("echo", (double)done * 1e9 / (double)(bench_now() - begun), "/s");
  end(all);
  for (long i = 0; i < n; i++) bench_times_end(times, i, pairs[i].done);
  bench_times_print(times, "echo-p99");
}

/* The client's end is a bare descriptor elsewhere; here it is a libuv handle too, of some 500 bytes. */
static void idle_connection_run(long n) {
  int64_t before = bench_memory();
  pair *pairs = bench_alloc((size_t)n * sizeof *pairs);
  for (long i = 0; i < n; i++) pairs[i].idle = 1;
  share *all = start(n, pairs);
  while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < n) nap(10000000);
  nap(100000000);
  bench_print("idle-connection", (double)(bench_memory() - before) / (double)n, "bytes");
  end(all);
}

/* ---- Files: each read is a request to the pool of threads, as an asynchronous one has to be ----------------------------- */

typedef struct reader {
  uv_loop_t loop;
  uv_fs_t request;
  uv_buf_t buffer;
  int fd, random;
  long blocks, done;
  uint64_t seed;
  int64_t begun, took;
} reader;

static void next_read(reader *r);

static void was_read(uv_fs_t *request) {
  reader *r = request->data;
  if (request->result != size) bench_fail("a short read");
  uv_fs_req_cleanup(request);
  r->done++;
  if (r->done == r->blocks) r->begun = bench_now(); /* the first pass does not count */
  if (r->done % 64 || r->done <= r->blocks || (r->took = bench_now() - r->begun) < bench_budget())
    next_read(r);
}

static void next_read(reader *r) {
  long block = r->random ? (long)(bench_random(&r->seed) % (uint64_t)r->blocks) : r->done % r->blocks;
  bench_check(uv_fs_read(&r->loop, &r->request, r->fd, &r->buffer, 1, block * size, was_read), "uv_fs_read");
}

static void measure_file(const char *metric, int random) {
  const char *path = bench_file();
  reader r = {.random = random, .seed = 88172645463325252u, .blocks = BENCH_FILE_BYTES / size};
  bench_check(uv_loop_init(&r.loop), "uv_loop_init");
  r.fd = open(path, O_RDONLY | O_CLOEXEC);
  unlink(path);
  r.buffer = uv_buf_init(bench_alloc((size_t)size), (unsigned)size);
  r.request.data = &r;
  next_read(&r);
  bench_check(uv_run(&r.loop, UV_RUN_DEFAULT), "uv_run");
  bench_print(metric, (double)r.took / (double)(r.done - r.blocks), "ns");
}

static void file_read_run(long n) {
  (void)n;
  measure_file("file-read", 0);
}

static void file_pread_run(long n) {
  (void)n;
  measure_file("file-pread", 1);
}

int main(int argc, char **argv) {
  static const bench_workload table[] = {{"echo", echo_run},
                                         {"idle-connection", idle_connection_run},
                                         {"file-read", file_read_run},
                                         {"file-pread", file_pread_run},
                                         {NULL, NULL}};
  return bench_main(argc, argv, table, setup);
}
