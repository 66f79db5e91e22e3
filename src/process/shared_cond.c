/* thrum_shared_cond.
 *
 * The word, 64 bits; its upper half is the counter that is waited for (shared_wait.h):
 *
 *   bits    name      meaning                                             changed by
 *   0-15    due       tokens: notifies that nobody has used yet           notify adds; who was notified takes one
 *   16-31   waiting   threads that wait, those with a token among them    who begins to wait; who ends; a repair makes it 0
 *   32-39   epoch     how often it was repaired                           a repair
 *   40-63   given     tokens given so far                                 notify; a repair adds MANY, to wake everybody
 *
 * Invariant: due <= waiting, but for the dead, who are among `waiting` and perhaps have a token.
 *
 * Whom a notify is for. Tokens are taken, not handed out: whom the kernel wakes may be dead. So a thread must not take one that was given
 * before it began to wait. It takes down `given` when it begins. The tokens given by then have all been taken when given - due, the
 * number of those taken, has reached what it took down; from then on any token is one that it may have. Until then older ones have yet to
 * leave: they have been woken, and need nobody's help, so it looks again a little later. (Python's condition has the notifier wait until
 * those that it notified have left; nsync and glibc keep a list, or two groups, in which the dead would stay.)
 *
 * No notify is lost. A notify for k of those who wait gives k tokens, and wakes k. Each token lets go one: who was woken takes one, or is
 * dead; who is not woken takes one at a tick, or when its time runs out: who has run out of time while each one that waits
 * has a token waits for its own.
 *
 * The dead. A process that died while it waited stays in `waiting`, and a token may be given that nobody takes. Whoever finds tokens that it
 * may not have for longer than a tick repairs the condition: another epoch, nobody waits, no tokens. All who waited in the epoch before go:
 * with a reason or without one. It may be that nobody died, and a thread was only kept from running for so long: that too costs no more than
 * a wait that ends by itself.
 *
 * The word is not touched after the step that leaves it: its memory may be something else's then. */
#include <errno.h>
#include <process/shared_lock.h>
#include <sched/self.h>

enum { DUE_MAX = 0xffff, GIVEN_SHIFT = 8, MANY = 65536 };
#define ONE_WAITING (UINT64_C(1) << 16)
#define ONE_EPOCH (UINT64_C(1) << 32)
#define ONE_GIVEN (UINT64_C(1) << (32 + GIVEN_SHIFT))
#define PATIENCE THRUM_US(50)

typedef _Atomic uint64_t cond_word;

struct cond_wait {
  struct thrumi_shared_wait wait; /* first: queues hold these */
  thrum_shared_cond *cond;
  uint32_t given, epoch; /* when it began */
  bool may;              /* any token is one that it may have */
  int64_t since;         /* when it first found one that it may not; 0: not */
};

static cond_word *word_of(thrum_shared_cond *cond) { return (cond_word *)&cond->word; }
static thrumi_futex *counter_of(thrum_shared_cond *cond) { return (thrumi_futex *)&cond->word + 1; }
static uint32_t due_of(uint64_t word) { return word & DUE_MAX; }
static uint32_t waiting_of(uint64_t word) { return word / ONE_WAITING & DUE_MAX; }
static uint32_t epoch_of(uint64_t word) { return (uint8_t)(word / ONE_EPOCH); }
static uint32_t given_of(uint64_t word) { return (uint32_t)(word / ONE_GIVEN); }

/* Of 24 bits: whether a comes behind b, or is it. */
static bool has_reached(uint32_t a, uint32_t b) { return (int32_t)((a - b) << GIVEN_SHIFT) >= 0; }

/* ---- Waiting -------------------------------------------------------------------------------------------------------------- */

static int begin(struct cond_wait *w) {
  uint64_t seen = thrumi_load(word_of(w->cond));
  do
    if (waiting_of(seen) == DUE_MAX) return -EAGAIN;
  while (!thrumi_cas(word_of(w->cond), &seen, seen + ONE_WAITING));
  w->given = given_of(seen);
  w->epoch = epoch_of(seen);
  return 0;
}

static void repair(thrum_shared_cond *cond, uint64_t seen) {
  uint64_t epoch = (epoch_of(seen) + 1) % 256 * ONE_EPOCH;
  uint64_t next = (uint64_t)(given_of(seen) + MANY) * ONE_GIVEN + epoch;
  if (thrumi_cas(word_of(cond), &seen, next)) thrumi_shared_wake(counter_of(cond), THRUMI_SHARED_EVERYBODY);
}

/* Not a cancellation point: what it waits for others are about to do. */
static void pause_for(thrum_shared_cond *cond, int64_t until) {
  thrumi_enter();
  struct thrumi_thread *me = thrumi_self()->current;
  thrumi_park(me, thrumi_arm(me, "a shared condition", cond, 0), until);
  thrumi_leave(thrumi_self());
}

/* There are tokens, given before the wait began. */
static void await_others(struct cond_wait *w, uint64_t seen) {
  int64_t now = thrumi_os.now();
  if (!w->since) w->since = now;
  if (now - w->since >= THRUMI_SHARED_TICK)
    repair(w->cond, seen);
  else
    pause_for(w->cond, now + PATIENCE);
}

/* Whether the wait is over, for a reason: *error is 0 then; or has run out with *error. */
static bool is_over(struct cond_wait *w, uint64_t *seen, int *error) {
  for (;;) {
    uint32_t due = due_of(*seen);
    if (epoch_of(*seen) != w->epoch) return *error = 0, true;
    w->may = w->may || has_reached(given_of(*seen) - due, w->given);
    bool takes = due && w->may, leaves = *error && due < waiting_of(*seen);
    if (!takes && *error && !waiting_of(*seen))
      return true; /* somebody has zeroed it: nothing is to be taken back */
    if (!takes && !leaves) return false;
    if (!thrumi_cas(word_of(w->cond), seen, *seen - ONE_WAITING - takes)) continue;
    if (takes) *error = 0;
    return true;
  }
}

static int sleep_once(struct cond_wait *w, uint64_t seen, int64_t deadline, int flags) {
  w->since = 0;
  thrumi_enter();
  int error = thrumi_shared_await(&w->wait, counter_of(w->cond), (uint32_t)(seen >> 32), deadline, flags);
  thrumi_leave(thrumi_self());
  return error;
}

static int await_notify(struct cond_wait *w, int64_t deadline, int flags) {
  int error = 0;
  for (;;) {
    uint64_t seen = thrumi_load(word_of(w->cond));
    if (is_over(w, &seen, &error)) break;
    if (due_of(seen))
      await_others(w, seen);
    else
      error = sleep_once(w, seen, deadline, flags);
  }
  thrumi_rely_on(w->cond);
  return error;
}

/* The lock was held by -EOWNERDEAD, and is of no use any more: nobody could notify by the rules. */
static int give_up(struct cond_wait *w, int error) {
  await_notify(w, 0, 0);
  return error;
}

static struct cond_wait new_wait(thrum_shared_cond *cond) {
  return (struct cond_wait){.wait = {.what = "a shared condition", .object = cond, .shift = GIVEN_SHIFT},
                            .cond = cond};
}

static int wait_with(thrum_shared_cond *cond, thrum_shared_lock *lock, int64_t deadline, int flags) {
  struct cond_wait w = new_wait(cond);
  if (!thrumi_shared_lock_is_mine(lock)) return -EPERM;
  thrumi_shared_ready();
  int error = begin(&w);
  if (error) return error;
  error = thrum_shared_lock_release(lock);
  if (error) return give_up(&w, error);
  error = await_notify(&w, deadline, flags);
  int again = thrum_shared_lock_acquire(lock);
  return again ? again : error;
}

static int wait_with_rlock(thrum_shared_cond *cond, thrum_shared_rlock *lock, int64_t deadline, int flags) {
  struct cond_wait w = new_wait(cond);
  uint32_t depth;
  if (!thrumi_shared_rlock_is_mine(lock)) return -EPERM;
  thrumi_shared_ready();
  int error = begin(&w);
  if (error) return error;
  error = thrumi_shared_rlock_let_go(lock, &depth);
  if (error) return give_up(&w, error);
  error = await_notify(&w, deadline, flags);
  int again = thrumi_shared_rlock_take_again(lock, depth);
  return again ? again : error;
}

int thrum_shared_cond_wait(thrum_shared_cond *cond, thrum_shared_lock *lock) {
  return wait_with(cond, lock, INT64_MAX, 0);
}

int thrum_shared_cond_wait_for(thrum_shared_cond *cond, thrum_shared_lock *lock, thrum_duration timeout) {
  return wait_with(cond, lock, thrum_after(timeout), THRUMI_CANCELLABLE);
}

int thrum_shared_cond_wait_rlock(thrum_shared_cond *cond, thrum_shared_rlock *lock) {
  return wait_with_rlock(cond, lock, INT64_MAX, 0);
}

int thrum_shared_cond_wait_rlock_for(thrum_shared_cond *cond, thrum_shared_rlock *lock,
                                     thrum_duration timeout) {
  return wait_with_rlock(cond, lock, thrum_after(timeout), THRUMI_CANCELLABLE);
}

/* ---- Notifying -------------------------------------------------------------------------------------------------------------- */

int thrum_shared_cond_notify(thrum_shared_cond *cond, int n) {
  uint64_t seen = thrumi_load(word_of(cond)), tokens;
  thrumi_announce(cond);
  do {
    uint32_t without = waiting_of(seen) - due_of(seen);
    tokens = n < 0 ? 0 : (uint32_t)n < without ? (uint32_t)n : without;
    if (!tokens) return 0;
  } while (!thrumi_cas(word_of(cond), &seen, seen + tokens * (ONE_GIVEN + 1)));
  thrumi_shared_wake(counter_of(cond), (uint32_t)tokens);
  return (int)tokens;
}

int thrum_shared_cond_notify_all(thrum_shared_cond *cond) {
  return thrum_shared_cond_notify(cond, INT32_MAX);
}
