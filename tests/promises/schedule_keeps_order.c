/* A schedule's events come by time, then priority, then in the order in which they were entered; exactly the event that is meant
 * is cancelled; a failure leaves the rest as it was; and an earlier event wakes a run that sleeps. */
#include "../support.h"

#include <stdlib.h>

/* ---- A clock that moves only when somebody sleeps --------------------------------------------------------- */

struct virtual_clock {
  thrum_time now;
  int sleeps, yields;
};

static thrum_time read_clock(void *clock) { return ((struct virtual_clock *)clock)->now; }

static int move_clock(void *arg, thrum_duration duration) {
  struct virtual_clock *clock = (struct virtual_clock *)arg;
  CHECK(duration >= 0);
  clock->now += duration;
  clock->sleeps += duration > 0;
  clock->yields += duration == 0;
  return 0;
}

enum { MOST = 64 };

struct seen {
  struct virtual_clock clock;
  thrum_schedule schedule;
  thrum_schedule_event events[MOST];
  int names[MOST];
  thrum_time times[MOST];
  int count;
};

static struct seen *seen_new(void) {
  struct seen *s = (struct seen *)calloc(1, sizeof *s);
  CHECK(s);
  s->clock.now = 100;
  s->schedule = (thrum_schedule)THRUM_SCHEDULE_INIT(read_clock, move_clock, &s->clock);
  return s;
}

struct call {
  struct seen *seen;
  int name;
};
static struct call calls[MOST];

static intptr_t note(void *arg) {
  struct call *call = (struct call *)arg;
  call->seen->names[call->seen->count] = call->name;
  call->seen->times[call->seen->count++] = call->seen->clock.now;
  return 0;
}

static void *named(struct seen *s, int name) {
  calls[name] = (struct call){s, name};
  return &calls[name];
}

static void expect(struct seen *s, int count, const int *names) {
  CHECK_EQ(s->count, count);
  for (int i = 0; i < count; i++) CHECK_EQ(s->names[i], names[i]);
  s->count = 0;
}

static void by_time_priority_and_entering(void) {
  struct seen *s = seen_new();
  static const struct {
    thrum_time time;
    int priority;
  } entered[] = {{300, 1}, {200, 5},         {200, 1}, {300, 1}, {300, 0},
                 {200, 1}, {300, INT32_MIN}, {-7, 9},  {200, -3}};
  for (int i = 0; i < 9; i++)
    CHECK_EQ(thrum_schedule_enter_at(&s->schedule, &s->events[8 - i], entered[i].time, entered[i].priority,
                                     note, named(s, i)),
             0);
  static const int order[] = {7, 8, 2, 5, 1, 6, 4, 0, 3};
  thrum_schedule_entry list[MOST];
  CHECK_EQ(thrum_schedule_list(&s->schedule, list, 8), 9); /* too small: untouched */
  CHECK_EQ(thrum_schedule_list(&s->schedule, list, 9), 9);
  for (int i = 0; i < 9; i++) {
    CHECK(list[i].event == &s->events[8 - order[i]]); /* memory is in another order */
    CHECK_EQ(list[i].order, order[i]);
    CHECK_EQ(list[i].time, entered[order[i]].time);
    CHECK_EQ(list[i].priority, entered[order[i]].priority);
  }
  CHECK_EQ(thrum_schedule_size(&s->schedule), 9);
  CHECK_EQ(thrum_schedule_run(&s->schedule), 0);
  CHECK_EQ(s->times[0], 100);
  CHECK_EQ(s->times[1], 200);
  CHECK_EQ(s->times[8], 300);
  expect(s, 9, order);
  CHECK_EQ(s->clock.sleeps, 2);
  CHECK_EQ(s->clock.yields, 9); /* others run after each */
  CHECK_EQ(thrum_schedule_size(&s->schedule), 0);
  free(s);
}

/* Of three that compare equal, and that come after two others, the middle one is taken out. */
static void exactly_that_one(void) {
  struct seen *s = seen_new();
  for (int i = 0; i < 5; i++)
    CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[i], 10, i < 3, note, named(s, 7)), 0);
  thrum_schedule_entry list[8];
  CHECK_EQ(thrum_schedule_cancel(&s->schedule, &s->events[1]), 0);
  CHECK_EQ(thrum_schedule_cancel(&s->schedule, &s->events[1]), -ESRCH);
  CHECK_EQ(thrum_schedule_list(&s->schedule, list, 8), 4);
  static const int left[] = {3, 4, 0, 2};
  for (int i = 0; i < 4; i++) CHECK(list[i].event == &s->events[left[i]]);
  CHECK_EQ(thrum_schedule_cancel(&s->schedule, &s->events[9]), -ESRCH); /* never entered */
  struct seen *other = seen_new();
  CHECK_EQ(thrum_schedule_cancel(&other->schedule, &s->events[0]), -ESRCH); /* another's */
  CHECK_EQ(thrum_schedule_enter(&other->schedule, &s->events[0], 1, 1, note, named(s, 1)), -EBUSY);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[0], 1, 1, note, named(s, 1)), -EBUSY);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[1], 1, 1, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_schedule_run(&s->schedule), 0);
  CHECK_EQ(s->count, 4);
  CHECK_EQ(thrum_schedule_cancel(&s->schedule, &s->events[0]), -ESRCH); /* has come */
  free(other);
  free(s);
}

/* ---- Functions that change the schedule, or fail ----------------------------------------------------------- */

struct chain {
  struct seen *seen;
  int left;
};

/* Enters its own event again, which has been taken out, and cancels another one. */
static intptr_t go_on(void *arg) {
  struct chain *chain = (struct chain *)arg;
  struct seen *s = chain->seen;
  s->times[s->count++] = s->clock.now;
  if (--chain->left == 0) return thrum_schedule_cancel(&s->schedule, &s->events[1]);
  return thrum_schedule_enter(&s->schedule, &s->events[0], 5, 0, go_on, chain);
}

static intptr_t must_not_come(void *arg) {
  (void)arg;
  CHECK(false);
  return 0;
}

static void functions_change_it(void) {
  struct seen *s = seen_new();
  struct chain chain = {s, 4};
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[0], 5, 0, go_on, &chain), 0);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[1], 20, 1, must_not_come, NULL), 0);
  CHECK_EQ(thrum_schedule_run(&s->schedule), 0);
  CHECK_EQ(s->count, 4);
  for (int i = 0; i < 4; i++) CHECK_EQ(s->times[i], 105 + 5 * i);
  free(s);
}

static intptr_t fail(void *arg) { return thrum_fail((int)(intptr_t)arg, "failed"); }

static void failures_leave_the_rest(void) {
  struct seen *s = seen_new();
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[0], 1, 0, note, named(s, 0)), 0);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[1], 2, 0, fail, (void *)(intptr_t)EIO), 0);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[2], 3, 0, note, named(s, 2)), 0);
  CHECK_EQ(thrum_schedule_run(&s->schedule), -EIO);
  static const int first[] = {0}, rest[] = {2};
  expect(s, 1, first);
  CHECK_EQ(thrum_schedule_size(&s->schedule), 1); /* the one that failed is gone */
  CHECK_EQ(thrum_schedule_run(&s->schedule), 0);
  expect(s, 1, rest);
  free(s);
}

static void only_what_is_due(void) {
  struct seen *s = seen_new();
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), THRUM_FOREVER);
  for (int i = 0; i < 4; i++)
    CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[i], 10 * i, 0, note, named(s, i)), 0);
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), 10);
  static const int first[] = {0}, next[] = {1, 2}, last[] = {3};
  expect(s, 1, first);
  s->clock.now += 25;
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), 5);
  expect(s, 2, next);
  CHECK_EQ(s->clock.sleeps, 0);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[4], 0, 0, fail, (void *)(intptr_t)ENOENT), 0);
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), -ENOENT);
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), 5);
  s->clock.now += 5;
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), THRUM_FOREVER);
  expect(s, 1, last);
  CHECK_EQ(thrum_schedule_enter_at(&s->schedule, &s->events[0], THRUM_FOREVER, 0, note, named(s, 0)), 0);
  CHECK(thrum_schedule_run_due(&s->schedule) > THRUM_S(1) &&
        thrum_schedule_run_due(&s->schedule) < THRUM_FOREVER);
  CHECK_EQ(thrum_schedule_cancel(&s->schedule, &s->events[0]), 0);
  free(s);
}

static int refuse_to_sleep(void *clock, thrum_duration duration) {
  return (void)clock, duration > 0 ? -EINTR : 0;
}

static void clocks_that_end_it(void) {
  struct seen *s = seen_new();
  s->schedule.sleep = refuse_to_sleep;
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[0], 0, 0, note, named(s, 0)), 0);
  CHECK_EQ(thrum_schedule_enter(&s->schedule, &s->events[1], 5, 0, note, named(s, 1)), 0);
  CHECK_EQ(thrum_schedule_run(&s->schedule), -EINTR);
  CHECK_EQ(s->count, 1);
  s->schedule.sleep = NULL; /* half a clock */
  CHECK_EQ(thrum_schedule_run(&s->schedule), -EINVAL);
  CHECK_EQ(thrum_schedule_run_due(&s->schedule), -EINVAL);
  CHECK_EQ(thrum_schedule_size(&s->schedule), 1);
  free(s);
}

/* ---- The runtime's own clock, several threads --------------------------------------------------------------- */

static thrum_schedule common;
static int came;

static intptr_t come(void *arg) {
  ADD(came, (int)(intptr_t)arg);
  return 0;
}

static intptr_t run_common(void *arg) {
  (void)arg;
  return thrum_schedule_run(&common);
}

/* A run sleeps for the far event; a near one wakes it; and when the far one is cancelled it has nothing left. */
static intptr_t earlier_wakes(void *arg) {
  (void)arg;
  thrum_schedule_event far, near_one;
  memset(&far, 0, sizeof far);
  memset(&near_one, 0, sizeof near_one);
  STORE(came, 0);
  CHECK_EQ(thrum_schedule_enter(&common, &far, THRUM_S(1000), 0, come, (void *)100), 0);
  thrum_thread runners[2] = {must_spawn(run_common, NULL), must_spawn(run_common, NULL)};
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0); /* most probably they sleep now; it does not matter */
  CHECK_EQ(thrum_schedule_enter(&common, &near_one, THRUM_MS(1), 0, come, (void *)1), 0);
  AWAIT(LOAD(came) == 1);
  CHECK(thrum_is_alive(runners[0]) && thrum_is_alive(runners[1]));
  CHECK_EQ(thrum_schedule_cancel(&common, &far), 0);
  for (int i = 0; i < 2; i++) CHECK_EQ(must_join(runners[i]), 0);
  CHECK_EQ(LOAD(came), 1);
  return 0;
}

enum { PRODUCERS = 4, EACH = TESTS_SANITIZED ? 300 : 3000 };
static int entered_count, cancelled_count;

static intptr_t produce(void *arg) {
  static thrum_schedule_event events[PRODUCERS][EACH];
  thrum_schedule_event *mine = events[(intptr_t)arg];
  memset(mine, 0, sizeof events[0]);
  for (int i = 0; i < EACH; i++) {
    CHECK_EQ(thrum_schedule_enter(&common, &mine[i], (thrum_duration)(i * 7919 % 400) * 1000, i % 3, come,
                                  (void *)1),
             0);
    ADD(entered_count, 1);
    if (i % 4 == 3 && thrum_schedule_cancel(&common, &mine[i - 2]) == 0) ADD(cancelled_count, 1);
    if (i % 32 == 0) thrum_yield();
  }
  while (thrum_schedule_size(&common)) thrum_sleep(THRUM_US(100));
  return 0;
}

static void many_enter_and_run(void) {
  static thrum_schedule_event keeper; /* so that no run ends before all have entered */
  thrum_thread runners[3], producers[PRODUCERS];
  STORE(came, 0);
  CHECK_EQ(thrum_schedule_enter(&common, &keeper, THRUM_S(1000), 0, must_not_come, NULL), 0);
  for (int i = 0; i < 3; i++)
    runners[i] = i ? must_spawn(run_common, NULL) : must_spawn_bound(run_common, NULL);
  for (int i = 0; i < PRODUCERS; i++) producers[i] = must_spawn(produce, (void *)(intptr_t)i);
  AWAIT(LOAD(entered_count) == PRODUCERS * EACH);
  AWAIT(LOAD(came) + LOAD(cancelled_count) == PRODUCERS * EACH);
  CHECK_EQ(thrum_schedule_cancel(&common, &keeper), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(runners[i]), 0);
  for (int i = 0; i < PRODUCERS; i++) CHECK_EQ(must_join(producers[i]), 0);
  CHECK(cancelled_count > 0);
}

int main(void) {
  by_time_priority_and_entering();
  exactly_that_one();
  functions_change_it();
  failures_leave_the_rest();
  only_what_is_due();
  clocks_that_end_it();
  run_in_each_kind(earlier_wakes, NULL);
  many_enter_and_run();
  return 0;
}
