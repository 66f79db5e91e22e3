/* Where the OS refuses kernel threads the runtime starts with fewer workers, one at least, and says so; the child of a fork, too. It aborts
 * only where there would be none. What is refused later is an error of the call that asked for it. */
#include "../child.h"
#include "../support.h"

#include <os/os.h>

/* The breeder, the monitor, and one more than there are workers. */
enum { BESIDE = 3, WANTED = 4, LITTLE = 2 };

static int left; /* how many more the OS lets us have */

static int create(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked) {
  if (__atomic_fetch_sub(&left, 1, __ATOMIC_ACQ_REL) > 0)
    return thrumi_os_linux.create(out, fn, arg, unblocked);
  ADD(left, 1);
  return -EAGAIN;
}

static int said;
static void log_message(const char *message, size_t length) {
  if (memmem(message, length, "the OS refuses kernel threads", 29)) ADD(said, 1);
}

static void start_with(int kthreads) {
  thrum_config config = THRUM_CONFIG_INIT;
  config.workers = WANTED;
  config.log = log_message;
  CHECK_EQ(thrum_configure(&config), 0);
  left = kthreads;
  thrumi_os.create = create;
}

static intptr_t count_down(void *arg) {
  intptr_t n = (intptr_t)arg;
  return n ? must_join(must_spawn(count_down, (void *)(n - 1))) + 1 : 0;
}

/* Threads run and are preempted by nobody: there is no spare. */
static void works_with(int workers) {
  CHECK_EQ(thrum_workers(), workers);
  CHECK_EQ(must_join(must_spawn(count_down, (void *)50)), 50);
  thrum_options bound = THRUM_OPTIONS_INIT;
  bound.bound = true;
  CHECK_EQ(thrum_spawn_with(NULL, &bound, count_down, NULL), -EAGAIN);
  CHECK_EQ(thrum_set_workers(WANTED), -EAGAIN);
  CHECK_EQ(thrum_workers(), workers);
}

static void works_when_it_may(void) {
  STORE(left, 1000);
  CHECK_EQ(thrum_set_workers(WANTED), 0);
  CHECK_EQ(thrum_workers(), WANTED);
  CHECK_EQ(must_join(must_spawn_bound(count_down, (void *)5)), 5);
}

static int fewer(void) {
  start_with(BESIDE + LITTLE);
  works_with(LITTLE);
  CHECK_EQ(LOAD(said), 1);
  works_when_it_may();
  return 0;
}

static int least(void) {
  start_with(BESIDE + 1);
  works_with(1);
  works_when_it_may();
  return 0;
}

static int enough(void) {
  start_with(BESIDE + WANTED);
  CHECK_EQ(thrum_workers(), WANTED);
  CHECK_EQ(LOAD(said), 0);
  return 0;
}

static int none(void) {
  start_with(BESIDE);
  return thrum_workers();
}

static void leave_little(void) { left = BESIDE + LITTLE; }

/* In the child this comes before thrum's own: it was registered earlier. */
static int forked(void) {
  CHECK_EQ(pthread_atfork(NULL, NULL, leave_little), 0);
  start_with(1000);
  CHECK_EQ(thrum_workers(), WANTED);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    works_with(LITTLE);
    CHECK_EQ(LOAD(said), 1);
    works_when_it_may();
    return 0;
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK_EQ(thrum_workers(), WANTED);
  return 0;
}

static const struct child_case cases[] = {{"fewer", fewer}, {"least", least},   {"enough", enough},
                                          {"none", none},   {"forked", forked}, {0}};

static void succeeds(const char *name) {
  struct child child = child_run(name);
  CHECK_STATUS(child, 0);
  child_free(&child);
}

int main(int argc, char **argv) {
  CHILD_CASES(argc, argv, cases);
  succeeds("fewer");
  succeeds("least");
  succeeds("enough");
  struct child child = child_run("none");
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGABRT);
  child_free(&child);
  if (!TESTS_TSAN) succeeds("forked");
  return 0;
}
