/* The timing wheel against a model: a sorted list of what is in, by the order in which it must come out. Built twice, as it is,
 * and with a wheel that moves next to nothing in one call, so that what is left halfway is left halfway everywhere. */
#include "../check.h"

#include <core/wheel.h>

enum { TIMERS = 400 };

static struct thrumi_wheel wheel;
static int64_t clock_now;
static uint64_t seed;

/* The model. A timer's rank is its due tick, or for one that was late already the tick of the wheel then, which may be
 * behind the clock while timers have yet to move. */
static struct item {
  struct thrumi_timer timer;
  bool in;
  uint64_t rank, order;
} items[TIMERS];
static size_t count_in;
static uint64_t added;
static uint64_t passed; /* the last tick that the wheel was told of */

static uint64_t draw(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed * UINT64_C(0x2545F4914F6CDD1D);
}

static uint64_t due_tick(int64_t when) {
  const uint64_t length = UINT64_C(1) << THRUMI_WHEEL_TICK_BITS;
  return when <= 0 ? 0 : (uint64_t)when / length + ((uint64_t)when % length != 0);
}

static void add(struct item *item, int64_t when) {
  item->in = true;
  item->order = added++;
  uint64_t tick = wheel.tick - 1;
  item->rank = due_tick(when) > tick ? due_tick(when) : tick;
  count_in++;
  thrumi_wheel_add(&wheel, &item->timer, when);
}

static void drop(struct item *item) {
  CHECK_EQ(thrumi_wheel_remove(&wheel, &item->timer), item->in);
  count_in -= item->in;
  item->in = false;
}

static bool before(const struct item *a, const struct item *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->order < b->order;
}

static struct item *first(void) {
  struct item *best = NULL;
  for (struct item *i = items; count_in && i < items + TIMERS; i++)
    if (i->in && (!best || before(i, best))) best = i;
  return best;
}

/* Time has not passed up to now in the wheel: timers have yet to move. */
static bool lags(void) { return wheel.tick <= passed; }

static size_t expire_once(int64_t now, size_t max) {
  struct thrumi_timer *list;
  size_t n = thrumi_wheel_expire(&wheel, now, &list, max), seen = 0;
  CHECK(n <= max);
  for (; list; list = list->next, seen++) {
    struct item *item = (struct item *)list, *expected = first();
    CHECK(item == expected);
    CHECK(item->timer.when <= now);
    CHECK(!item->timer.prev);
    item->in = false;
    count_in--;
  }
  CHECK_EQ(seen, n);
  return n;
}

/* As who has a wheel does: comes again while it says so. */
static void expire(int64_t now, size_t max) {
  passed = (uint64_t)now >> THRUMI_WHEEL_TICK_BITS;
  clock_now = now;
  size_t n = expire_once(now, max);
  while (n < max && thrumi_wheel_next(&wheel) <= now) n += expire_once(now, max - n);
  struct item *rest = first();
  if (n < max) CHECK(!rest || rest->rank > passed);
}

static void check_next(void) {
  struct item *item = first();
  int64_t next = thrumi_wheel_next(&wheel);
  if (!item)
    CHECK_EQ(next, INT64_MAX);
  else if (item->rank <= passed)
    CHECK(next == -1 || (lags() && next <= clock_now));
  else if (lags() && next <= clock_now) /* others have to move */
    CHECK(next >= 0);
  else if (item->rank < UINT64_C(1) << 48) {
    CHECK(next <= (int64_t)(item->rank << THRUMI_WHEEL_TICK_BITS));
    CHECK(next > clock_now); /* so that whoever sleeps until then makes progress */
  } else
    CHECK_EQ(next, INT64_MAX);
}

static void reset(int64_t now) {
  memset(items, 0, sizeof items);
  count_in = 0;
  clock_now = now;
  passed = (uint64_t)now >> THRUMI_WHEEL_TICK_BITS;
  thrumi_wheel_init(&wheel, now);
}

/* Distances of every magnitude, the past too, and many equal ones. */
static int64_t some_time(void) {
  static int64_t last;
  uint64_t kind = draw() % 16;
  if (kind == 0) return last;
  if (kind == 1) return last = (int64_t)(draw() % 3) - 1;
  if (kind == 2) return last = INT64_MAX - 1 - (int64_t)(draw() % 100000);
  if (kind == 3) return last = clock_now - (int64_t)(draw() % 1000000);
  int64_t distance = (int64_t)((draw() >> 1) >> (draw() % 62));
  return last = distance > INT64_MAX - 1 - clock_now ? INT64_MAX - 1 : clock_now + distance;
}

static int64_t later(unsigned most_bits) {
  int64_t step = (int64_t)((draw() >> 1) >> (63 - most_bits + draw() % most_bits));
  return step > INT64_MAX - 1 - clock_now ? INT64_MAX - 1 : clock_now + step;
}

/* Small sets find the boundaries, large ones the order. */
static void random_operations(size_t timers, unsigned jump_bits, size_t operations) {
  reset(later(40));
  for (size_t i = 0; i < operations; i++) {
    struct item *item = &items[draw() % timers];
    switch (draw() % 8) {
    case 0: expire(later(jump_bits), draw() % 8 ? 1000 : draw() % 4); break;
    case 1: expire(clock_now, draw() % 3); break;
    case 2: check_next(); break;
    case 3: drop(item); break;
    default:
      if (item->in)
        drop(item);
      else
        add(item, some_time());
    }
    if (clock_now > INT64_MAX / 2) reset(later(20));
  }
}

static void sleeper_arrives_in_few_steps(void) {
  reset(0);
  for (int bit = 0; bit < 62; bit++) {
    int64_t when = clock_now + (INT64_C(1) << bit);
    add(&items[0], when);
    int steps = 0;
    for (; items[0].in; steps++) {
      int64_t next = thrumi_wheel_next(&wheel);
      CHECK(next - when < INT64_C(1) << THRUMI_WHEEL_TICK_BITS);
      expire(next, 10);
    }
    CHECK(steps <= THRUMI_WHEEL_LEVELS);
    if (bit > 40) reset(0);
  }
}

static void extremes(void) {
  reset(5);
  CHECK_EQ(thrumi_wheel_next(&wheel), INT64_MAX);
  CHECK(!thrumi_wheel_remove(&wheel, &items[0].timer));
  const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX - 1, INT64_MAX - 40000, INT64_MAX};
  for (int i = 0; i < 7; i++) add(&items[i], times[i]);
  expire(5, 1000); /* 1 is due at the next tick */
  CHECK(!items[0].in && !items[1].in && !items[2].in && items[3].in);
  expire(40000, 1000);
  CHECK(!items[3].in && items[4].in);
  expire(INT64_MAX - 1, 1000);
  CHECK(!items[5].in); /* the last tick ends after the last moment, so these wait for ever */
  CHECK(items[4].in && items[6].in);
  CHECK_EQ(thrumi_wheel_next(&wheel), INT64_MAX);
  drop(&items[4]);
  drop(&items[6]);
  CHECK_EQ(count_in, 0);
}

static void due_is_enough(void) {
  for (int i = 0; i < 2000; i++) {
    reset(0);
    reset(later(45));
    int64_t when = clock_now + 1 + (int64_t)(draw() >> (2 + draw() % 60)), due = thrumi_wheel_due(when);
    CHECK(due >= when && due - when < INT64_C(1) << THRUMI_WHEEL_TICK_BITS);
    add(&items[0], when);
    expire(due - 1, 1);
    CHECK(items[0].in);
    expire(due, 1);
    CHECK(!items[0].in);
  }
  CHECK_EQ(thrumi_wheel_due(INT64_MAX), INT64_MAX);
  CHECK_EQ(thrumi_wheel_due(-5), 0);
}

static void reuse_after_expiry(void) {
  reset(1000);
  add(&items[0], 0);
  CHECK_EQ(thrumi_wheel_next(&wheel), -1);
  expire(1000, 1);
  drop(&items[0]);
  add(&items[0], 2000000);
  drop(&items[0]);
  CHECK_EQ(thrumi_wheel_next(&wheel), INT64_MAX);
}

/* Time passes, and what is due is taken out one at a time, later; meanwhile some are taken back and others added. */
static void one_at_a_time(void) {
  reset(0);
  CHECK(!thrumi_wheel_has_due(&wheel));
  CHECK(!thrumi_wheel_pop(&wheel));
  for (int i = 0; i < TIMERS; i++) add(&items[i], (int64_t)(draw() % 3000) << THRUMI_WHEEL_TICK_BITS);
  while (count_in) {
    clock_now = later(27);
    passed = (uint64_t)clock_now >> THRUMI_WHEEL_TICK_BITS;
    do thrumi_wheel_advance(&wheel, clock_now);
    while (thrumi_wheel_upcoming(&wheel) <= clock_now);
    for (int n = (int)(draw() % 40); n; n--) {
      struct item *expected = first();
      bool due = expected && expected->rank <= passed;
      CHECK_EQ(thrumi_wheel_has_due(&wheel), due);
      CHECK_EQ(thrumi_wheel_next(&wheel) == -1, due);
      CHECK(thrumi_wheel_upcoming(&wheel) > clock_now);
      struct item *item = (struct item *)thrumi_wheel_pop(&wheel);
      CHECK(item == (due ? expected : NULL));
      if (!item) break;
      CHECK(!item->timer.prev);
      item->in = false;
      count_in--;
      if (draw() % 8 == 0) add(item, clock_now - 1 + (int64_t)(draw() % 2000000));
    }
    drop(&items[draw() % TIMERS]);
  }
  CHECK_EQ(thrumi_wheel_upcoming(&wheel), INT64_MAX);
}

/* So many that each slot has more than move down at once. The clock goes by what the wheel asks for, or by
 * less or more. */
static void crowd_comes_out_in_order(uint64_t step) {
  enum { CROWD = 40000 };
  static struct item crowd[CROWD];
  reset(0);
  memset(crowd, 0, sizeof crowd);
  for (int i = 0; i < CROWD; i++) {
    unsigned nearer = draw() % 8;
    int64_t when = (int64_t)(draw() % (INT64_C(20000000000) >> nearer)) >> 20 << 20; /* many of each time */
    crowd[i].order = (uint64_t)i;
    crowd[i].rank = due_tick(when);
    thrumi_wheel_add(&wheel, &crowd[i].timer, when);
  }
  const struct item *former = NULL;
  for (size_t out = 0; out < CROWD;) {
    struct thrumi_timer *list;
    int64_t next = thrumi_wheel_next(&wheel);
    CHECK(next < INT64_MAX);
    clock_now = step ? clock_now + (int64_t)(draw() % step) : next > clock_now ? next : clock_now;
    size_t n = thrumi_wheel_expire(&wheel, clock_now, &list, 1 + draw() % 64), seen = 0;
    for (; list; list = list->next, seen++) {
      const struct item *item = (const struct item *)list;
      CHECK(item->timer.when <= clock_now);
      CHECK(!former || before(former, item));
      former = item;
    }
    CHECK_EQ(seen, n);
    out += n;
  }
  CHECK_EQ(thrumi_wheel_next(&wheel), INT64_MAX);
}

/* All of one slot, due at one moment: nobody who starts or stops a timer waits until all have moved. Those that are added
 * meanwhile for the same tick come last. */
static void crowd_moves_piece_by_piece(void) {
  enum { CROWD = 20000, AT_ONCE = THRUMI_WHEEL_MOVES + THRUMI_WHEEL_LEVELS * ((THRUMI_WHEEL_MOVES + 7) / 8) };
  static struct thrumi_timer crowd[CROWD];
  const int64_t when = INT64_C(60000000000);
  size_t out = 0, in = CROWD / 2, calls = 0;
  reset(0);
  memset(crowd, 0, sizeof crowd);
  for (size_t i = 0; i < in; i++) thrumi_wheel_add(&wheel, &crowd[i], when);
  for (; out < in; calls++) {
    struct thrumi_timer *list;
    if (calls % 2 && in < CROWD) thrumi_wheel_add(&wheel, &crowd[in++], when);
    size_t n = thrumi_wheel_expire(&wheel, when + 40000, &list, SIZE_MAX);
    for (; list; list = list->next) CHECK(list == &crowd[out++]);
    CHECK(n <= out);
    if (out < in) CHECK(thrumi_wheel_next(&wheel) >= 0 && thrumi_wheel_next(&wheel) <= when + 40000);
  }
  CHECK(calls >= CROWD / 2 / AT_ONCE);
  CHECK_EQ(thrumi_wheel_next(&wheel), INT64_MAX);
}

int main(void) {
  seed = 1;
  extremes();
  reuse_after_expiry();
  due_is_enough();
  sleeper_arrives_in_few_steps();
  crowd_comes_out_in_order(0);
  crowd_comes_out_in_order(1000000);
  crowd_comes_out_in_order(3000000000);
  crowd_moves_piece_by_piece();
  for (uint64_t round = 1; round <= 20; round++) {
    seed = round * UINT64_C(0x9E3779B97F4A7C15);
    one_at_a_time();
    random_operations(3, 20, 60000);
    random_operations(8, 36, 60000);
    random_operations(40, 45, 40000);
    random_operations(TIMERS, 25, 20000);
    random_operations(TIMERS, 58, 20000);
  }
  return 0;
}
