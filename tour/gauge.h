/* A queue with gauges: how full it became, and how often and how long somebody had to wait at either end.
 *
 * Many puts that waited: who gets is the slower one, and the bound holds who puts back. Many gets that waited: who puts
 * is the slower one. So the two columns of a row say on which side of a queue time is lost. */
#ifndef TOUR_GAUGE_H
#define TOUR_GAUGE_H

#include <stdatomic.h>
#include <stddef.h>

#include <thrum.h>

struct waits {
  atomic_size_t times;
  atomic_llong took; /* nanoseconds, of all threads together */
};

struct gauged {
  const char *name;
  thrum_queue queue;
  atomic_size_t items;
  atomic_size_t fullest;
  struct waits puts, gets;
};

/* An item is `item_size` bytes; the last of so many writers shuts the queue down. */
int gauge_init(struct gauged *g, const char *name, size_t item_size, size_t places, size_t writers);

/* As thrum_queue_put and thrum_queue_get, whose errors these are. */
#define gauge_put(g, p) gauge_put_sized(g, p, sizeof *(p))
#define gauge_get(g, p) gauge_get_sized(g, p, sizeof *(p))
int gauge_put_sized(struct gauged *g, const void *item, size_t size);
int gauge_get_sized(struct gauged *g, void *item, size_t size);

/* Writes "taken/places", as they are now, in the manner of snprintf. */
int gauge_text(const struct gauged *g, char *text, size_t size);

/* The heading of a table, and the queue's row in it. */
void gauge_print_heading(void);
void gauge_print(const struct gauged *g);

#endif
