/* Submit a task, ask for its result
 *
 * A pool of two threads does five tasks. submit returns at once, with a future: a result to come. To ask it for the result is to wait.
 * The results come in the order in which main asks, whatever the order in which the tasks end; and two threads, no more, have done
 * all five. Compare with the exercise of chapter 2: no list of threads, no join, and a result for each.
 *
 * Then what else may become of a task: one that fails gives its error, with a sentence, to whoever asks; one that takes too long
 * is not waited for any more, and goes on; one that has not begun can be cancelled. */
#include <errno.h>
#include <string.h>

#include <thrum.h>

enum { TASKS = 5, THREADS = 2 };

static thrum_executor *pool;

static intptr_t square(void *arg) {
  intptr_t n = *(const int *)arg;
  thrum_sleep(THRUM_MS(10 * (TASKS - n)));
  thrum_print("\t%s has squared %d\n", thrum_current_name(), (int)n);
  return n * n;
}

static intptr_t fail(void *unused) {
  (void)unused;
  return thrum_fail(ENOENT, "no table is named %s", "prices");
}

static thrum_event enough;

static intptr_t take_long(void *unused) {
  (void)unused;
  thrum_event_wait(&enough);
  return 42;
}

static void ask_for_results(void) {
  static const int numbers[TASKS] = {0, 1, 2, 3, 4};
  thrum_future *squares[TASKS] = {0};
  for (int i = 0; i < TASKS; i++) thrum_submit(pool, &squares[i], square, (void *)&numbers[i]);
  for (int i = 0; i < TASKS; i++) {
    intptr_t result = 0;
    thrum_future_result(squares[i], &result);
    thrum_print("%d squared is %d\n", numbers[i], (int)result);
    thrum_future_release(squares[i]);
  }
}

static void ask_one_that_failed(void) {
  thrum_future *f = NULL;
  intptr_t result = 0;
  thrum_submit(pool, &f, fail, NULL);
  thrum_future_result(f, &result);
  if (thrum_failed(result))
    thrum_print("the task failed: %s, since %s\n", strerror((int)-result), thrum_future_failure(f));
  thrum_future_release(f);
}

static void give_up_and_cancel(void) {
  thrum_future *running[THREADS] = {0}, *waiting = NULL;
  intptr_t result = 0;
  for (int i = 0; i < THREADS; i++) thrum_submit(pool, &running[i], take_long, NULL);
  thrum_submit(pool, &waiting, take_long, NULL);
  if (thrum_future_result_for(running[0], &result, THRUM_MS(20)) == -ETIMEDOUT)
    thrum_print("no result within 20 ms, and the task goes on\n");
  thrum_print("cancel one that runs: %s\n", thrum_future_cancel(running[0]) ? "yes" : "no, too late");
  thrum_print("cancel one that has not begun: %s\n", thrum_future_cancel(waiting) ? "yes" : "no, too late");
  thrum_event_set(&enough);
  thrum_future_result(running[0], &result);
  thrum_print("now it has its result: %d\n", (int)result);
  for (int i = 0; i < THREADS; i++) thrum_future_release(running[i]);
  thrum_future_release(waiting);
}

int main(void) {
  thrum_executor_options options = THRUM_EXECUTOR_OPTIONS_INIT;
  options.name = "pool";
  options.threads = THREADS;
  if (thrum_executor_threads(&pool, &options) != 0) return 1;
  ask_for_results();
  ask_one_that_failed();
  give_up_and_cancel();
  thrum_executor_shutdown(pool, true, false);
  thrum_executor_release(pool);
  return 0;
}
