/* Promise 4: every item whose put succeeded is got exactly once, and no other, while others give up waiting, are
 * cancelled, the capacity changes and the queue is shut down in the midst; of threads of every kind. Of one putter's items nobody
 * gets a later one first, but from a LIFO.
 *
 *     queue_loses_nothing [ITEMS [KIND]]
 *
 * By hand with as many items as one likes, through every kind (of order and capacity, patient or not, and each way to end), or those of
 * KIND alone: fifo, big, lifo or priority. It then says of each row how many items came through. These are not always ITEMS:
 *
 *  - Of big items there are a fiftieth.
 *  - Rows that are shut down are so once a quarter has been got. If putters were far ahead of getters (unbounded) all may have come
 *    through by then, or soon after, and the shutdown had nothing to cut short.
 *  - The capacity that is named is kept only where all are patient. Where they are not, it is the first of many: each 100 us another.
 *
 * By plain and timed calls; select, try and many are for stress-channels. */
#include "queues.h"

enum { PUTTERS_N = 4, GETTERS_N = 6, ITEMS = TESTS_SANITIZED ? 2000 : 16384 };

static thrum_queue q;
static uint8_t *put_ok, *got;
static int room; /* numbers of each putter */
static int got_n, dropped, out_of_time, cancelled;
static bool stop_changing;
static bool patient; /* nobody gives up or is cancelled */
static size_t item_size;
static int item_count;
static enum thrum_order order_now;

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void note(int error) {
  if (error == -ETIMEDOUT) ADD(out_of_time, 1);
  if (error == -ECANCELED) ADD(cancelled, 1);
}

/* Patience differs from call to call, none included. */
static thrum_duration patience(uint32_t *random) {
  *random = *random * 1664525 + 1013904223;
  if (patient) return THRUM_FOREVER;
  return *random >> 28 ? THRUM_US(*random >> 24) : 0;
}

static intptr_t put_all(void *arg) {
  int first = (int)(intptr_t)arg * room;
  uint32_t random = (uint32_t)first + 1;
  char *item = calloc(1, item_size);
  int error = 0;
  for (int n = first; n < first + item_count && error != -EPIPE;) {
    memcpy(item, &n, sizeof n);
    item[item_size - 1] = (char)(item_size > sizeof n ? n : item[item_size - 1]);
    error = thrum_queue_put_sized_for(&q, item, item_size, patience(&random));
    note(error);
    if (error == 0) put_ok[n]++;
    if (error == 0 || n % 3 == 0) n++; /* some are given up for good */
    CHECK(error == 0 || error == -ETIMEDOUT || error == -EPIPE || error == -ECANCELED);
    if (error == -ECANCELED) break;
  }
  free(item);
  return 0;
}

/* What a getter got last, of each putter's. */
static void check_order(int last[PUTTERS_N], int n) {
  if (order_now == THRUM_LIFO) return;
  CHECK(n > last[n / room]);
  last[n / room] = n;
}

static intptr_t get_all(void *arg) {
  uint32_t random = (uint32_t)(intptr_t)arg;
  int last[PUTTERS_N] = {-1, -1, -1, -1};
  char *item = malloc(item_size);
  for (int error = 0; error != -EPIPE && error != -ECANCELED;) {
    int n;
    memset(item, 0x55, sizeof n);
    error = thrum_queue_get_sized_for(&q, item, item_size, patience(&random));
    CHECK(error == 0 || error == -ETIMEDOUT || error == -EPIPE || error == -ECANCELED);
    note(error);
    memcpy(&n, item, sizeof n);
    if (error) {
      CHECK_EQ(n, 0x55555555); /* nothing was copied for a get that failed */
      continue;
    }
    CHECK(n >= 0 && n < PUTTERS_N * room);
    if (item_size > sizeof n) CHECK_EQ((uint8_t)item[item_size - 1], (uint8_t)n);
    CHECK_EQ(ADD(got[n], 1), 1);
    check_order(last, n);
    ADD(got_n, 1);
    CHECK_EQ(thrum_queue_task_done(&q), 0);
  }
  free(item);
  return 0;
}

/* ThreadSanitizer reports what is not ordered: the flag that the putter sets, and the getter counts from. */
static intptr_t change_capacity(void *arg) {
  static const size_t capacities[] = {1, 7, 2, THRUM_RENDEZVOUS, 40, 3, THRUM_UNBOUNDED, 5};
  (void)arg;
  for (int i = 0; !LOAD(stop_changing); i++) {
    CHECK_EQ(thrum_queue_set_capacity(&q, capacities[i % 8]), 0);
    thrum_sleep(THRUM_US(100));
  }
  return 0;
}

static void *foreign_put(void *arg) {
  put_all(arg);
  return NULL;
}
static void *foreign_get(void *arg) {
  get_all(arg);
  return NULL;
}

static thrum_thread spawn_kind(thrum_fn *fn, size_t i) {
  return i % 2 ? must_spawn_bound(fn, (void *)i) : must_spawn(fn, (void *)i);
}

enum ending { DRAIN, SHUT_IN_THE_MIDST, DROP_IN_THE_MIDST };

static void drop(void *item, void *arg) {
  int n;
  (void)arg;
  memcpy(&n, item, sizeof n);
  CHECK_EQ(ADD(got[n], 1), 1);
  ADD(dropped, 1);
}

static void begin(size_t size, size_t capacity, enum thrum_order order, int items) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = order;
  o.compare = order == THRUM_PRIORITY ? ascending : NULL;
  o.drop = drop;
  item_size = size;
  item_count = items;
  order_now = order;
  memset(put_ok, 0, (size_t)(PUTTERS_N * room));
  memset(got, 0, (size_t)(PUTTERS_N * room));
  dropped = got_n = out_of_time = cancelled = 0;
  CHECK_EQ(thrum_queue_init(&q, size, capacity, &o), 0);
  STORE(stop_changing, false);
}

/* However many these are. */
static void await_got(int n) {
  for (int before; (before = LOAD(got_n)) <= n;) {
    CHECK_EQ(thrum_sleep(THRUM_MS(1)), 0);
    AWAIT(LOAD(got_n) > before);
  }
}

/* Four put, six get, one of each a foreign thread; two are cancelled, one changes the capacity. */
static void race(size_t size, size_t capacity, enum thrum_order order, int items, enum ending ending) {
  begin(size, capacity, order, items);
  thrum_thread putters[PUTTERS_N], getters[GETTERS_N], changer;
  pthread_t outside[2];
  for (size_t i = 0; i < PUTTERS_N - 1; i++) putters[i] = spawn_kind(put_all, i);
  for (size_t i = 0; i < GETTERS_N - 1; i++) getters[i] = spawn_kind(get_all, i + 1);
  CHECK_EQ(pthread_create(&outside[0], NULL, foreign_put, (void *)(PUTTERS_N - 1)), 0);
  CHECK_EQ(pthread_create(&outside[1], NULL, foreign_get, (void *)77), 0);
  if (!patient) changer = must_spawn(change_capacity, NULL);
  if (ending != DRAIN || !patient) await_got(items);
  if (!patient) queue_cancel(putters[0]);
  if (!patient) queue_cancel(getters[0]);
  if (ending != DRAIN) CHECK_EQ(thrum_queue_shutdown(&q, ending == DROP_IN_THE_MIDST), 0);
  for (int i = 0; i < PUTTERS_N - 1; i++) must_join(putters[i]);
  CHECK_EQ(pthread_join(outside[0], NULL), 0);
  CHECK_EQ(thrum_queue_shutdown(&q, false), 0);
  for (int i = 0; i < GETTERS_N - 1; i++) must_join(getters[i]);
  CHECK_EQ(pthread_join(outside[1], NULL), 0);
  STORE(stop_changing, true);
  if (!patient) must_join(changer);
  CHECK_EQ(thrum_queue_join(&q), 0);
  for (int i = 0; i < PUTTERS_N * room; i++) CHECK_EQ(got[i], put_ok[i]);
  if (patient && ending == DRAIN) CHECK_EQ(got_n, PUTTERS_N * items);
  if (ending != DROP_IN_THE_MIDST) CHECK_EQ(dropped, 0);
  CHECK_EQ(thrum_queue_unfinished(&q), 0);
  CHECK_EQ(thrum_queue_size(&q), 0);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Fifty and fifty ------------------------------------------------------------------------------------------------------ */

enum { EACH = 50, PIECES = 200 };
static long sum_put, sum_got, pieces_got;

static intptr_t put_pieces(void *number) {
  for (int i = 0; i < PIECES; i++) {
    int n = (int)(intptr_t)number * PIECES + i;
    CHECK_EQ(thrum_queue_put(&q, &n), 0);
    ADD(sum_put, n);
  }
  return thrum_queue_writer_done(&q);
}

/* Until the last writer is done. */
static intptr_t get_pieces(void *arg) {
  int n, error;
  while ((error = thrum_queue_get(&q, &n)) == 0) {
    ADD(sum_got, n);
    ADD(pieces_got, 1);
  }
  CHECK_EQ(error, -EPIPE);
  return (intptr_t)arg;
}

static void fifty_by_fifty(size_t capacity) {
  thrum_thread threads[2 * EACH];
  sum_put = sum_got = pieces_got = 0;
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), capacity, NULL), 0);
  CHECK_EQ(thrum_queue_writers(&q, EACH), 0);
  for (intptr_t i = 0; i < EACH; i++) {
    threads[i] = must_spawn(put_pieces, (void *)i);
    threads[EACH + i] = must_spawn(get_pieces, NULL);
  }
  for (int i = 0; i < 2 * EACH; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(pieces_got, EACH * PIECES);
  CHECK_EQ(sum_got, sum_put);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Every kind ----------------------------------------------------------------------------------------------------------- */

static const size_t capacities[] = {1, 10, THRUM_RENDEZVOUS, THRUM_UNBOUNDED};

static const struct kind {
  const char *name;
  size_t size;
  enum thrum_order order;
  int by_hand, by_default; /* this part of the items */
} kinds[] = {{"fifo", sizeof(int), THRUM_FIFO, 1, 1},
             {"big", 64 * 1024, THRUM_FIFO, 50, 50},
             {"lifo", 24, THRUM_LIFO, 1, 5},
             {"priority", 24, THRUM_PRIORITY, 1, 5}};

static void each_way(const struct kind *k, int items, bool by_hand) {
  static const char *const what[] = {"1 place", "10 places", "rendezvous", "unbounded"};
  static const char *const ends[] = {"drained", "shut down", "discarded"};
  for (size_t c = 0; c < 4; c++)
    for (int ending = DRAIN; ending <= DROP_IN_THE_MIDST; ending++) {
      race(k->size, capacities[c], k->order, items, (enum ending)ending);
      if (by_hand)
        thrum_print("%s, %s%s, %s: %d got, %d discarded; out of time %d, cancelled %d\n", k->name, what[c],
                    patient ? "" : " at first, then others; impatient", ends[ending], got_n, dropped,
                    out_of_time, cancelled);
    }
}

int main(int argc, char **argv) {
  const char *only = argc > 2 ? argv[2] : NULL;
  room = argc > 1 ? atoi(argv[1]) / PUTTERS_N : ITEMS;
  CHECK(room > 0 && room <= INT32_MAX / PUTTERS_N);
  CHECK(put_ok = malloc((size_t)(PUTTERS_N * room)));
  CHECK(got = malloc((size_t)(PUTTERS_N * room)));
  for (size_t c = 0; c < 4; c++) fifty_by_fifty(capacities[c]);
  for (int p = 0; p < 2; p++)
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
      if (only && strcmp(kinds[k].name, only) != 0) continue;
      patient = p;
      each_way(&kinds[k], room / (argc > 1 ? kinds[k].by_hand : kinds[k].by_default), argc > 1);
    }
  free(put_ok);
  free(got);
  return 0;
}
