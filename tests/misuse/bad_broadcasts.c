/* Broadcasts and watches that cannot be, items of another size, numbers that were never given out: the documented error, and
 * nothing is changed. */
#include "../support.h"

static int ring[4];
static thrum_broadcast b;
static thrum_watch w;

static void cannot_be(void) {
  CHECK_EQ(thrum_broadcast_init(&b, NULL, 4, 4), -EINVAL);
  CHECK_EQ(thrum_broadcast_init(&b, ring, 0, 4), -EINVAL);
  CHECK_EQ(thrum_broadcast_init(&b, ring, 4, 0), -EINVAL);
  CHECK_EQ(thrum_broadcast_init(&b, ring, 4, SIZE_MAX / 4), -EINVAL);
  CHECK_EQ(thrum_broadcast_init(&b, ring, SIZE_MAX, 1), -EINVAL);
  CHECK_EQ(thrum_broadcast_init(&b, ring, (size_t)1 << 32, (size_t)1 << 32), -EINVAL);
  CHECK_EQ(thrum_watch_init(&w, NULL, 4), -EINVAL);
  CHECK_EQ(thrum_watch_init(&w, ring, 0), -EINVAL);
  CHECK(b.item_size == 0 && w.thrumi.item_size == 0);
}

/* All-zero, or destroyed. */
static void not_initialised(void) {
  uint64_t next = 0;
  int n = 1;
  CHECK_EQ(thrum_broadcast_put(&b, &n), -EINVAL);
  CHECK_EQ(thrum_broadcast_get(&b, &next, &n), -EINVAL);
  CHECK_EQ(thrum_broadcast_get_for(&b, &next, &n, THRUM_S(1)), -EINVAL);
  CHECK_EQ(thrum_broadcast_try_get(&b, &next, &n), -EINVAL);
  CHECK_EQ(thrum_broadcast_put_sized(&b, &n, 0), -EINVAL);
  CHECK_EQ(thrum_broadcast_try_get_sized(&b, &next, &n, 0), -EINVAL);
  CHECK_EQ(thrum_broadcast_close(&b), -EINVAL);
  CHECK_EQ(thrum_broadcast_subscribe(&b), 0);
  CHECK(!thrum_broadcast_is_closed(&b));
  CHECK_EQ(thrum_broadcast_destroy(&b), 0);
  CHECK_EQ(thrum_watch_set(&w, &n), -EINVAL);
  CHECK_EQ(thrum_watch_get(&w, &n, &next), -EINVAL);
  CHECK_EQ(thrum_watch_get_sized(&w, &n, 0, &next), -EINVAL);
  CHECK_EQ(thrum_watch_wait(&w, &n, &next), -EINVAL);
  CHECK_EQ(thrum_watch_wait_for(&w, &n, &next, THRUM_S(1)), -EINVAL);
  CHECK_EQ(thrum_watch_try_wait(&w, &n, &next), -EINVAL);
  CHECK_EQ(thrum_watch_close(&w), -EINVAL);
  CHECK_EQ(thrum_watch_destroy(&w), 0);
  thrum_case cases[] = {thrum_case_broadcast(&b, &next), thrum_case_watch(&w, &next)};
  CHECK_EQ(thrum_select(cases, 2), -EINVAL);
  CHECK(n == 1 && next == 0);
}

static void wrong_size(void) {
  uint64_t next = 0;
  char c = 1;
  long l = 2;
  int n = 3;
  CHECK_EQ(thrum_broadcast_init(&b, ring, sizeof *ring, 4), 0);
  CHECK_EQ(thrum_watch_init(&w, ring, sizeof *ring), 0);
  CHECK_EQ(thrum_broadcast_put(&b, &c), -EINVAL);
  CHECK_EQ(thrum_broadcast_put(&b, &l), -EINVAL);
  CHECK_EQ(thrum_broadcast_put(&b, &n), 0);
  CHECK_EQ(thrum_broadcast_get(&b, &next, &c), -EINVAL);
  CHECK_EQ(thrum_broadcast_try_get(&b, &next, &l), -EINVAL);
  CHECK_EQ(thrum_watch_set(&w, &l), -EINVAL);
  CHECK_EQ(thrum_watch_get(&w, &c, &next), -EINVAL);
  CHECK(c == 1 && l == 2 && next == 0);
  CHECK_EQ(thrum_broadcast_subscribe(&b), 1);
  CHECK_EQ(thrum_watch_version(&w), 0);
}

/* Behind what was ever put; also when it is closed. */
static void ahead_of_all(void) {
  uint64_t next = 2, far = UINT64_MAX;
  int n = 3;
  for (int closed = 0; closed < 2; closed++) {
    CHECK_EQ(thrum_broadcast_get(&b, &next, &n), -EINVAL);
    CHECK_EQ(thrum_broadcast_get_for(&b, &far, &n, THRUM_S(1)), -EINVAL);
    CHECK_EQ(thrum_broadcast_try_get(&b, &far, &n), -EINVAL);
    CHECK_EQ(thrum_watch_wait(&w, &n, &far), -EINVAL);
    CHECK(n == 3 && next == 2 && far == UINT64_MAX);
    CHECK_EQ(thrum_broadcast_close(&b), 0);
    CHECK_EQ(thrum_watch_close(&w), 0);
  }
}

int main(void) {
  cannot_be();
  not_initialised();
  wrong_size();
  ahead_of_all();
  CHECK_EQ(thrum_broadcast_destroy(&b), 0);
  CHECK_EQ(thrum_watch_destroy(&w), 0);
  not_initialised();
  return 0;
}
