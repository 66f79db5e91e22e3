/* Promise 3: the number of kernel threads never passes its bound, and after a burst of blocking calls those
 * that nobody needs are given back. */
#include "../child.h"
#include "../support.h"

#include <dirent.h>

enum { READERS = 100, BOUND = 24 };

static int fds[2];
static int reading;

static intptr_t plain_read(void *arg) {
  (void)arg;
  char c;
  ADD(reading, 1);
  CHECK_EQ(read(fds[0], &c, 1), 1);
  return 1;
}

/* What the kernel says, whatever the library's own count may be. */
static int kernel_threads(void) {
  DIR *dir = opendir("/proc/self/task");
  CHECK(dir);
  int count = 0;
  for (struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
  closedir(dir);
  return count;
}

static void burst(thrum_thread *readers) {
  reading = 0;
  for (int i = 0; i < READERS; i++) readers[i] = must_spawn(plain_read, NULL);
}

static void let_go(thrum_thread *readers) {
  for (int i = 0; i < READERS; i++) CHECK_EQ(write(fds[1], "x", 1), 1);
  for (int i = 0; i < READERS; i++) CHECK_EQ(must_join(readers[i]), 1);
}

/* With the default bound all hundred block at once, and their kernel threads go away again. */
static int given_back(void) {
  thrum_thread readers[READERS];
  CHECK_EQ(pipe(fds), 0);
  burst(readers);
  AWAIT(LOAD(reading) == READERS);
  AWAIT(kernel_threads() > READERS); /* the last one may be on its way into the kernel */
  CHECK(statistics().kernel_threads_peak > READERS);
  let_go(readers);
  AWAIT(kernel_threads() < READERS / 2 && statistics().kernel_threads < READERS / 2);
  return 0;
}

/* With a small bound no more than that many block at once; once they are let go everybody is served. */
static int bounded(void) {
  thrum_thread readers[READERS];
  CHECK_EQ(pipe(fds), 0);
  CHECK_EQ(statistics().kernel_threads_max, BOUND);
  for (int i = 0; i < READERS; i++) CHECK_EQ(write(fds[1], "x", 1), 1);
  burst(readers);
  for (int i = 0; i < READERS; i++) CHECK_EQ(must_join(readers[i]), 1);
  burst(readers);
  AWAIT_OUTSIDE(LOAD(reading) >= BOUND / 2);
  CHECK(kernel_threads() <= BOUND + (TESTS_TSAN ? 1 : 0)); /* ThreadSanitizer has one of its own */
  let_go(readers);
  CHECK(statistics().kernel_threads_peak <= BOUND);
  return 0;
}

static const struct child_case cases[] = {{"given-back", given_back}, {"bounded", bounded}, {0}};

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  struct child child = child_run("given-back");
  CHECK_STATUS(child, 0);
  child_free(&child);
  child = child_run_with("bounded", "THRUM_KERNEL_THREADS=24");
  CHECK_STATUS(child, 0);
  child_free(&child);
  return 0;
}
