/* Where memory or kernel threads end, starting a thread fails cleanly: those that were started end well, and
 * what they had serves the next ones. */
#include "../child.h"
#include "../support.h"

#include <sys/resource.h>

enum { MOST = 1000001, ADDRESS_SPACE = 2000 }; /* MiB */

static bool stop;
static uint64_t ran;

static intptr_t stay(void *arg) {
  (void)arg;
  while (!LOAD(stop)) thrum_sleep(THRUM_MS(20));
  ADD(ran, 1);
  return 6;
}

static intptr_t count(void *arg) {
  (void)arg;
  ADD(ran, 1);
  return 6;
}

static void join_all(thrum_thread *threads, int started) {
  for (int i = 0; i < started; i++) CHECK_EQ(must_join(threads[i]), 6);
  CHECK_EQ(LOAD(ran), started);
  CHECK_EQ(thrum_active_count(), 1);
}

/* A million and one threads in less room than that: none of them has run when room ends. */
static int address_space_ends(void) {
  struct rlimit limit = {(rlim_t)ADDRESS_SPACE << 20, (rlim_t)ADDRESS_SPACE << 20};
  thrum_yield();
  static thrum_thread threads[MOST];
  CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  for (int round = 0; round < 2; round++) {
    int started = 0, error = 0;
    ran = 0;
    stop = false;
    while (started < MOST && (error = thrum_spawn(&threads[started], stay, NULL)) == 0) started++;
    CHECK_EQ(error, -ENOMEM);
    CHECK(started > 1000 && started < MOST);
    CHECK_EQ(thrum_spawn(NULL, stay, NULL), -ENOMEM);
    STORE(stop, true);
    join_all(threads, started);
  }
  return 0;
}

/* Bound threads up to the bound on kernel threads; light ones still start. */
static int kernel_threads_end(void) {
  thrum_options options = THRUM_OPTIONS_INIT;
  options.bound = true;
  thrum_thread threads[64], light;
  int started = 0, error = 0;
  while (started < 64 && (error = thrum_spawn_with(&threads[started], &options, stay, NULL)) == 0) started++;
  CHECK_EQ(error, -EAGAIN);
  CHECK(started >= 4 && started < 20);
  light = must_spawn(count, NULL);
  CHECK_EQ(must_join(light), 6);
  ran = 0;
  STORE(stop, true);
  join_all(threads, started);
  CHECK_EQ(must_join(must_spawn_bound(count, NULL)), 6);
  return 0;
}

/* All that the machine lets us have of light threads at once: a million and one small ones. */
static int a_million_and_one(void) {
  thrum_thread *threads = malloc(MOST * sizeof *threads);
  CHECK(threads);
  CHECK_EQ(thrum_set_stack_size(THRUM_STACK_MIN), 0);
  int started = 0, error = 0;
  while (started < MOST && (error = thrum_spawn(&threads[started], count, NULL)) == 0) started++;
  CHECK(error == 0 || error == -ENOMEM);
  join_all(threads, started);
  free(threads);
  return 0;
}

static const struct child_case cases[] = {{"address-space-ends", address_space_ends},
                                          {"kernel-threads-end", kernel_threads_end},
                                          {"a-million-and-one", a_million_and_one},
                                          {0}};

static void succeeds(const char *name, const char *setting) {
  struct child child = child_run_with(name, setting);
  CHECK_STATUS(child, 0);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  succeeds("kernel-threads-end", "THRUM_KERNEL_THREADS=20");
  if (TESTS_SANITIZED) return 0; /* their shadow memory knows no limits, and they bear a thousand threads */
  succeeds("address-space-ends", NULL);
  succeeds("a-million-and-one", NULL);
  return 0;
}
