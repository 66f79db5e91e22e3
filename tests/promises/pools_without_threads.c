/* A pool for which no thread is to be had: whoever counts on one is told, nobody waits for a thread that never was, and the pool's
 * numbers stay right. __wrap_thrum_spawn_with stands between pools and thrum_spawn_with (the linker's --wrap). */
#include "parked.h"
#include "pools.h"

int __real_thrum_spawn_with(thrum_thread *t, const thrum_options *options, thrum_fn *fn, void *arg);
int __wrap_thrum_spawn_with(thrum_thread *t, const thrum_options *options, thrum_fn *fn, void *arg);

static int refusal;             /* what every spawn of a pool's thread says; 0: it is done */
static thrum_event *refused_at; /* it waits there first */
static bool asked;

int __wrap_thrum_spawn_with(thrum_thread *t, const thrum_options *options, thrum_fn *fn, void *arg) {
  STORE(asked, true);
  if (LOAD(refused_at)) thrum_event_wait(LOAD(refused_at));
  int error = LOAD(refusal);
  return error ? error : __real_thrum_spawn_with(t, options, fn, arg);
}

static void check_numbers(thrum_executor *x, unsigned threads, unsigned waiting, unsigned queued) {
  thrum_executor_stats s = stats_of(x);
  CHECK_EQ(s.threads, threads);
  CHECK_EQ(s.waiting, waiting);
  CHECK_EQ(s.queued, queued);
}

static void end(thrum_executor *x) {
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  check_numbers(x, 0, 0, 0);
  thrum_executor_release(x);
}

static intptr_t five(void *unused) { return (void)unused, 5; }

/* ---- The last thread of a pool cannot wait for what is queued behind it ------------------------------------------------ */

static thrum_executor *pool;

/* None of the ways to wait does so: each says why, and the future is there still. */
static intptr_t wait_in_vain(void *error) {
  int why = (int)(intptr_t)error, ready = 7;
  thrum_future *f = must_submit(pool, five, NULL);
  thrum_completion all;
  STORE(refusal, why);
  CHECK_EQ(thrum_future_wait(f), why);
  CHECK_EQ(thrum_future_wait_for(f, THRUM_FOREVER), why);
  CHECK_EQ(thrum_future_wait_many(&f, 1, THRUM_ALL_COMPLETED, THRUM_FOREVER), why);
  CHECK_EQ(thrum_as_completed(&all, &f, 1, THRUM_FOREVER), 0);
  CHECK_EQ(thrum_completion_next(&all), why);
  thrum_completion_end(&all);

  thrum_case alone[] = {thrum_case_future(f)};
  CHECK_EQ(thrum_select(alone, 1), 0);
  CHECK_EQ(alone[0].status, why);

  /* Another case that is ready is not kept from happening. */
  thrum_queue q;
  CHECK_EQ(thrum_queue_init(&q, sizeof ready, 1, NULL), 0);
  CHECK_EQ(thrum_queue_put(&q, &ready), 0);
  thrum_case two[] = {thrum_case_future(f), thrum_case_get(&q, &ready)};
  CHECK_EQ(thrum_select(two, 2), 1);
  CHECK_EQ(two[1].status, 0);
  CHECK_EQ(ready, 7);
  thrum_queue_destroy(&q);

  CHECK(!thrum_future_done(f));
  STORE(refusal, 0);
  return take(f);
}

static void no_wait_without_a_thread(int error) {
  pool = pool_of(1);
  CHECK_EQ(take(must_submit(pool, wait_in_vain, (void *)(intptr_t)error)), 5);
  end(pool);
}

/* ---- A shutdown that waits while the only thread is refused -------------------------------------------------------------- */

static intptr_t submit_one(void *x) {
  thrum_future *f = NULL;
  return thrum_submit(x, &f, five, NULL);
}

static intptr_t shut_and_wait(void *x) { return thrum_executor_shutdown(x, true, false); }

static void nobody_waits_for_who_never_came(void) {
  thrum_event gate = {0};
  thrum_executor *x = pool_of(1);
  STORE(refusal, -ENOMEM);
  STORE(asked, false);
  STORE(refused_at, &gate);
  thrum_thread submitter = must_spawn(submit_one, x);
  AWAIT(LOAD(asked));
  thrum_thread shutter = must_spawn(shut_and_wait, x);
  AWAIT(is_parked(shutter)); /* for the end of a thread that is about to be started */
  STORE(refused_at, NULL);
  thrum_event_set(&gate);
  CHECK_EQ(must_join(submitter), -ENOMEM);
  CHECK_EQ(must_join(shutter), 0);
  STORE(refusal, 0);
  end(x);
}

/* ---- A shutdown that waits returns when all has a result, also what has counted on the thread that was refused -------------- */

static bool told;

/* Whoever waits for the end has every chance to go on meanwhile. */
static void hear_of_failure(thrum_thread t, intptr_t failure, const char *sentence) {
  (void)t, (void)sentence;
  CHECK_EQ(failure, -ENOMEM);
  for (int i = 0; i < 1000; i++) thrum_yield();
  STORE(told, true);
}

static thrum_future *second;

static intptr_t shut_and_look(void *x) {
  CHECK_EQ(thrum_executor_shutdown(x, true, false), 0);
  CHECK(LOAD(told));
  CHECK(thrum_future_done(second));
  check_numbers(x, 0, 0, 0);
  return 0;
}

static void the_end_comes_behind_the_results(void) {
  thrum_event hold = {0};
  thrum_executor *x = pool_of(1);
  thrum_on_uncaught(hear_of_failure);
  STORE(refusal, -ENOMEM);
  STORE(asked, false);
  STORE(refused_at, &hold);
  thrum_thread submitter = must_spawn(submit_one, x);
  AWAIT(LOAD(asked));
  CHECK_EQ(thrum_submit(x, NULL, five, NULL), 0); /* nobody asks for it, so the hook hears of its failure */
  second = must_submit(x, five, NULL);
  thrum_thread shutter = must_spawn(shut_and_look, x);
  AWAIT(is_parked(shutter));
  STORE(refused_at, NULL);
  thrum_event_set(&hold);
  CHECK_EQ(must_join(submitter), -ENOMEM);
  CHECK_EQ(must_join(shutter), 0);
  CHECK_EQ(take(second), -ENOMEM);
  STORE(refusal, 0);
  thrum_on_uncaught(NULL);
  end(x);
}

/* ---- The last thread leaves, and nobody comes in its stead ------------------------------------------------------------------ */

static thrum_event all_queued;
static thrum_future *never_ends;
static int waiting_callbacks;

/* Its thread takes no other task after this one. */
static intptr_t last_task(void *unused) {
  thrum_event_wait(&all_queued);
  CHECK_EQ(thrum_cancel(thrum_current()), 0);
  STORE(refusal, -ENOMEM);
  return (void)unused, 1;
}

static intptr_t wait_in_callback(thrum_future *f, void *unused) {
  (void)unused;
  intptr_t result = 0;
  CHECK_EQ(thrum_future_result(f, &result), 0);
  CHECK_EQ(result, -ENOMEM);
  STORE(refusal, 0);
  ADD(waiting_callbacks, 1);
  CHECK_EQ(thrum_future_wait(never_ends), 0);
  ADD(waiting_callbacks, 1); /* it looks at that future no more */
  return 0;
}

/* What is queued fails, in the thread that leaves; its callback may wait, as no thread of the pool's any more, and others come
 * meanwhile. */
static void callbacks_of_the_forsaken_wait(void) {
  thrum_executor *x = pool_of(1);
  never_ends = thrum_future_new();
  CHECK(never_ends != NULL);
  thrum_future *last = must_submit(x, last_task, NULL), *queued = must_submit(x, five, NULL);
  CHECK_EQ(thrum_future_add_done_callback(queued, wait_in_callback, NULL), 0);
  thrum_event_set(&all_queued);
  CHECK_EQ(take(last), 1);
  AWAIT(LOAD(waiting_callbacks) == 1);
  check_numbers(x, 0, 0, 0);
  CHECK_EQ(take(must_submit(x, five, NULL)), 5);
  check_numbers(x, 1, 0, 0);
  CHECK_EQ(thrum_future_set_result(never_ends, 0), 0);
  CHECK_EQ(take(queued), -ENOMEM);
  AWAIT(LOAD(waiting_callbacks) == 2);
  thrum_future_release(never_ends);
  end(x);
}

/* ---- What a thread does behind its last task ---------------------------------------------------------------------------------- */

static thrum_event destroying;

static void wait_in_destructor(void *f) {
  volatile char frame[4096]; /* writes over what was on the stack before */
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = 0;
  thrum_event_set(&destroying);
  CHECK_EQ(thrum_future_wait((thrum_future *)f), 0);
}

static thrum_local kept = {.destructor = wait_in_destructor};

static intptr_t keep(void *f) { return thrum_local_set(&kept, f); }

/* Destructors of its locals run when it has left: they lend no place, and touch nothing of the pool's. */
static void destructors_wait(void) {
  thrum_executor *x = pool_of(1);
  thrum_future *f = thrum_future_new();
  CHECK(f != NULL);
  CHECK_EQ(take(must_submit(x, keep, f)), 0);
  CHECK_EQ(thrum_executor_shutdown(x, false, false), 0);
  thrum_event_wait(&destroying);
  check_numbers(x, 0, 0, 0);
  CHECK_EQ(thrum_future_set_result(f, 0), 0);
  end(x);
  thrum_future_release(f);
}

/* ---- What its initializer may do ------------------------------------------------------------------------------------------------ */

static thrum_event nothing_else;
static int prepared;

/* It waits for a task of its own pool, which has one place, before it has taken any. */
static intptr_t prepare(void *unused) {
  (void)unused;
  if (ADD(prepared, 1) > 1) return 0;
  thrum_event_wait(&nothing_else);
  return take(must_submit(pool, five, NULL)) == 5 ? 0 : -EIO;
}

/* It is one of the pool's threads. */
static intptr_t shut_within(void *unused) {
  (void)unused;
  CHECK_EQ(thrum_executor_shutdown(pool, true, false), -EDEADLK);
  return 0;
}

static void initializers_are_within(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_future *f;
  o.threads = 1;
  o.initializer = prepare;
  pool = pool_with(o);
  f = must_submit(pool, five, NULL);
  AWAIT(LOAD(prepared) == 1);
  CHECK(thrum_future_cancel(f)); /* the thread has come for it, and counts as coming for nobody else */
  thrum_future_release(f);
  thrum_event_set(&nothing_else);
  AWAIT(stats_of(pool).finished == 1);
  CHECK_EQ(take(must_submit(pool, five, NULL)), 5);
  end(pool);
  o.initializer = shut_within;
  pool = pool_with(o);
  CHECK_EQ(take(must_submit(pool, five, NULL)), 5); /* submitted before: it is done */
  end(pool);
}

int main(void) {
  no_wait_without_a_thread(-ENOMEM);
  no_wait_without_a_thread(-EAGAIN);
  nobody_waits_for_who_never_came();
  the_end_comes_behind_the_results();
  callbacks_of_the_forsaken_wait();
  destructors_wait();
  initializers_are_within();
  return 0;
}
