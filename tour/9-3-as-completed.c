/* as_completed: whoever is ready first
 *
 * Ten tasks take 20 to 200 ms each, the first ones longest. Asked in the order of submission, the first answer would come after
 * 200 ms. as_completed gives each as it becomes done, so that there is always something to go on with: here, a bar that
 * moves. It takes a time limit for all of them together: 130 ms are too little for the last ones, which are then told
 * by number, cancelled or waited for. Here they are waited for. */
#include <errno.h>
#include <string.h>

#include <thrum.h>

enum { TASKS = 10 };

static int delays_ms[TASKS];

static intptr_t work(void *arg) {
  const int *delay = arg;
  thrum_sleep(THRUM_MS(*delay));
  return *delay;
}

static void show(int done, intptr_t delay) {
  char bar[TASKS + 1];
  memset(bar, '.', TASKS);
  memset(bar, '#', (size_t)done);
  bar[TASKS] = 0;
  thrum_print("[%s] %2d of %d: %3d ms\n", bar, done, TASKS, (int)delay);
}

int main(void) {
  thrum_executor *pool = NULL;
  thrum_future *futures[TASKS] = {0};
  thrum_completion ready;
  intptr_t delay = 0;
  int done = 0;
  if (thrum_executor_threads(&pool, NULL) != 0) return 1;
  for (int i = 0; i < TASKS; i++) {
    delays_ms[i] = 20 * (TASKS - i);
    thrum_submit(pool, &futures[i], work, &delays_ms[i]);
  }

  ssize_t i;
  thrum_as_completed(&ready, futures, TASKS, THRUM_MS(130));
  while ((i = thrum_completion_next(&ready)) >= 0) {
    thrum_future_result(futures[i], &delay);
    show(++done, delay);
  }
  if (i == -ETIMEDOUT)
    thrum_print("time is over: %d of %d are not done\n", (int)thrum_completion_left(&ready), TASKS);
  thrum_completion_end(&ready);

  thrum_future_wait_many(futures, TASKS, THRUM_ALL_COMPLETED, THRUM_FOREVER);
  thrum_print("all are done\n");
  for (int f = 0; f < TASKS; f++) thrum_future_release(futures[f]);
  thrum_executor_shutdown(pool, true, false);
  thrum_executor_release(pool);
  return 0;
}
