/* Spawning: the argument may be copied, the handle may be dropped, a detached thread cleans up after itself,
 * and a handle once given back stays stale though its slot is used again. */
#include "../support.h"

enum { MANY = TESTS_SANITIZED ? 300 : 2000 };

struct wide {
  char text[1000];
  int number;
};

static intptr_t number_in(void *arg) { return *(int *)arg; }

static intptr_t check_wide(void *arg) {
  struct wide *wide = arg;
  CHECK_EQ((uintptr_t)arg % _Alignof(max_align_t), 0);
  CHECK_EQ(strlen(wide->text), 999);
  memset(wide, 0, sizeof *wide); /* it is the thread's own */
  return wide->number + 3;
}

static intptr_t is_not_null(void *arg) { return arg != NULL; }

static void copies(void) {
  thrum_thread threads[10];
  for (int i = 0; i < 10; i++) CHECK_EQ(thrum_spawn_copy(&threads[i], number_in, &i, sizeof i), 0);
  for (int i = 0; i < 10; i++) CHECK_EQ(must_join(threads[i]), i);
  static struct wide wide;
  memset(wide.text, 'w', 999);
  CHECK_EQ(thrum_spawn_copy(&threads[0], check_wide, &wide, sizeof wide), 0);
  CHECK_EQ(must_join(threads[0]), 3);
  CHECK_EQ(strlen(wide.text), 999);
  CHECK_EQ(thrum_spawn_copy(&threads[0], is_not_null, NULL, 0), 0);
  CHECK_EQ(thrum_join(threads[0], NULL), 0);
  CHECK_EQ(thrum_spawn_copy(&threads[0], is_not_null, NULL, 1), -EINVAL);
}

static int ran;

static intptr_t count(void *arg) {
  (void)arg;
  ADD(ran, 1);
  return 0;
}

static bool stop;

static intptr_t stay(void *arg) {
  (void)arg;
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  ADD(ran, 1);
  return 0;
}

static void detached(void) {
  for (int i = 0; i < MANY; i++) CHECK_EQ(thrum_spawn(NULL, count, NULL), 0);
  AWAIT(LOAD(ran) == MANY && thrum_active_count() == 1);
  STORE(ran, 0);
  thrum_thread running = must_spawn(stay, NULL), ended = must_spawn(count, NULL);
  AWAIT(!thrum_is_alive(ended));
  CHECK_EQ(thrum_detach(ended), 0);
  CHECK_EQ(thrum_detach(running), 0);
  CHECK_EQ(thrum_detach(ended), -ESRCH);
  STORE(stop, true);
  AWAIT(LOAD(ran) == 2 && thrum_active_count() == 1);
  CHECK_EQ(thrum_detach(running), -ESRCH);
}

/* Slots are used again, numbers are not. */
static void stale_handles(void) {
  static thrum_thread old[MANY];
  for (int i = 0; i < MANY; i++) {
    old[i] = must_spawn(count, NULL);
    CHECK(thrum_id(old[i]) != 0);
    CHECK_EQ(must_join(old[i]), 0);
    for (int k = i < 50 ? 0 : i - 50; k < i; k++) CHECK(!thrum_same(old[k], old[i]));
  }
  STORE(stop, false);
  thrum_thread now = must_spawn(stay, NULL);
  for (int i = 0; i < MANY; i++) {
    CHECK(!thrum_is_alive(old[i]));
    CHECK_EQ(thrum_join(old[i], NULL), -ESRCH);
    CHECK_EQ(thrum_detach(old[i]), -ESRCH);
    CHECK_EQ(thrum_native_id(old[i]), -ESRCH);
    CHECK_EQ(thrum_stack_used(old[i]), -ESRCH);
  }
  CHECK(thrum_is_alive(now));
  STORE(stop, true);
  CHECK_EQ(must_join(now), 0);
}

static intptr_t end_early(void *arg) {
  (void)arg;
  thrum_exit(77);
}

static thrum_thread me;

static intptr_t look_at_myself(void *arg) {
  (void)arg;
  me = thrum_current();
  CHECK(!thrum_same(me, thrum_main_thread()));
  CHECK(thrum_is_alive(me));
  return (intptr_t)thrum_native_id(me);
}

static void identity(void) {
  CHECK(thrum_same(thrum_current(), thrum_main_thread()));
  CHECK_EQ(thrum_native_id(thrum_main_thread()), getpid());
  thrum_thread t = must_spawn(look_at_myself, NULL);
  CHECK(must_join(t) > 0);
  CHECK(thrum_same(me, t));
  t = must_spawn_bound(look_at_myself, NULL);
  CHECK_EQ(thrum_wait(t), 0);
  CHECK_EQ(thrum_native_id(t), 0); /* nothing carries it any more */
  intptr_t tid = must_join(t);
  CHECK(tid > 0 && tid != getpid());
  CHECK_EQ(must_join(must_spawn(end_early, NULL)), 77);
  CHECK_EQ(must_join(must_spawn_bound(end_early, NULL)), 77);
}

int main(void) {
  copies();
  detached();
  stale_handles();
  identity();
  return 0;
}
