/* What the tests of whole programs share: waiting for a state, hogs, the sanitizers' limits. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "check.h"

#include <thrum.h>

#include <pthread.h>
#include <time.h>

#if defined(__has_feature)
#define TESTS_FEATURE(x) __has_feature(x)
#else
#define TESTS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TESTS_FEATURE(address_sanitizer)
#define TESTS_ASAN 1
#else
#define TESTS_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || TESTS_FEATURE(thread_sanitizer)
#define TESTS_TSAN 1
#else
#define TESTS_TSAN 0
#endif

enum {
  TESTS_SANITIZED = TESTS_ASAN || TESTS_TSAN,
  TESTS_HANG_S = TESTS_SANITIZED ? 120 : 60, /* what has not happened by then never will */
};

/* Relaxed counters and release/acquire flags, the same in C and C++. */
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELEASE)
#define ADD(x, n) __atomic_add_fetch(&(x), n, __ATOMIC_ACQ_REL)

/* The kernel's clock itself, which no table of operations replaces. */
static inline int64_t wall_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

__attribute__((noreturn, unused)) static void await_failed(const char *file, int line,
                                                           const char *condition) {
  thrum_dump(2);
  check_failed(file, line, "%s has not come true in %d s", condition, TESTS_HANG_S);
}

/* Waits for a state, never for time: looks again each millisecond, in which others run. A test that hangs
 * here prints all threads and fails. */
#define AWAIT(condition) \
  do { \
    int64_t await_end = wall_now() + TESTS_HANG_S * INT64_C(1000000000); \
    while (!(condition)) { \
      if (wall_now() > await_end) await_failed(__FILE__, __LINE__, #condition); \
      thrum_sleep(THRUM_MS(1)); \
    } \
  } while (0)

/* The same for an OS thread that is to stay a stranger to thrum. */
#define AWAIT_OUTSIDE(condition) \
  do { \
    int64_t await_end = wall_now() + TESTS_HANG_S * INT64_C(1000000000); \
    while (!(condition)) { \
      if (wall_now() > await_end) check_failed(__FILE__, __LINE__, "%s never came true", #condition); \
      usleep(1000); \
    } \
  } while (0)

static inline thrum_stats statistics(void) {
  thrum_stats stats;
  stats.size = sizeof stats;
  CHECK_EQ(thrum_statistics(&stats), 0);
  return stats;
}

static inline thrum_thread must_spawn(thrum_fn *fn, void *arg) {
  thrum_thread t;
  CHECK_EQ(thrum_spawn(&t, fn, arg), 0);
  return t;
}

static inline thrum_thread must_spawn_bound(thrum_fn *fn, void *arg) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  thrum_thread t;
  CHECK_EQ(thrum_spawn_with(&t, &options, fn, arg), 0);
  return t;
}

static inline intptr_t must_join(thrum_thread t) {
  intptr_t result = -1;
  CHECK_EQ(thrum_join(t, &result), 0);
  return result;
}

/* ---- Hogs: threads that never call thrum --------------------------------------------------------------- */

enum { HOGS_MAX = 64 };

struct hog {
  struct hogs *all;
  uint64_t loops;
};

struct hogs {
  int count;
  bool stop;
  thrum_thread threads[HOGS_MAX];
  struct hog each[HOGS_MAX];
};

/* A loop without calls. The counter is stored each time round, for those who watch. */
static inline intptr_t hog_loop(void *arg) {
  struct hog *hog = (struct hog *)arg;
  while (!__atomic_load_n(&hog->all->stop, __ATOMIC_RELAXED))
    __atomic_store_n(&hog->loops, hog->loops + 1, __ATOMIC_RELAXED);
  return 0;
}

static inline void hogs_start(struct hogs *hogs, int count, thrum_fn *fn) {
  CHECK(count <= HOGS_MAX);
  memset(hogs, 0, sizeof *hogs);
  hogs->count = count;
  for (int i = 0; i < count; i++) {
    hogs->each[i].all = hogs;
    CHECK_EQ(thrum_spawn_named(&hogs->threads[i], fn, &hogs->each[i], "hog-%d", i), 0);
  }
}

static inline uint64_t hog_loops(const struct hogs *hogs, int i) { return LOAD(hogs->each[i].loops); }

/* Every hog has gone round at least once more than `since`. */
static inline bool hogs_all_beyond(const struct hogs *hogs, const uint64_t *since) {
  for (int i = 0; i < hogs->count; i++)
    if (hog_loops(hogs, i) <= (since ? since[i] : 0)) return false;
  return true;
}

static inline void hogs_stop(struct hogs *hogs) {
  STORE(hogs->stop, true);
  for (int i = 0; i < hogs->count; i++) CHECK_EQ(must_join(hogs->threads[i]), 0);
}

/* ---- A caller of each kind ----------------------------------------------------------------------------- */

struct outsider {
  thrum_fn *fn;
  void *arg;
  intptr_t result;
};

static inline void *outsider_run(void *arg) {
  struct outsider *outsider = (struct outsider *)arg;
  outsider->result = outsider->fn(outsider->arg);
  return NULL;
}

static inline intptr_t outsider_join(void *arg) { return pthread_join(*(pthread_t *)arg, NULL); }

/* Runs fn(arg) in an OS thread of its own and waits for that without thrum. */
static inline intptr_t run_outside(thrum_fn *fn, void *arg) {
  struct outsider outsider = {fn, arg, 0};
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, outsider_run, &outsider), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  return outsider.result;
}

/* Runs fn(arg) in the main thread, a light, a bound and a foreign one, one after the other. */
static inline void run_in_each_kind(thrum_fn *fn, void *arg) {
  CHECK_EQ(fn(arg), 0);
  CHECK_EQ(must_join(must_spawn(fn, arg)), 0);
  CHECK_EQ(must_join(must_spawn_bound(fn, arg)), 0);
  CHECK_EQ(run_outside(fn, arg), 0);
}

/* ---- A crowd: threads of all kinds at once ---------------------------------------------------------------- */

enum { CROWD_MAX = 64 };

struct crowd {
  int count;
  thrum_fn *fn;
  thrum_thread threads[CROWD_MAX]; /* of those that are not foreign */
  pthread_t foreign[CROWD_MAX];
  struct outsider outsiders[CROWD_MAX];
};

/* Of each eight threads one is bound and one foreign. */
static inline bool crowd_is_foreign(int i) { return i % 8 == 5; }

/* Each runs fn with its number, from 0 on. */
static inline void crowd_start(struct crowd *crowd, int count, thrum_fn *fn) {
  CHECK(count <= CROWD_MAX);
  crowd->count = count;
  for (int i = 0; i < count; i++) {
    void *number = (void *)(intptr_t)i;
    if (crowd_is_foreign(i)) {
      crowd->outsiders[i].fn = fn;
      crowd->outsiders[i].arg = number;
      CHECK_EQ(pthread_create(&crowd->foreign[i], NULL, outsider_run, &crowd->outsiders[i]), 0);
    } else {
      crowd->threads[i] = i % 8 == 2 ? must_spawn_bound(fn, number) : must_spawn(fn, number);
    }
  }
}

/* Waits for all; every one must have returned 0. */
static inline void crowd_join(struct crowd *crowd) {
  for (int i = 0; i < crowd->count; i++) {
    if (crowd_is_foreign(i)) {
      CHECK_EQ(thrum_blocking(outsider_join, &crowd->foreign[i]), 0);
      CHECK_EQ(crowd->outsiders[i].result, 0);
    } else {
      CHECK_EQ(must_join(crowd->threads[i]), 0);
    }
  }
}

#endif
