/* Queues that cannot be, items of another size, calls too often or too late: the documented error, and nothing is lost.
 * A comparator that is no order loses nothing either; one that uses its queue aborts and says so. */
#include "../child.h"
#include "../promises/queues.h"

static thrum_queue q;

static int compare_ints(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int init_with(thrum_queue_options o) { return thrum_queue_init(&q, sizeof(int), 4, &o); }

static void cannot_be(void) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  CHECK_EQ(thrum_queue_init(&q, 0, 4, NULL), -EINVAL);
  CHECK_EQ(thrum_queue_init(&q, (size_t)UINT32_MAX + 1, 4, NULL), -EINVAL);
  CHECK_EQ(thrum_queue_init(&q, 4, 0, NULL), -EINVAL);
  CHECK_EQ(thrum_queue_init(&q, 4, SIZE_MAX / 4, NULL), -EINVAL);
  CHECK_EQ(thrum_queue_init(&q, 4, SIZE_MAX - 2, NULL), -EINVAL);
  CHECK_EQ(thrum_queue_init(&q, 1, (size_t)PTRDIFF_MAX + 1, NULL), -EINVAL);
  o.size--;
  CHECK_EQ(init_with(o), -EINVAL);
  o.size++;
  o.order = THRUM_PRIORITY; /* without a comparator */
  CHECK_EQ(init_with(o), -EINVAL);
  o.order = THRUM_FIFO;
  o.compare = compare_ints; /* without use */
  CHECK_EQ(init_with(o), -EINVAL);
  o.order = (enum thrum_order)3;
  CHECK_EQ(init_with(o), -EINVAL);
}

/* A negative int is a large number. */
static void negative_capacities(void) {
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), (size_t)-1, NULL), 0);
  CHECK(thrum_queue_capacity(&q) == THRUM_UNBOUNDED);
  CHECK_EQ(thrum_queue_set_capacity(&q, (size_t)-2), 0);
  CHECK(thrum_queue_capacity(&q) == THRUM_RENDEZVOUS);
  CHECK_EQ(thrum_queue_set_capacity(&q, (size_t)-3), -EINVAL);
  CHECK(thrum_queue_capacity(&q) == THRUM_RENDEZVOUS);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
  CHECK_EQ(thrum_queue_init(&q, 1, (size_t)-3, NULL), -EINVAL);
}

/* All-zero, destroyed, or of capacity 0. */
static void not_initialised(thrum_queue *none) {
  int n = 1;
  CHECK_EQ(thrum_queue_put(none, &n), -EINVAL);
  CHECK_EQ(thrum_queue_try_put(none, &n), -EINVAL);
  CHECK_EQ(thrum_queue_get(none, &n), -EINVAL);
  CHECK_EQ(thrum_queue_try_get(none, &n), -EINVAL);
  CHECK_EQ(thrum_queue_put_sized(none, &n, 0), -EINVAL);
  CHECK_EQ(thrum_queue_get_sized(none, &n, 0), -EINVAL);
  CHECK_EQ(thrum_queue_put_many(none, &n, 1), -EINVAL);
  CHECK_EQ(thrum_queue_task_done(none), -EINVAL);
  CHECK_EQ(thrum_queue_join(none), -EINVAL);
  CHECK_EQ(thrum_queue_shutdown(none, true), -EINVAL);
  CHECK_EQ(thrum_queue_writers(none, 1), -EINVAL);
  CHECK_EQ(thrum_queue_writer_done(none), -EINVAL);
  CHECK_EQ(thrum_queue_set_capacity(none, 5), -EINVAL);
  CHECK_EQ(thrum_queue_destroy(none), 0);
}

static void wrong_size(void) {
  char c = 1;
  long l = 2;
  int n = 3, many[3] = {0};
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), 4, NULL), 0);
  CHECK_EQ(thrum_queue_put(&q, &c), -EINVAL);
  CHECK_EQ(thrum_queue_put_for(&q, &l, THRUM_S(1)), -EINVAL);
  CHECK_EQ(thrum_queue_put_ptr(&q, &n), -EINVAL);
  CHECK_EQ(thrum_queue_put(&q, &many), -EINVAL);
  CHECK_EQ(thrum_queue_put(&q, &n), 0);
  CHECK_EQ(thrum_queue_get(&q, &c), -EINVAL);
  CHECK_EQ(thrum_queue_try_get(&q, &l), -EINVAL);
  CHECK_EQ(thrum_queue_get(&q, &many), -EINVAL);
  CHECK_EQ(thrum_queue_get_many_sized(&q, many, 8, 1, 0), -EINVAL);
  CHECK_EQ(c, 1);
  CHECK_EQ(l, 2);
  CHECK_EQ(thrum_queue_size(&q), 1);
  CHECK_EQ(thrum_queue_get(&q, &n), 0);
  CHECK_EQ(n, 3);
  CHECK_EQ(thrum_queue_set_capacity(&q, 0), -EINVAL);
  CHECK_EQ(thrum_queue_set_capacity(&q, SIZE_MAX / 4), -EINVAL);
  CHECK_EQ(thrum_queue_capacity(&q), 4);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
  not_initialised(&q);
}

static void too_often(void) {
  int n = 3;
  CHECK_EQ(thrum_queue_init(&q, sizeof n, 4, NULL), 0);
  CHECK_EQ(thrum_queue_task_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_writer_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_put(&q, &n), 0);
  CHECK_EQ(thrum_queue_task_done(&q), 0);
  CHECK_EQ(thrum_queue_task_done(&q), -EOVERFLOW);
  CHECK_EQ(thrum_queue_size(&q), 1);
  CHECK_EQ(thrum_queue_shutdown(&q, true), 0); /* more is discarded than was unfinished */
  CHECK_EQ(thrum_queue_unfinished(&q), 0);
  CHECK_EQ(thrum_queue_put(&q, &n), -EPIPE);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static int begun;

static intptr_t get_one(void *arg) {
  int n = 0;
  (void)arg;
  ADD(begun, 1);
  int error = thrum_queue_get(&q, &n);
  return error ? error : n;
}

static intptr_t join_it(void *arg) {
  (void)arg;
  ADD(begun, 1);
  return thrum_queue_join(&q);
}

static void waited_for(void) {
  int n = 44;
  begun = 0;
  CHECK_EQ(thrum_queue_init(&q, sizeof n, THRUM_RENDEZVOUS, NULL), 0);
  thrum_thread getter = must_spawn(get_one, NULL);
  AWAIT(LOAD(begun) == 1 && queue_parked(getter));
  CHECK_EQ(thrum_queue_destroy(&q), -EBUSY);
  CHECK_EQ(thrum_queue_set_capacity(&q, 2), 0); /* nothing was destroyed */
  CHECK_EQ(thrum_queue_put(&q, &n), 0);
  CHECK_EQ(must_join(getter), 44);
  thrum_thread joiner = must_spawn(join_it, NULL);
  AWAIT(LOAD(begun) == 2 && queue_parked(joiner));
  CHECK_EQ(thrum_queue_destroy(&q), -EBUSY);
  CHECK_EQ(thrum_queue_task_done(&q), 0);
  CHECK_EQ(must_join(joiner), 0);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static intptr_t put_one(void *arg) {
  int n = 45;
  (void)arg;
  ADD(begun, 1);
  return thrum_queue_put(&q, &n);
}

static intptr_t select_one(void *arg) {
  int n = 46;
  thrum_case c = arg ? thrum_case_put(&q, &n) : thrum_case_get(&q, &n);
  ADD(begun, 1);
  int error = thrum_select(&c, 1);
  return error ? error : c.status ? c.status : n;
}

/* By a putter, or a select that gets or puts. */
static void waited_for_by(thrum_fn *fn, void *arg, bool puts, int result) {
  int n = 44;
  begun = 0;
  CHECK_EQ(thrum_queue_init(&q, sizeof n, THRUM_RENDEZVOUS, NULL), 0);
  thrum_thread waiter = must_spawn(fn, arg);
  AWAIT(LOAD(begun) == 1 && queue_parked(waiter));
  CHECK_EQ(thrum_queue_destroy(&q), -EBUSY);
  CHECK_EQ(puts ? thrum_queue_get(&q, &n) : thrum_queue_put(&q, &n), 0);
  CHECK_EQ(must_join(waiter), result);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* A select with a case that cannot be does nothing, also not what others of its cases could do. */
static void bad_cases(void) {
  static thrum_queue zero;
  int n = 1;
  long l = 1;
  CHECK_EQ(thrum_queue_init(&q, sizeof n, 4, NULL), 0);
  thrum_case cases[] = {thrum_case_put(&q, &n), thrum_case_put(&q, &l)};
  CHECK_EQ(thrum_select(cases, 2), -EINVAL);
  CHECK_EQ(thrum_try_select(cases, 2), -EINVAL);
  cases[1] = thrum_case_get(&zero, &n);
  CHECK_EQ(thrum_select_for(cases, 2, 0), -EINVAL);
  cases[1].kind = 4711;
  CHECK_EQ(thrum_select(cases, 2), -EINVAL);
  CHECK_EQ(thrum_select(cases, SIZE_MAX), -EINVAL);
  CHECK_EQ(thrum_queue_size(&q), 0);
  cases[1] = thrum_case_thread((thrum_thread){4711});
  CHECK_EQ(thrum_select(&cases[1], 1), 0);
  CHECK_EQ(cases[1].status, -ESRCH);
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

/* ---- Comparators --------------------------------------------------------------------------------------------------- */

static uint32_t chance;

static int at_random(const void *a, const void *b) {
  (void)a, (void)b;
  chance = chance * 1664525 + 1013904223;
  return (int)(chance >> 30) - 1;
}
static int always_less(const void *a, const void *b) { return (void)a, (void)b, -1; }
static int always_more(const void *a, const void *b) { return (void)a, (void)b, 1; }

static void no_order(thrum_queue_compare *compare) {
  enum { N = 2000 };
  static uint8_t seen[N];
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = THRUM_PRIORITY;
  o.compare = compare;
  memset(seen, 0, sizeof seen);
  CHECK_EQ(thrum_queue_init(&q, sizeof(int), THRUM_UNBOUNDED, &o), 0);
  for (int i = 0; i < N; i++) CHECK_EQ(thrum_queue_put(&q, &i), 0);
  for (int i = 0; i < N; i++) {
    int n;
    CHECK_EQ(thrum_queue_get(&q, &n), 0);
    CHECK(n >= 0 && n < N);
    CHECK_EQ(++seen[n], 1);
  }
  CHECK_EQ(thrum_queue_destroy(&q), 0);
}

static int compare_and_put(const void *a, const void *b) {
  CHECK_EQ(thrum_queue_put(&q, (const int *)a), 0);
  return compare_ints(a, b);
}

static int uses_its_queue(void) {
  thrum_queue_options o = THRUM_QUEUE_OPTIONS_INIT;
  o.order = THRUM_PRIORITY;
  o.compare = compare_and_put;
  CHECK_EQ(init_with(o), 0);
  for (int i = 0; i < 3; i++) CHECK_EQ(thrum_queue_put(&q, &i), 0);
  return 0;
}

static const struct child_case cases[] = {{"uses-its-queue", uses_its_queue}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  static thrum_queue zero, no_capacity = THRUM_QUEUE_INIT(int, 0);
  struct child child = child_run("uses-its-queue");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "thread MainThread uses queue q in the comparator of that queue");
  free(child.out_text);
  free(child.err_text);
  cannot_be();
  negative_capacities();
  not_initialised(&zero);
  not_initialised(&no_capacity);
  wrong_size();
  too_often();
  waited_for();
  waited_for_by(put_one, NULL, true, 0);
  waited_for_by(select_one, NULL, false, 44);
  waited_for_by(select_one, &q, true, 46);
  bad_cases();
  no_order(at_random);
  no_order(always_less);
  no_order(always_more);
  return 0;
}
