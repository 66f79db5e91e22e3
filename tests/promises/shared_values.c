/* Values and arrays in shared memory: zeroed, also where others were before; and with a lock of their own, which processes that are killed
 * in the midst do not take along. */
#include "../support.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { CHILDREN = 4, EACH = TESTS_SANITIZED ? 500 : 5000, KILLS = 20, ROW = 100 };

typedef THRUM_SHARED_VALUE(int64_t) counter;
typedef THRUM_SHARED_VALUES(double, ROW) row;

static thrum_shared_memory *memory;

struct shared {
  int64_t counter; /* offset */
  int holding;
};

static counter *the_counter(void) {
  return (counter *)thrum_shared_pointer(memory,
                                         ((struct shared *)thrum_shared_memory_data(memory))->counter);
}

static int take(thrum_shared_lock *lock) {
  int error = thrum_shared_lock_acquire(lock);
  return error == -EOWNERDEAD ? thrum_shared_lock_recover(lock) : error;
}

static intptr_t count(void *arg) {
  counter *c = (counter *)arg;
  for (int i = 0; i < EACH; i++) {
    CHECK_EQ(take(&c->lock), 0);
    c->value++;
    CHECK_EQ(thrum_shared_lock_release(&c->lock), 0);
  }
  return 0;
}

static pid_t start(void (*fn)(void)) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fn();
    _exit(0);
  }
  return pid;
}

static void count_in_child(void) {
  thrum_thread t = must_spawn(count, the_counter());
  count(the_counter());
  must_join(t);
}

static void hold_for_ever(void) {
  CHECK_EQ(take(&the_counter()->lock), 0);
  ((struct shared *)thrum_shared_memory_data(memory))->holding = 1;
  for (;;) pause();
}

static void counted_exactly(void) {
  pid_t child[CHILDREN];
  the_counter()->value = 0;
  for (int i = 0; i < CHILDREN; i++) child[i] = start(count_in_child);
  for (int i = 0; i < CHILDREN; i++) {
    int status;
    CHECK_EQ(waitpid(child[i], &status, 0), child[i]);
    CHECK_EQ(status, 0);
  }
  CHECK_EQ(the_counter()->value, (int64_t)2 * CHILDREN * EACH);
}

static void held_by_the_dead(void) {
  struct shared *s = (struct shared *)thrum_shared_memory_data(memory);
  for (int i = 0; i < KILLS; i++) {
    STORE(s->holding, 0);
    pid_t pid = start(hold_for_ever);
    AWAIT(LOAD(s->holding));
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK_EQ(thrum_shared_lock_acquire(&the_counter()->lock), -EOWNERDEAD);
    CHECK_EQ(thrum_shared_lock_recover(&the_counter()->lock), 0);
    CHECK_EQ(thrum_shared_lock_release(&the_counter()->lock), 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
  }
}

static void rows_are_zeroed(void) {
  for (int i = 0; i < 50; i++) {
    row *r = THRUM_SHARED_NEW(memory, row);
    CHECK(r != NULL);
    for (int j = 0; j < ROW; j++) CHECK(r->value[j] == 0);
    CHECK_EQ(thrum_shared_lock_try_acquire(&r->lock), 0);
    for (int j = 0; j < ROW; j++) r->value[j] = j + 1;
    CHECK_EQ(thrum_shared_lock_release(&r->lock), 0);
    memset(r, 0xff, sizeof *r);
    CHECK_EQ(thrum_shared_free(memory, r), 0);
  }
}

int main(void) {
  thrum_shared_memory_options o = THRUM_SHARED_MEMORY_OPTIONS_INIT;
  o.heap = 1 << 20;
  CHECK_EQ(thrum_shared_memory_create(&memory, NULL, sizeof(struct shared), &o), 0);
  counter *c = THRUM_SHARED_NEW(memory, counter);
  CHECK(c != NULL && c->value == 0);
  ((struct shared *)thrum_shared_memory_data(memory))->counter = thrum_shared_offset(memory, c);
  rows_are_zeroed();
  if (TESTS_TSAN) return 0; /* a child with threads of its own is nothing for ThreadSanitizer */
  counted_exactly();
  held_by_the_dead();
  thrum_shared_memory_close(memory);
  return 0;
}
