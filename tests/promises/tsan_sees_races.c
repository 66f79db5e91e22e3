/* ThreadSanitizer reports what the program's threads do wrong, and nothing else: two light threads write one variable
 * without an order between them, which must be reported although they never ran at the same time, or one starts after
 * the other was joined, which must not. Neither is a matter of luck: each thread runs to its end at once.
 *
 *     tsan_sees_races unordered | beside_spawner | joined | reuse_stacks */
#include "../support.h"

static long shared;

static intptr_t add(void *arg) {
  shared += (intptr_t)arg;
  return 0;
}

static void unordered(void) {
  thrum_thread first = must_spawn(add, (void *)1), second = must_spawn(add, (void *)2);
  CHECK_EQ(must_join(first), 0);
  CHECK_EQ(must_join(second), 0);
}

static void joined(void) {
  CHECK_EQ(must_join(must_spawn(add, (void *)1)), 0);
  CHECK_EQ(must_join(must_spawn(add, (void *)2)), 0);
}

/* The joiner's own write comes neither before the spawn nor after the join. */
static void beside_spawner(void) {
  thrum_thread t = must_spawn(add, (void *)1);
  shared += 2;
  CHECK_EQ(must_join(t), 0);
}

/* Many frames of one stack after the other, with none of the threads ordered among each other. */
static intptr_t fill_stack(void *arg) {
  volatile char frame[8192];
  for (size_t i = 0; i < sizeof frame; i++) frame[i] = (char)(intptr_t)arg;
  return frame[17] - (char)(intptr_t)arg;
}

static void reuse_stacks(void) {
  enum { COUNT = 50 };
  thrum_thread all[COUNT];
  for (intptr_t i = 0; i < COUNT; i++) all[i] = must_spawn(fill_stack, (void *)i);
  for (int i = 0; i < COUNT; i++) CHECK_EQ(must_join(all[i]), 0);
}

int main(int argc, char **argv) {
  CHECK_EQ(argc, 2);
  const char *what = argv[1];
  if (strcmp(what, "unordered") == 0)
    unordered();
  else if (strcmp(what, "beside_spawner") == 0)
    beside_spawner();
  else if (strcmp(what, "joined") == 0)
    joined();
  else if (strcmp(what, "reuse_stacks") == 0)
    reuse_stacks();
  else
    check_failed(__FILE__, __LINE__, "no such part: %s", what);
  CHECK_EQ(shared, strcmp(what, "reuse_stacks") == 0 ? 0 : 3);
  return 0;
}
