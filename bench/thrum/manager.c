/* manager-call: a task of a manager's is called, and gives back the bytes that it is given. manager-queue: a message is put into a queue of
 * a manager's, and got by the same client. The manager is a process of its own. */
#include <thrum.h>

#include "bench.h"
#include "workloads.h"

#include <stdlib.h>

enum { BATCH = 100, LARGEST = 65536 };

THRUM_TASK(give_back) { return thrum_out_write(out, in, size); }

typedef struct client {
  thrum_manager *manager;
  thrum_manager_queue queue;
  size_t size;
  char bytes[LARGEST], got[LARGEST];
} client;

static void call(client *c) {
  void *data;
  size_t size;
  bench_check(thrum_manager_call(c->manager, "give_back", c->bytes, c->size, &data, &size, THRUM_FOREVER),
              "thrum_manager_call");
  if (size != c->size) bench_fail("%zu bytes came back", size);
  free(data);
}

static void put_and_get(client *c) {
  bench_check(thrum_manager_queue_put(&c->queue, c->bytes, c->size), "thrum_manager_queue_put");
  ssize_t n = thrum_manager_queue_get(&c->queue, c->got, sizeof c->got);
  if (n != (ssize_t)c->size) bench_fail("%zd bytes came back", n);
}

static void start(client *c) {
  static const thrum_task *const tasks[] = {&give_back};
  thrum_manager_options o = THRUM_MANAGER_OPTIONS_INIT;
  o.tasks = tasks;
  o.task_count = 1;
  bench_check(thrum_manager_start(&c->manager, &o), "thrum_manager_start");
  bench_check(thrum_manager_queue_open(&c->queue, c->manager, "messages", 1024), "thrum_manager_queue_open");
}

static void measure(const char *name, long size, void (*step)(client *c)) {
  if (size > LARGEST) bench_fail("no more than %d bytes", LARGEST);
  client *c = bench_alloc(sizeof *c);
  c->size = (size_t)size;
  start(c);
  for (int i = 0; i < BATCH; i++) step(c);
  int64_t begun = bench_now(), took = 0;
  long done = 0;
  for (; took < bench_budget(); took = bench_now() - begun, done += BATCH)
    for (int i = 0; i < BATCH; i++) step(c);
  bench_print(name, (double)took / 1e3 / (double)done, "us");
  thrum_manager_close(c->manager);
  free(c);
}

void manager_call_run(long size) { measure("manager-call", size, call); }
void manager_queue_run(long size) { measure("manager-queue", size, put_and_get); }
