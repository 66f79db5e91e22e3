/* Rings of trace events. A recorder's: what is taken is whole, in order, and with what was counted as lost makes up all that was put; a
 * worker that is handed over between two events goes on behind them. A flight recorder's: what is copied while it is written over is whole,
 * without a gap, and nothing that lies there and is not written over is missed at the end. */
#include "explore.h"

#ifndef RING_H /* a mutation's */
#define RING_H <trace/ring.h>
#endif
#include RING_H

#include <string.h>

enum { SIZE = 2, PUTS = 4 };

static struct thrumi_ring ring;
static struct thrumi_slot slots[SIZE];
static _Atomic uint32_t given; /* the worker's hand-over */
static uint64_t lost, taken, last;

/* Event n: each of its words says so. Two of the words are enough to be torn. */
static void put(uint64_t n) {
  uint64_t words[THRUMI_RING_WORDS] = {n, n, n, n};
  if (!thrumi_ring_put(&ring, words)) lost++;
}

static void expect_whole(const uint64_t *words) {
  for (int i = 1; i < THRUMI_RING_WORDS; i++) EXPECT(words[i] == words[0]);
}

static void begin(bool endless) {
  memset(&ring, 0, sizeof ring);
  memset(slots, 0, sizeof slots);
  ring.size = SIZE;
  ring.slots = slots;
  ring.tail = endless ? THRUMI_RING_AHEAD : 0;
  lost = taken = last = 0;
  given = 0;
}

/* ---- A recorder's ----------------------------------------------------------------------------------------------- */

static void reset_recorder(void) { begin(false); }

static void put_three(void *unused) {
  (void)unused;
  for (uint64_t n = 1; n <= 3; n++) put(n);
}

static void put_and_hand_over(void *unused) {
  (void)unused;
  put(1);
  thrumi_store(&given, 1);
}

static void go_on(void *unused) {
  (void)unused;
  explore_await(&given);
  put(2);
  put(3);
}

static void take(size_t max) {
  uint64_t out[SIZE][THRUMI_RING_WORDS];
  size_t n = thrumi_ring_take(&ring, out, max);
  for (size_t i = 0; i < n; i++) {
    expect_whole(out[i]);
    EXPECT(out[i][0] > last);
    last = out[i][0];
  }
  taken += n;
}

static void take_twice(void *unused) {
  (void)unused;
  take(SIZE);
  take(SIZE);
}

static void check_recorder(void) {
  EXPECT(lost == ring.lost);
  take(SIZE);
  EXPECT(taken + lost == 3);
  EXPECT(lost || last == 3);
}

/* ---- A flight recorder's ---------------------------------------------------------------------------------------- */

static void reset_flight(void) {
  begin(true);
  put(1); /* position 0 */
}

static void put_more(void *unused) {
  (void)unused;
  for (uint64_t n = 2; n <= PUTS; n++) put(n);
}

/* Position p holds event p + 1. Returns how many there are from *at on. */
static size_t copy(uint64_t *at) {
  uint64_t out[SIZE][THRUMI_RING_WORDS];
  size_t n = thrumi_ring_copy(&ring, at, out, SIZE);
  for (size_t i = 0; i < n; i++) {
    expect_whole(out[i]);
    EXPECT(out[i][0] == *at + i + 1);
  }
  return n;
}

static void copy_once(void *unused) {
  (void)unused;
  uint64_t at = 0;
  copy(&at);
}

/* Nobody writes any more: all but the one that would be written over next. */
static void check_flight(void) {
  uint64_t at = 0;
  EXPECT(!lost);
  EXPECT(copy(&at) == SIZE - 1 && at + SIZE - 1 == PUTS);
}

static const struct explore_model models[] = {
    {
        .name = "ring, a reader",
        .reset = reset_recorder,
        .check = check_recorder,
        .threads = {{.name = "producer", .run = put_three}, {.name = "reader", .run = take_twice}},
    },
    {
        .name = "ring, a reader, store buffers",
        .buffered = true,
        .reset = reset_recorder,
        .check = check_recorder,
        .threads = {{.name = "producer", .run = put_three}, {.name = "reader", .run = take_twice}},
    },
    {
        .name = "ring, handed over",
        .reset = reset_recorder,
        .check = check_recorder,
        .threads = {{.name = "first", .run = put_and_hand_over},
                    {.name = "second", .run = go_on},
                    {.name = "reader", .run = take_twice}},
    },
    {
        .name = "ring that is written over",
        .reset = reset_flight,
        .check = check_flight,
        .threads = {{.name = "producer", .run = put_more}, {.name = "reader", .run = copy_once}},
    },
    {0},
};

int main(int argc, char **argv) { return explore(models, argc, argv); }
