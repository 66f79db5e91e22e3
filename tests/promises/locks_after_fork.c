/* In the child of a fork a lock or rlock is as it was: what the forker held it holds, what a thread held that is not there stays
 * held, and what nobody held is free. Nobody waits there, whatever the word says of waiters, of one that was woken and has not tried
 * yet, or of one that the next release was to hand it over to. */
#include "parked.h"

#include <sys/wait.h>

enum { WAITERS = 8, FAIR = 4, TRIES = 20, PLAIN = 42, WOKEN = 43 }; /* docs/design/locks.md */

#define WOKEN_BITS UINT64_C(0xffffff00)

static thrum_lock lock;
static thrum_rlock rlock;

static intptr_t take_lock(void *arg) {
  THRUM_LOCKED(&lock) {}
  return (intptr_t)arg;
}

static intptr_t take_rlock(void *arg) {
  THRUM_RLOCKED(&rlock) {}
  return (intptr_t)arg;
}

/* Both can be had by threads of the child, also by one that waits for the other. */
static void others_use_both(void) {
  CHECK_EQ(must_join(must_spawn(take_lock, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(take_rlock, NULL)), 0);
  THRUM_LOCKED(&lock) THRUM_RLOCKED(&rlock) {
    thrum_thread a = must_spawn(take_lock, NULL), b = must_spawn_bound(take_rlock, NULL);
    AWAIT(is_parked(a) && is_parked(b));
    CHECK_EQ(thrum_lock_destroy(&lock), -EBUSY);
    CHECK_EQ(thrum_lock_release(&lock) | thrum_rlock_release(&rlock), 0);
    CHECK_EQ(must_join(a) | must_join(b), 0);
    thrum_lock_acquire(&lock);
    thrum_rlock_acquire(&rlock);
  }
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(rlock.lock.word, 0);
}

/* What the child returned. */
static int in_child(int (*fn)(void)) {
  int status;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm(TESTS_HANG_S / 2);
    _exit(fn());
  }
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

/* ---- The forker holds both, others wait -------------------------------------------------------------------------------- */

static int still_mine(void) {
  CHECK(LOAD(lock.word) & WAITERS && LOAD(rlock.lock.word) & WAITERS);
  CHECK_EQ(thrum_lock_destroy(&lock) | thrum_rlock_destroy(&rlock), 0); /* nobody waits */
  CHECK(thrum_lock_held(&lock));
  CHECK_EQ(thrum_rlock_count(&rlock), 2);
  CHECK_EQ(thrum_lock_try_acquire(&lock), -EAGAIN);
  CHECK_EQ(thrum_lock_release(&lock) | thrum_rlock_release(&rlock) | thrum_rlock_release(&rlock), 0);
  others_use_both();
  return PLAIN;
}

static intptr_t fork_holding(void *arg) {
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  thrum_rlock_acquire(&rlock);
  thrum_thread a = must_spawn(take_lock, NULL), b = must_spawn_bound(take_rlock, NULL);
  AWAIT(is_parked(a) && is_parked(b));
  CHECK_EQ(in_child(still_mine), PLAIN);
  CHECK_EQ(thrum_lock_release(&lock) | thrum_rlock_release(&rlock) | thrum_rlock_release(&rlock), 0);
  CHECK_EQ(must_join(a) | must_join(b), 0);
  return (intptr_t)arg;
}

/* ---- One was woken and has not tried ----------------------------------------------------------------------------------- */

static int free_there(void) {
  bool woken = LOAD(lock.word) & WOKEN_BITS && LOAD(rlock.lock.word) & WOKEN_BITS;
  CHECK(!thrum_lock_held(&lock) && !thrum_rlock_held(&rlock));
  others_use_both();
  return woken ? WOKEN : PLAIN;
}

/* Right behind the releases; with one worker those that were woken cannot run before. */
static intptr_t fork_behind_release(void *arg) {
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  thrum_thread a = must_spawn(take_lock, NULL), b = must_spawn(take_rlock, NULL);
  AWAIT(is_parked(a) && is_parked(b));
  CHECK_EQ(thrum_lock_release(&lock) | thrum_rlock_release(&rlock), 0);
  int status = thrum_lock_held(&lock) || thrum_rlock_held(&rlock) ? PLAIN : -1;
  if (status < 0) status = in_child(free_there);
  CHECK(status == PLAIN || status == WOKEN);
  CHECK_EQ(must_join(a) | must_join(b), 0);
  return status == WOKEN ? (intptr_t)arg : 0;
}

static void one_was_woken(void) {
  int seen = 0;
  for (int i = 0; i < TRIES && !seen; i++) seen = must_join(must_spawn(fork_behind_release, (void *)1)) == 1;
  if (thrum_workers() == 1) CHECK(seen);
}

/* ---- The next release was to hand it over ------------------------------------------------------------------------------ */

static int fair_for_nobody(void) {
  CHECK(LOAD(lock.word) & FAIR && thrum_lock_held(&lock));
  CHECK_EQ(thrum_lock_release(&lock), 0);
  others_use_both();
  return PLAIN;
}

/* The one that waits is woken after a millisecond, in vain. */
static intptr_t fork_while_fair(void *arg) {
  thrum_lock_acquire(&lock);
  thrum_thread a = must_spawn(take_lock, NULL);
  AWAIT(is_parked(a));
  CHECK_EQ(thrum_sleep(THRUM_MS(2)), 0);
  CHECK_EQ(thrum_lock_release(&lock), 0);
  bool mine = thrum_lock_try_acquire(&lock) == 0, fair = false;
  if (mine) {
    AWAIT(LOAD(lock.word) & FAIR || !thrum_is_alive(a));
    fair = LOAD(lock.word) & FAIR;
    if (fair) CHECK_EQ(in_child(fair_for_nobody), PLAIN);
    CHECK_EQ(thrum_lock_release(&lock), 0);
  }
  CHECK_EQ(must_join(a), 0);
  return fair ? (intptr_t)arg : 0;
}

static void one_was_next(void) {
  int seen = 0;
  for (int i = 0; i < TRIES && !seen; i++) seen = must_join(must_spawn(fork_while_fair, (void *)1)) == 1;
  if (thrum_workers() == 1) CHECK(seen);
}

/* ---- Another thread holds them ----------------------------------------------------------------------------------------- */

static bool held, let_go;

static intptr_t hold_both(void *arg) {
  thrum_lock_acquire(&lock);
  thrum_rlock_acquire(&rlock);
  STORE(held, true);
  AWAIT(LOAD(let_go));
  return thrum_lock_release(&lock) | thrum_rlock_release(&rlock) | (int)(intptr_t)arg;
}

static int held_by_one_that_is_gone(void) {
  CHECK(thrum_lock_held(&lock) && thrum_rlock_held(&rlock));
  CHECK_EQ(thrum_lock_try_acquire(&lock), -EAGAIN);
  CHECK_EQ(thrum_rlock_try_acquire(&rlock), -EAGAIN);
  CHECK_EQ(thrum_lock_acquire_for(&lock, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_rlock_acquire_for(&rlock, THRUM_MS(2)), -ETIMEDOUT);
  CHECK_EQ(thrum_rlock_count(&rlock), 0);
  CHECK_EQ(thrum_rlock_release(&rlock), -EPERM);
  CHECK_EQ(thrum_lock_release(&lock), 0); /* anybody may */
  rlock = (thrum_rlock){{0}, 0, 0};       /* nobody can: a new one */
  others_use_both();
  return PLAIN;
}

static void another_holds_them(void) {
  thrum_thread holder = must_spawn(hold_both, NULL);
  AWAIT(LOAD(held));
  CHECK_EQ(in_child(held_by_one_that_is_gone), PLAIN);
  STORE(let_go, true);
  CHECK_EQ(must_join(holder), 0);
}

int main(void) {
  if (TESTS_TSAN) CHECK_SKIP("ThreadSanitizer does not let a forked child start threads");
  CHECK_EQ(fork_holding(NULL), 0);
  CHECK_EQ(must_join(must_spawn(fork_holding, NULL)), 0);
  CHECK_EQ(must_join(must_spawn_bound(fork_holding, NULL)), 0);
  one_was_woken();
  one_was_next();
  another_holds_them();
  CHECK_EQ(lock.word, 0);
  CHECK_EQ(rlock.lock.word, 0);
  return 0;
}
