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
  usleep(A_WHILE_US);
  _exit(atomic_load(&reached) ? TRUE_END : 1);
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

static const struct child_case cases[] = {{"beside-one-being-made", beside_one_being_made},
                                          {"that-is-taken-in", that_is_taken_in},
                                          {"that-ends", that_ends},
                                          {0}};

int main(int argc, char **argv) {
  main_thread = pthread_self();
  CHILD_CASES(argc, argv, cases);
  for (int i = 0; cases[i].name; i++) {
    struct child child = child_run(cases[i].name);
    CHECK_STATUS(child, TRUE_END);
    child_free(&child);
  }
  return 0;
}
