/* The timing wheel beside an array in which the due ones are searched for: what comes out, when, and in which order. The wheel
 * moves two timers down a call at most, so that what it leaves for the next call is found among so few. */
#include "fuzz.h"

#include <core/wheel.h>

enum { TIMERS = 24 };

static struct thrumi_wheel wheel;
static struct {
  struct thrumi_timer timer;
  bool in;
  uint64_t since; /* in the order of adding */
} all[TIMERS];

/* Near, far, past, and at the ends of time. */
static int64_t choose_when(struct decisions *d, int64_t now) {
  static const int shift[] = {0, 10, 15, 20, 25, 30, 40, 62};
  uint8_t kind = decide(d);
  if (kind == 255) return INT64_MAX;
  if (kind == 254) return INT64_MIN;
  uint64_t span = decide_u64(d) >> (63 - shift[kind % 8]);
  int64_t when;
  return __builtin_add_overflow(now, kind & 64 ? -(int64_t)span : (int64_t)span, &when) ? INT64_MAX : when;
}

static int64_t due_of(int i) { return thrumi_wheel_due(all[i].timer.when); }

/* Of those that are in: the one that must come out next. */
static int first(void) {
  int best = -1;
  for (int i = 0; i < TIMERS; i++)
    if (all[i].in && (best < 0 || due_of(i) < due_of(best))) best = i;
  return best;
}

static void expire(int64_t now, size_t max, int64_t *former) {
  struct thrumi_timer *list;
  size_t n = thrumi_wheel_expire(&wheel, now, &list, max);
  CHECK(n <= max);
  int64_t before = *former;
  for (; list; list = list->next, n--) {
    int i = 0;
    while (&all[i].timer != list) i++;
    CHECK(all[i].in);
    all[i].in = false;
    CHECK(due_of(i) <= now || all[i].timer.when <= now);
    CHECK(due_of(i) >= before ||
          all[i].timer.when < now); /* those added when they were past come as they were added */
    before = due_of(i);
  }
  CHECK_EQ(n, 0);
  *former = before;
}

/* All that are due, by as many calls as the wheel asks for. */
static void expire_all(int64_t now) {
  int64_t former = INT64_MIN;
  do expire(now, TIMERS, &former);
  while (thrumi_wheel_next(&wheel) <= now);
}

/* Nobody is left who was due, and nobody who sleeps until `next` oversleeps. */
static void check_rest(int64_t now) {
  int64_t next = thrumi_wheel_next(&wheel);
  int i = first();
  if (i < 0) {
    CHECK_EQ(next, INT64_MAX);
    return;
  }
  CHECK(next <= due_of(i) || next < 0);
  CHECK(next < 0 || due_of(i) > now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct decisions d = {data, data + size};
  int64_t now = (int64_t)(decide_u64(&d) >> 2);
  uint64_t added = 0;
  memset(all, 0, sizeof all);
  thrumi_wheel_init(&wheel, now);
  while (any_left(&d)) {
    uint8_t what = decide(&d);
    int i = what / 4 % TIMERS;
    if (what % 4 < 2) {
      CHECK_EQ(thrumi_wheel_remove(&wheel, &all[i].timer), all[i].in);
      all[i].in = what % 4 == 0;
      all[i].since = added++;
      if (all[i].in) thrumi_wheel_add(&wheel, &all[i].timer, choose_when(&d, now));
    } else {
      int64_t later = choose_when(&d, now);
      if (later > now && later < INT64_MAX / 2) now = later;
      int64_t former = INT64_MIN;
      if (what % 4 == 2)
        expire(now, 1, &former);
      else
        expire_all(now), check_rest(now);
    }
  }
  return 0;
}
