/* thrum_run runs a body as a light thread and returns its result; thrum_blocking gives up the worker for a
 * call that blocks, in which thrum may be used as ever. */
#include "../support.h"

#include <fcntl.h>

static int fds[2];
static bool entered;

static intptr_t is_light(void *arg) {
  CHECK(!thrum_same(thrum_current(), thrum_main_thread()));
  CHECK(thrum_stack_used(thrum_current()) > 0);
  return (intptr_t)arg;
}

static intptr_t fail_here(void *arg) {
  (void)arg;
  return thrum_fail(ENODEV, "nothing here");
}

static intptr_t run_within_run(void *arg) { return 1 + thrum_run(is_light, arg); }

static intptr_t runs(void *arg) {
  (void)arg;
  CHECK_EQ(thrum_run(is_light, (void *)11), 11);
  CHECK_EQ(thrum_run(run_within_run, (void *)11), 12);
  CHECK_EQ(thrum_run(fail_here, NULL), -ENODEV);
  CHECK_EQ(thrum_run(NULL, NULL), -EINVAL);
  return 0;
}

static intptr_t read_plainly(void *arg) {
  char c = 0;
  STORE(entered, true);
  CHECK_EQ(read(fds[0], &c, 1), 1);
  return c + (intptr_t)arg;
}

static intptr_t block(void *arg) {
  thrum_thread me = thrum_current();
  intptr_t result = thrum_blocking(read_plainly, arg);
  CHECK(thrum_same(me, thrum_current()));
  return result;
}

static intptr_t write_one(void *arg) {
  (void)arg;
  AWAIT(LOAD(entered));
  return write(fds[1], "A", 1);
}

/* The switch interval is so long that nobody but thrum_blocking can have freed the worker. */
static void frees_the_worker_at_once(thrum_thread (*spawn)(thrum_fn *, void *)) {
  STORE(entered, false);
  thrum_thread reader = spawn(block, (void *)1), writer = must_spawn(write_one, NULL);
  CHECK_EQ(must_join(reader), 'A' + 1);
  CHECK_EQ(must_join(writer), 1);
}

static intptr_t twice(void *arg) { return 2 * (intptr_t)arg; }

static intptr_t use_thrum(void *arg) {
  CHECK_EQ(thrum_sleep(THRUM_US(100)), 0);
  thrum_yield();
  CHECK_EQ(must_join(must_spawn(twice, arg)), 2 * (intptr_t)arg);
  CHECK_EQ(thrum_blocking(twice, arg), 2 * (intptr_t)arg);
  return (intptr_t)arg;
}

static intptr_t exit_from_within(void *arg) {
  (void)arg;
  thrum_exit(66);
}

static intptr_t blocking_uses_thrum(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++) CHECK_EQ(thrum_blocking(use_thrum, (void *)(intptr_t)i), i);
  return 0;
}

static intptr_t blocking_exit(void *arg) { return thrum_blocking(exit_from_within, arg); }

int main(void) {
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  run_in_each_kind(runs, NULL);
  run_in_each_kind(blocking_uses_thrum, NULL);
  CHECK_EQ(must_join(must_spawn(blocking_exit, NULL)), 66);
  CHECK_EQ(thrum_set_workers(1), 0);
  CHECK_EQ(thrum_set_switch_interval(THRUM_S(10)), 0);
  frees_the_worker_at_once(must_spawn);
  frees_the_worker_at_once(must_spawn_bound);
  return 0;
}
