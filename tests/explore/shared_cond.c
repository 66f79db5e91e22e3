/* The shared condition: threads wait, are notified, run out of time and die at every moment, in process/shared_cond.c; each is a process of
 * its own. A notify lets go as many as it says, of those who waited then; none is lost; there are no ticks. The lock is one of the driver's: what it does is the model of shared_lock.c. */
#include "sharing.h"

#include <process/shared_lock.h>

static thrum_shared_cond cond;
static struct thrumi_spin lock;
static _Atomic uint32_t begun_waits[3], notified; /* so many have begun to wait */
static int waiting, returned, timed_out, gave;    /* waits that ended by 0, by time; what notifies said */

/* ---- The lock -------------------------------------------------------------------------------------------------------------- */

static void take_lock(void) { thrumi_spin_lock(&lock); }

/* One more has begun to wait when it releases the lock. */
int thrum_shared_lock_release(thrum_shared_lock *unused) {
  (void)unused;
  thrumi_store(&begun_waits[++waiting], 1u);
  thrumi_spin_unlock(&lock);
  return 0;
}

int thrum_shared_lock_acquire(thrum_shared_lock *unused) { return (void)unused, take_lock(), 0; }
bool thrumi_shared_lock_is_mine(const thrum_shared_lock *unused) { return (void)unused, true; }
bool thrumi_shared_rlock_is_mine(thrum_shared_rlock *unused) { return (void)unused, true; }
int thrumi_shared_rlock_let_go(thrum_shared_rlock *unused, uint32_t *depth) {
  return (void)unused, (void)depth, 0;
}
int thrumi_shared_rlock_take_again(thrum_shared_rlock *unused, uint32_t depth) {
  return (void)unused, (void)depth, 0;
}

/* Who has to wait for others to leave looks again, and no tick has passed. That look is all that it does, so it is a step. */
enum thrumi_wait_state thrumi_park(struct thrumi_thread *t, thrumi_ticket ticket, int64_t deadline) {
  (void)t, (void)ticket, (void)deadline;
  explore_point(EXPLORE_READ, &cond.word);
  return THRUMI_TIMED_OUT;
}
thrumi_ticket thrumi_arm(struct thrumi_thread *t, const char *what, const void *object, int flags) {
  return (void)t, (void)what, (void)object, (void)flags, 0;
}

/* ---- Actors ---------------------------------------------------------------------------------------------------------------- */

static void wait_for(int64_t timeout) {
  take_lock();
  int error =
      timeout ? thrum_shared_cond_wait_for(&cond, NULL, timeout) : thrum_shared_cond_wait(&cond, NULL);
  EXPECT(error == 0 || (timeout && error == -ETIMEDOUT));
  returned += error == 0;
  timed_out += error != 0;
  thrumi_spin_unlock(&lock);
}

static void waits(void *unused) { (void)unused, wait_for(0); }
static void waits_timed(void *unused) { (void)unused, wait_for(1); }

static void notify(int n, int when) {
  explore_await(&begun_waits[when]);
  take_lock();
  gave += thrum_shared_cond_notify(&cond, n);
  thrumi_spin_unlock(&lock);
  thrumi_store(&notified, 1u);
}

static void notify_one(void *unused) { (void)unused, notify(1, 1); }
static void notify_two(void *unused) { (void)unused, notify(2, 2); }
static void notify_twice(void *unused) { (void)unused, notify(1, 1), notify(1, 2); }

/* Begins to wait when the first notify has been given, and is not to have that one. */
static void waits_later(void *unused) {
  (void)unused;
  explore_await(&notified);
  wait_for(1);
}

/* Both for one that waits. */
static void notify_again(void *unused) { (void)unused, notify(1, 1), notify(1, 1); }

static void reset(void) {
  reset_sharing();
  explore_upper_half((uint32_t *)&cond.word + 1);
  memset(&cond, 0, sizeof cond);
  atomic_store(&lock.word, 0);
  for (int i = 0; i < 3; i++) atomic_store(&begun_waits[i], 0);
  atomic_store(&notified, 0);
  waiting = returned = timed_out = gave = 0;
}

static void reset_timed(void) {
  reset();
  gives_up = true;
}

static void reset_later(void) {
  reset();
  runs_out = true;
}

static void check_one(void) { EXPECT(returned == 1 && gave == 1 && (uint32_t)cond.word == 0); }
static void check_two(void) { EXPECT(returned == 2 && gave == 2 && (uint32_t)cond.word == 0); }

/* What was given was used, by as many. */
static void check_later(void) {
  EXPECT(returned == gave && returned >= 1 && returned + timed_out == 2 && (uint32_t)cond.word == 0);
}
static void check_timed(void) {
  EXPECT(returned == gave && returned + timed_out == 1 && (uint32_t)cond.word == 0);
}

#define MODEL(text, before, after, ...) \
  { \
    .name = "shared condition, " text, .reset = before, .check = after, .threads = { __VA_ARGS__ } \
  }

#define BY_NAME(text, before, after, ...) \
  { \
    .name = "shared condition, " text, .by_name = true, .patience = 60, .reset = before, .check = after, \
    .threads = { \
      __VA_ARGS__ \
    } \
  }

static const struct explore_model models[] = {
    MODEL("a notify", reset, check_one, CALLER(0, waits), CALLER(1, notify_one)),
    MODEL("a notify or a deadline", reset_timed, check_timed, CALLER(0, waits_timed), CALLER(1, notify_one)),
    MODEL("two at once", reset, check_two, CALLER(0, waits), CALLER(1, waits), CALLER(2, notify_two)),
    MODEL("notified again", reset, check_one, CALLER(0, waits), CALLER(1, notify_again)),
    BY_NAME("one that comes later", reset_later, check_later, CALLER(0, waits), CALLER(1, waits_later),
            CALLER(2, notify_one)),
    BY_NAME("one that comes later, and may have the second", reset_later, check_later, CALLER(0, waits),
            CALLER(1, waits_later), CALLER(2, notify_twice)),
    BY_NAME("one after the other", reset, check_two, CALLER(0, waits), CALLER(1, waits),
            CALLER(2, notify_twice)),
    {0},
};

int main(int argc, char **argv) {
  thrumi_os.now = look_at_clock;
  return explore(models, argc, argv);
}
