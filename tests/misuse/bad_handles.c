/* Handles: joining twice, detaching then joining, stale and made-up ones are errors, never undefined. */
#include "../support.h"

static bool stop;

static intptr_t stay(void *arg) {
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  return (intptr_t)arg;
}

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static void is_stale(thrum_thread t) {
  char name[8];
  CHECK(!thrum_is_alive(t));
  CHECK_EQ(thrum_join(t, NULL), -ESRCH);
  CHECK_EQ(thrum_join_for(t, NULL, 0), -ESRCH);
  CHECK_EQ(thrum_wait(t), -ESRCH);
  CHECK_EQ(thrum_wait_for(t, THRUM_MS(1)), -ESRCH);
  CHECK_EQ(thrum_detach(t), -ESRCH);
  CHECK_EQ(thrum_name(t, name, sizeof name), -ESRCH);
  CHECK_EQ(thrum_set_name(t, "x"), -ESRCH);
  CHECK_EQ(thrum_native_id(t), -ESRCH);
  CHECK_EQ(thrum_stack_used(t), -ESRCH);
}

static void is_stale_unless_main(thrum_thread t) {
  if (!thrum_same(t, thrum_main_thread())) is_stale(t);
}

/* Every bit flipped of a handle that is valid, and some that never were. */
static void made_up(thrum_thread real) {
  static const uint64_t others[] = {0, 1, UINT64_MAX, UINT32_MAX, (uint64_t)1 << 63, 0xdeadbeefdeadbeef};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) is_stale_unless_main((thrum_thread){others[i]});
  for (int bit = 0; bit < 64; bit++) is_stale_unless_main((thrum_thread){real.value ^ (uint64_t)1 << bit});
}

static intptr_t all(void *arg) {
  (void)arg;
  thrum_thread t = must_spawn(nothing, (void *)4);
  CHECK_EQ(must_join(t), 4);
  is_stale(t);
  t = must_spawn(nothing, (void *)4);
  CHECK_EQ(thrum_detach(t), 0);
  CHECK_EQ(thrum_detach(t), -ESRCH);
  CHECK_EQ(thrum_join(t, NULL), -ESRCH);
  return 0;
}

/* A detached thread that still runs cannot be joined, and is found alive or not, but never wrongly so. */
static void detach_then_join(void) {
  STORE(stop, false);
  thrum_thread t = must_spawn(stay, NULL);
  CHECK_EQ(thrum_detach(t), 0);
  CHECK_EQ(thrum_join(t, NULL), -ESRCH);
  CHECK_EQ(thrum_join_for(t, NULL, THRUM_MS(1)), -ESRCH);
  CHECK_EQ(thrum_detach(t), -ESRCH);
  CHECK_EQ(thrum_active_count(), 2);
  STORE(stop, true);
  AWAIT(thrum_active_count() == 1);
  is_stale(t);
}

static void main_thread(void) {
  CHECK_EQ(thrum_join(thrum_current(), NULL), -EDEADLK);
  CHECK_EQ(thrum_wait(thrum_main_thread()), -EDEADLK);
  CHECK_EQ(thrum_detach(thrum_main_thread()), -EINVAL);
}

static intptr_t join_main(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_wait_for(thrum_main_thread(), THRUM_MS(1)), -ETIMEDOUT);
  CHECK_EQ(thrum_join_for(thrum_main_thread(), NULL, 0), -ETIMEDOUT);
  CHECK_EQ(thrum_detach(thrum_main_thread()), -EINVAL);
  return 0;
}

int main(void) {
  run_in_each_kind(all, NULL);
  AWAIT(thrum_active_count() == 1);
  STORE(stop, false);
  thrum_thread t = must_spawn(stay, (void *)3);
  made_up(t);
  STORE(stop, true);
  CHECK_EQ(must_join(t), 3);
  detach_then_join();
  main_thread();
  CHECK_EQ(must_join(must_spawn(join_main, NULL)), 0);
  return 0;
}
