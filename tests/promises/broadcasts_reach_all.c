/* Every subscriber of a broadcast gets each item that it is not too late for, in order, and is told how many it has missed, while
 * nobody who puts waits for it; a reader of a watch sees the newest value, whole, and never an older one after a newer; waits end
 * by a put, a close, their time or a cancellation, and in a select like elsewhere; and the last one may free it. */
#include "queues.h"

enum { RING = 16, CROWD = 24, PUTTERS_N = 3, PUTS = TESTS_SANITIZED ? 1000 : 8000, WORDS = 40 };

static int ring[RING];
static thrum_broadcast broadcast = THRUM_BROADCAST_INIT(ring);

/* ---- In one thread of each kind ------------------------------------------------------------------------ */

static intptr_t count_and_miss(void *unused) {
  int items[3], n = -1;
  thrum_broadcast b = THRUM_BROADCAST_INIT(items);
  uint64_t early = thrum_broadcast_subscribe(&b), late, from_oldest = 0;
  CHECK_EQ(thrum_broadcast_try_get(&b, &early, &n), -EAGAIN);
  CHECK_EQ(thrum_broadcast_get_for(&b, &early, &n, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_broadcast_get_for(&b, &early, &n, THRUM_US(1)), -ETIMEDOUT);
  CHECK(n == -1 && early == 0);
  for (int i = 0; i < 5; i++) CHECK_EQ(thrum_broadcast_put(&b, &i), 0);
  late = thrum_broadcast_subscribe(&b);
  CHECK_EQ(thrum_broadcast_get(&b, &early, &n), 2); /* 0 and 1 are gone */
  CHECK(n == 2 && early == 3);
  CHECK_EQ(thrum_broadcast_get_for(&b, &early, &n, -1), 0);
  CHECK_EQ(n, 3);
  CHECK_EQ(thrum_broadcast_try_get(&b, &from_oldest, &n), 2);
  CHECK_EQ(n, 2);
  CHECK_EQ(thrum_broadcast_try_get(&b, &late, &n), -EAGAIN);
  CHECK_EQ(thrum_broadcast_close(&b), 0);
  CHECK_EQ(thrum_broadcast_close(&b), 0);
  CHECK(thrum_broadcast_is_closed(&b));
  CHECK_EQ(thrum_broadcast_put(&b, &n), -EPIPE);
  CHECK_EQ(thrum_broadcast_get(&b, &early, &n), 0); /* what was put before is still there */
  CHECK_EQ(n, 4);
  CHECK_EQ(thrum_broadcast_get(&b, &early, &n), -EPIPE);
  CHECK_EQ(thrum_broadcast_try_get(&b, &late, &n), -EPIPE);
  CHECK_EQ(n, 4);
  CHECK_EQ(thrum_broadcast_destroy(&b), 0);
  return (intptr_t)unused;
}

static intptr_t look_at_versions(void *unused) {
  int value = 7, n = 0;
  thrum_watch w = THRUM_WATCH_INIT(&value);
  uint64_t seen = 99;
  CHECK_EQ(thrum_watch_get(&w, &n, NULL), 0);
  CHECK_EQ(n, 7);
  CHECK_EQ(thrum_watch_get(&w, &n, &seen), 0);
  CHECK_EQ(seen, 0);
  CHECK_EQ(thrum_watch_try_wait(&w, &n, &seen), -EAGAIN);
  CHECK_EQ(thrum_watch_wait_for(&w, &n, &seen, THRUM_US(1)), -ETIMEDOUT);
  for (int i = 10; i < 15; i++) CHECK_EQ(thrum_watch_set(&w, &i), 0);
  CHECK_EQ(thrum_watch_version(&w), 5);
  CHECK_EQ(thrum_watch_wait(&w, &n, &seen), 0);
  CHECK(n == 14 && seen == 5);
  CHECK_EQ(thrum_watch_set(&w, &n), 0); /* the same value is another version */
  CHECK_EQ(thrum_watch_close(&w), 0);
  CHECK(thrum_watch_is_closed(&w));
  CHECK_EQ(thrum_watch_set(&w, &n), -EPIPE);
  CHECK_EQ(thrum_watch_try_wait(&w, &n, &seen), 0);
  CHECK_EQ(thrum_watch_wait(&w, &n, &seen), -EPIPE);
  CHECK_EQ(thrum_watch_get(&w, &n, &seen), 0);
  CHECK(n == 14 && seen == 6);
  CHECK_EQ(thrum_watch_destroy(&w), 0);
  return (intptr_t)unused;
}

/* ---- A crowd that puts and gets ------------------------------------------------------------------------ */

static int64_t got_in_all, missed_in_all;
static int putters_left;

static void put_numbers(int whose) {
  for (int i = 0; i < PUTS; i++) {
    int item = i * PUTTERS_N + whose;
    CHECK_EQ(thrum_broadcast_put(&broadcast, &item), 0);
    if (i % 16 == 0) thrum_yield();
  }
  if (ADD(putters_left, -1) == 0) CHECK_EQ(thrum_broadcast_close(&broadcast), 0);
}

static int64_t get_somehow(uint64_t *next, int *item, int i) {
  if (i % 3 == 0) return thrum_broadcast_try_get(&broadcast, next, item);
  if (i % 3 == 1) return thrum_broadcast_get_for(&broadcast, next, item, THRUM_US(i % 200));
  return thrum_broadcast_get(&broadcast, next, item);
}

/* All that were put it gets or misses; of each putter in order. */
static void get_numbers(int number) {
  int last[PUTTERS_N] = {-1, -1, -1}, item;
  uint64_t next = 0;
  int64_t got = 0, missed = 0, n = 0;
  for (int i = number; n != -EPIPE; i++) {
    n = get_somehow(&next, &item, i);
    CHECK(n >= 0 || n == -EAGAIN || n == -ETIMEDOUT || n == -EPIPE);
    if (n < 0) continue;
    got++;
    missed += n;
    CHECK_EQ(got + missed, next);
    CHECK(item > last[item % PUTTERS_N]);
    last[item % PUTTERS_N] = item;
    if (number == PUTTERS_N && i % 64 == 0) thrum_sleep(THRUM_US(100)); /* a slow one */
  }
  CHECK_EQ(got + missed, PUTTERS_N * PUTS);
  ADD(got_in_all, got);
  ADD(missed_in_all, missed);
}

static intptr_t put_or_get(void *number) {
  if ((intptr_t)number < PUTTERS_N)
    put_numbers((int)(intptr_t)number);
  else
    get_numbers((int)(intptr_t)number);
  return 0;
}

static void a_crowd(void) {
  static struct crowd crowd;
  putters_left = PUTTERS_N;
  crowd_start(&crowd, CROWD, put_or_get);
  crowd_join(&crowd);
  CHECK(got_in_all > 0 && missed_in_all > 0);
  CHECK_EQ(thrum_broadcast_destroy(&broadcast), 0);
}

/* ---- Values are whole ---------------------------------------------------------------------------------- */

struct words {
  long of[WORDS];
};

static struct words first;
static thrum_watch watch = THRUM_WATCH_INIT(&first);

static void check_whole(const struct words *w, long *last) {
  for (int i = 1; i < WORDS; i++) CHECK_EQ(w->of[i], w->of[0]);
  CHECK(w->of[0] >= *last);
  *last = w->of[0];
}

static intptr_t set_or_wait(void *number) {
  struct words mine;
  uint64_t seen = 0;
  long last = 0;
  int error = 0;
  if (number == NULL) {
    for (long i = 1; i <= PUTS; i++) {
      for (int n = 0; n < WORDS; n++) mine.of[n] = i;
      CHECK_EQ(thrum_watch_set(&watch, &mine), 0);
      if (i % 8 == 0) thrum_yield();
    }
    return thrum_watch_close(&watch);
  }
  for (int i = 0; error != -EPIPE; i++) {
    error = i % 5 ? thrum_watch_wait(&watch, &mine, &seen) : thrum_watch_get(&watch, &mine, &seen);
    CHECK(error == 0 || error == -EPIPE);
    check_whole(&mine, &last);
    CHECK_EQ(last, seen);
  }
  CHECK_EQ(last, PUTS);
  return 0;
}

static void values_are_whole(void) {
  static struct crowd crowd;
  crowd_start(&crowd, 9, set_or_wait);
  crowd_join(&crowd);
}

/* ---- Waits end ----------------------------------------------------------------------------------------- */

static thrum_broadcast quiet;
static int quiet_ring[2];

static intptr_t wait_for_one(void *next) {
  int item = 0;
  uint64_t n = (uint64_t)(uintptr_t)next;
  int64_t missed = thrum_broadcast_get(&quiet, &n, &item);
  return missed < 0 ? (intptr_t)missed : item;
}

static void waits_end(void) {
  int item = 5;
  uint64_t next = 0;
  CHECK_EQ(thrum_broadcast_init(&quiet, quiet_ring, sizeof item, 2), 0);
  thrum_thread t = must_spawn(wait_for_one, NULL), cancelled = must_spawn(wait_for_one, NULL),
               bound = must_spawn_bound(wait_for_one, NULL);
  AWAIT(queue_parked(t) && queue_parked(cancelled) && queue_parked(bound));
  CHECK_EQ(thrum_broadcast_destroy(&quiet), -EBUSY);
  queue_cancel(cancelled);
  CHECK_EQ(must_join(cancelled), -ECANCELED);
  CHECK_EQ(thrum_broadcast_put(&quiet, &item), 0);
  CHECK_EQ(must_join(t), 5);
  CHECK_EQ(must_join(bound), 5);
  t = must_spawn(wait_for_one, (void *)1);
  AWAIT(queue_parked(t));
  CHECK_EQ(thrum_broadcast_close(&quiet), 0);
  CHECK_EQ(must_join(t), -EPIPE);
  CHECK_EQ(thrum_broadcast_get(&quiet, &next, &item), 0);
  CHECK_EQ(quiet.word & 1, 0); /* nobody is thought to wait */
  CHECK_EQ(thrum_broadcast_destroy(&quiet), 0);
}

/* One that is cancelled gets nothing, even what is there. */
static intptr_t get_cancelled(void *arg) {
  int item = 3;
  uint64_t next = 0;
  AWAIT(thrum_sleep(0) == -ECANCELED);
  CHECK_EQ(thrum_broadcast_get(&quiet, &next, &item), -ECANCELED);
  CHECK_EQ(thrum_broadcast_get_for(&quiet, &next, &item, 0), -ECANCELED);
  CHECK_EQ(thrum_broadcast_try_get(&quiet, &next, &item), 0);
  CHECK_EQ(item, 8);
  return (intptr_t)arg;
}

static void cancelled_gets_nothing(void) {
  int item = 8;
  CHECK_EQ(thrum_broadcast_init(&quiet, quiet_ring, sizeof item, 2), 0);
  CHECK_EQ(thrum_broadcast_put(&quiet, &item), 0);
  thrum_thread t = must_spawn(get_cancelled, (void *)1);
  queue_cancel(t);
  CHECK_EQ(must_join(t), 1);
  CHECK_EQ(thrum_broadcast_destroy(&quiet), 0);
}

/* ---- In a select --------------------------------------------------------------------------------------- */

static thrum_queue queue = THRUM_QUEUE_INIT(int, 4);

static intptr_t select_all(void *arg) {
  int item, sum = 0;
  uint64_t next = 0, seen = 0;
  thrum_case cases[] = {thrum_case_broadcast(&quiet, &next), thrum_case_watch(NULL, &seen),
                        thrum_case_get(&queue, &item)};
  for (int at; (at = thrum_select(cases, 3)) >= 0 && cases[at].status == 0; sum += item) {
    CHECK(at != 1);
    if (at == 0) CHECK_EQ(thrum_broadcast_try_get(&quiet, &next, &item), 0);
  }
  return sum + (intptr_t)arg;
}

static void in_a_select(void) {
  uint64_t ahead = 1, next = 0;
  int item = 1;
  CHECK_EQ(thrum_broadcast_init(&quiet, quiet_ring, sizeof item, 2), 0);
  thrum_case bad[] = {thrum_case_broadcast(&quiet, &ahead)}, none[] = {thrum_case_broadcast(&quiet, &next)};
  CHECK_EQ(thrum_select(bad, 1), 0);
  CHECK_EQ(bad[0].status, -EINVAL);
  CHECK_EQ(thrum_try_select(none, 1), -EAGAIN);
  CHECK_EQ(thrum_select_for(none, 1, THRUM_US(50)), -ETIMEDOUT);
  CHECK_EQ(quiet.word & 1, 0);
  thrum_thread t = must_spawn(select_all, NULL);
  for (int i = 0; i < 50; i++) {
    AWAIT(queue_parked(t));
    CHECK_EQ(i % 3 ? thrum_broadcast_put(&quiet, &item) : thrum_queue_put(&queue, &item), 0);
  }
  AWAIT(queue_parked(t));
  CHECK_EQ(thrum_broadcast_close(&quiet), 0);
  CHECK_EQ(must_join(t), 50);
  CHECK_EQ(thrum_broadcast_destroy(&quiet), 0);
  CHECK_EQ(thrum_select(none, 1), -EINVAL);
}

/* ---- On a reader's stack ------------------------------------------------------------------------------- */

static intptr_t set_once(void *w) {
  int n = 4;
  CHECK_EQ(thrum_watch_set((thrum_watch *)w, &n), 0);
  return 0;
}

static intptr_t watch_on_stacks(void *arg) {
  for (int i = 0; i < PUTS / 10; i++) {
    int value = 0, n;
    uint64_t seen = 0;
    thrum_watch w = THRUM_WATCH_INIT(&value);
    CHECK_EQ(thrum_spawn(NULL, set_once, &w), 0);
    if (i % 3 == 0) thrum_yield();
    CHECK_EQ(thrum_watch_wait(&w, &n, &seen), 0);
    CHECK(n == 4 && seen == 1);
    volatile uint64_t *words[] = {&w.thrumi.word, &w.thrumi.lock.word};
    *words[0] = *words[1] = UINT64_C(0x5555555555555555);
    thrum_yield();
    for (int j = 0; j < 2; j++) CHECK_EQ(*words[j], UINT64_C(0x5555555555555555));
  }
  return (intptr_t)arg;
}

int main(void) {
  run_in_each_kind(count_and_miss, NULL);
  run_in_each_kind(look_at_versions, NULL);
  a_crowd();
  values_are_whole();
  waits_end();
  cancelled_gets_nothing();
  in_a_select();
  run_in_each_kind(watch_on_stacks, NULL);
  return 0;
}
