#include <core/wheel.h>

#include <string.h>

enum {
  NO_LEVEL = -1,
  AHEAD = (THRUMI_WHEEL_MOVES + 7) / 8, /* timers that move ahead of time from each level's first slot */
};

static const uint64_t tick_end = UINT64_C(1) << (63 - THRUMI_WHEEL_TICK_BITS); /* past the last of int64 */

/* ---- Lists --------------------------------------------------------------------------------------------- */

static void make_empty(struct thrumi_timer *head) { head->next = head->prev = head; }

static void append(struct thrumi_timer *head, struct thrumi_timer *timer) {
  timer->prev = head->prev;
  timer->next = head;
  head->prev->next = timer;
  head->prev = timer;
}

static void insert_after(struct thrumi_timer *head, struct thrumi_timer *timer) {
  timer->prev = head;
  timer->next = head->next;
  head->next->prev = timer;
  head->next = timer;
}

static void append_all(struct thrumi_timer *head, struct thrumi_timer *from) {
  from->next->prev = head->prev;
  head->prev->next = from->next;
  from->prev->next = head;
  head->prev = from->prev;
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

static int shift_of(int level) { return level * THRUMI_WHEEL_LEVEL_BITS; }

/* How many slots of the level the tick lies ahead. */
static uint64_t distance(const struct thrumi_wheel *wheel, uint64_t tick, int level) {
  return (tick >> shift_of(level)) - (wheel->tick >> shift_of(level));
}

static int level_of(const struct thrumi_wheel *wheel, uint64_t tick) {
  int level = 0;
  while (distance(wheel, tick, level) >= THRUMI_WHEEL_SLOTS) level++;
  return level;
}

static void mark_unused(struct thrumi_wheel_level *level, size_t slot) {
  level->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
  if (level->used[slot / 64] == 0) level->any &= ~(UINT64_C(1) << slot / 64);
}

/* The level's slot for the tick, as a list that may be added to at once. */
static struct thrumi_timer *open_slot(struct thrumi_wheel *wheel, int i, uint64_t tick) {
  struct thrumi_wheel_level *level = &wheel->levels[i];
  size_t slot = (tick >> shift_of(i)) % THRUMI_WHEEL_SLOTS;
  if (!(level->used[slot / 64] >> slot % 64 & 1)) {
    make_empty(&level->slots[slot]);
    level->used[slot / 64] |= UINT64_C(1) << slot % 64;
    level->any |= UINT64_C(1) << slot / 64;
  }
  return &level->slots[slot];
}

/* The first used slot in the order of the ring that begins at `from`. The level has one. */
static size_t next_used(const struct thrumi_wheel_level *level, size_t from) {
  uint64_t here = level->used[from / 64] >> from % 64;
  if (here) return from + (size_t)__builtin_ctzll(here);
  uint64_t after = level->any >> from / 64 >> 1; /* in the words behind it, else from the start again */
  size_t word = after ? from / 64 + 1 + (size_t)__builtin_ctzll(after) : (size_t)__builtin_ctzll(level->any);
  return word * 64 + (size_t)__builtin_ctzll(level->used[word]);
}

/* The number of the level's first used slot. False: there is none. */
static bool first_in_level(const struct thrumi_wheel *wheel, int i, uint64_t *number) {
  if (wheel->levels[i].any == 0) return false;
  uint64_t own = wheel->tick >> shift_of(i);
  size_t from = own % THRUMI_WHEEL_SLOTS, slot = next_used(&wheel->levels[i], from);
  *number = own + (slot - from) % THRUMI_WHEEL_SLOTS;
  return true;
}

/* The level whose first used slot begins before those of the others, and the tick at which it does. Of two
 * that begin together the upper one: it must move down first. NO_LEVEL: nothing is in. */
static int first_slot(const struct thrumi_wheel *wheel, uint64_t *tick) {
  int first = NO_LEVEL;
  uint64_t number;
  for (int i = 0; i < THRUMI_WHEEL_LEVELS; i++) {
    if (!first_in_level(wheel, i, &number)) continue;
    if (first != NO_LEVEL && number << shift_of(i) > *tick) continue;
    *tick = number << shift_of(i);
    first = i;
  }
  return first;
}

/* Moves the youngest timers of a slot to the level below, `most` of them. Not further, although they may fit
 * there: they would overtake younger ones of their tick that are on the way. Returns how many more it might have moved: 0, and
 * the slot is used still, or is not any more. */
static size_t move_down(struct thrumi_wheel *wheel, int i, uint64_t number, size_t most) {
  size_t slot = number % THRUMI_WHEEL_SLOTS;
  struct thrumi_timer *head = &wheel->levels[i].slots[slot], *timer = head->prev;
  for (; timer != head && most > 0; most--) {
    struct thrumi_timer *older = timer->prev;
    insert_after(open_slot(wheel, i - 1, tick_after(timer->when)), timer);
    timer = older;
  }
  timer->next = head;
  head->prev = timer;
  if (timer == head) mark_unused(&wheel->levels[i], slot);
  return most;
}

/* Some timers ahead of time, from each slot over which the level below reaches. */
static void move_ahead(struct thrumi_wheel *wheel) {
  uint64_t number;
  for (int i = 1; i < THRUMI_WHEEL_LEVELS; i++) {
    if (!first_in_level(wheel, i, &number)) continue;
    uint64_t last = ((number + 1) << shift_of(i)) - 1;
    if (distance(wheel, last, i - 1) < THRUMI_WHEEL_SLOTS) move_down(wheel, i, number, AHEAD);
  }
}

/* Lets all ticks up to `last` pass. A slot that begins just after it moves down as well, since the wheel's
 * tick will be there. Whoever starts or stops a timer waits meanwhile: so no more than MOVES move down, and then the wheel stays at
 * the beginning of the slot. What is in that slot is in front of what comes there later, as ever: a timer of its ticks
 * that is added now goes to a lower level, behind those that have moved. */
static void advance(struct thrumi_wheel *wheel, uint64_t last) {
  size_t left = THRUMI_WHEEL_MOVES;
  uint64_t tick;
  int level;
  while ((level = first_slot(wheel, &tick)) != NO_LEVEL && tick <= last + (level > 0)) {
    wheel->tick = tick;
    if (level > 0) {
      left = move_down(wheel, level, tick >> shift_of(level), left);
      if (!left) return;
    } else {
      append_all(&wheel->due, &wheel->levels[0].slots[tick % THRUMI_WHEEL_SLOTS]);
      mark_unused(&wheel->levels[0], tick % THRUMI_WHEEL_SLOTS);
    }
  }
  wheel->tick = last + 1;
}

/* ---- Calls --------------------------------------------------------------------------------------------- */

void thrumi_wheel_init(struct thrumi_wheel *wheel, int64_t now) {
  wheel->tick = tick_before(now) + 1;
  make_empty(&wheel->due);
  for (int i = 0; i < THRUMI_WHEEL_LEVELS; i++) {
    wheel->levels[i].any = 0;
    memset(wheel->levels[i].used, 0, sizeof wheel->levels[i].used);
  }
}

void thrumi_wheel_add(struct thrumi_wheel *wheel, struct thrumi_timer *timer, int64_t when) {
  uint64_t tick = tick_after(when);
  timer->when = when;
  append(tick < wheel->tick ? &wheel->due : open_slot(wheel, level_of(wheel, tick), tick), timer);
}

/* The slot whose list has become empty, by the address of its head. */
static void close_slot(struct thrumi_wheel *wheel, const struct thrumi_timer *head) {
  for (int i = 0; i < THRUMI_WHEEL_LEVELS; i++) {
    const struct thrumi_timer *slots = wheel->levels[i].slots;
    if ((uintptr_t)head - (uintptr_t)slots < sizeof wheel->levels[i].slots)
      mark_unused(&wheel->levels[i], (size_t)(head - slots));
  }
}

bool thrumi_wheel_remove(struct thrumi_wheel *wheel, struct thrumi_timer *timer) {
  if (!timer->prev) return false;
  struct thrumi_timer *next = timer->next, *prev = timer->prev;
  unlink_timer(timer);
  if (next == prev && next != &wheel->due) close_slot(wheel, next);
  return true;
}

bool thrumi_wheel_has_due(const struct thrumi_wheel *wheel) { return wheel->due.next != &wheel->due; }

int64_t thrumi_wheel_upcoming(const struct thrumi_wheel *wheel) {
  uint64_t tick;
  return first_slot(wheel, &tick) == NO_LEVEL ? INT64_MAX : time_of(tick);
}

int64_t thrumi_wheel_next(const struct thrumi_wheel *wheel) {
  return thrumi_wheel_has_due(wheel) ? -1 : thrumi_wheel_upcoming(wheel);
}

int64_t thrumi_wheel_due(int64_t when) { return time_of(tick_after(when)); }

void thrumi_wheel_advance(struct thrumi_wheel *wheel, int64_t now) {
  uint64_t last = tick_before(now);
  if (last >= wheel->tick) advance(wheel, last);
  move_ahead(wheel);
}

struct thrumi_timer *thrumi_wheel_pop(struct thrumi_wheel *wheel) {
  struct thrumi_timer *timer = wheel->due.next;
  if (timer == &wheel->due) return NULL;
  unlink_timer(timer);
  return timer;
}

size_t thrumi_wheel_expire(struct thrumi_wheel *wheel, int64_t now, struct thrumi_timer **list, size_t max) {
  thrumi_wheel_advance(wheel, now);
  size_t n = 0;
  while (n < max && (*list = thrumi_wheel_pop(wheel))) {
    list = &(*list)->next;
    n++;
  }
  *list = NULL;
  return n;
}
