/* The dump of a program: each thread by name, with the functions and lines of its stack; and dumps go on whatever the
 * threads are stopped in. */
#define _GNU_SOURCE 1
#include "../dumped.h"
#include "../support.h"
#include <malloc.h>
#include <stdatomic.h>

enum { DUMPS = 50, HOGS = 2, BLOCK = 5000 }; /* a block that needs the lock of the heap */

static atomic_int started;
static atomic_bool stop;
static int sleep_line;

static intptr_t sleeping(void *arg) {
  (void)arg;
  sleep_line = __LINE__ + 3;
  started++;
  while (!stop) {
    thrum_sleep(THRUM_MS(20));
  }
  return 0;
}

static intptr_t computing(void *arg) {
  (void)arg;
  started++;
  while (!stop) {
  }
  return 0;
}

static intptr_t allocating(void *arg) {
  (void)arg;
  started++;
  while (!stop) {
    void *volatile block = malloc(BLOCK);
    free(block);
  }
  return 0;
}

static void spawn(thrum_thread *out, thrum_fn *fn, const char *name, bool bound) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.name = name;
  options.bound = bound;
  CHECK_EQ(thrum_spawn_with(out, &options, fn, NULL), 0);
}

static void join_all(thrum_thread *threads, size_t n) {
  stop = true;
  for (size_t i = 0; i < n; i++) CHECK_EQ(thrum_join(threads[i], NULL), 0);
  stop = false;
  started = 0;
}

static void every_thread_is_named_with_its_stack(void) {
  thrum_thread threads[3];
  spawn(&threads[0], sleeping, "light sleeper", false);
  spawn(&threads[1], computing, "light hog", false);
  spawn(&threads[2], computing, "bound hog", true);
  AWAIT(started == 3);
  char line[64];
  snprintf(line, sizeof line, "program.c:%d\n", sleep_line);
  AWAIT(strstr(dumped(), line)); /* the sleeper sleeps, again and again */

  const char *all = dumped();
  for (int tries = 0; tries < 10 && strstr(all, "does not answer"); tries++)
    all = dumped(); /* held up by the machine */
  CHECK_HAS(all, "MainThread");
  CHECK_HAS(all, "light sleeper");
  CHECK_HAS(all, "light hog");
  CHECK_HAS(all, "bound hog");
  CHECK_HAS(all, "sleeping ");
  CHECK_HAS(all, "computing ");
  CHECK_HAS(all, "every_thread_is_named_with_its_stack");
  join_all(threads, 3);
}

/* Naming a stack takes memory: a thread that was stopped in malloc must not be waited for. */
static void threads_stopped_in_malloc_do_not_hang_the_dump(void) {
  thrum_thread threads[HOGS];
  for (int i = 0; i < HOGS; i++) spawn(&threads[i], allocating, "allocator", false);
  AWAIT(started == HOGS);
  for (int i = 0; i < DUMPS; i++) CHECK_HAS(dumped(), "allocating");
  join_all(threads, HOGS);
}

/* What elfutils needs is not taken from the caller's stack, nor from that of a kernel thread of thrum's. */
static intptr_t dump_from_here(void *arg) {
  (void)arg;
  CHECK_HAS(dumped(), "dump_from_here ");
  return 0;
}

static void a_small_stack_is_enough(void) {
  thrum_thread t;
  thrum_options options = THRUM_OPTIONS_INIT;
  options.stack_size = THRUM_STACK_MIN;
  CHECK_EQ(thrum_spawn_with(&t, &options, dump_from_here, NULL), 0);
  CHECK_EQ(must_join(t), 0);
}

int main(void) {
#if defined(M_ARENA_MAX)
  CHECK_EQ(mallopt(M_ARENA_MAX, 1), 1); /* one heap for all, or each would have its own */
#endif
  every_thread_is_named_with_its_stack();
  threads_stopped_in_malloc_do_not_hang_the_dump();
  a_small_stack_is_enough();
  return 0;
}
