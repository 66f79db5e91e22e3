/* A comparator of a queue is the user's code, and may last: the thread that runs it is preempted within it, others get the worker, and
 * other queues go on. So is one that copies a large item. With one worker, where nobody else could run otherwise. */
#include "queues.h"

enum { TIMES = 100, LARGE = 16 << 20 };

static int by_number(const void *a, const void *b);

static thrum_queue slow, other = THRUM_QUEUE_INIT(int, 4), large;
static bool lasts, comparing, go_on;

/* Until somebody else has run. */
static int by_number(const void *a, const void *b) {
  if (LOAD(lasts)) {
    STORE(comparing, true);
    while (!__atomic_load_n(&go_on, __ATOMIC_RELAXED)) continue;
  }
  return *(const int *)a - *(const int *)b;
}

static void begin(void) {
  STORE(comparing, false);
  STORE(go_on, false);
  STORE(lasts, true);
}

/* While the first compares: another queue is used, and who wants the same queue waits for its turn. */
static void others_go_on(thrum_fn *wants_it_too) {
  int n;
  AWAIT(LOAD(comparing));
  thrum_thread too = must_spawn(wants_it_too, NULL);
  for (int i = 0; i < TIMES; i++) {
    CHECK_EQ(thrum_queue_put(&other, &i), 0);
    CHECK_EQ(thrum_queue_get(&other, &n), 0);
    CHECK_EQ(n, i);
    thrum_yield();
  }
  CHECK(thrum_is_alive(too));
  STORE(lasts, false);
  STORE(go_on, true);
  CHECK_EQ(must_join(too), 0);
}

static intptr_t put_three(void *arg) {
  int three = 3;
  return thrum_queue_put(&slow, &three) + (intptr_t)arg;
}

static intptr_t put_two(void *arg) {
  int two = 2;
  return thrum_queue_put(&slow, &two) + (intptr_t)arg;
}

static intptr_t get_one(void *expected) {
  int n;
  CHECK_EQ(thrum_queue_get(&slow, &n), 0);
  CHECK_EQ(n, (intptr_t)expected);
  return 0;
}

static intptr_t get_any(void *arg) {
  int n;
  return thrum_queue_get(&slow, &n) + (intptr_t)arg;
}

static void while_it_compares(void) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = THRUM_PRIORITY;
  o.compare = by_number;
  CHECK_EQ(thrum_queue_init(&slow, sizeof(int), 10, &o), 0);
  for (int n = 1; n < 8; n += 3) CHECK_EQ(thrum_queue_put(&slow, &n), 0); /* 1, 4, 7 */
  begin();
  thrum_thread t = must_spawn(put_three, NULL);
  others_go_on(put_two);
  CHECK_EQ(must_join(t), 0);
  begin();
  t = must_spawn(get_one, (void *)1);
  others_go_on(get_any);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(get_one((void *)3), 0);
  CHECK_EQ(get_one((void *)4), 0);
  CHECK_EQ(get_one((void *)7), 0);
  CHECK_EQ(thrum_queue_destroy(&slow), 0);
}

/* ---- Copies --------------------------------------------------------------------------------------------------------------- */

static bool stop;
static long turns; /* of the others */

static intptr_t take_turns(void *arg) {
  while (!LOAD(stop)) {
    ADD(turns, 1);
    thrum_yield();
  }
  return (intptr_t)arg;
}

/* A call that waits for nobody, so that others run within it only if it is preempted. */
static void is_preempted_in(int (*call)(thrum_queue *, char *), int (*back)(thrum_queue *, char *),
                            char *item) {
  int64_t end = wall_now() + TESTS_HANG_S * INT64_C(1000000000);
  for (bool preempted = false; !preempted;) {
    CHECK(wall_now() < end);
    long before = LOAD(turns);
    CHECK_EQ(call(&large, item), 0);
    preempted = LOAD(turns) > before;
    CHECK_EQ(back(&large, item), 0);
    thrum_yield();
  }
}

static int put_large(thrum_queue *q, char *item) { return thrum_queue_try_put_sized(q, item, LARGE); }
static int get_large(thrum_queue *q, char *item) { return thrum_queue_try_get_sized(q, item, LARGE); }

static void while_it_copies(void) {
  char *item = malloc(LARGE);
  CHECK(item);
  memset(item, 1, LARGE);
  CHECK_EQ(thrum_queue_init(&large, LARGE, 2, NULL), 0);
  thrum_thread t = must_spawn(take_turns, NULL);
  is_preempted_in(put_large, get_large, item);
  CHECK_EQ(put_large(&large, item), 0);
  is_preempted_in(get_large, put_large, item);
  STORE(stop, true);
  CHECK_EQ(must_join(t), 0);
  CHECK_EQ(thrum_queue_destroy(&large), 0);
  free(item);
}

static intptr_t all(void *arg) {
  while_it_compares();
  if (!TESTS_TSAN) while_it_copies(); /* its memcpy puts signals off until it is done */
  return (intptr_t)arg;
}

int main(void) {
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_MS(1)), 0);
  return (int)thrum_run(all, NULL);
}
