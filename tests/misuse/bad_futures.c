/* Futures and executors that are asked for what cannot be: the documented error, and nothing is lost. One release too many
 * aborts where it is seen. */
#include "../child.h"
#include "../support.h"

static intptr_t one(void *arg) { return (void)arg, 1; }
static int task_fn(const void *in, size_t size, thrum_out *out) { return (void)in, (void)size, (void)out, 0; }
static const thrum_task task = {"a task", task_fn}, no_function = {"no function", NULL};

static void bad_waits(void) {
  thrum_future *f = thrum_future_new();
  thrum_completion c;
  CHECK(f);
  CHECK_EQ(thrum_future_wait_many(&f, 1, (enum thrum_wait_mode)3, 0), -EINVAL);
  CHECK_EQ(thrum_future_wait_many(&f, 1, (enum thrum_wait_mode) - 1, 0), -EINVAL);
  CHECK_EQ(thrum_future_wait_many(NULL, 1, THRUM_ALL_COMPLETED, 0), -EINVAL);
  CHECK_EQ(thrum_as_completed(&c, NULL, 1, 0), -EINVAL);
  CHECK_EQ(thrum_completion_next(&c), -EPIPE);
  CHECK_EQ(thrum_completion_left(&c), 0);
  thrum_completion_end(&c);
  CHECK_EQ(thrum_future_add_done_callback(f, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_future_set_bytes(f, NULL, 1), -EINVAL);
  CHECK(!thrum_future_done(f));
  CHECK_EQ(thrum_future_set_bytes(f, NULL, 0), 0);
  thrum_future_release(f);
}

static void bad_executors(void) {
  thrum_executor_options o = THRUM_EXECUTOR_OPTIONS_INIT;
  thrum_executor *x = NULL;
  CHECK_EQ(thrum_executor_threads(NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_executor_inline(NULL), -EINVAL);
  o.threads = -1;
  CHECK_EQ(thrum_executor_threads(&x, &o), -EINVAL);
  o.threads = 0;
  o.size--;
  CHECK_EQ(thrum_executor_threads(&x, &o), -EINVAL);
  o.size++;
  o.stack_size = THRUM_STACK_MIN - 1;
  CHECK_EQ(thrum_executor_threads(&x, &o), -EINVAL);
  o.stack_size = ((size_t)1 << 40) + 1;
  CHECK_EQ(thrum_executor_threads(&x, &o), -EINVAL);
  CHECK(!x);
}

static void bad_tasks(thrum_executor *x) {
  thrum_future *f = NULL;
  thrum_executor_stats s;
  thrum_map *m = NULL;
  thrum_map_options o = THRUM_MAP_OPTIONS_INIT;
  int items[2] = {0};
  CHECK_EQ(thrum_submit(x, &f, NULL, NULL), -EINVAL);
  CHECK_EQ(thrum_submit_task(x, &f, NULL, "", 0), -EINVAL);
  CHECK_EQ(thrum_submit_task(x, &f, &no_function, "", 0), -EINVAL);
  CHECK_EQ(thrum_submit_task(x, &f, thrum_task_find("no such task"), "", 0), -EINVAL);
  CHECK_EQ(thrum_submit_task(x, &f, &task, NULL, 1), -EINVAL);
  CHECK_EQ(thrum_submit_task(x, &f, &task, "", SIZE_MAX), -ENOMEM);
  CHECK(!f);
  CHECK_EQ(thrum_out_write(NULL, "", 0), -EINVAL);
  CHECK_EQ(thrum_map_start(&m, x, NULL, items, 2, 4, NULL), -EINVAL);
  CHECK_EQ(thrum_map_start(NULL, x, one, items, 2, 4, NULL), -EINVAL);
  CHECK_EQ(thrum_map_start(&m, x, one, NULL, 2, 4, NULL), -EINVAL);
  CHECK_EQ(thrum_map_start_task(&m, x, NULL, items, 2, 4, NULL), -EINVAL);
  o.ahead = 1; /* the sizes alone are too much, and no ring for so many */
  CHECK_EQ(thrum_map_start(&m, x, one, items, SIZE_MAX / 2, 4, &o), -EINVAL);
  CHECK_EQ(thrum_map_start(&m, x, one, items, 2, SIZE_MAX / 2, &o), -EINVAL);
  CHECK_EQ(thrum_map_start_task(&m, x, &task, items, 4, SIZE_MAX / 4 + 1, &o), -EINVAL);
  o.size--;
  CHECK_EQ(thrum_map_start(&m, x, one, items, 2, 4, &o), -EINVAL);
  CHECK(!m);
  s.size = sizeof s - 1;
  CHECK_EQ(thrum_executor_statistics(x, &s), -EINVAL);
  CHECK_EQ(thrum_executor_statistics(x, NULL), -EINVAL);
  s.size = sizeof s;
  CHECK_EQ(thrum_executor_statistics(x, &s), 0);
  CHECK_EQ(s.submitted, 0);
}

static intptr_t all(void *unused) {
  thrum_executor *x;
  (void)unused;
  bad_waits();
  bad_executors();
  CHECK_EQ(thrum_executor_threads(&x, NULL), 0);
  bad_tasks(x);
  thrum_executor_release(x);
  CHECK_EQ(thrum_executor_inline(&x), 0);
  bad_tasks(x);
  thrum_executor_release(x);
  return 0;
}

/* In a light thread, where the library keeps works for the next one: so it can be seen. */
static intptr_t release_twice(void *unused) {
  thrum_executor *x;
  thrum_future *f;
  (void)unused;
  CHECK_EQ(thrum_executor_inline(&x), 0);
  CHECK_EQ(thrum_submit(x, &f, one, NULL), 0);
  thrum_future_release(f);
  thrum_future_release(f);
  return 0;
}

static int released_twice(void) { return (int)thrum_run(release_twice, NULL); }

static const struct child_case cases[] = {{"released-twice", released_twice}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  run_in_each_kind(all, NULL);
  if (TESTS_SANITIZED) return 0; /* which keep nothing, and see it themselves */
  struct child child = child_run("released-twice");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  CHECK_HAS(child.err_text, "was released too often");
  child_free(&child);
  return 0;
}
