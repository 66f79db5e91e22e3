/* Who ran when. Each thread stamps its own lane again and again while it works, so the times at which the
 * stamps stop are the times at which something else had the CPU. Drawn once all have been joined:
 *
 *     hog-0   |####....####....|
 *     hog-1   |....####....####|
 */
#ifndef TOUR_LANES_H
#define TOUR_LANES_H

#include <thrum.h>

enum { LANE_SPANS = 4096 };

struct lane {
  const char *name;
  size_t count; /* of spans; those beyond LANE_SPANS are not kept */
  struct {
    thrum_time from, to;
  } spans[LANE_SPANS];
};

/* The owner of the lane is running now. */
void lane_stamp(struct lane *lane);

/* Computes until it has had so much CPU time, stamping its lane. Returns how many rounds it made. */
long lane_spin(struct lane *lane, thrum_duration cpu_time);

/* Prints the lanes over one scale of time, and below them how many milliseconds a column is. */
void lanes_draw(const struct lane *lanes, size_t count);

/* How long both owners ran at once. */
thrum_duration lanes_overlap(const struct lane *a, const struct lane *b);

/* A turn lasts until a thread of another lane runs: for threads that share one worker. Stores how many there
 * were, and returns the median of their lengths. */
thrum_duration lanes_turn(const struct lane *lanes, size_t count, size_t *turns);

#endif
