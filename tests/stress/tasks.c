/* Tasks in the hands of many, for some seconds: pools that are small, shut down and made anew; tasks that nest, fail, wait; results
 * that are waited for, with and without a deadline, alone, together and as they come; futures that are cancelled at any moment, by
 * anybody; threads that are cancelled themselves. What must hold: a task runs once or is cancelled, never both; its result is its own;
 * its callback runs once; a pool has nothing left when it has been shut down. */
#include "../support.h"
#include "cancel.h"
#include "random.h"

enum { THREADS = 12, WINDOW = 24, DEPTH = 6 };

static struct crowd crowd;
static bool stop;
static long tasks, ran_in_all, cancelled_in_all, timed_out, windows, refused;

struct job {
  thrum_executor *pool;
  thrum_future *future;
  uint64_t seed;
  int depth;
  int ran, called;
};

static intptr_t work(void *arg);

static intptr_t count_call(thrum_future *f, void *called) {
  CHECK(thrum_future_done(f));
  ADD(*(int *)called, 1);
  return 0;
}

static bool submit(struct job *job, thrum_executor *pool, uint64_t seed, int depth) {
  *job = (struct job){.pool = pool, .seed = seed, .depth = depth};
  int error = thrum_submit(pool, &job->future, work, job);
  CHECK(error == 0 || error == -EPIPE);
  if (error) ADD(refused, 1);
  if (!error) ADD(tasks, 1);
  return !error;
}

static intptr_t value_of(const struct job *job) {
  return job->seed % 5 == 0 ? -EDOM : (intptr_t)(job->seed >> 8);
}

/* It is done, or will never be asked for again: what became of it. */
static void settle(struct job *job) {
  intptr_t result = -1;
  int error = thrum_future_result(job->future, &result);
  if (error) {
    CHECK_EQ(error, -ECANCELED);
    CHECK(thrum_future_cancelled(job->future));
    CHECK_EQ(LOAD(job->ran), 0);
    ADD(cancelled_in_all, 1);
  } else {
    CHECK_EQ(LOAD(job->ran), 1);
    CHECK_EQ(result, value_of(job));
    ADD(ran_in_all, 1);
  }
}

/* One of its own pool, which may be full of others that do the same. */
static void nest(struct job *job, uint64_t *seed) {
  struct job inner;
  if (!submit(&inner, job->pool, draw_any(seed), job->depth + 1)) return;
  if (draw(seed, 4) == 0) thrum_future_cancel(inner.future);
  if (draw(seed, 3) == 0 && thrum_future_wait_for(inner.future, THRUM_US(draw(seed, 200))) != 0)
    ADD(timed_out, 1);
  settle(&inner);
  thrum_future_release(inner.future);
}

static intptr_t work(void *arg) {
  struct job *job = arg;
  uint64_t seed = job->seed;
  CHECK_EQ(ADD(job->ran, 1), 1);
  switch (draw(&seed, 8)) {
  case 0: thrum_yield(); break;
  case 1: CHECK(thrum_sleep(THRUM_US(draw(&seed, 100))) <= 0); break;
  case 2:
  case 3:
    if (job->depth < DEPTH) nest(job, &seed);
    break;
  default: break;
  }
  return value_of(job);
}

/* ---- Each way to wait -------------------------------------------------------------------------------------------------- */

static void wait_together(thrum_future **f, int n, uint64_t *seed) {
  enum thrum_wait_mode mode = (enum thrum_wait_mode)draw(seed, 3);
  ssize_t done = thrum_future_wait_many(f, (size_t)n, mode, THRUM_US(draw(seed, 500)));
  CHECK(done == -ECANCELED || (done >= 0 && done <= n));
}

static void take_as_completed(thrum_future **f, int n, uint64_t *seed) {
  thrum_completion c;
  bool came[WINDOW] = {false};
  ssize_t i;
  int left = draw(seed, n + 1);
  CHECK_EQ(thrum_as_completed(&c, f, (size_t)n, THRUM_US(draw(seed, 1000))), 0);
  while (left-- && (i = thrum_completion_next(&c)) >= 0) {
    CHECK(!came[i] && thrum_future_done(f[i]));
    came[i] = true;
  }
  thrum_completion_end(&c);
}

static void wait_for_one(thrum_future **f, int n, uint64_t *seed) {
  thrum_case c[] = {thrum_case_future(f[draw(seed, n)]), thrum_case_future(f[draw(seed, n)]),
                    thrum_case_after(THRUM_US(draw(seed, 200)))};
  int fired = thrum_select(c, 3);
  CHECK(fired == -ECANCELED || fired >= 0);
}

static void window(thrum_executor *pool, uint64_t *seed) {
  struct job jobs[WINDOW];
  thrum_future *f[WINDOW];
  int n = 0;
  while (n < WINDOW && submit(&jobs[n], pool, draw_any(seed), 0)) {
    f[n] = jobs[n].future;
    CHECK_EQ(thrum_future_add_done_callback(f[n], count_call, &jobs[n].called), 0);
    n++;
  }
  if (n == 0) return;
  for (int i = draw(seed, WINDOW); i; i--) {
    switch (draw(seed, 5)) {
    case 0: thrum_future_cancel(f[draw(seed, n)]); break;
    case 1: wait_together(f, n, seed); break;
    case 2: take_as_completed(f, n, seed); break;
    case 3: wait_for_one(f, n, seed); break;
    default:
      if (thrum_future_wait_for(f[draw(seed, n)], THRUM_US(draw(seed, 200))) != 0) ADD(timed_out, 1);
    }
  }
  for (int i = 0; i < n; i++) settle(&jobs[i]);
  for (int i = 0; i < n; i++) AWAIT(LOAD(jobs[i].called) == 1);
  for (int i = 0; i < n; i++) thrum_future_release(f[i]);
  ADD(windows, 1);
}

/* ---- Pools that come and go ------------------------------------------------------------------------------------------------ */

static thrum_executor *make(uint64_t *seed) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *pool;
  o.threads = 1 + draw(seed, 4);
  CHECK_EQ(thrum_executor_threads(&pool, &o), 0);
  return pool;
}

static void check_empty(thrum_executor *pool) {
  thrum_executor_stats s;
  s.size = sizeof s;
  CHECK_EQ(thrum_executor_statistics(pool, &s), 0);
  CHECK(s.queued == 0 && s.threads == 0 && s.idle == 0 && s.waiting == 0);
  CHECK_EQ(s.finished + s.cancelled, s.submitted);
}

static intptr_t shut_some_time(void *pool) {
  thrum_yield();
  CHECK_EQ(thrum_executor_shutdown(pool, false, true), 0);
  return 0;
}

static intptr_t use(void *number) {
  uint64_t seed = ((uint64_t)(intptr_t)number + 1) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)wall_now();
  while (!LOAD(stop)) {
    thrum_executor *pool = make(&seed);
    thrum_thread shutter = {0};
    for (int i = draw(&seed, 6); i && !LOAD(stop); i--) window(pool, &seed);
    bool meanwhile = draw(&seed, 2);
    if (meanwhile) {
      shutter = must_spawn(shut_some_time, pool);
      window(pool, &seed);
      CHECK_EQ(must_join(shutter), 0);
    }
    CHECK_EQ(thrum_executor_shutdown(pool, true, draw(&seed, 2)), 0);
    check_empty(pool);
    thrum_executor_release(pool);
  }
  return 0;
}

static void cancel_somebody(uint64_t *seed) {
  int i = draw(seed, THREADS);
  if (!crowd_is_foreign(i)) cancel_and_take_back(crowd.threads[i]);
}

/* On a machine that does much else a few seconds may be too little for that. */
static bool all_has_happened(void) { return LOAD(ran_in_all) && LOAD(cancelled_in_all) && LOAD(windows); }

int main(int argc, char **argv) {
  int seconds = argc > 1 ? atoi(argv[1]) : 3;
  uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)wall_now();
  fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
  CHECK_EQ(thrum_set_switch_interval(THRUM_US(100)), 0);
  crowd_start(&crowd, THREADS, use);
  for (int64_t end = wall_now() + seconds * INT64_C(1000000000); wall_now() < end || !all_has_happened();) {
    cancel_somebody(&seed);
    thrum_sleep(THRUM_US(200));
  }
  STORE(stop, true);
  crowd_join(&crowd);
  fprintf(stderr, "%ld tasks: %ld ran, %ld cancelled; %ld waits ended early, %ld windows, %ld refused\n",
          tasks, ran_in_all, cancelled_in_all, timed_out, windows, refused);
  CHECK_EQ(ran_in_all + cancelled_in_all, tasks);
  return 0;
}
