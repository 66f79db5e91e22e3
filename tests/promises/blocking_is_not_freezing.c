/* Promise 3: threads blocked in a plain read hold no worker: the others go on, however many they are; what
 * they had kept besides is given back. */
#include "../support.h"

#include <fcntl.h>

enum { MANY = 100, STEPS = 200 };

static int fds[2];
static int reading, reads_done;

static intptr_t plain_read(void *arg) {
  (void)arg;
  char c = 0;
  ADD(reading, 1);
  CHECK_EQ(read(fds[0], &c, 1), 1);
  CHECK_EQ(c, 'x');
  ADD(reads_done, 1);
  return 5;
}

static intptr_t step(void *arg) {
  int *steps = arg;
  for (int i = 0; i < STEPS; i++) {
    ADD(*steps, 1);
    thrum_yield();
  }
  return 0;
}

/* Every one of them is in the kernel and none has been let go: now others must run to their end. */
static void others_progress_beside(int count, bool bound) {
  thrum_thread readers[MANY], steppers[4];
  int steps = 0;
  reading = reads_done = 0;
  for (int i = 0; i < count; i++)
    readers[i] = bound ? must_spawn_bound(plain_read, NULL) : must_spawn(plain_read, NULL);
  AWAIT(LOAD(reading) == count);
  for (int i = 0; i < 4; i++) steppers[i] = must_spawn(step, &steps);
  for (int i = 0; i < 4; i++) CHECK_EQ(must_join(steppers[i]), 0);
  CHECK_EQ(LOAD(steps), 4 * STEPS);
  CHECK_EQ(LOAD(reads_done), 0);
  for (int i = 0; i < count; i++) CHECK_EQ(write(fds[1], "x", 1), 1);
  for (int i = 0; i < count; i++) CHECK_EQ(must_join(readers[i]), 5);
}

static intptr_t through_blocking(void *arg) { return thrum_blocking(plain_read, arg); }

static void blocking_gives_the_worker_at_once(void) {
  thrum_thread readers[MANY];
  reading = 0;
  for (int i = 0; i < 8; i++) readers[i] = must_spawn(through_blocking, NULL);
  AWAIT(LOAD(reading) == 8);
  for (int i = 0; i < 8; i++) CHECK_EQ(write(fds[1], "x", 1), 1);
  for (int i = 0; i < 8; i++) CHECK_EQ(must_join(readers[i]), 5);
}

int main(void) {
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  CHECK_EQ(must_join(must_spawn(step, &(int){0})), 0);
  others_progress_beside(1, false);
  others_progress_beside(8, false);
  others_progress_beside(MANY, false);
  others_progress_beside(8, true);
  CHECK(statistics().leases_lost > 0);
  blocking_gives_the_worker_at_once();
  return 0;
}
