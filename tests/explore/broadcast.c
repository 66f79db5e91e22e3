/* A broadcast, in queue/broadcast.c, sync/round.c, sync/lock.c, sched/await.c, sched/park.c and core/parking.c: subscribers get,
 * wait, run out of time, are overtaken and free it, at every moment of puts and a close. Whoever waits for an item gets it, or a
 * later one and the number of those between; nobody waits for ever; nobody touches what the last one has freed. */
#include "waiting.h"

#include <sched/cycle.h>
#include <sync/lock.h>
#include <thrum/broadcast.h>
#include <thrum/select.h>

enum { ITEMS = 2 };

static thrum_broadcast broadcast;
static int ring[ITEMS];
static int got[CALLERS], missed[CALLERS];

struct thrumi_thread *thrumi_record(uint32_t slot) {
  return (void)slot, NULL;
} /* nobody spins */

/* Waiting in a circle is the model of cycle.c. */
void thrumi_cycle_moved(struct thrumi_thread *t, uint32_t mark) { (void)t, (void)mark; }

/* ---- What happens at once ------------------------------------------------------------------------------ */

/* Item n is n + 1. */
static void get_next(int i, uint64_t *next, thrum_duration timeout) {
  int item = 0;
  int64_t n = thrum_broadcast_get_for(&broadcast, next, &item, timeout);
  results[i] = n < 0 ? (int)n : 0;
  EXPECT(n < 0 ? item == 0 : item == (int)*next);
  if (n < 0) return;
  got[i]++;
  missed[i] += (int)n;
}

static void get(void *i) {
  uint64_t next = 0;
  get_next(*(int *)i, &next, THRUM_FOREVER);
}

static void get_timed(void *i) {
  uint64_t next = 0;
  get_next(*(int *)i, &next, 1);
  has_ended(*(int *)i);
}

static void get_both(void *i) {
  uint64_t next = 0;
  while (next < ITEMS) get_next(*(int *)i, &next, THRUM_FOREVER);
}

static void get_one_and_the_end(void *i) {
  uint64_t next = 0;
  while (results[*(int *)i] != -EPIPE) get_next(*(int *)i, &next, THRUM_FOREVER);
}

static void free_it(void) {
  thrumi_store((_Atomic uint64_t *)&broadcast.word, (uint64_t)GONE);
  thrumi_store((_Atomic uint64_t *)&broadcast.lock.word, (uint64_t)GONE);
}

static void get_and_free(void *i) {
  get(i);
  free_it();
}

/* Who hears of the end by a select may free it at once. */
static void select_and_free(void *unused) {
  (void)unused;
  uint64_t next = 0;
  thrum_case broadcasts[] = {thrum_case_broadcast(&broadcast, &next)};
  EXPECT(thrum_select(broadcasts, 1) == 0 && broadcasts[0].status == -EPIPE);
  free_it();
}

static void put(void *unused) {
  (void)unused;
  int item = (int)thrum_broadcast_subscribe(&broadcast) + 1;
  EXPECT(thrum_broadcast_put(&broadcast, &item) == 0);
}

static void close_it(void *unused) {
  (void)unused;
  EXPECT(thrum_broadcast_close(&broadcast) == 0);
}

static void put_twice(void *unused) {
  put(unused);
  put(unused);
}

static void put_and_close(void *unused) {
  put(unused);
  close_it(unused);
}

/* ---- Before and after ---------------------------------------------------------------------------------- */

static void reset_to(size_t capacity) {
  reset_callers();
  EXPECT(thrum_broadcast_init(&broadcast, ring, sizeof *ring, capacity) == 0);
  memset(got, 0, sizeof got);
  memset(missed, 0, sizeof missed);
}

static void reset(void) { reset_to(ITEMS); }
static void reset_watch(void) { reset_to(1); }

static void check_idle(void) { EXPECT((broadcast.word & 1) == 0 && broadcast.lock.word == 0); }

static void check_got(void) {
  check_idle();
  for (int i = 0; i < CALLERS; i++)
    EXPECT((results[i] == 0 && got[i] == 1 && missed[i] == 0) || results[i] == NOT_RUN);
}

static void check_timed(void) {
  check_idle();
  EXPECT(results[0] == (got[0] ? 0 : -ETIMEDOUT));
}

static void check_closed(void) {
  check_idle();
  EXPECT(results[0] == -EPIPE && got[0] == 0);
}

static void check_both(void) {
  check_idle();
  EXPECT(results[0] == 0 && got[0] + missed[0] == ITEMS);
}

static void check_the_end(void) {
  check_idle();
  EXPECT(results[0] == -EPIPE && got[0] == 1 && missed[0] == 0);
}

static void check_gone(void) {
  EXPECT(broadcast.word == (uint64_t)GONE && broadcast.lock.word == (uint64_t)GONE);
}

#define MODEL(text, before, after, ...) \
  { \
    .name = "broadcast, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

static const struct explore_model models[] = {
    MODEL("a put", reset, check_got, CALLER(0, get), CALLER(1, put)),
    MODEL("a deadline", reset, check_timed, CALLER(0, get_timed), CALLER(1, put), ACTOR(deadline, 0)),
    MODEL("a close", reset, check_closed, CALLER(0, get), CALLER(1, close_it)),
    MODEL("freed after an item", reset, check_gone, CALLER(0, get_and_free), CALLER(1, put)),
    MODEL("freed after the close", reset, check_gone, CALLER(0, get_and_free), CALLER(1, close_it)),
    MODEL("freed after a select that saw the close", reset, check_gone, CALLER(0, select_and_free),
          CALLER(1, close_it)),
    MODEL("an item and the end", reset, check_the_end, CALLER(0, get_one_and_the_end),
          CALLER(1, put_and_close)),
    MODEL("one of two is kept", reset_watch, check_both, CALLER(0, get_both), CALLER(1, put_twice)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
