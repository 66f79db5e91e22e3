/* Nobody waits for a lock for ever, though its holder releases it and takes it again at once: the next release after a thread
 * has waited for a millisecond and tried in vain hands it over, so that the holder, however quick, does not get it back
 * before. Here a holder takes it again right after each release, and still holds it when the one that was woken has come and
 * queued again. So the second release is the last one that helps nobody. Without the hand-over it would go on until
 * the holder is interrupted in the one moment that counts. */
#include "../support.h"

enum { ROUNDS_MAX = 2, TIMES = TESTS_SANITIZED ? 3 : 6 };

static thrum_lock lock;

static intptr_t wait_once(void *done) {
  thrum_lock_acquire(&lock);
  STORE(*(bool *)done, true);
  return thrum_lock_release(&lock);
}

static void *wait_outside(void *done) { return (void *)wait_once(done); }

/* While the caller holds the lock: the one that waits is in its queue, not on the way there. (docs/design/locks.md: WAITERS, and
 * no WOKEN.) */
static bool is_queued(void) { return (__atomic_load_n(&lock.word, __ATOMIC_RELAXED) & 0xffffff08) == 8; }

/* Until the one that waits has had the lock: *longest is how many releases that took. */
static void hold_until(const bool *done, int *longest) {
  for (int rounds = 1; !LOAD(*done); rounds++) {
    CHECK(rounds <= ROUNDS_MAX);
    if (rounds > *longest) *longest = rounds;
    AWAIT(is_queued());
    CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
    CHECK_EQ(thrum_lock_release(&lock), 0);
    thrum_lock_acquire(&lock);
  }
}

static intptr_t hold(void *longest) {
  for (int i = 0; i < TIMES; i++) {
    bool done[3] = {false};
    pthread_t foreign;
    thrum_lock_acquire(&lock);
    thrum_thread light = must_spawn(wait_once, &done[0]);
    hold_until(&done[0], longest);
    thrum_thread bound = must_spawn_bound(wait_once, &done[1]);
    hold_until(&done[1], longest);
    CHECK_EQ(pthread_create(&foreign, NULL, wait_outside, &done[2]), 0);
    hold_until(&done[2], longest);
    CHECK_EQ(thrum_lock_release(&lock), 0);
    CHECK_EQ(must_join(light), 0);
    CHECK_EQ(must_join(bound), 0);
    CHECK_EQ(pthread_join(foreign, NULL), 0);
  }
  return 0;
}

int main(void) {
  int longest = 0;
  run_in_each_kind(hold, &longest);
  printf("%d releases at most\n", longest);
  return 0;
}
