/* The gauges of a queue. A call is tried without waiting first: what would have to wait is counted, and timed. */
#include "gauge.h"

#include <stdio.h>

int gauge_init(struct gauged *g, const char *name, size_t item_size, size_t places, size_t writers) {
  thrum_queue_options options = THRUM_QUEUE_OPTIONS_INIT;
  options.writers = writers;
  *g = (struct gauged){.name = name};
  return thrum_queue_init(&g->queue, item_size, places, &options);
}

static void note_fill(struct gauged *g, size_t fill) {
  size_t seen = atomic_load(&g->fullest);
  while (fill > seen && !atomic_compare_exchange_weak(&g->fullest, &seen, fill)) {
  }
}

static void note_wait(struct waits *w, thrum_time since) {
  atomic_fetch_add(&w->times, 1);
  atomic_fetch_add(&w->took, thrum_now() - since);
}

int gauge_put_sized(struct gauged *g, const void *item, size_t size) {
  int error = thrum_queue_try_put_sized(&g->queue, item, size);
  if (error == -EAGAIN) {
    thrum_time since = thrum_now();
    note_fill(g, thrum_queue_capacity(&g->queue)); /* that is why */
    error = thrum_queue_put_sized(&g->queue, item, size);
    note_wait(&g->puts, since);
  }
  if (error) return error;
  note_fill(g, thrum_queue_size(&g->queue));
  atomic_fetch_add(&g->items, 1);
  return 0;
}

int gauge_get_sized(struct gauged *g, void *item, size_t size) {
  int error = thrum_queue_try_get_sized(&g->queue, item, size);
  if (error != -EAGAIN) return error;
  thrum_time since = thrum_now();
  error = thrum_queue_get_sized(&g->queue, item, size);
  note_wait(&g->gets, since);
  return error;
}

int gauge_text(const struct gauged *g, char *text, size_t size) {
  return snprintf(text, size, "%zu/%zu", thrum_queue_size(&g->queue), thrum_queue_capacity(&g->queue));
}

void gauge_print_heading(void) {
  printf("%-8s %8s %8s %9s %24s %24s\n", "queue", "places", "fullest", "items", "puts that waited",
         "gets that waited");
}

static void print_waits(const struct waits *w) {
  printf(" %9zu, for %8.3f s", atomic_load(&w->times), (double)atomic_load(&w->took) / 1e9);
}

void gauge_print(const struct gauged *g) {
  printf("%-8s %8zu %8zu %9zu", g->name, thrum_queue_capacity(&g->queue), atomic_load(&g->fullest),
         atomic_load(&g->items));
  print_waits(&g->puts);
  print_waits(&g->gets);
  printf("\n");
}
