/* The list of all: main, daemons, foreign threads that called thrum, and threads that have not begun are in
 * it; who has ended is not. Its length is thrum_active_count. */
#include "../support.h"

enum { THREADS = 50, ROUNDS = 300 };

static bool stop;
static int begun;

static intptr_t stay(void *arg) {
  (void)arg;
  ADD(begun, 1);
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  return 0;
}

static bool listed(thrum_thread t) {
  thrum_thread all[256];
  size_t count = thrum_enumerate(all, 256);
  CHECK(count <= 256);
  for (size_t i = 0; i < count; i++)
    if (thrum_same(all[i], t)) return true;
  return false;
}

static void all_are_listed(void) {
  thrum_thread threads[THREADS], all[THREADS + 10];
  for (int i = 0; i < THREADS; i++) {
    thrum_options options = THRUM_OPTIONS_INIT;
    options.daemon = i % 3 == 0 ? THRUM_YES : THRUM_INHERIT;
    options.bound = i % 10 == 0;
    CHECK_EQ(thrum_spawn_with(&threads[i], &options, stay, NULL), 0);
    CHECK(listed(threads[i]) && thrum_is_alive(threads[i])); /* begun or not */
  }
  CHECK_EQ(thrum_active_count(), THREADS + 1);
  CHECK_EQ(thrum_enumerate(all, THREADS + 10), THREADS + 1);
  CHECK_EQ(thrum_enumerate(NULL, 0), THREADS + 1);
  all[3].value = 0;
  CHECK_EQ(thrum_enumerate(all, 3), THREADS + 1);
  CHECK_EQ(all[3].value, 0);
  CHECK(listed(thrum_main_thread()));
  AWAIT(LOAD(begun) == THREADS);
  STORE(stop, true);
  for (int i = 0; i < THREADS; i++) CHECK_EQ(must_join(threads[i]), 0);
  CHECK_EQ(thrum_active_count(), 1);
}

static intptr_t foreign_is_listed(void *arg) {
  (void)arg;
  CHECK(listed(thrum_current()));
  CHECK_EQ(thrum_active_count(), 2);
  return 0;
}

static intptr_t come_and_go(void *arg) {
  (void)arg;
  return 0;
}

static intptr_t spawn_many(void *arg) {
  for (int i = 0; i < ROUNDS; i++) CHECK_EQ(must_join(must_spawn(come_and_go, arg)), 0);
  return 0;
}

/* While others come and go every handle in the list is unique, and our own and main's are among them. */
static void lists_are_consistent(void) {
  thrum_thread spawners[3];
  for (int i = 0; i < 3; i++) spawners[i] = must_spawn(spawn_many, NULL);
  for (int i = 0; i < ROUNDS; i++) {
    thrum_thread all[64];
    size_t count = thrum_enumerate(all, 64);
    CHECK(count >= 1 && count <= 7);
    for (size_t a = 0; a < count; a++)
      for (size_t b = 0; b < a; b++) CHECK(!thrum_same(all[a], all[b]));
    CHECK(listed(thrum_main_thread()));
    if (i % 10 == 0) thrum_yield();
  }
  for (int i = 0; i < 3; i++) CHECK_EQ(must_join(spawners[i]), 0);
}

int main(void) {
  CHECK_EQ(thrum_active_count(), 1);
  all_are_listed();
  CHECK_EQ(run_outside(foreign_is_listed, NULL), 0);
  CHECK_EQ(thrum_active_count(), 1);
  lists_are_consistent();
  CHECK_EQ(thrum_active_count(), 1);
  return 0;
}
