#include <core/wheel.h>

enum { NO_LEVEL = -1 };

static const uint64_t tick_end = UINT64_C(1) << (63 - THRUMI_WHEEL_TICK_BITS); /* past the last of int64 */

/* ---- Lists --------------------------------------------------------------------------------------------- */

static void make_empty(struct thrumi_timer *head) { head->next = head->prev = head; }

static void append(struct thrumi_timer *head, struct thrumi_timer *timer) {
  timer->prev = head->prev;
  timer->next = head;
  head->prev->next = timer;
  head->prev = timer;
}

static void append_all(struct thrumi_timer *head, struct thrumi_timer *from) {
  from->next->prev = head->prev;
  head->prev->next = from->next;
  from->prev->next = head;
  head->prev = from->prev;
  make_empty(from);
}

static void unlink_timer(struct thrumi_timer *timer) {
  timer->prev->next = timer->next;
  timer->next->prev = timer->prev;
  timer->prev = NULL;
}

/* ---- Ticks and slots ----------------------------------------------------------------------------------- */

static uint64_t tick_before(int64_t time) { return time < 0 ? 0 : (uint64_t)time >> THRUMI_WHEEL_TICK_BITS; }

static uint64_t tick_after(int64_t time) {
  if (time <= 0) return 0;
  return (((uint64_t)time - 1) >> THRUMI_WHEEL_TICK_BITS) + 1;
}

static int64_t time_of(uint64_t tick) {
  return tick >= tick_end ? INT64_MAX : (int64_t)(tick << THRUMI_WHEEL_TICK_BITS);
}

static unsigned digit_of(uint64_t tick, int level) {
  return (unsigned)(tick >> (level * THRUMI_WHEEL_DIGIT_BITS)) % THRUMI_WHEEL_SLOTS;
}

static int level_of(const struct thrumi_wheel *wheel, uint64_t tick) {
  uint64_t difference = tick ^ wheel->tick;
  return difference == 0 ? 0 : (63 - __builtin_clzll(difference)) / THRUMI_WHEEL_DIGIT_BITS;
}

static void put(struct thrumi_wheel *wheel, struct thrumi_timer *timer, uint64_t tick) {
  int level = level_of(wheel, tick);
  unsigned digit = digit_of(tick, level);
  wheel->used[level] |= UINT64_C(1) << digit;
  append(&wheel->slots[level][digit], timer);
}

/* The first used slot. Its tick is the first of those it stands for; NO_LEVEL: none is used. */
static int first_slot(const struct thrumi_wheel *wheel, uint64_t *tick) {
  for (int level = 0; level < THRUMI_WHEEL_LEVELS; level++) {
    if (wheel->used[level] == 0) continue;
    int shift = level * THRUMI_WHEEL_DIGIT_BITS;
    uint64_t above = wheel->tick >> shift >> THRUMI_WHEEL_DIGIT_BITS << THRUMI_WHEEL_DIGIT_BITS;
    *tick = (above | (unsigned)__builtin_ctzll(wheel->used[level])) << shift;
    return level;
  }
  return NO_LEVEL;
}

/* The wheel's tick has reached the slot: its timers go to lower levels. */
static void move_down(struct thrumi_wheel *wheel, int level, unsigned digit) {
  struct thrumi_timer *head = &wheel->slots[level][digit], *timer = head->next;
  wheel->used[level] &= ~(UINT64_C(1) << digit);
  make_empty(head);
  while (timer != head) {
    struct thrumi_timer *next = timer->next;
    put(wheel, timer, tick_after(timer->when));
    timer = next;
  }
}

/* Lets all ticks up to `last` pass. A slot that begins just after it moves down as well, since the wheel's
 * tick will be there. */
static void advance(struct thrumi_wheel *wheel, uint64_t last) {
  uint64_t tick;
  int level;
  while ((level = first_slot(wheel, &tick)) != NO_LEVEL && tick <= last + (level > 0)) {
    unsigned digit = digit_of(tick, level);
    wheel->tick = tick;
    if (level > 0) {
      move_down(wheel, level, digit);
    } else {
      wheel->used[0] &= ~(UINT64_C(1) << digit);
      append_all(&wheel->due, &wheel->slots[0][digit]);
    }
  }
  wheel->tick = last + 1;
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

void thrumi_wheel_init(struct thrumi_wheel *wheel, int64_t now) {
  wheel->tick = tick_before(now) + 1;
  make_empty(&wheel->due);
  for (int level = 0; level < THRUMI_WHEEL_LEVELS; level++) {
    wheel->used[level] = 0;
    for (int digit = 0; digit < THRUMI_WHEEL_SLOTS; digit++) make_empty(&wheel->slots[level][digit]);
  }
}

void thrumi_wheel_add(struct thrumi_wheel *wheel, struct thrumi_timer *timer, int64_t when) {
  uint64_t tick = tick_after(when);
  timer->when = when;
  if (tick < wheel->tick)
    append(&wheel->due, timer);
  else
    put(wheel, timer, tick);
}

bool thrumi_wheel_remove(struct thrumi_wheel *wheel, struct thrumi_timer *timer) {
  if (!timer->prev) return false;
  struct thrumi_timer *next = timer->next, *prev = timer->prev;
  unlink_timer(timer);
  if (next != prev || next == &wheel->due) return true;
  /* Only the head is left, and it tells which slot this was. */
  size_t slot = (size_t)(next - &wheel->slots[0][0]);
  wheel->used[slot / THRUMI_WHEEL_SLOTS] &= ~(UINT64_C(1) << slot % THRUMI_WHEEL_SLOTS);
  return true;
}

int64_t thrumi_wheel_next(const struct thrumi_wheel *wheel) {
  uint64_t tick;
  if (wheel->due.next != &wheel->due) return -1;
  return first_slot(wheel, &tick) == NO_LEVEL ? INT64_MAX : time_of(tick);
}

size_t thrumi_wheel_expire(struct thrumi_wheel *wheel, int64_t now, struct thrumi_timer **list, size_t max) {
  uint64_t last = tick_before(now);
  if (last >= wheel->tick) advance(wheel, last);
  size_t n = 0;
  for (; n < max && wheel->due.next != &wheel->due; n++) {
    struct thrumi_timer *timer = wheel->due.next;
    unlink_timer(timer);
    *list = timer;
    list = &timer->next;
  }
  *list = NULL;
  return n;
}
