/* A queue of each order, used by one thread, beside a plain array: what comes out, what is refused, and all counts. */
#include "fuzz.h"

#include <errno.h>
#include <thrum/queue.h>

enum { MOST = 700, LARGEST = 300 };

static struct item {
  int key;
  int number;
  char rest[LARGEST - 2 * sizeof(int)];
} model[MOST];
static size_t in_model, unfinished;
static int put_so_far;
static bool shut;

static int by_key(const void *a, const void *b) {
  const struct item *one = a, *other = b;
  return (one->key > other->key) - (one->key < other->key);
}

static size_t next_out(enum thrum_order order) {
  size_t best = order == THRUM_LIFO ? in_model - 1 : 0;
  for (size_t i = 0; order == THRUM_PRIORITY && i < in_model; i++)
    if (model[i].key < model[best].key) best = i; /* the oldest of equals */
  return best;
}

static void take_from_model(size_t i) {
  memmove(&model[i], &model[i + 1], (in_model - i - 1) * sizeof *model);
  in_model--;
}

static void put(thrum_queue *q, size_t size, struct decisions *d) {
  struct item item = {.key = decide(d) % 8, .number = put_so_far};
  memset(item.rest, item.number, sizeof item.rest);
  int expected = shut ? -EPIPE : in_model >= thrum_queue_capacity(q) ? -EAGAIN : 0;
  if (thrum_queue_capacity(q) == THRUM_RENDEZVOUS && !shut) expected = -EAGAIN;
  CHECK_EQ(thrum_queue_try_put_sized(q, &item, size), expected);
  if (expected) return;
  model[in_model++] = item;
  unfinished++;
  put_so_far++;
}

static void get(thrum_queue *q, size_t size, enum thrum_order order) {
  struct item item;
  int expected = in_model ? 0 : shut ? -EPIPE : -EAGAIN;
  CHECK_EQ(thrum_queue_try_get_sized(q, &item, size), expected);
  if (expected) return;
  size_t i = next_out(order);
  CHECK_EQ(memcmp(&item, &model[i], size), 0);
  take_from_model(i);
}

static void end(thrum_queue *q, bool now) {
  CHECK_EQ(thrum_queue_shutdown(q, now), 0);
  if (now)
    unfinished -= in_model < unfinished ? in_model : unfinished; /* some were done before they were got */
  if (now) in_model = 0;
  shut = true;
}

static void resize(thrum_queue *q, uint8_t how) {
  static const size_t sizes[] = {1, 2, 3, 17, 200, THRUM_RENDEZVOUS, THRUM_UNBOUNDED, 600};
  CHECK_EQ(thrum_queue_set_capacity(q, sizes[how % 8]), 0);
  CHECK_EQ(thrum_queue_capacity(q), sizes[how % 8]);
}

static void step(thrum_queue *q, size_t size, enum thrum_order order, struct decisions *d) {
  uint8_t what = decide(d);
  if (what < 130) {
    if (in_model < MOST) put(q, size, d);
  } else if (what < 220) {
    get(q, size, order);
  } else if (what < 240) {
    CHECK_EQ(thrum_queue_task_done(q), unfinished ? 0 : -EOVERFLOW);
    unfinished -= unfinished > 0;
  } else if (what < 254) {
    resize(q, what);
  } else {
    end(q, what == 255);
  }
  CHECK_EQ(thrum_queue_size(q), in_model);
  CHECK_EQ(thrum_queue_unfinished(q), unfinished);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct decisions d = {data, data + size};
  thrum_queue q;
  thrum_queue_options options = THRUM_QUEUE_OPTIONS_INIT;
  size_t item_size = decide(&d) % 2 ? 2 * sizeof(int) : LARGEST;
  options.order = (enum thrum_order)(decide(&d) % 3);
  if (options.order == THRUM_PRIORITY) options.compare = by_key;
  in_model = unfinished = 0;
  put_so_far = 0;
  shut = false;
  CHECK_EQ(thrum_queue_init(&q, item_size, 3, &options), 0);
  while (any_left(&d)) step(&q, item_size, options.order, &d);
  CHECK_EQ(thrum_queue_shutdown(&q, true), 0);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
  return 0;
}
