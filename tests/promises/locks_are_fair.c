/* Nobody waits for a lock for ever, though its holder releases it and takes it again at once: the next release after a thread
 * has waited for about a millisecond and tried in vain hands it over, so that the holder, however quick, does not get
 * it back before. Here a holder tries again right after each release, which it wins nearly always, since a woken thread
 * needs longer to come; then it sleeps, still holding the lock, so that whoever was woken finds it held. After two such
 * rounds it is the other's; some more are for a machine that is busy with other things. Without the hand-over it would
 * go on until the holder is interrupted in the one moment that counts. */
#include "../support.h"

enum { ROUNDS_MAX = 25, TIMES = TESTS_SANITIZED ? 3 : 6 };

static thrum_lock lock;

static intptr_t wait_once(void *done) {
  thrum_lock_acquire(&lock);
  STORE(*(bool *)done, true);
  return thrum_lock_release(&lock);
}

static void *wait_outside(void *done) { return (void *)wait_once(done); }

/* Until the one that waits has had the lock: *longest is how often the holder got it back before. */
static void hold_until(const bool *done, int *longest) {
  for (int rounds = 1; !LOAD(*done); rounds++) {
    CHECK(rounds <= ROUNDS_MAX);
    if (rounds > *longest) *longest = rounds;
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
  printf("%d rounds at most\n", longest);
  return 0;
}
