/* A hierarchical timing wheel: timers added and removed at a constant cost, however many there are.
 *
 * Time is counted in ticks of 2^15 ns (33 us). A timer is due at the first tick that is not before its
 * `when`: never early, and late by less than a tick because of the wheel. A tick's number is read as digits
 * of six bits; a timer lies at the level of the highest digit in which its tick differs from the wheel's, in
 * the slot that this digit names. So all of a level comes before all of the next, each slot before the next,
 * and a timer moves down at most once a level. Nine levels hold every tick of the int64 range.
 *
 * There is no lock here: the caller has one. */
#ifndef THRUMI_WHEEL_H
#define THRUMI_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lies in whatever waits. All-zero: in no wheel. */
struct thrumi_timer {
  struct thrumi_timer *next, *prev; /* prev is NULL iff it is in no wheel */
  int64_t when;
};

enum {
  THRUMI_WHEEL_TICK_BITS = 15,
  THRUMI_WHEEL_DIGIT_BITS = 6,
  THRUMI_WHEEL_SLOTS = 1 << THRUMI_WHEEL_DIGIT_BITS, /* a level; as many as the bitmap has bits */
  THRUMI_WHEEL_LEVELS = 9,
};

/* Invariants between calls:
 *  - every timer in a slot has a tick >= tick; every timer in `due` had one below it
 *  - a bit of `used` is set iff its slot has a timer
 *  - at level 0 only slots at or above the wheel's own digit are used, at other levels only those above it */
struct thrumi_wheel {
  uint64_t tick; /* the first that has not passed */
  uint64_t used[THRUMI_WHEEL_LEVELS];
  struct thrumi_timer due; /* heads of circular lists, as are the slots; oldest first */
  struct thrumi_timer slots[THRUMI_WHEEL_LEVELS][THRUMI_WHEEL_SLOTS];
};

void thrumi_wheel_init(struct thrumi_wheel *wheel, int64_t now);

/* The timer is in no wheel. A `when` in the past is due at once. */
void thrumi_wheel_add(struct thrumi_wheel *wheel, struct thrumi_timer *timer, int64_t when);

/* False: it was not in; it had expired, or was never added. */
bool thrumi_wheel_remove(struct thrumi_wheel *wheel, struct thrumi_timer *timer);

/* When to call thrumi_wheel_expire again at the latest: never after the tick at which the first timer is due,
 * but possibly before it, when timers have to move down. -1: at once. INT64_MAX: nothing is in. */
int64_t thrumi_wheel_next(const struct thrumi_wheel *wheel);

/* Takes out the timers that are due, `max` of them at most, and chains them by `next`: in the order of their
 * ticks, and within a tick in the order in which they were added. Returns how many. `now` never goes back. */
size_t thrumi_wheel_expire(struct thrumi_wheel *wheel, int64_t now, struct thrumi_timer **list, size_t max);

#endif
