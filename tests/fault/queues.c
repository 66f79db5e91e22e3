/* Queues that are filled and drained, while something fails. */
#include "workload.h"

#include <errno.h>
#include <thrum.h>

#include "../check.h"

static int compare_first(const void *a, const void *b) {
  return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* What went in before memory ended comes out, once each, and nothing else. */
static int fill_and_drain(size_t size, enum thrum_order order, int count) {
  thrum_queue q;
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? compare_first : NULL;
  CHECK_EQ(thrum_queue_init(&q, size, THRUM_UNBOUNDED, &o), 0);
  char item[512] = {0};
  bool out[2000] = {false};
  int error = 0, in = 0, n;
  for (; in < count && !error; in += !error) {
    memcpy(item, &in, sizeof in);
    error = thrum_queue_put_sized(&q, item, size);
  }
  CHECK_EQ(thrum_queue_size(&q), in);
  CHECK_EQ(thrum_queue_unfinished(&q), in);
  for (int i = 0; i < in - in / 3; i++) { /* the rest is for destroy */
    CHECK_EQ(thrum_queue_try_get_sized(&q, item, size), 0);
    memcpy(&n, item, sizeof n);
    CHECK(n >= 0 && n < in && !out[n]);
    out[n] = true;
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
  return error;
}

/* A select that lacks memory for one of its cases has done nothing. */
static int select_big(void) {
  thrum_queue small, big;
  struct {
    char bytes[1000];
  } item = {{0}};
  int n = 1;
  CHECK_EQ(thrum_queue_init(&small, sizeof n, 5, NULL), 0);
  CHECK_EQ(thrum_queue_init(&big, sizeof item, 5, NULL), 0);
  thrum_case cases[] = {thrum_case_put(&small, &n), thrum_case_put(&big, &item)};
  int at = thrum_select(cases, 2);
  CHECK(at == 0 || at == 1 || at == -ENOMEM);
  CHECK_EQ(thrum_queue_size(&small), at == 0);
  CHECK_EQ(thrum_queue_size(&big), at == 1);
  CHECK_EQ(thrum_queue_destroy(&small), 0);
  CHECK_EQ(thrum_queue_destroy(&big), 0);
  return at < 0 ? at : 0;
}

int workload_queues(void) {
  int error = fill_and_drain(8, THRUM_FIFO, 1600), other = fill_and_drain(16, THRUM_LIFO, 600);
  if (!error) error = other;
  other = fill_and_drain(12, THRUM_PRIORITY, 70);
  if (!error) error = other;
  other = fill_and_drain(500, THRUM_FIFO, 6);
  if (!error) error = other;
  other = select_big();
  return error ? error : other;
}
