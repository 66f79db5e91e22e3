/* Invariant 7 of preemption: nothing that a stopped thread may hold is needed to let it go on. Here it holds what the
 * making of kernel threads needs, as one does that is preempted inside malloc or fork. Those that came later never
 * call thrum; no spare is left to take over from them; and yet the holder gets its turn. */
#include "../support.h"

#include "os/os.h"

enum { HOGS = 6, ROUNDS = TESTS_TSAN ? 8 : 20 };

static pthread_mutex_t libc_lock = PTHREAD_MUTEX_INITIALIZER;
static bool held, over;

static int create_under_lock(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked) {
  pthread_mutex_lock(&libc_lock);
  int error = thrumi_os_linux.create(out, fn, arg, unblocked);
  pthread_mutex_unlock(&libc_lock);
  return error;
}

/* It computes, and is stopped again and again, until it has had as much as ten intervals. */
static intptr_t hold(void *arg) {
  (void)arg;
  pthread_mutex_lock(&libc_lock);
  STORE(held, true);
  for (int64_t burnt = 0, last = wall_now(); burnt < 10 * THRUM_MS(1);) {
    int64_t now = wall_now();
    if (now - last < THRUM_US(200)) burnt += now - last; /* what is longer it did not run */
    last = now;
  }
  pthread_mutex_unlock(&libc_lock);
  STORE(over, true);
  return 0;
}

static intptr_t hog(void *arg) {
  (void)arg;
  while (!LOAD(held) || !LOAD(over)) continue;
  return 0;
}

/* By an OS thread of its own: all workers may be lost. */
static void *watch(void *arg) {
  int64_t end = wall_now() + TESTS_HANG_S * INT64_C(1000000000);
  while (!LOAD(over)) {
    if (wall_now() > end) check_failed(__FILE__, __LINE__, "who was stopped never went on");
    usleep(1000);
  }
  return arg;
}

int main(void) {
  thrumi_os.create = create_under_lock;
  CHECK_EQ(thrum_set_switch_interval(THRUM_MS(1)), 0);
  for (int i = 0; i < ROUNDS; i++) {
    thrum_thread hogs[HOGS];
    pthread_t watcher;
    STORE(held, false);
    STORE(over, false);
    CHECK_EQ(pthread_create(&watcher, NULL, watch, NULL), 0);
    thrum_thread holder = must_spawn(hold, NULL);
    for (int j = 0; j < HOGS; j++) hogs[j] = must_spawn(hog, NULL);
    for (int j = 0; j < HOGS; j++) CHECK_EQ(must_join(hogs[j]), 0);
    CHECK_EQ(must_join(holder), 0);
    CHECK_EQ(pthread_join(watcher, NULL), 0);
  }
  return 0;
}
