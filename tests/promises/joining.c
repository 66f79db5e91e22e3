/* Joining: any number may wait, one takes the result, joining oneself fails and harms nobody, and who was
 * joined is in no list any more. */
#include "../support.h"

#include <signal.h>

enum { MOST_WAITERS = 19, TRIALS = 100 };

static thrum_thread target;
static bool stop;
static int takers;

static intptr_t stay(void *arg) {
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(1));
  return (intptr_t)arg;
}

static intptr_t wait_twice(void *arg) {
  (void)arg;
  for (int i = 0; i < 2; i++) CHECK_EQ(thrum_wait(target), 0);
  CHECK(!thrum_is_alive(target));
  return 0;
}

static intptr_t join_it(void *arg) {
  (void)arg;
  intptr_t result = -1;
  int error = thrum_join(target, &result);
  CHECK(error == 0 || error == -ESRCH);
  if (error == 0) CHECK_EQ(result, 99);
  ADD(takers, error == 0);
  return 0;
}

static void many_wait(thrum_fn *fn) {
  for (int n = 2; n <= MOST_WAITERS; n++) {
    thrum_thread waiters[MOST_WAITERS];
    STORE(stop, false);
    target = must_spawn(stay, (void *)99);
    for (int i = 0; i < n; i++) waiters[i] = i % 5 == 4 ? must_spawn_bound(fn, NULL) : must_spawn(fn, NULL);
    STORE(stop, true);
    for (int i = 0; i < n; i++) CHECK_EQ(must_join(waiters[i]), 0);
    if (fn == wait_twice) CHECK_EQ(must_join(target), 99);
    CHECK_EQ(thrum_join(target, NULL), -ESRCH);
    CHECK_EQ(thrum_wait(target), -ESRCH);
  }
}

static intptr_t join_myself(void *arg) {
  thrum_thread me = thrum_current();
  CHECK_EQ(thrum_join(me, NULL), -EDEADLK);
  CHECK_EQ(thrum_join_for(me, NULL, THRUM_MS(1)), -EDEADLK);
  CHECK_EQ(thrum_wait(me), -EDEADLK);
  CHECK_EQ(thrum_wait_for(me, 0), -EDEADLK);
  CHECK(thrum_is_alive(me));
  return (intptr_t)arg;
}

static void self_join_harms_nobody(void) {
  CHECK_EQ(join_myself((void *)1), 1);
  for (int i = 0; i < TRIALS; i++) {
    CHECK_EQ(must_join(must_spawn(join_myself, (void *)31)), 31);
    target = must_spawn(join_myself, (void *)99);
    takers = 0;
    thrum_thread other = must_spawn(join_it, NULL); /* joins it while it joins itself */
    CHECK_EQ(must_join(other), 0);
    CHECK_EQ(takers, 1);
  }
}

static intptr_t nothing(void *arg) { return (intptr_t)arg; }

static bool listed(thrum_thread t) {
  thrum_thread all[256];
  size_t count = thrum_enumerate(all, 256);
  CHECK(count <= 256);
  for (size_t i = 0; i < count; i++)
    if (thrum_same(all[i], t)) return true;
  return false;
}

/* As Python's #1703448, with a tiny switch interval and hogs that use it. */
static void joined_is_gone(void) {
  struct hogs hogs;
  thrum_duration interval = thrum_switch_interval();
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  hogs_start(&hogs, 2, hog_loop);
  for (int i = 0; i < TRIALS; i++) {
    size_t before = thrum_active_count();
    thrum_thread t = must_spawn(nothing, (void *)5), w = must_spawn(nothing, (void *)6);
    CHECK_EQ(must_join(t), 5);
    CHECK(!listed(t));
    CHECK_EQ(thrum_wait(w), 0);
    CHECK(!listed(w));
    CHECK_EQ(thrum_active_count(), before);
    CHECK_EQ(must_join(w), 6);
  }
  hogs_stop(&hogs);
  CHECK_EQ(thrum_set_switch_interval(interval), 0);
}

/* An ended thread keeps its result until somebody takes it. */
static void joining_the_ended(void) {
  thrum_thread t = must_spawn(nothing, (void *)17);
  AWAIT(!thrum_is_alive(t));
  CHECK_EQ(thrum_wait_for(t, 0), 0);
  intptr_t result = 0;
  CHECK_EQ(thrum_join_for(t, &result, 0), 0);
  CHECK_EQ(result, 17);
  CHECK_EQ(thrum_join_for(t, &result, 0), -ESRCH);
}

static intptr_t each_kind_joins(void *arg) {
  (void)arg;
  CHECK_EQ(must_join(must_spawn(nothing, (void *)8)), 8);
  CHECK_EQ(must_join(must_spawn_bound(nothing, (void *)9)), 9);
  return 0;
}

/* Signals interrupt main's join, and it goes on: with the handle, and the result. */
enum { SIGNALS = 40 };
static int handled;

static void count(int signo) {
  (void)signo;
  ADD(handled, 1);
}

static intptr_t signal_main(void *arg) {
  for (int i = 1; i <= SIGNALS; i++) {
    CHECK_EQ(kill(getpid(), SIGUSR1), 0);
    AWAIT(LOAD(handled) == i);
  }
  return (intptr_t)arg;
}

static void signals_do_not_end_it(void) {
  struct sigaction action = {.sa_handler = count}, former; /* without SA_RESTART */
  CHECK_EQ(sigaction(SIGUSR1, &action, &former), 0);
  thrum_thread t = must_spawn(signal_main, (void *)55);
  CHECK_EQ(thrum_wait(t), 0);
  CHECK_EQ(LOAD(handled), SIGNALS);
  CHECK_EQ(must_join(t), 55);
  CHECK_EQ(thrum_join(t, NULL), -ESRCH);
  STORE(handled, 0);
  CHECK_EQ(must_join(must_spawn(signal_main, (void *)56)), 56);
  CHECK_EQ(sigaction(SIGUSR1, &former, NULL), 0);
}

int main(void) {
  many_wait(wait_twice);
  many_wait(join_it);
  CHECK_EQ(takers, MOST_WAITERS - 1);
  self_join_harms_nobody();
  joined_is_gone();
  joining_the_ended();
  run_in_each_kind(each_kind_joins, NULL);
  if (!TESTS_TSAN) signals_do_not_end_it(); /* it defers handlers until the thread that waits calls libc */
  CHECK_EQ(thrum_active_count(), 1);
  return 0;
}
