/* A name that is given by handle while the thread ends goes to that thread or to nobody: never to the next one, which gets its
 * record. Threads end all the time, detached and joined, and two others name whom they saw last. */
#include "../support.h"

#include <stdatomic.h>

#define NOBODY UINT64_MAX
enum { ROUNDS = TESTS_SANITIZED ? 2000 : 10000, NAMERS = 2 };

static _Atomic uint64_t latest; /* a handle's value */
static _Atomic bool over;
static _Atomic int strays;

static intptr_t name_the_latest(void *arg) {
  (void)arg;
  while (!atomic_load(&over)) {
    int error = thrum_set_name((thrum_thread){atomic_load(&latest)}, "stray");
    CHECK(error == 0 || error == -ESRCH);
    thrum_yield();
  }
  return 0;
}

/* It was named before anybody could have its handle. */
static intptr_t look_at_own_name(void *arg) {
  if (strcmp(thrum_current_name(), "stray") == 0) atomic_fetch_add(&strays, 1);
  atomic_store(&latest, thrum_current().value);
  if (arg) thrum_yield();
  return 0;
}

int main(void) {
  thrum_thread namers[NAMERS], t;
  atomic_store(&latest, NOBODY);
  for (int i = 0; i < NAMERS; i++) namers[i] = must_spawn(name_the_latest, NULL);
  for (uintptr_t i = 0; i < ROUNDS; i++) {
    CHECK_EQ(thrum_spawn(&t, look_at_own_name, (void *)(i & 1)), 0);
    if (i & 2)
      CHECK_EQ(thrum_detach(t), 0);
    else
      must_join(t);
    if (i % 16 == 0) thrum_yield();
  }
  atomic_store(&over, true);
  for (int i = 0; i < NAMERS; i++) must_join(namers[i]);
  CHECK_EQ(atomic_load(&strays), 0);
  return 0;
}
