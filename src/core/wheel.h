/* A hierarchical timing wheel: timers added and removed at a constant cost, however many there are.
 *
 * Time is counted in ticks of 2^15 ns (33 us). A timer is due at the first tick that is not before its
 * `when`: never early, and late by less than a tick because of the wheel.
 *
 * A level is a ring of 1024 slots. A slot of level 0 is a tick; one of each further level is 128 of the level
 * below, so that a level reaches over eight slots of the next one:
 *
 *   level   slot     reach
 *   0       33 us    34 ms
 *   1       4.2 ms   4.3 s
 *   2       0.54 s   9.2 min
 *   ...     up to level 6, which reaches past int64
 *
 * A timer is put into the lowest level that reaches its tick. When the wheel gets to a slot of an upper
 * level, what is left in it goes one level down. Nearly always nothing is left: each expiry
 * moves some timers from the first slot of each level ahead of time, as soon as the level below reaches over
 * all of it. So a million timers of a second move down once, a few at a time, and delay nobody. (A classic
 * wheel, whose levels do not overlap, moves all timers of a slot at once when it gets there: stalls of many
 * milliseconds.) Where few expire before, as with half a million that were all begun within a tenth of a second, most are left
 * there; then each call moves 1,024 and leaves time where the slot begins, so that thrumi_wheel_next says to come
 * again at once.
 *
 * Of two timers with one tick the older is never in a lower level; moving down takes the youngest of a slot
 * and puts it before those that are there. So timers of a tick come out in the order in which they were
 * added.
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

/* Timers that a call moves down because their slot has been reached, at most. (Tests that have few timers have another one.) */
#ifndef THRUMI_WHEEL_MOVES
#define THRUMI_WHEEL_MOVES 1024
#endif

enum {
  THRUMI_WHEEL_TICK_BITS = 15,
  THRUMI_WHEEL_LEVELS = 7,
  THRUMI_WHEEL_LEVEL_BITS = 7, /* a slot is 2^7 slots of the level below */
  THRUMI_WHEEL_SLOTS = 1024,
  THRUMI_WHEEL_WORDS = THRUMI_WHEEL_SLOTS / 64,
};

/* Slot i of the ring stands for all slot numbers that are i modulo 1024. */
struct thrumi_wheel_level {
  uint64_t any;                      /* of these words, which are not 0 */
  uint64_t used[THRUMI_WHEEL_WORDS]; /* bit set: the slot has a timer */
  struct thrumi_timer
      slots[THRUMI_WHEEL_SLOTS]; /* heads of circular lists, oldest first; unset if not used */
};

/* Invariants between calls:
 *  - every timer in a slot has a tick >= tick; every timer in `due` had one below it
 *  - used slots of level 0 have numbers from the wheel's own up to 1023 above it; of other levels, from one
 *    above; or the wheel's own too, and then `tick` is where that slot begins: time that has passed since is still to come
 *    for the wheel */
struct thrumi_wheel {
  uint64_t tick;           /* the first that has not passed */
  struct thrumi_timer due; /* head of a list like the slots' */
  struct thrumi_wheel_level levels[THRUMI_WHEEL_LEVELS];
};

void thrumi_wheel_init(struct thrumi_wheel *wheel, int64_t now);

/* The timer is in no wheel. A `when` in the past is due at once. */
void thrumi_wheel_add(struct thrumi_wheel *wheel, struct thrumi_timer *timer, int64_t when);

/* False: it was not in; it had expired, or was never added. */
bool thrumi_wheel_remove(struct thrumi_wheel *wheel, struct thrumi_timer *timer);

/* When to call thrumi_wheel_expire again at the latest: never after the tick at which the first timer is due,
 * but possibly before it, when timers have to move down; that may be in the past, if more had to than move in one call.
 * -1: at once. INT64_MAX: nothing is in. */
int64_t thrumi_wheel_next(const struct thrumi_wheel *wheel);

/* When a timer for `when` is due: the tick that is not before it. Who has just added the first of all timers
 * may sleep until then and needs no thrumi_wheel_next. INT64_MAX: never. */
int64_t thrumi_wheel_due(int64_t when);

/* Takes out the timers that are due, `max` of them at most, and chains them by `next`: in the order of their
 * ticks, and within a tick in the order in which they were added. Returns how many; fewer are all that there are,
 * unless thrumi_wheel_next is not behind `now`. `now` never goes back. */
size_t thrumi_wheel_expire(struct thrumi_wheel *wheel, int64_t now, struct thrumi_timer **list, size_t max);

/* The same in steps, for who takes timers out one at a time, and some later. thrumi_wheel_advance lets time pass up to `now`;
 * thrumi_wheel_pop takes out the first one that is due, NULL if none is; thrumi_wheel_has_due asks. */
void thrumi_wheel_advance(struct thrumi_wheel *wheel, int64_t now);
struct thrumi_timer *thrumi_wheel_pop(struct thrumi_wheel *wheel);
bool thrumi_wheel_has_due(const struct thrumi_wheel *wheel);

/* As thrumi_wheel_next, but of timers that are not due yet. Never -1. */
int64_t thrumi_wheel_upcoming(const struct thrumi_wheel *wheel);

#endif
