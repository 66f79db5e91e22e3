/* Promise 6 at its edge: an OS thread that thrum does not know yet, or no more, while the counts of kernel threads move. In each
 * case main and two threads wait for what never comes, and such a stranger ends the program with status 42 after a while: a
 * false verdict would end it with 86 before. */
#include "../child.h"
#include "../support.h"

#include <os/os.h>
#include <stdlib.h>

enum { TRUE_END = 42, A_WHILE_US = 400000 };

static pthread_t main_thread, stranger;
static _Atomic bool reached; /* the moment that the case is about */
static thrum_lock lock;
static thrum_cond never;

static intptr_t wait_for_ever(void *arg) {
  (void)arg;
  THRUM_LOCKED(&lock) { CHECK_EQ(thrum_cond_wait(&never, &lock), 0); }
  return 0;
}

static int wait_with_two(void) {
  must_spawn(wait_for_ever, NULL);
  return thrum_wait(must_spawn(wait_for_ever, NULL));
}

static void end_after_a_while(void) {
  while (!atomic_load(&reached)) usleep(1000);
  usleep(A_WHILE_US);
  _exit(TRUE_END);
}

static void *end_from_outside(void *arg) {
  (void)arg;
  end_after_a_while();
  return NULL;
}

/* Of thrum's own, which was counted and does not come to be. */
static int create_never(pthread_t *out, void *(*fn)(void *), void *arg, int unblocked) {
  if (pthread_equal(pthread_self(), main_thread)) return thrumi_os_linux.create(out, fn, arg, unblocked);
  atomic_store(&reached, true);
  for (;;) pause();
}

/* The breeder makes the first spares when the program has begun. */
static int beside_one_being_made(void) {
  thrumi_os.create = create_never;
  CHECK_EQ(pthread_create(&stranger, NULL, end_from_outside, NULL), 0);
  return wait_with_two();
}

/* In the midst of its first call. */
static void *allocate_slowly(size_t size) {
  if (!pthread_equal(pthread_self(), stranger)) return thrumi_os_linux.allocate(size);
  atomic_store(&reached, true);
  end_after_a_while();
  return NULL;
}

static void *call_thrum(void *arg) {
  while (!LOAD(*(bool *)arg)) sched_yield(); /* `stranger` is known from then on */
  thrum_id(thrum_current());
  return NULL;
}

static int that_is_taken_in(void) {
  static bool go;
  thrum_yield();
  CHECK_EQ(pthread_create(&stranger, NULL, call_thrum, &go), 0);
  thrumi_os.allocate = allocate_slowly;
  STORE(go, true);
  return wait_with_two();
}

/* After libc told thrum that it ends: a later key's destructor. */
static void end_in_destructor(void *value) {
  (void)value;
  atomic_store(&reached, true);
  end_after_a_while();
}

static void *call_and_end(void *arg) {
  CHECK_EQ(pthread_setspecific(*(pthread_key_t *)arg, arg), 0);
  thrum_id(thrum_current());
  return NULL;
}

static int that_ends(void) {
  static pthread_key_t later;
  thrum_yield();
  CHECK_EQ(pthread_key_create(&later, end_in_destructor), 0);
  CHECK_EQ(pthread_create(&stranger, NULL, call_and_end, &later), 0);
  return wait_with_two();
}

/* ---- Where the OS does not count ---------------------------------------------------------------------------------- */

enum { REFUSALS = 4 };

static int asked; /* by the monitor alone */

/* As where /proc is not to be had. */
static int count_never(void) {
  if (++asked == REFUSALS) CHECK(write(1, "not counted\n", 12) == 12);
  return -ENOENT;
}

static int count_after_some_time(void) {
  return ++asked <= REFUSALS ? -ENOENT : thrumi_os_linux.thread_count();
}

static int uncounted(void) {
  thrumi_os.thread_count = count_never;
  return wait_with_two();
}

static int counted_late(void) {
  thrumi_os.thread_count = count_after_some_time;
  return wait_with_two();
}

/* ------------------------------------------------------------------------------------------------------------------- */

static const struct child_case cases[] = {{"beside-one-being-made", beside_one_being_made},
                                          {"that-is-taken-in", that_is_taken_in},
                                          {"that-ends", that_ends},
                                          {"uncounted", uncounted},
                                          {"counted-late", counted_late},
                                          {0}};

/* Nobody is there who could wake somebody: it is only that this is not known. */
static void no_verdict_without_a_count(void) {
  struct child child = child_start("uncounted", NULL);
  child_await(&child, "not counted");
  CHECK_EQ(kill(child.pid, SIGTERM), 0);
  child_finish(&child);
  CHECK_STATUS(child, CHILD_SIGNALLED + SIGTERM);
  CHECK_STR(child.err_text, "");
  child_free(&child);
  child = child_run("counted-late");
  CHECK_STATUS(child, THRUM_EXIT_DEADLOCK);
  child_free(&child);
}

int main(int argc, char **argv) {
  main_thread = pthread_self();
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; strcmp(cases[i].name, "uncounted") != 0; i++) {
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, TRUE_END);
    child_free(&child);
  }
  if (!TESTS_TSAN) no_verdict_without_a_count(); /* which has a thread of its own */
  return 0;
}
