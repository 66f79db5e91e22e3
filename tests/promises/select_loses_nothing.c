/* Promise 4, for selects: threads that put to and get from many queues at once, with short timeouts and cancellations, in every
 * direction, lose and double nothing; and selects that only meet each other all come to an end. */
#include "queues.h"

enum { QUEUES = 5, PAIRS = 4, ITEMS = TESTS_SANITIZED ? 1000 : 6000, ALL = PAIRS * ITEMS };

static thrum_queue queues[QUEUES];
static uint8_t put_ok[ALL], got[ALL];
static bool impatient;

static uint32_t next_random(uint32_t *random) { return (*random = *random * 1664525 + 1013904223) >> 8; }

static int select_some(thrum_case *cases, size_t n, uint32_t *random) {
  if (!impatient) return thrum_select(cases, n);
  uint32_t r = next_random(random);
  return r % 16 == 0 ? thrum_try_select(cases, n) : thrum_select_for(cases, n, THRUM_US(r % 100));
}

static bool gave_up(int at) { return at == -ETIMEDOUT || at == -EAGAIN; }

/* Each item to whichever queue takes it first. */
static intptr_t put_all(void *arg) {
  int first = (int)(intptr_t)arg * ITEMS;
  uint32_t random = (uint32_t)first + 5;
  for (int n = first; n < first + ITEMS;) {
    thrum_case cases[QUEUES];
    for (int i = 0; i < QUEUES; i++) cases[i] = thrum_case_put(&queues[(i + n) % QUEUES], &n);
    int at = select_some(cases, QUEUES, &random);
    if (at == -ECANCELED) return 0;
    if (at >= 0) CHECK_EQ(cases[at].status, 0);
    if (at >= 0) put_ok[n]++;
    CHECK(at >= 0 || gave_up(at));
    n++; /* what was given up is given up for good */
  }
  return 0;
}

static intptr_t get_all(void *arg) {
  uint32_t random = (uint32_t)(intptr_t)arg + 99;
  for (;;) {
    int x[QUEUES];
    thrum_case cases[QUEUES];
    memset(x, 0x55, sizeof x);
    for (int i = 0; i < QUEUES; i++) cases[i] = thrum_case_get(&queues[i], &x[i]);
    int at = select_some(cases, QUEUES, &random);
    if (at == -ECANCELED) return 0;
    CHECK(at >= 0 || gave_up(at));
    for (int i = 0; i < QUEUES; i++)
      CHECK(i == at || x[i] == 0x55555555); /* of the others nothing has happened */
    if (at < 0) continue;
    if (cases[at].status == -EPIPE) return 0;
    CHECK(x[at] >= 0 && x[at] < ALL);
    CHECK_EQ(ADD(got[x[at]], 1), 1);
  }
}

/* What getters left: they stop at the first queue that is empty and shut down. */
static void get_rest(void) {
  for (int i = 0, n; i < QUEUES; i++)
    while (thrum_queue_try_get(&queues[i], &n) == 0) CHECK_EQ(ADD(got[n], 1), 1);
}

static void *foreign(void *arg) {
  get_all(arg);
  return NULL;
}

static void race(const size_t *capacities, bool with_cancels) {
  memset(put_ok, 0, sizeof put_ok);
  memset(got, 0, sizeof got);
  for (int i = 0; i < QUEUES; i++)
    CHECK_EQ(thrum_queue_init(&queues[i], sizeof(int), capacities[i], NULL), 0);
  thrum_thread putters[PAIRS], getters[PAIRS];
  pthread_t outside;
  CHECK_EQ(pthread_create(&outside, NULL, foreign, NULL), 0);
  for (size_t i = 0; i < PAIRS; i++) putters[i] = must_spawn(put_all, (void *)i);
  for (size_t i = 0; i < PAIRS; i++)
    getters[i] = i ? must_spawn(get_all, (void *)i) : must_spawn_bound(get_all, (void *)i);
  if (with_cancels) {
    thrum_sleep(THRUM_MS(1));
    queue_cancel(putters[1]);
    queue_cancel(getters[1]);
  }
  for (int i = 0; i < PAIRS; i++) must_join(putters[i]);
  for (int i = 0; i < QUEUES; i++) CHECK_EQ(thrum_queue_shutdown(&queues[i], false), 0);
  for (int i = 0; i < PAIRS; i++) must_join(getters[i]);
  CHECK_EQ(pthread_join(outside, NULL), 0);
  get_rest();
  for (int i = 0; i < ALL; i++) CHECK_EQ(got[i], put_ok[i]);
  for (int i = 0; i < QUEUES; i++) CHECK_EQ(thrum_queue_destroy(&queues[i]), 0);
}

/* ---- Selects that put and get at once, and meet nobody but each other ------------------------------------------------- */

static int met[2];

/* At each of the queues either side may be the putter. 1 for a put, 0 for a get. */
static intptr_t meet(void *arg) {
  uint32_t random = (uint32_t)(intptr_t)arg * 77 + 1;
  for (int i = 0; i < ITEMS; i++) {
    int in = i, out = -1;
    thrum_case cases[2 * QUEUES];
    int k = (int)(next_random(&random) % QUEUES);
    for (int j = 0; j < QUEUES; j++) {
      cases[2 * j] = thrum_case_put(&queues[(j + k) % QUEUES], &in);
      cases[2 * j + 1] = thrum_case_get(&queues[(j + k) % QUEUES], &out);
    }
    int at = thrum_select(cases, 2 * QUEUES);
    CHECK(at >= 0 || at == -ECANCELED);
    if (at == -ECANCELED || cases[at].status == -EPIPE) return i;
    CHECK((at % 2 == 1) == (out >= 0));
    ADD(met[at % 2], 1);
  }
  return ITEMS;
}

static void meet_each_other(int threads) {
  thrum_thread t[8];
  STORE(met[0], 0);
  STORE(met[1], 0);
  for (int i = 0; i < QUEUES; i++)
    CHECK_EQ(thrum_queue_init(&queues[i], sizeof(int), THRUM_RENDEZVOUS, NULL), 0);
  for (size_t i = 0; i < (size_t)threads; i++) t[i] = must_spawn(meet, (void *)i);
  int ended = 0;
  bool gone[8] = {false};
  while (ended < threads - 1) { /* the last one may be left without anybody to meet */
    thrum_case cases[8];
    memset(cases, 0, sizeof cases);
    for (int i = 0; i < threads; i++)
      if (!gone[i]) cases[i] = thrum_case_thread(t[i]);
    int at = thrum_select_for(cases, (size_t)threads, THRUM_S(TESTS_HANG_S));
    if (at == -ETIMEDOUT) await_failed(__FILE__, __LINE__, "the end of selects that meet each other");
    CHECK(at >= 0 && cases[at].status == 0);
    gone[at] = true;
    ended++;
  }
  for (int i = 0; i < QUEUES; i++) CHECK_EQ(thrum_queue_shutdown(&queues[i], false), 0);
  for (int i = 0; i < threads; i++) CHECK(must_join(t[i]) <= ITEMS);
  CHECK_EQ(LOAD(met[0]), LOAD(met[1]));
  CHECK(LOAD(met[0]) >= (threads - 1) * ITEMS / 2);
  for (int i = 0; i < QUEUES; i++) CHECK_EQ(thrum_queue_destroy(&queues[i]), 0);
}

/* ---- Trying while an item moves --------------------------------------------------------------------------------------- */

enum { TRIES = 100 * 1000, EMPTY = 13, TRIED = 2 + EMPTY + 1 };

static bool enough;
static thrum_queue empty[EMPTY]; /* a look at them takes time */

/* From one queue to the other and back, but the new one is put before the old one is got. */
static intptr_t move_until_enough(void *unused) {
  (void)unused;
  for (int to = 0, n = 0; !LOAD(enough); to = !to) {
    CHECK_EQ(thrum_queue_put(&queues[to], &n), 0);
    CHECK_EQ(thrum_queue_get(&queues[!to], &n), 0);
  }
  return 0;
}

/* At every moment of a try one of the queues has an item, so it must not say that none is ready. */
static void try_while_an_item_moves(void) {
  int n = 0, x = 0;
  STORE(enough, false);
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_queue_init(&queues[i], sizeof(int), 4, NULL), 0);
  for (int i = 0; i < EMPTY; i++) CHECK_EQ(thrum_queue_init(&empty[i], sizeof(int), 4, NULL), 0);
  CHECK_EQ(thrum_queue_put(&queues[1], &n), 0);
  thrum_thread mover = must_spawn(move_until_enough, NULL);
  thrum_event never = {0};
  thrum_case cases[TRIED] = {thrum_case_get(&queues[0], &x), thrum_case_get(&queues[1], &x),
                             thrum_case_event(&never)};
  for (int i = 0; i < EMPTY; i++) cases[3 + i] = thrum_case_get(&empty[i], &x);
  for (int i = 0; i < TRIES; i++) {
    int at = i % 2 ? thrum_try_select(cases, TRIED) : thrum_select_for(cases, TRIED, 0);
    CHECK(at == 0 || at == 1);
    CHECK_EQ(cases[at].status, 0);
    CHECK_EQ(thrum_queue_put(&queues[at], &x), 0);
    if (i % 64 == 0) thrum_yield();
  }
  STORE(enough, true);
  must_join(mover);
  CHECK_EQ(thrum_queue_size(&queues[0]) + thrum_queue_size(&queues[1]), 1);
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_queue_destroy(&queues[i]), 0);
  for (int i = 0; i < EMPTY; i++) CHECK_EQ(thrum_queue_destroy(&empty[i]), 0);
}

int main(void) {
  static const size_t meeting[QUEUES] = {THRUM_RENDEZVOUS, THRUM_RENDEZVOUS, THRUM_RENDEZVOUS,
                                         THRUM_RENDEZVOUS, THRUM_RENDEZVOUS},
                      mixed[QUEUES] = {1, THRUM_RENDEZVOUS, 3, 200, 1};
  try_while_an_item_moves();
  for (int i = 0; i < 2; i++) {
    impatient = i;
    race(meeting, i);
    race(mixed, i);
  }
  meet_each_other(2);
  meet_each_other(3);
  meet_each_other(8);
  return 0;
}
