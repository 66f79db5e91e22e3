/* A parallel loop calls its function once for each index, whoever runs it, however long iterations take, nested or not, while the
 * number of workers changes; and its work is shared, also what lies behind a long iteration. */
#include "../stress/random.h"
#include "../support.h"

enum { LARGEST = 20000, ROUNDS = TESTS_TSAN ? 15 : TESTS_ASAN ? 40 : 100 };

static uint8_t visits[LARGEST];

static void spend(uint64_t loops) {
  while (loops--) __asm__ volatile("");
}

static void check_visits(size_t begin, size_t end) {
  for (size_t i = 0; i < LARGEST; i++) CHECK_EQ(visits[i], i >= begin && i < end);
}

/* ---- Each index once ---------------------------------------------------------------------------------- */

enum shape { CHEAP, EVEN, HEAVY_HEAD, HEAVY_TAIL, SPIKES, WAITS, SHAPES };

struct visit {
  enum shape shape;
  size_t begin, end;
};

static uint64_t cost(const struct visit *v, size_t i) {
  switch (v->shape) {
  case EVEN: return 200;
  case HEAVY_HEAD: return i < (v->begin + v->end) / 2 ? 5000 : 5;
  case HEAVY_TAIL: return i < (v->begin + v->end) / 2 ? 5 : 5000;
  case SPIKES: return i % 977 == 0 ? 300000 : 10;
  default: return 0;
  }
}

static int visit(size_t begin, size_t end, void *arg) {
  const struct visit *v = arg;
  CHECK(begin < end && begin >= v->begin && end <= v->end);
  for (size_t i = begin; i < end; i++) {
    spend(cost(v, i));
    if (v->shape == WAITS && i % 1000 == 0) thrum_yield();
    ADD(visits[i], 1);
  }
  return 0;
}

static intptr_t cover(void *arg) {
  uint64_t seed = (uint64_t)(intptr_t)arg;
  for (int round = 0; round < ROUNDS / 10; round++) {
    struct visit v = {.shape = (enum shape)draw(&seed, SHAPES)};
    size_t size = round % 3 ? (size_t)draw(&seed, LARGEST) : (size_t)draw(&seed, 5);
    v.begin = (size_t)draw(&seed, LARGEST - (int)size + 1);
    v.end = v.begin + size;
    memset(visits, 0, sizeof visits);
    CHECK_EQ(thrum_parallel_for(v.begin, v.end, visit, &v), 0);
    check_visits(v.begin, v.end);
  }
  return 0;
}

/* ---- More indices than 32 bits count: bounds of pieces cancel each other but for the outermost ----------------------- */

static uint64_t bounds, length;

static int note_bounds(size_t begin, size_t end, void *arg) {
  (void)arg;
  CHECK(begin < end);
  __atomic_fetch_xor(&bounds, mix(begin) ^ mix(end), __ATOMIC_RELAXED);
  ADD(length, end - begin);
  return 0;
}

static void cover_many(void) {
  static const size_t sizes[] = {UINT32_MAX - 1, UINT32_MAX, (size_t)UINT32_MAX + 1, (size_t)3 << 40,
                                 SIZE_MAX - 5};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    bounds = length = 0;
    CHECK_EQ(thrum_parallel_for(5, sizes[i] + 5, note_bounds, NULL), 0);
    CHECK_EQ(length, sizes[i]);
    CHECK_EQ(bounds, mix(5) ^ mix(sizes[i] + 5));
  }
}

/* ---- Nested, and items -------------------------------------------------------------------------------------- */

enum { ROWS = 60, COLUMNS = 300 };
static uint8_t cells[ROWS][COLUMNS];

static int visit_cell(void *item, void *arg) {
  CHECK(arg == cells);
  spend(500);
  ADD(*(uint8_t *)item, 1);
  return 0;
}

static int visit_rows(size_t begin, size_t end, void *arg) {
  for (size_t i = begin; i < end; i++)
    CHECK_EQ(thrum_parallel_each(cells[i], COLUMNS, 1, visit_cell, arg), 0);
  return 0;
}

static intptr_t cover_nested(void *arg) {
  (void)arg;
  memset(cells, 0, sizeof cells);
  CHECK_EQ(thrum_parallel_for(0, ROWS, visit_rows, cells), 0);
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) CHECK_EQ(cells[i][j], 1);
  return 0;
}

struct item {
  int number, seen;
  char rest[20];
};

static int see_item(void *item, void *arg) {
  struct item *i = item;
  i->seen += i->number + (int)(intptr_t)arg;
  return 0;
}

static intptr_t cover_items(void *arg) {
  (void)arg;
  static struct item items[3000];
  for (int i = 0; i < 3000; i++) items[i] = (struct item){.number = i};
  CHECK_EQ(thrum_parallel_each(items, 3000, sizeof *items, see_item, (void *)7), 0);
  for (int i = 0; i < 3000; i++) CHECK_EQ(items[i].seen, i + 7);
  return 0;
}

/* ---- While the number of workers changes, several at once ------------------------------------------------------------ */

static bool stop;

static intptr_t change_workers(void *arg) {
  static const int counts[] = {1, 3, 2, 8, 1, 4};
  for (int i = 0; !LOAD(stop); i++) {
    CHECK_EQ(thrum_set_workers(counts[i % 6]), 0);
    CHECK_EQ(thrum_sleep(THRUM_US(700)), 0);
  }
  CHECK_EQ(thrum_set_workers((int)(intptr_t)arg), 0);
  return 0;
}

static int add_up(size_t begin, size_t end, void *arg) {
  uint64_t sum = 0;
  for (size_t i = begin; i < end; i++) {
    spend(i % 64 == 0 ? 3000 : 20);
    sum += i;
  }
  ADD(*(uint64_t *)arg, sum);
  return 0;
}

static intptr_t add_up_often(void *arg) {
  (void)arg;
  enum { N = 30000 };
  for (int i = 0; i < ROUNDS / 10; i++) {
    uint64_t sum = 0;
    CHECK_EQ(thrum_parallel_for(0, N, add_up, &sum), 0);
    CHECK_EQ(sum, (uint64_t)N * (N - 1) / 2);
  }
  return 0;
}

static void cover_while_workers_change(void) {
  STORE(stop, false);
  thrum_thread changes = must_spawn(change_workers, (void *)(intptr_t)thrum_workers());
  static struct crowd crowd;
  crowd_start(&crowd, 8, add_up_often);
  crowd_join(&crowd);
  STORE(stop, true);
  CHECK_EQ(must_join(changes), 0);
}

/* ---- With one worker nobody is called ------------------------------------------------------------------------------ */

static intptr_t alone(void *arg) {
  (void)arg;
  uint64_t sum = 0, spawned = statistics().spawned;
  CHECK_EQ(thrum_parallel_for(0, 1000000, add_up, &sum), 0);
  CHECK_EQ(statistics().spawned, spawned);
  return 0;
}

/* ---- With two, work is shared ---------------------------------------------------------------------------------------- */

enum { ITEMS = 1000 };
static int done, quick;
static thrum_thread first;

/* The first index ends when all others have been done, by somebody else: these lie behind it in the range of who runs it. */
static int behind_long(size_t begin, size_t end, void *arg) {
  (void)arg;
  if (begin == 0) {
    CHECK_EQ(end, 1);
    first = thrum_current();
    AWAIT(LOAD(done) == ITEMS - 1);
  } else {
    CHECK(!thrum_same(thrum_current(), first));
    ADD(done, (int)(end - begin));
  }
  return 0;
}

/* Many short loops teach not to wake anybody; then there are some milliseconds, after which a second thread must come. */
static int short_then_long(size_t begin, size_t end, void *arg) {
  if (!arg) {
    ADD(quick, (int)(end - begin));
    return 0;
  }
  if (begin == 0) {
    first = thrum_current();
    for (int64_t start = wall_now(); wall_now() - start < 3000000;) spend(1000);
  } else if (thrum_same(thrum_current(), first)) {
    AWAIT(LOAD(done));
  } else {
    ADD(done, 1);
  }
  return 0;
}

static intptr_t shared(void *arg) {
  (void)arg;
  STORE(done, 0);
  CHECK_EQ(thrum_parallel_for(0, ITEMS, behind_long, NULL), 0);
  CHECK_EQ(LOAD(done), ITEMS - 1);
  STORE(quick, 0);
  for (int i = 0; i < 3000; i++) CHECK_EQ(thrum_parallel_for(0, 4, short_then_long, NULL), 0);
  CHECK_EQ(LOAD(quick), 12000);
  STORE(done, 0);
  CHECK_EQ(thrum_parallel_for(0, 4, short_then_long, &done), 0);
  return 0;
}

int main(void) {
  alarm(TESTS_HANG_S * 4);
  for (int i = 1; i <= 10; i++) run_in_each_kind(cover, (void *)(intptr_t)i);
  cover_many();
  run_in_each_kind(cover_nested, NULL);
  run_in_each_kind(cover_items, NULL);
  if (thrum_workers() == 1) {
    CHECK_EQ(must_join(must_spawn(alone, NULL)), 0);
    CHECK_EQ(alone(NULL), 0);
  } else {
    for (int i = 0; i < ROUNDS / 10; i++) run_in_each_kind(shared, NULL);
  }
  cover_while_workers_change();
  return 0;
}
